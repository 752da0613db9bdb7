"""The tokens that end a response, each with where it comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.errors import ConfigError, ModelError, counted
from bon_eval.tasks.chat import ChatTemplate

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_MOST_CHARS = 60
"""Of what a template writes, in a message."""


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
    generation_config.json, and the token with which the chat template closes an assistant's turn, or where it closes
    none the one with which it begins the user's next. They disagree for many models (end of text against end of turn),
    and an engine that took only one of them would sample on after the answer.

    Args:
        model_dir: with the model's files; None: none are read.
        template: of a run in chat style.
        given: more, as the user names them: a token's text, or its id.

    Raises:
        ModelError: a file that is not as it should be, or names an end that the model cannot sample.
        ConfigError: a given token is none of the model's.
    """
    folder = None if model_dir is None else Path(model_dir)
    size = (None if folder is None else _stated_size(folder / "config.json")) or len(tokenizer)
    found: dict[int, list[str]] = {}
    if tokenizer.eos_token_id is not None:
        found.setdefault(int(tokenizer.eos_token_id), []).append("tokenizer")
    for name in ("config.json", "generation_config.json"):
        for token_id in () if folder is None else _stated(folder / name):
            found.setdefault(token_id, []).append(name)
    if template is not None and (turn := _turn_end(tokenizer, template)) is not None:
        found.setdefault(turn[0], []).append(turn[1])
    for text in given:
        found.setdefault(_token_id(tokenizer, text, size), []).append("as given")
    ends = tuple(
        End(token_id, _token_text(tokenizer, token_id), tuple(dict.fromkeys(found[token_id])))
        for token_id in sorted(found)
    )
    for end in (end for end in ends if end.token_id >= size):
        name = f"{end.token_id} {end.text!r}" if end.text else str(end.token_id)
        raise ModelError(
            f"token {name} ({', '.join(end.sources)}) is to end responses of {folder or 'the model'}, and its "
            f"vocabulary of {counted(size, 'token')} ends at {size - 1}: it would never be sampled; give a model "
            "directory whose tokenizer and configuration are of its weights"
        )
    return ends


def closing_token(tokenizer: PreTrainedTokenizerBase, template: ChatTemplate) -> int | None:
    """The token with which a chat template closes an assistant's turn; None where it closes it with plain text.

    It may stand behind text that closes the turn as well, where it is a special one.
    """
    rest = template.closing
    if (first := _first_token(tokenizer, rest)) is not None:
        return first
    texts = {_token_text(tokenizer, i): i for i in special_ids(tokenizer) if i != tokenizer.unk_token_id}
    places = [(rest.find(text), -len(text), i) for text, i in texts.items() if text and text in rest]
    return min(places)[2] if places else None


def open_turn(tokenizer: PreTrainedTokenizerBase, template: ChatTemplate) -> str | None:
    """What a chat template writes behind an assistant's turn, where no end of turn can be told from it; else None."""
    if _turn_end(tokenizer, template) is not None:
        return None
    return template.closing if template.closing.strip() else template.following


def unclosed(closing: str | None) -> Iterator[str]:
    """A sentence about a template whose end of turn is not known; none where it is.

    Args:
        closing: as `open_turn` gives it.

    >>> print(*unclosed("\\n\\nUser:"))
    end of turn unknown: the chat template closes a turn with plain text ('\\n\\nUser:'), so that responses end where \
the model's files say and may run on into the next turn; look at some, and name the end with --stop or --stop-token
    """
    if closing is not None:
        text = repr(closing if len(closing) <= _MOST_CHARS else closing[:_MOST_CHARS] + "...")
        how = f"closes a turn with plain text ({text})" if closing.strip() else "does not show how it closes a turn"
        yield (
            f"end of turn unknown: the chat template {how}, so that responses end where the model's files say and may "
            "run on into the next turn; look at some, and name the end with --stop or --stop-token"
        )


