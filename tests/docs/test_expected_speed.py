# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/tensorrt.md that are computed: bandwidth divided by the bytes of the decoder's weights."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

VOCABULARY, BLOCK, FLOAT16 = 128_262, 128, 2
SHAPES = {"GAR-1B": (16, 2048, 512, 8192), "GAR-8B": (32, 4096, 1024, 14336)}
"""Layers, width, width of keys, width of the MLP."""
BANDWIDTH = {
    "Jetson Orin NX 16 GB": 102.4e9,
    "Jetson AGX Orin": 204.8e9,
    "Jetson AGX Thor": 273e9,
    "GeForce RTX 4090": 1008e9,
}


def weights(model: str) -> tuple[int, int, int]:
    """Of the layers' matrices, of the head and of the norms."""
    layers, width, keys, mlp = SHAPES[model]
    layer = 2 * width * width + 2 * width * keys + 3 * width * mlp
    return layers * layer, VOCABULARY * width, (2 * layers + 1) * width


def decoder_bytes(model: str) -> dict[str, float]:
    """By precision: all that is read for a token."""
    layers, head, norms = weights(model)
    scale = FLOAT16 / BLOCK  # bytes for each weight
    return {
        "float16": FLOAT16 * (layers + head + norms),
        "int8": (1 + scale) * (layers + head) + FLOAT16 * norms,
        "int4": (0.5 + scale) * layers + head + FLOAT16 * VOCABULARY + FLOAT16 * norms,  # a scale for each token
    }


@pytest.mark.parametrize("model", SHAPES)
def test_the_ceilings_follow_from_the_weights(checkout: Path, model: str) -> None:
    page = (checkout / "docs/tensorrt.md").read_text(encoding="utf-8")
    table = page[page.index(f"| tokens/s of {model} at most") :].split("\n\n")[0].splitlines()
    columns = [cell.strip() for cell in table[0].strip("|").split("|")]
    expected = decoder_bytes(model)
    compared = 0
    for line in table[2:]:
        cells = dict(zip(columns, (cell.strip() for cell in line.strip("|").split("|")), strict=True))
        machine = cells[columns[0]]
        for precision in expected.keys() & cells.keys():
            if cells[precision] != "doesn't fit":
                assert int(cells[precision]) == round(BANDWIDTH[machine] / expected[precision]), (machine, precision)
                compared += 1
    assert compared == {"GAR-1B": 12, "GAR-8B": 7}[model]


def test_the_bytes_that_are_written_out(checkout: Path) -> None:
    page = " ".join((checkout / "docs/tensorrt.md").read_text(encoding="utf-8").split())
    small, large = decoder_bytes("GAR-1B"), decoder_bytes("GAR-8B")
    for words, count in (
        ("2 bytes each, {} GB;", small["float16"]),
        ("1 byte each and scales, {} GB;", small["int8"]),
        ("in the head, {} GB.", small["int4"]),
    ):
        assert words.format(f"{count / 1e9:.3f}") in page
    assert f"{large['float16'] / 1e9:.2f} GB in float16, {large['int4'] / 1e9:.2f} GB in int4" in page
    assert re.search(rf"{sum(weights('GAR-1B')[:2]) / 1e6:,.1f} M weights", page)
    assert f"{sum(weights('GAR-8B')[:2]) / 1e6:,.1f} M weights" in page
