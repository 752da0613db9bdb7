"""large_language_monkeys: a folder with one ``ID.yaml`` for each problem.

Keys as its scripts save them: ``prompt``, ``question``, ``samples``, ``gt_answer`` and, where they were graded,
``is_corrects``. The YAML is read by the safe loader, which runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from bon_eval.errors import SourceError, one_line
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.lines import reading
from bon_eval.exchange.readers.base import Reader
from bon_eval.exchange.sample import Sample, label_of, text_of, verdict_of

_ENDINGS = (".yaml", ".yml")
_HEAD = 1 << 16


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return (path,)
    found = [file for file in path.iterdir() if file.suffix in _ENDINGS]
    return sorted(
        found, key=lambda file: (not file.stem.isdecimal(), int(file.stem) if file.stem.isdecimal() else 0, file)
    )


def _is_it(path: Path) -> bool:
    files = _files(path) if path.is_dir() or path.suffix in _ENDINGS else ()
    if not files:
        return False
    with files[0].open("rb") as file:
        head = file.read(_HEAD)
    return b"samples:" in head or b"gt_answer:" in head


def _load(path: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with reading(path), path.open("rb") as file:
        try:
            found = yaml.load(file, Loader=loader)  # noqa: S506 (the safe loader, in C where it is there)
        except yaml.YAMLError as error:
            raise SourceError(f"{path} is not YAML that can be read safely ({one_line(error)[:200]})") from error
    if not isinstance(found, dict) or not isinstance(found.get("samples"), list):
        raise SourceError(f"{path} has no list of samples; give a folder of large_language_monkeys")
    return found


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    found = _load(path)
    where = str(path)
    texts, verdicts = found["samples"], found.get("is_corrects")
    if not texts:
        raise SourceError(f"{path} has no samples; leave the file out")
    if verdicts is not None and (not isinstance(verdicts, list) or len(verdicts) != len(texts)):
        raise SourceError(f"{path} has not one verdict (is_corrects) for each of its {len(texts)} samples")
    prompt = found.get("prompt")
    for i, text in enumerate(texts):
        yield Sample(
            where=f"{where}, sample {i}",
            text=text_of(text, where, f"sample {i}"),
            problem_id=path.stem,
            question=label_of(found.get("question"), where, "the question"),
            prompt=prompt if isinstance(prompt, str) else None,
            index=str(i),
            gold=label_of(found.get("gt_answer"), where, "gt_answer"),
            correct=None if verdicts is None else verdict_of(verdicts[i], where, "is_corrects"),
        )


MONKEYS = Reader(
    name="monkeys",
    summary="large_language_monkeys: a folder of ID.yaml with samples",
    files=_files,
    is_it=_is_it,
    samples=_samples,
)
