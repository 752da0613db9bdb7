"""every_eval_ever: ``*_samples.jsonl``, instances of its schema 0.2 in single turns.

``sample_id``, ``input`` (``raw``, ``formatted``, ``reference``), ``output.raw`` (a list of responses),
``evaluation.is_correct``, ``token_usage.output_tokens`` and ``metadata``, which holds texts; what bon-eval writes there
(draw, index, log-likelihood, finish reason) is read again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bon_eval.draws import SAMPLE
from bon_eval.errors import SourceError
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.lines import Record, first_record, records
from bon_eval.exchange.readers.base import About, Reader
from bon_eval.exchange.sample import Sample, finish_of, label_of, number_of, size_of, text_of


def _files(path: Path) -> Sequence[Path]:
    return (path,) if path.is_file() else sorted(path.glob("*_samples.jsonl"))


def _is_it(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("*_samples.jsonl"))
    first = first_record(path) if path.suffix == ".jsonl" else None
    return first is not None and {"schema_version", "sample_id", "interaction_type"} <= first.keys()


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    for where, row, record in records(path):
        yield from _of(record, where, row)


def _of(record: Record, where: str, row: int) -> Iterator[Sample]:
    kind = record.get("interaction_type")
    if kind != "single_turn":
        raise SourceError(f"{where} is {kind!r}, and only responses of a single turn are imported; leave it out")
    output, given = record.get("output") or {}, record.get("input") or {}
    texts = output.get("raw")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts:
        raise SourceError(f"{where} has no response (output.raw)")
    references = given.get("reference")
    references = [references] if isinstance(references, str) else references
    gold = references[0] if isinstance(references, list) and len(references) == 1 else None
    one = len(texts) == 1
    stated = record.get("metadata") or {}
    verdict = (record.get("evaluation") or {}).get("is_correct") if one else None
    size = size_of((record.get("token_usage") or {}).get("output_tokens"), where, "output_tokens") if one else None
    for k, text in enumerate(texts):
        yield Sample(
            where=where if one else f"{where}, response {k}",
            text=text_of(text, where, "output.raw"),
            problem_id=label_of(record.get("sample_id"), where, "sample_id"),
            asked=given["raw"] if isinstance(given.get("raw"), str) else None,
            prompt=given["formatted"] if isinstance(given.get("formatted"), str) else None,
            row=row,
            draw=stated.get("draw", SAMPLE) if one else SAMPLE,
            index=stated.get("index") if one else None,
            gold=label_of(gold, where, "input.reference"),
            correct=verdict if isinstance(verdict, bool) else None,
            log_likelihood=number_of(stated.get("log_likelihood"), where, "log_likelihood") if one else None,
            n_tokens=size or None,
            finish_reason=finish_of(stated.get("finish_reason")) if one else None,
        )


def _about(path: Path, columns: Columns) -> About:
    _, _, record = next(records(path))
    names = (record.get("model_id"), record.get("evaluation_name"))
    model, task = (name if isinstance(name, str) else None for name in names)
    return About(model=model, task=task)


EVERY_EVAL_EVER = Reader(
    name="every-eval-ever",
    summary="every_eval_ever: *_samples.jsonl of schema 0.2",
    files=_files,
    is_it=_is_it,
    samples=_samples,
    about=_about,
)