def count_special(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> int:
    """How many texts hold the name of a special token, which the model then sees in its place."""
    names = [text for i in special_ids(tokenizer) if (text := _token_text(tokenizer, i))]
    if not names:
        return 0
    found = re.compile("|".join(map(re.escape, names)))
    return sum(found.search(text) is not None for text in texts)


def _turn_end(tokenizer: PreTrainedTokenizerBase, template: ChatTemplate) -> tuple[int, str] | None:
    """The token that ends an assistant's turn, and where it is from."""
    if (closing := closing_token(tokenizer, template)) is not None:
        return closing, "chat template"
    # Some close no turn, and the model ends its own with the token that begins the user's.
    following = None if template.closing.strip() else _first_token(tokenizer, template.following)
    return None if following is None else (following, "chat template, next turn")


def _first_token(tokenizer: PreTrainedTokenizerBase, text: str) -> int | None:
    """The added token that a text begins with, blanks apart; the longest of several."""
    rest = text.lstrip()
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


def check_same_ends(base: Sequence[End], other: Sequence[End], what: str) -> None:
    """Raise `ConfigError` where a token ends the responses of one of two models that are compared, and not the other's.

    The one runs on where the other stops, so that lengths and likelihoods differ by that.

    Args:
        base, other: what ends their responses.
        what: the other model, for the message.
    """
    both = {end.token_id for end in base} & {end.token_id for end in other}
    apart = [end for end in (*base, *other) if end.token_id not in both]
    if apart:
        options = " ".join(f"--stop-token {end.token_id}" for end in apart)
        raise ConfigError(
            f"{what} ends its responses at other tokens ({_listed(other)}) than the base model ({_listed(base)}); give "
            f"{options}, so that both end alike"
        )


def _listed(ends: Sequence[End]) -> str:
    return " ".join(f"{end.token_id} {end.text!r}" for end in ends) or "none"


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
    found = (*tokenizer.get_added_vocab().values(), *tokenizer.all_special_ids)
    return tuple(sorted({int(i) for i in found if i is not None and is_special(tokenizer, i)}))


def _token_id(tokenizer: PreTrainedTokenizerBase, text: str, size: int) -> int:
    """The id of a token that the user names, of a vocabulary of so many."""
    most = min(size, len(tokenizer))
    if text.isascii() and text.isdecimal():
        number = text.lstrip("0") or "0"
        if len(number) > len(str(most)) or int(number) >= most:
            raise ConfigError(f"--stop-token {text} is beyond the model's {most} tokens; give one below, or its text")
        return int(number)
    vocabulary = tokenizer.get_vocab()
    if text in vocabulary:
        return int(vocabulary[text])
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    if tokenizer.unk_token_id in ids:
        raise ConfigError(f"--stop-token {text!r} is no token that this model knows; use --stop {text!r}")
    if len(ids) != 1:
        raise ConfigError(f"--stop-token {text!r} is {len(ids)} tokens of this model, not one; use --stop {text!r}")
    return int(ids[0])


def _token_text(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    return str(tokenizer.convert_ids_to_tokens(token_id) or "") if token_id < len(tokenizer) else ""


def _stated(path: Path) -> list[int]:
    """The ``eos_token_id`` of a model's file, none where it has none."""
    return [i for values in _parts(path) for i in _token_ids(values.get("eos_token_id"), path)]


def _stated_size(path: Path) -> int | None:
    """The ``vocab_size`` of a model's config.json: how many tokens it tells apart; None where it states none."""
    for values in reversed(_parts(path)):
        if (size := values.get("vocab_size")) is not None:
            if isinstance(size, bool) or not isinstance(size, int) or size < 1:
                raise ModelError(f"{path}: vocab_size is {size!r}; it must be a whole number of tokens, at least 1")
            return size
    return None


def _parts(path: Path) -> list[dict[str, object]]:
    """What a model's file says, and what it says of its text part; nothing where there is no file."""
    if not path.is_file():
        return []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read {path}: {error}; give a complete model directory") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a JSON object; give a complete model directory")
    text_config = content.get("text_config")
    return [content, text_config] if isinstance(text_config, dict) else [content]


def _token_ids(value: object, path: Path) -> list[int]:
    found: list[int] = []
    for v in value if isinstance(value, list) else [] if value is None else [value]:
        if not isinstance(v, int) or isinstance(v, bool) or v < 0:
            raise ModelError(f"{path}: eos_token_id is {value!r}; it must be a token id or a list of them")
        found.append(v)
    return found
