"""Which column of a plain source is what, and a row as the responses that it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.errors import SourceError, listed
from bon_eval.exchange.lines import Record
from bon_eval.exchange.sample import (
    Sample,
    finish_of,
    floats_of,
    ids_of,
    label_of,
    number_of,
    size_of,
    text_of,
    verdict_of,
)

NONE = "none"
"""In place of a column's name: the source is not asked for it."""

USUAL: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "texts", "response", "responses", "completion", "completions", "output", "outputs", "generation",
             "generations"),
    "id": ("problem_id", "id", "task_id", "question_id", "unique_id"),
    "question": ("question", "problem"),
    "prompt": ("prompt",),
    "gold": ("gold", "gold_answer", "target", "expected_answer", "ground_truth", "reference_answer"),
    "log_likelihood": ("log_likelihood", "log_likelihoods", "cumulative_logprob", "cumulative_logprobs"),
    "token_ids": ("token_ids",),
    "token_logprobs": ("token_logprobs",),
    "n_tokens": ("n_tokens", "num_tokens", "completion_tokens", "num_generated_tokens"),
    "finish_reason": ("finish_reason", "finish_reasons", "stop_reason"),
    "grade": ("correct", "is_correct", "grade", "grades"),
    "draw": ("arm", "draw"),
    "index": ("sample_index", "response_index"),
}  # fmt: skip
"""What a column that was not named is looked for as."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of columns, as the user gave them: None is looked for under `USUAL` names, `NONE` is left out.

    ``a.b.0`` goes into objects and lists; a list that is met with a name is gone through, so that ``outputs.text`` is
    the texts of a list of objects.
    """

    text: str | None = None
    id: str | None = None
    question: str | None = None
    prompt: str | None = None
    gold: str | None = None
    log_likelihood: str | None = None
    token_ids: str | None = None
    token_logprobs: str | None = None
    n_tokens: str | None = None
    finish_reason: str | None = None
    grade: str | None = None
    draw: str | None = None
    index: str | None = None

    def resolved(self, record: Record, where: str) -> dict[str, str]:
        """What is read from which column, by the columns of a first row.

        Raises:
            SourceError: a named column is not there, there are several usual ones, or none with the text.
        """
        found: dict[str, str] = {}
        for field in fields(self):
            given = getattr(self, field.name)
            if given == NONE:
                continue
            option = f"--{field.name.replace('_', '-')}-column"
            if given is not None:
                if not _there(record, given):
                    raise SourceError(f"{where} has no column {given!r} ({option}); it has: {listed(list(record))}")
                found[field.name] = given
                continue
            usual = [name for name in USUAL[field.name] if name in record]
            if len(usual) > 1:
                raise SourceError(f"{where} has columns {' and '.join(usual)}; say which one it is with {option} NAME")
            if usual:
                found[field.name] = usual[0]
        if "text" not in found:
            raise SourceError(
                f"{where} has no column of texts that is known as one; name it with --text-column, of: "
                f"{listed(list(record))}"
            )
        return found

    def check_later(self, record: Record, resolved: Mapping[str, str], where: str) -> None:
        """Raise `SourceError` for a column that a row has and the first one had not: it would be left out."""
        for field in fields(self):
            given = getattr(self, field.name)
            if given == NONE:
                continue
            for name in USUAL[field.name] if given is None else (given,):
                if name in record and resolved.get(field.name) != name:
                    way = f"--{field.name.replace('_', '-')}-column {resolved.get(field.name, NONE)}"
                    raise SourceError(
                        f"{where} has a column {name!r}, which the first row lacks; write it in every row, null where "
                        f"there is nothing to state, or leave it out with {way}"
                    )


def resolved_rows(
    rows: Iterable[tuple[str, int, Record]], columns_of: Callable[[Record], Columns]
) -> Iterator[tuple[str, int, Record, dict[str, str]]]:
    """(where, row, record, what is read from which column): by the first row for all.

    Args:
        rows: (where, row, record).
        columns_of: the names of columns that count for a record's row.

    Raises:
        SourceError: as `Columns.resolved` and `Columns.check_later` do.
    """
    resolved: dict[str, str] | None = None
    known: set[str] = set()
    for where, row, record in rows:
        if resolved is None:
            resolved = columns_of(record).resolved(record, where)
        elif not record.keys() <= known:
            columns_of(record).check_later(record, resolved, where)
        known |= record.keys()
        yield where, row, record, resolved


