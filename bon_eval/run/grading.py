"""Grading a stored run: responses -> grades.parquet, again and again, without the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bon_eval.config import responses_per_problem
from bon_eval.errors import GraderError, counted
from bon_eval.graders import AnswerGrader, get_grader
from bon_eval.graders.answer_classes import AnswerClasses
from bon_eval.graders.batch import BatchGrader
from bon_eval.graders.plugin import OwnFileGrader, PluginGrader
from bon_eval.graders.reasoning import Parts, reasoning_between
from bon_eval.graders.workers.isolation import DEADLINE, MEMORY_MB
from bon_eval.graders.workers.process import OUT_OF_MEMORY
from bon_eval.run.console.progress import Progress, say
from bon_eval.store.files import write_atomic
from bon_eval.store.prompts import load_prompt_texts
from bon_eval.store.reader import stored_problems, stored_tables
from bon_eval.store.writer import read_meta

SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("correct", pa.bool_()),
        pa.field("correct_strict", pa.bool_()),
        pa.field("answer", pa.string()),
        pa.field("answer_class", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        # Characters up to the end of the last reasoning block (null: there is none) and behind it (null: one is open).
        pa.field("reasoning_chars", pa.int32()),
        pa.field("answer_chars", pa.int32()),
        # Whether a special token stands before the last one (null: the engine gave no ids, or the run is older).
        pa.field("special_inside", pa.bool_()),
        pa.field("grader", pa.string(), nullable=False),
        pa.field("grader_version", pa.string(), nullable=False),
    ]
)

_COLUMNS = ("problem_id", "arm", "index", "text", "token_ids")
_BATCH_ROWS = 16_384
_BATCH_BYTES = 64 << 20


def grade_run(
    path: Path,
    grader_name: str | None = None,
    *,
    deadline: float = DEADLINE,
    memory_mb: int = MEMORY_MB,
    quiet: bool = False,
) -> Path:
    """Grade every stored response and write grades.parquet anew, a batch of responses at a time.

    The answers of one problem, greedy's included, are numbered into classes under the grader's own equivalence
    (`answer_class`, -1 where none was read), so that votes need no grader later. Memory does not grow with the number
    of problems.

    Args:
        path: the run directory.
        grader_name: another grader than the run's own.
        deadline: seconds of processor time for one symbolic comparison (see `grade_many`).
        memory_mb: address space of a grader's worker in MiB; a comparison that needs more is unscored.

    Raises:
        GraderError: no such grader, limits that make no sense, a function of a user's file that fails, or any other
            grader from elsewhere that fails on every response; the older grades are kept.
        StoreError: not a run, damaged, or the disk is full; the older grades are kept.
    """
    meta = read_meta(path)
    source = grader_name or str(meta["config"]["grader"])
    chosen = get_grader(source)
    name = chosen.name
    golds = {p.id: p.gold for p in stored_problems(path)}
    reasoning = reasoning_between(meta["config"].get("reasoning"))
    opened = {problem: reasoning.opened_by(prompt) for problem, prompt in load_prompt_texts(path)}

    def split(problem: str, text: str) -> Parts:
        return reasoning.split(text, opened=opened[problem])

    special = meta.get("tokenizer", {}).get("special_token_ids")
    size = responses_per_problem(meta["config"])
    target = path / "grades.parquet"

    failed: Counter[str] = Counter()
    rows = 0

    def of_grader(why: str) -> bool:
        """Whether a grader from elsewhere raised, or ended its worker, or took too long or too much memory."""
        foreign = isinstance(chosen, PluginGrader) and why == OUT_OF_MEMORY
        return foreign or f" in grader {name}" in why or why.startswith(f"grader {name} ")

    def write(temporary: Path) -> None:
        nonlocal rows
        numbering = AnswerClasses(size)
        failed.clear()
        rows = 0
        with (
            BatchGrader(source, deadline=deadline, memory_mb=memory_mb) as grader,
            pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer,
            Progress(len(golds), label="grading", unit="problems", quiet=quiet) as progress,
        ):
            for table in _batches(stored_tables(path, meta, _COLUMNS)):
                graded = _grade_batch(grader, chosen, table, golds, split, numbering, special)
                if isinstance(chosen, OwnFileGrader):
                    _refuse_failure(chosen, graded, path, None if grader_name is None else source)
                failed.update(filter(of_grader, graded["reason"].to_pylist()))
                writer.write_table(graded)
                rows += graded.num_rows
                progress.advance(numbering.take_finished())
        if failed and failed.total() == rows:
            [(what, _)] = failed.most_common(1)
            raise GraderError(
                f"grader {name} failed on every response, most often: {what}; all responses are stored: mend it, then "
                f"run: bon-eval grade {path}{_option(None if grader_name is None else source)}"
            )

    write_atomic(target, write)
    for what, count in failed.most_common(1):
        say(f"grader {name} failed on {counted(failed.total(), 'response')}, most often ({count:,}): {what}", quiet)
    return target


def _refuse_failure(grader: OwnFileGrader, graded: pa.Table, path: Path, given: str | None) -> None:
    """Raise `GraderError` for the first response on which a user's own function failed."""
    for row, why in enumerate(graded["reason"].to_pylist()):
        if grader.failed(why):
            draw, index, problem = (graded[name][row].as_py() for name in ("arm", "index", "problem_id"))
            raise GraderError(
                f"grader {grader.name!r} failed on {draw} response {index} of problem {problem!r}: {why}; all "
                f"responses are stored: mend it, then run: bon-eval grade {path}{_option(given)}"
            )


