"""lm-evaluation-harness, ``--log_samples``: ``samples_TASK_DATE.jsonl``, a row for each document and filter.

Columns as its ``evaluation_tracker`` writes them: ``doc_id``, ``doc`` (the data set's row), ``target``, ``arguments``
(``gen_args_0``: ``arg_0`` the prompt, ``arg_1`` what was asked of the generation; in older versions lists), ``resps``
(of each request its responses: several where the task repeats), ``filter``, ``metrics`` and a column for each of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bon_eval.errors import SourceError
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.lines import Record, first_record, json_value, records
from bon_eval.exchange.readers.base import About, Reader
from bon_eval.exchange.sample import Sample, label_of, text_of

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT[\d.-]+)\.jsonl")
_FILTER = re.compile(rb'"filter": "([^"\\\\]*)"')
_VERDICTS = ("exact_match", "math_verify", "acc", "correct", "pass@1")
"""Metrics that say of one response whether it is right, the first that is there."""


def _files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return (path,)
    found = sorted(path.glob("samples_*.jsonl"))
    if len(found) > 1:
        raise SourceError(f"{path} holds {len(found)} logs ({found[0].name} ...), each a run; name one of them")
    return found


def _is_it(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("samples_*.jsonl"))
    if path.suffix != ".jsonl":
        return False
    first = first_record(path)
    return first is not None and {"doc_id", "resps", "arguments"} <= first.keys()


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    kept: str | None = None
    for where, row, record in records(path):
        if kept is None:
            kept = str(record.get("filter", ""))
        if str(record.get("filter", "")) != kept:
            continue  # the same responses under another filter
        yield from _of(record, where, row)


def _of(record: Record, where: str, row: int) -> Iterator[Sample]:
    requests = record.get("resps")
    if not isinstance(requests, list) or not requests:
        raise SourceError(f"{where} has no responses (resps); log them with --log_samples")
    prompt, asked = _asked(record)
    if len(requests) > 1 or asked is None:
        raise SourceError(
            f"{where} holds log-likelihoods of given answers and no generated text; import a task that generates "
            "(generate_until)"
        )
    [texts] = requests
    texts = texts if isinstance(texts, list) else [texts]
    doc = record.get("doc")
    own = doc.get("bon_eval_id") if isinstance(doc, dict) else None  # of logs that were exported here
    verdict = _verdict(record) if len(texts) == 1 else None
    for i, text in enumerate(texts):
        yield Sample(
            where=where if len(texts) == 1 else f"{where}, response {i}",
            text=text_of(text, where, "a response (resps)"),
            problem_id=own if isinstance(own, str) else label_of(record.get("doc_id"), where, "doc_id"),
            doc=doc if isinstance(doc, dict) else None,
            prompt=prompt,
            row=row,
            index=str(i),
            gold=label_of(record.get("target"), where, "target"),
            correct=verdict,
        )


def _asked(record: Record) -> tuple[str | None, Mapping[str, Any] | None]:
    """The prompt of a row, and what was asked of the generation; None where nothing was generated."""
    given = record.get("arguments")
    if isinstance(given, dict):
        first = given.get("gen_args_0") or {}
        parts = [first.get("arg_0"), first.get("arg_1")]
    elif isinstance(given, list) and given and isinstance(given[0], list):
        parts = [*given[0], None, None][:2]
    else:
        return None, {}
    prompt, asked = parts
    return prompt if isinstance(prompt, str) else None, asked if isinstance(asked, dict) else None


def _verdict(record: Record) -> bool | None:
    for name in _VERDICTS:
        if record.get(name) in (0, 1):
            return bool(record[name])
    return None


def _about(path: Path, columns: Columns) -> About:
    _, _, record = next(records(path))
    named = _NAME.fullmatch(path.name)
    _, asked = _asked(record)
    asked = asked or {}
    temperature = asked.get("temperature")
    if temperature is None and asked.get("do_sample") is False:
        temperature = 0.0
    limit = asked.get("max_gen_toks") or asked.get("max_tokens") or asked.get("max_new_tokens")
    filters = _filters(path)
    notices: tuple[str, ...] = ()
    if len(filters) > 1:
        notices = (f"rows repeat for filters {', '.join(filters)}; verdicts are those of {filters[0]}",)
    results = None if named is None else path.with_name(f"results_{named['date']}.json")
    stated: Any = json_value(results) if results is not None and results.is_file() else {}
    return About(
        model=stated.get("model_name") if isinstance(stated, dict) else None,
        task=None if named is None else named["task"],
        temperature=float(temperature) if isinstance(temperature, int | float) else None,
        max_tokens=limit if isinstance(limit, int) else None,
        notices=notices,
    )


def _filters(path: Path) -> list[str]:
    """The filters of a log: all rows of one come before those of the next, so that none of them can be left out."""
    found: dict[str, None] = {}
    with path.open("rb") as file:
        for line in file:
            if name := _FILTER.search(line):
                found[name[1].decode("utf-8", "replace")] = None
    return list(found)


LM_EVAL = Reader(
    name="lm-eval",
    summary="lm-evaluation-harness: samples_*.jsonl of --log_samples, or the folder that holds it",
    files=_files,
    is_it=_is_it,
    samples=_samples,
    about=_about,
)
