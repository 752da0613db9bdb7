"""Preference pairs: one JSON Lines format, which TRL reads too, for the project's own recipes and a user's file.

A line holds TRL's columns ``prompt``, ``chosen`` and ``rejected`` (plain: texts; conversational: lists of messages),
and, where they are known, the exact token ids that a pool's responses consist of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.errors import ConfigError, regular
from bon_eval.store.files import make_directory, write_text

Message = Mapping[str, str]
"""``role`` and ``content``."""
Text = str | tuple[Message, ...]
"""Plain text, or messages in TRL's conversational format."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One preference: `chosen` is meant to be better than `rejected` as a response to `prompt`."""

    id: str
    """Unique within a file: ``<problem id>/<k>`` for a recipe, the line number for a user's file."""
    problem_id: str
    """What pairs are clustered by: the problem, or the prompt's own text where a file names no problem."""
    prompt: Text
    chosen: Text
    rejected: Text
    recipe: str
    prompt_token_ids: tuple[int, ...] | None = None
    """As the run's engine was given them; None: the model's tokenizer decides."""
    chosen_token_ids: tuple[int, ...] | None = None
    """As sampled, end token included; None: the tokenizer decides, and the end token is added."""
    rejected_token_ids: tuple[int, ...] | None = None
    end_token_id: int | None = None
    """What plain responses without token ids end with, as the run's samples do; None: the tokenizer decides."""
    stop: tuple[str, ...] = ()
    """Strings that may have ended a sampled response: its token ids hold one, its text ends before it."""


def to_record(pair: Pair) -> dict[str, Any]:
    """The pair as a JSON-ready record in TRL's columns; what is None is left out."""
    record: dict[str, Any] = {
        "id": pair.id,
        "problem_id": pair.problem_id,
        "recipe": pair.recipe,
        "prompt": _plain(pair.prompt),
        "chosen": _plain(pair.chosen),
        "rejected": _plain(pair.rejected),
    }
    for name in _IDS:
        if (ids := getattr(pair, name)) is not None:
            record[name] = list(ids)
    if pair.end_token_id is not None:
        record["end_token_id"] = pair.end_token_id
    if pair.stop:
        record["stop"] = list(pair.stop)
    return record


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs as JSON Lines, whole or not at all; folders that lack are made. Raises `StoreError`."""
    make_directory(path.parent)
    write_text(path, "".join(json.dumps(to_record(pair), ensure_ascii=False) + "\n" for pair in pairs))


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """The pairs of a JSON Lines file: a recipe's, or a user's with TRL's columns.

    A file without ``prompt`` (TRL's implicit prompt) is refused: the prompt's end would be a guess.

    Raises:
        ConfigError: no such file, a line that is no pair (named), chosen equal to rejected, an empty side, two pairs
            of one id, no pair at all.
    """
    records = read_records(path, "pairs", "; give a JSON Lines file with TRL's columns")
    return checked([pair_of(record, where, number) for record, where, number in records], str(path))


def read_records(path: Path, what: str, remedy: str = "") -> Iterator[tuple[object, str, str]]:
    """The lines of a JSON Lines file that are not blank: the record, where it stands in words, the line's number.

    Raises:
        ConfigError: the file cannot be read, or a line is not JSON.
    """
    try:
        # Not splitlines(): texts may hold other line separators, such as U+2028, unescaped.
        lines = regular(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {what} {path}: {error}{remedy}") from error
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                record = json.loads(line, object_pairs_hook=_once)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{where} is not JSON: {error}") from error
            yield record, where, str(number)


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object in which no name stands twice: one of the values would be dropped silently."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for k, (name, _) in enumerate(pairs) if name in dict(pairs[:k]))
        raise ValueError(f"{twice!r} stands there twice")
    return found


def pair_of(record: object, where: str, number: str) -> Pair:
    """One record as a pair; raises `ConfigError` that starts with `where`."""
    if not isinstance(record, Mapping):
        raise ConfigError(f"{where} is no JSON object; a pair has the columns prompt, chosen and rejected")
    missing = [name for name in ("prompt", "chosen", "rejected") if name not in record]
    if missing:
        raise ConfigError(f"{where} has no column {', '.join(missing)}; a pair has prompt, chosen and rejected")
    texts = {name: _text(record[name], f"{where}: {name}") for name in ("prompt", "chosen", "rejected")}
    if len({isinstance(text, str) for text in texts.values()}) > 1:
        raise ConfigError(f"{where} mixes plain text and messages; give all three columns in one form")
    prompt = texts["prompt"]
    fallback = prompt if isinstance(prompt, str) else json.dumps(_plain(prompt), ensure_ascii=False)
    ids = {name: _token_ids(record.get(name), f"{where}: {name}") for name in _IDS}
    pair = Pair(
        id=str(record.get("id", number)),
        problem_id=str(record.get("problem_id", fallback)),
        recipe=str(record.get("recipe", "file")),
        prompt=prompt,
        chosen=texts["chosen"],
        rejected=texts["rejected"],
        end_token_id=_token_id(record.get("end_token_id"), f"{where}: end_token_id"),
        stop=_strings(record.get("stop"), f"{where}: stop"),
        **ids,
    )
    for name, side in (("chosen", pair.chosen), ("rejected", pair.rejected)):
        content = side if isinstance(side, str) else "".join(message["content"] for message in side)
        if not content.strip():
            raise ConfigError(f"{where}: {name} is empty; drop this pair")
    if pair.chosen == pair.rejected:
        raise ConfigError(f"{where}: chosen equals rejected, so there is nothing to prefer; drop this pair")
    return pair


def checked(pairs: Sequence[Pair], source: str) -> tuple[Pair, ...]:
    """The pairs; raises `ConfigError` where there are none, or two of one id."""
    if not pairs:
        raise ConfigError(f"{source} holds no pair")
    seen: set[str] = set()
    for pair in pairs:
        if pair.id in seen:
            raise ConfigError(f"{source} holds two pairs with the id {pair.id!r}; ids must differ")
        seen.add(pair.id)
    return tuple(pairs)


_IDS = ("prompt_token_ids", "chosen_token_ids", "rejected_token_ids")


def _text(value: object, where: str) -> Text:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(_is_message(message) for message in value):
        return tuple({"role": str(message["role"]), "content": str(message["content"])} for message in value)
    raise ConfigError(f"{where} is neither text nor a list of messages with role and content")


def _is_message(value: object) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("role"), str) and isinstance(value.get("content"), str)


def _token_ids(value: object, where: str) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(type(v) is int and v >= 0 for v in value):
        raise ConfigError(f"{where} is not a list of token ids")
    return tuple(value)


def _token_id(value: object, where: str) -> int | None:
    if value is None or (type(value) is int and value >= 0):
        return value
    raise ConfigError(f"{where} is no token id")


def _strings(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise ConfigError(f"{where} is not a list of texts")
    return tuple(value)


def _plain(text: Text) -> str | list[dict[str, str]]:
    return text if isinstance(text, str) else [dict(message) for message in text]