def _option(given: str | None) -> str:
    return "" if given is None else f" --grader {given}"


def _batches(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Row groups joined until a batch is worth its workers or its texts are many bytes."""
    held: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        held.append(table)
        rows, size = rows + table.num_rows, size + table.nbytes
        if rows >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield pa.concat_tables(held)
            held, rows, size = [], 0, 0
    if held:
        yield pa.concat_tables(held)


def _grade_batch(
    grader: BatchGrader,
    chosen: AnswerGrader,
    table: pa.Table,
    golds: Mapping[str, str],
    split: Callable[[str, str], Parts],
    numbering: AnswerClasses,
    special: Sequence[int] | None,
) -> pa.Table:
    ids = table["problem_id"].to_pylist()
    lengths: list[tuple[int | None, int | None]] = []

    def parted() -> Iterator[tuple[Parts, str]]:
        for problem, text in zip(ids, table["text"], strict=True):
            parts = split(problem, text.as_py())
            lengths.append((parts.reasoning_chars, parts.answer_chars))
            yield parts, golds[problem]

    grades, stricts = grader.grade_parts(parted())
    keys = grader.keys(grade.answer for grade in grades)
    rows_of: dict[str, list[int]] = {}
    for row, problem in enumerate(ids):
        rows_of.setdefault(problem, []).append(row)
    classes = [-1] * len(ids)
    for problem, rows in rows_of.items():
        for row, number in zip(rows, numbering.number(problem, [keys[r] for r in rows]), strict=True):
            classes[row] = number
    return pa.table(
        [
            table["problem_id"],
            table["arm"],
            table["index"],
            pa.array([g.correct for g in grades], pa.bool_()),
            pa.array(stricts, pa.bool_()),
            pa.array([None if g.answer is None else _utf8(g.answer) for g in grades], pa.string()),
            pa.array(classes, pa.int32()),
            pa.array([_utf8(g.reason) for g in grades], pa.string()),
            pa.array([reasoning for reasoning, _ in lengths], pa.int32()),
            pa.array([answer for _, answer in lengths], pa.int32()),
            special_inside(table["token_ids"], special),
            pa.array([chosen.name] * len(ids), pa.string()),
            pa.array([chosen.version] * len(ids), pa.string()),
        ],
        schema=SCHEMA,
    )


def special_inside(token_ids: pa.ChunkedArray, special: Sequence[int] | None) -> pa.Array:
    """Whether a special token stands before the last token of each response; null where that cannot be told."""
    rows = len(token_ids)
    if special is None or not rows:
        return pa.nulls(rows, pa.bool_())
    sizes = pc.list_value_length(token_ids).to_numpy().astype(np.int64)
    hits = np.isin(pc.list_flatten(token_ids).to_numpy(), np.asarray(special, dtype=np.int64))
    ends = np.cumsum(sizes)
    hits[ends[sizes > 0] - 1] = False
    sums = np.concatenate(([0], np.cumsum(hits)))
    return pa.array(sums[ends] > sums[ends - sizes], mask=sizes == 0)


def _utf8(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
