"""NeMo-Skills: ``output-rs0.jsonl``, ``output-rs1.jsonl`` ..., a row for each problem and a file for each seed.

Rows hold the data set's own keys (``problem``, ``expected_answer``, ``id`` ...) and ``generation``; where that was
counted or graded ``num_generated_tokens``, ``finish_reason`` and ``symbolic_correct`` or ``is_correct``.
``output-greedy.jsonl``, and ``output.jsonl`` beside files of seeds, are greedy responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.lines import first_record, records
from bon_eval.exchange.readers.base import About, Reader
from bon_eval.exchange.sample import Sample, finish_of, label_of, size_of, text_of, verdict_of

_SEED = re.compile(r"output-rs(\d+)\.jsonl")


def _files(path: Path) -> Sequence[Path]:
    if path.is_file():
        return (path,)
    seeds = sorted(
        path.glob("output-rs*.jsonl"), key=lambda file: int(m[1]) if (m := _SEED.fullmatch(file.name)) else -1
    )
    others = [file for name in ("output-greedy.jsonl", "output.jsonl") if (file := path / name).is_file()]
    return [*seeds, *others[:1]]


def _is_it(path: Path) -> bool:
    if path.is_dir():
        return bool(_files(path))
    first = first_record(path) if path.suffix == ".jsonl" and path.name.startswith("output") else None
    return first is not None and "generation" in first


def _is_greedy(path: Path) -> bool:
    beside = any(_SEED.fullmatch(file.name) for file in path.parent.glob("output-rs*.jsonl"))
    return path.name == "output-greedy.jsonl" or (path.name == "output.jsonl" and beside)


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    seed, greedy = _SEED.fullmatch(path.name), _is_greedy(path)
    for where, row, record in records(path):
        verdict = next((record[name] for name in ("symbolic_correct", "is_correct") if name in record), None)
        question = record.get("problem") or record.get("question")
        yield Sample(
            where=where,
            text=text_of(record.get("generation"), where, "generation"),
            problem_id=label_of(record.get("id"), where, "id"),
            question=question if isinstance(question, str) else None,
            row=row,
            draw=GREEDY if greedy else SAMPLE,
            index=None if greedy or seed is None else seed[1],
            gold=label_of(record.get("expected_answer"), where, "expected_answer"),
            correct=verdict_of(verdict, where, "the verdict"),
            n_tokens=size_of(record.get("num_generated_tokens"), where, "num_generated_tokens") or None,
            finish_reason=finish_of(record.get("finish_reason")),
        )


def _about(path: Path, columns: Columns) -> About:
    notice = f"{path.name}: taken as greedy responses"
    return About(notices=(notice,) if _is_greedy(path) else ())


NEMO_SKILLS = Reader(
    name="nemo-skills",
    summary="NeMo-Skills: output-rs*.jsonl, or the folder that holds them",
    files=_files,
    is_it=_is_it,
    samples=_samples,
    about=_about,
)
