# SPDX-License-Identifier: Apache-2.0
"""Special tokens and prompt format of a checkpoint folder, from its tokenizer.json and chat_template.jinja."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from gar_export.config import CONFIG, GarConfig, bad_model, read_json
from gar_ros.engine.model_dir.manifest import TOKENIZER, PromptFormat, Tokens
from gar_ros.engine.prompt import PromptBuilder

TEMPLATE = "chat_template.jinja"
OLDER_TEMPLATES = ("chat_template.json", "tokenizer_config.json")
TEMPLATE_KEY = "chat_template"

_PLACEHOLDER = "what the user says"


def read_prompts(folder: Path, config: GarConfig) -> tuple[Tokens, PromptFormat]:
    """The manifest's token ids and prompt format. Raises GarError BAD_MODEL when the files don't fit each other."""
    tokenizer = read_tokenizer(folder)
    prompt_format = read_prompt_format(folder, config, tokenizer)
    tokens = find_tokens(config, tokenizer, prompt_format)
    PromptBuilder(tokens, prompt_format, config.grid**2, tokenizer)  # checks what the runtime will need
    return tokens, prompt_format


def prompt_builder(folder: Path, config: GarConfig) -> PromptBuilder:
    """The prompts of a checkpoint, as the runtime builds them. Raises GarError BAD_MODEL."""
    tokens, prompt_format = read_prompts(folder, config)
    return PromptBuilder(tokens, prompt_format, config.grid**2, read_tokenizer(folder))


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a checkpoint folder. Raises GarError BAD_MODEL when it is absent or damaged."""
    path = folder / TOKENIZER
    if not path.is_file():
        raise bad_model(f"expected a file {TOKENIZER} in the checkpoint folder {folder}")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises nothing narrower
        raise bad_model(f"{TOKENIZER} is damaged or of an unknown kind: {error}") from error


def read_prompt_format(folder: Path, config: GarConfig, tokenizer: Tokenizer) -> PromptFormat:
    """The chat template rendered around one image and one text of the user. Raises GarError BAD_MODEL."""
    where, template = _template(folder)
    turn: dict[str, Any] = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": _PLACEHOLDER}]}
    try:
        rendered = render_jinja_template(
            conversations=[[turn]],
            chat_template=template,
            add_generation_prompt=True,
            bos_token=_name(tokenizer, config.bos),
        )[0][0]
    except Exception as error:  # a template may raise anything
        raise bad_model(f"{where} can't be rendered: {error}") from error
    image = _name(tokenizer, config.image_token)
    if rendered.count(image) != 1 or rendered.count(_PLACEHOLDER) != 1:
        raise bad_model(f"{where}: expected one {image} and then the user's text, got {rendered!r}")
    before_image, after = rendered.split(image)
    after_image, after_text = after.split(_PLACEHOLDER)
    return PromptFormat(before_image, after_image, after_text)


def _template(folder: Path) -> tuple[str, str]:
    """Where the chat template stands, and the template. Older transformers wrote it into a JSON file."""
    if (folder / TEMPLATE).is_file():
        try:
            return TEMPLATE, (folder / TEMPLATE).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise bad_model(f"{TEMPLATE} can't be read as text: {error}") from error
    for name in OLDER_TEMPLATES:
        template = read_json(folder / name).get(TEMPLATE_KEY) if (folder / name).is_file() else None
        if isinstance(template, str):
            return name, template
    raise bad_model(f"expected a file {TEMPLATE} in the checkpoint folder {folder}")


def find_tokens(config: GarConfig, tokenizer: Tokenizer, prompt_format: PromptFormat) -> Tokens:
    """The manifest's token ids; the end token that the template puts after a turn comes first. Raises GarError."""
    ids = {name: token for token, name in _special_names(tokenizer).items()}
    names = [f"<Prompt{number}>" for number in range(config.prompts)]
    absent = [name for name in names if name not in ids]
    if absent:
        raise bad_model(f"{TOKENIZER}: expected the special token {absent[0]}, it has none")
    eos = sorted(config.eos, key=lambda token: _name(tokenizer, token) not in prompt_format.after_text)
    if _name(tokenizer, eos[0]) not in prompt_format.after_text:
        raise bad_model(f"{TEMPLATE}: expected a turn to end with one of {CONFIG}'s end tokens {list(config.eos)}")
    for token in config.crop_tokens:
        _name(tokenizer, token)
    tokens = Tokens(config.bos, tuple(eos), config.image_token, tuple(ids[name] for name in names), config.crop_tokens)
    highest = max(tokens.bos, tokens.image, *tokens.eos, *tokens.prompts, *tokens.crops)
    if highest >= config.decoder.vocab:
        raise bad_model(f"{CONFIG}: expected token ids below vocab_size {config.decoder.vocab}, got {highest}")
    return tokens


def _special_names(tokenizer: Tokenizer) -> dict[int, str]:
    return {token: added.content for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}


def _name(tokenizer: Tokenizer, token: int) -> str:
    """The text of a special token. Raises GarError BAD_MODEL when the tokenizer has no special token of this id."""
    names = _special_names(tokenizer)
    if token not in names:
        raise bad_model(f"{TOKENIZER}: expected a special token with the id {token} that {CONFIG} names, it has none")
    return names[token]
