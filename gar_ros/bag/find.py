# SPDX-License-Identifier: Apache-2.0
"""Which bags are meant by paths, folders, patterns and URLs, and which new bag each of them becomes."""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

from gar_ros.bag.answering import BagJob
from gar_ros.bag.fetch import file_system, is_url
from gar_ros.bag.sources import is_storage, without_suffix
from gar_ros.errors import ErrorCode, GarError, reason_of


class _Found(NamedTuple):
    """source: path or URL. name: path below the folder that was searched, without the suffix of a file."""

    source: str
    name: str


class _Tree(Protocol):
    """Files and folders of this machine or elsewhere, by paths with /."""

    def is_dir(self, path: str) -> bool: ...
    def exists(self, path: str) -> bool: ...
    def children(self, path: str) -> list[str]: ...
    def matches(self, pattern: str) -> list[str]: ...
    def source(self, path: str) -> str: ...


class _Local:
    def is_dir(self, path: str) -> bool:
        return Path(path).is_dir()

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def children(self, path: str) -> list[str]:
        folder = Path(path).resolve()
        above = {folder, *folder.parents}  # what links to one of them would be searched for ever
        return sorted(str(child) for child in Path(path).iterdir() if child.resolve() not in above)

    def matches(self, pattern: str) -> list[str]:
        return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207, Path.glob takes no absolute pattern

    def source(self, path: str) -> str:
        return str(Path(path).absolute())


class _Remote:
    def __init__(self, system: Any) -> None:
        self._system = system

    def is_dir(self, path: str) -> bool:
        return bool(self._system.isdir(path))

    def exists(self, path: str) -> bool:
        return bool(self._system.exists(path))

    def children(self, path: str) -> list[str]:
        return sorted(str(child).rstrip("/") for child in self._system.ls(path, detail=False))

    def matches(self, pattern: str) -> list[str]:
        return sorted(str(found).rstrip("/") for found in self._system.glob(pattern))

    def source(self, path: str) -> str:
        return str(self._system.unstrip_protocol(path))


def find_bags(words: Sequence[str], out: Path) -> list[BagJob]:
    """The bags in the order of the words and of their names. out: where a new bag is written to under the name of its
    bag, or, where the only word names one bag, the new bag itself.

    A folder without a bag's files is searched with all folders in it, but not `out`, and nothing hidden. A word that
    names nothing is a bag too, which can't be read. Raises GarError INVALID_REQUEST where a pattern or a folder has no
    bags, or two bags have one name.
    """
    out = out.absolute()
    found: dict[str, str] = {}
    alone = False
    for word in words:
        tree, path = _tree(word)
        try:
            bags = list(_bags(tree, path, out))
        except GarError:
            raise
        except Exception as error:  # of any of the libraries that fsspec reads with
            raise GarError(ErrorCode.INVALID_REQUEST, f"'{word}' can't be read: {reason_of(error)}") from error
        if not bags:
            raise _nothing(word, tree.exists(path))
        alone = len(words) == 1 and [bag.source for bag in bags] == [tree.source(path)]
        for bag in bags:
            if found.get(bag.name, bag.source) != bag.source:
                what = f"both '{found[bag.name]}' and '{bag.source}' would become '{out / bag.name}'"
                advice = "name their folder, or a pattern in quotes, to have the folders between kept"
                raise GarError(ErrorCode.INVALID_REQUEST, f"{what}: {advice}")
            found[bag.name] = bag.source
    for name in found:
        inside = next((str(folder) for folder in PurePosixPath(name).parents if str(folder) in found), None)
        if inside is not None:
            what = f"'{found[name]}' would become '{out / name}', in the folder of the bag '{out / inside}'"
            raise GarError(ErrorCode.INVALID_REQUEST, f"{what}: give one of them another --out")
    if alone:
        ((_, source),) = found.items()
        return [BagJob(source, out, out.name)]
    return [BagJob(source, out / name, name) for name, source in found.items()]


def _nothing(word: str, is_folder: bool) -> GarError:
    why = "no bag matches this pattern"
    if is_folder:
        why = "the folder has no metadata.yaml, and no .mcap or .db3 file either, nor has a folder in it"
    return GarError(ErrorCode.INVALID_REQUEST, f"expected a rosbag2 bag, got '{word}': {why}")


def _tree(word: str) -> tuple[_Tree, str]:
    if is_url(word):
        system, path = file_system(word)
        return _Remote(system), path
    return _Local(), str(Path(word))


def _bags(tree: _Tree, path: str, out: Path) -> Iterator[_Found]:
    if not glob.has_magic(path) or tree.exists(path):
        yield from _below(tree, path, "", out)
        return
    root = path
    while glob.has_magic(root):
        root = posixpath.dirname(root)
    for match in tree.matches(path):
        if tree.is_dir(match) or is_storage(match):
            yield from _below(tree, match, match[len(root) :].strip("/"), out)


def _below(tree: _Tree, path: str, name: str, out: Path) -> Iterator[_Found]:
    """name: of what is at `path`, empty for what the user named, which is called by its own name if it is a bag."""
    if not tree.is_dir(path):
        yield _Found(tree.source(path), without_suffix(name) or _name(path))
        return
    children = {posixpath.basename(child): child for child in tree.children(path)}
    files = [own for own, child in children.items() if is_storage(own) and not tree.is_dir(child)]
    inner: list[_Found] = []
    if "metadata.yaml" not in children:
        for own, child in children.items():
            if tree.is_dir(child) and not own.startswith(".") and tree.source(child) != str(out):
                inner += _below(tree, child, posixpath.join(name, own), out)
        if not files or inner:  # beside folders with bags, a file is a bag of its own
            inner += [_Found(tree.source(children[own]), without_suffix(posixpath.join(name, own))) for own in files]
            yield from sorted(inner, key=lambda one: one.name)
            return
    yield _Found(tree.source(path), name or _name(path))


def _name(path: str) -> str:
    """The last part of a path, without the suffix of a bag's file."""
    return without_suffix(posixpath.basename(path.rstrip("/"))) or "bag"
