"""The tokens that end a response, each with where it comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.errors import ConfigError, ModelError
from bon_eval.tasks.chat import ChatTemplate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class End:
    """A token that ends a response."""

    token_id: int
    text: str
    sources: tuple[str, ...]


def find_ends(
    model_dir: Path | str | None,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate | None = None,
    *,
    given: Iterable[str] = (),
) -> tuple[End, ...]:
    """Every token that ends a response, by id: the union of what tokenizer, model and chat template say.

    Read are the tokenizer's end token, ``eos_token_id`` in config.json (its text_config too) and in
    generation_config.json, and the token with which the chat template closes an assistant's turn. They disagree for
    many models (end of text against end of turn), and an engine that took only one of them would sample on after the
    answer.

    Args:
        model_dir: with the model's files; None: none are read.
        template: of a run in chat style.
        given: more, as the user names them: a token's text, or its id.

    Raises:
        ModelError: a file that is not as it should be.
        ConfigError: a given token is none of the model's.
    """
    found: dict[int, list[str]] = {}
    if tokenizer.eos_token_id is not None:
        found.setdefault(int(tokenizer.eos_token_id), []).append("tokenizer")
    for name in ("config.json", "generation_config.json"):
        for token_id in () if model_dir is None else _stated(Path(model_dir) / name):
            found.setdefault(token_id, []).append(name)
    if template is not None and (closing := closing_token(tokenizer, template)) is not None:
        found.setdefault(closing, []).append("chat template")
    for text in given:
        found.setdefault(_token_id(tokenizer, text), []).append("as given")
    return tuple(
        End(token_id, _token_text(tokenizer, token_id), tuple(dict.fromkeys(found[token_id])))
        for token_id in sorted(found)
    )


def closing_token(tokenizer: PreTrainedTokenizerBase, template: ChatTemplate) -> int | None:
    """The token with which a chat template closes an assistant's turn; None where it closes it with plain text."""
    rest = template.closing.lstrip()
    fits = [(token, i) for token, i in tokenizer.get_added_vocab().items() if token and rest.startswith(token)]
    return max(fits, key=lambda pair: len(pair[0]))[1] if fits else None


def response_end(tokenizer: PreTrainedTokenizerBase, template: ChatTemplate | None = None) -> int:
    """The end token that a response gets which is not sampled: the template's where there is one, else the tokenizer's.

    Raises:
        ConfigError: there is neither.
    """
    end = None if template is None else closing_token(tokenizer, template)
    end = tokenizer.eos_token_id if end is None else end
    if end is None:
        raise ConfigError("the model's tokenizer has no end token, so a response cannot be closed")
    return int(end)


def split_stops(tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Stop strings that are looked for in the text, and those that are a special token, which the text never holds.

    Raises:
        ConfigError: one that holds a special token besides other text.
    """
    strings, tokens = [], []
    for text in stop:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        special = [_token_text(tokenizer, i) for i in ids if is_special(tokenizer, i) and i != tokenizer.unk_token_id]
        if not special:
            strings.append(text)
        elif len(ids) == 1 and text == special[0]:
            tokens.append(text)
        else:
            raise ConfigError(
                f"stop string {text!r} holds the special token {special[0]}, which is left out of responses' text, so "
                f"that it would never be found; use --stop-token {special[0]!r}"
            )
    return tuple(strings), tuple(tokens)


def is_special(tokenizer: PreTrainedTokenizerBase, token_id: int) -> bool:
    """Whether a token is left out of a response's text."""
    added = tokenizer.added_tokens_decoder.get(token_id)
    return bool(added is not None and added.special) or token_id in tokenizer.all_special_ids


def special_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Every token that is left out of a response's text, by id."""
    added = (int(i) for i in tokenizer.get_added_vocab().values())
    return tuple(sorted({i for i in (*added, *map(int, tokenizer.all_special_ids)) if is_special(tokenizer, i)}))


def _token_id(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    if text.isdecimal():
        if int(text) >= len(tokenizer):
            raise ConfigError(f"--stop-token {text} is beyond the model's {len(tokenizer)} tokens")
        return int(text)
    vocabulary = tokenizer.get_vocab()
    if text in vocabulary:
        return int(vocabulary[text])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if len(ids) != 1:
        raise ConfigError(f"--stop-token {text!r} is {len(ids)} tokens of this model, not one; use --stop {text!r}")
    return int(ids[0])


def _token_text(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    return str(tokenizer.convert_ids_to_tokens(token_id) or "") if token_id < len(tokenizer) else ""


def _stated(path: Path) -> list[int]:
    """The ``eos_token_id`` of a model's file, none where it has none."""
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}; give a complete model directory") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object; give a complete model directory")
    text_config = content.get("text_config")
    nested = text_config if isinstance(text_config, dict) else {}
    return [i for values in (content, nested) for i in _token_ids(values.get("eos_token_id"), path)]


def _token_ids(value: object, path: Path) -> list[int]:
    found: list[int] = []
    for v in value if isinstance(value, list) else [] if value is None else [value]:
        if not isinstance(v, int) or isinstance(v, bool) or v < 0:
            raise ModelError(f"{path}: eos_token_id is {value!r}; it must be a token id or a list of them")
        found.append(v)
    return found