_ONE: Mapping[str, Callable[[Any, str, str], object]] = {
    "log_likelihood": number_of,
    "token_ids": ids_of,
    "token_logprobs": floats_of,
    "n_tokens": size_of,
    "finish_reason": lambda value, where, what: finish_of(value),
    "grade": verdict_of,
    "draw": label_of,
    "index": label_of,
}
"""What each response of a row has of its own."""


def samples_of(record: Record, where: str, row: int, columns: Mapping[str, str]) -> Iterator[Sample]:
    """The response of a row, or those of its list.

    Raises:
        SourceError: a value that is not what its column is for, lists of different lengths, or an empty one.
    """
    texts = value_at(record, columns["text"])
    shared = {
        "problem_id": label_of(_optional(record, columns, "id"), where, "the id"),
        "question": label_of(_optional(record, columns, "question"), where, "the question"),
        "prompt": label_of(_optional(record, columns, "prompt"), where, "the prompt"),
        "gold": label_of(_optional(record, columns, "gold"), where, "the gold answer"),
        "row": row,
        "doc": record["doc"] if isinstance(record.get("doc"), dict) else None,
    }
    own = {name: _optional(record, columns, name) for name in _ONE if name in columns}
    if not isinstance(texts, list):
        yield _sample(texts, own, shared, where, columns)
        return
    if not texts:
        raise SourceError(f"{where}: the list in column {columns['text']!r} is empty; leave the row out")
    for name, values in own.items():
        if values is None or (name == "draw" and isinstance(values, str)):
            continue
        if not isinstance(values, list) or len(values) != len(texts):
            size = f"{len(values)} values" if isinstance(values, list) else "one value"
            raise SourceError(
                f"{where}: column {columns[name]!r} has {size} for {len(texts)} responses; give one each, or `none`"
            )
    for i, text in enumerate(texts):
        single = {name: values[i] if isinstance(values, list) else values for name, values in own.items()}
        yield _sample(text, single, shared, f"{where}, response {i}", columns)


def _sample(
    text: object, own: Mapping[str, object], shared: Mapping[str, Any], where: str, columns: Mapping[str, str]
) -> Sample:
    read: dict[str, Any] = {name: _ONE[name](value, where, f"column {columns[name]!r}") for name, value in own.items()}
    if "grade" in read:
        read["correct"] = read.pop("grade")
    draw = read.pop("draw", None) or SAMPLE
    if draw not in (GREEDY, SAMPLE):
        raise SourceError(
            f"{where}: column {columns['draw']!r} is {draw!r}; it may say {GREEDY} or {SAMPLE}: give "
            "--draw-column none, and import each other draw as a run of its own"
        )
    return Sample(where=where, text=text_of(text, where, f"column {columns['text']!r}"), draw=draw, **read, **shared)


def _optional(record: Record, columns: Mapping[str, str], name: str) -> Any:
    return value_at(record, columns[name]) if name in columns else None


def value_at(value: Any, path: str) -> Any:
    """What a column's name leads to; None where a row lacks it.

    >>> value_at({"a.b": 1, "a": {"b": 2}}, "a.b"), value_at({"a": [{"b": 1}, {"b": 2}]}, "a.b")
    (1, [1, 2])
    >>> value_at({"a": [{"b": 1}, {"b": 2}]}, "a.1.b"), value_at({"a": 1}, "a.b") is None
    (2, True)
    """
    if isinstance(value, Mapping) and path in value:
        return value[path]
    name, dot, rest = path.partition(".")
    if isinstance(value, Mapping):
        return value_at(value[name], rest) if dot and name in value else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        if name.isdigit():
            found = value[int(name)] if int(name) < len(value) else None
            return value_at(found, rest) if dot else found
        return [value_at(entry, path) for entry in value]
    return None


def _there(record: Record, path: str) -> bool:
    """Whether a row has a column, whatever its value."""
    name, dot, rest = path.partition(".")
    if path in record:
        return True
    if not dot or name not in record:
        return False
    inner = record[name]
    if isinstance(inner, list):
        first, _, behind = rest.partition(".")
        if first.isdigit():
            if int(first) >= len(inner):
                return False
            inner, rest = inner[int(first)], behind
            return not rest or (isinstance(inner, dict) and _there(inner, rest))
        inner = inner[0] if inner else None
    return isinstance(inner, dict) and _there(inner, rest)
