"""What a run holds and how much of it is looked at: pools grow, and an analysis may take less than is stored.

The identity of a run says what its responses depend on; its extent is the problems, the draws and their n. Whatever
reads responses takes those of the extent, so that a smaller one is the run as if it had never been larger.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bon_eval.config import RunConfig, draws
from bon_eval.draws import DrawSpec, check_same_parameters
from bon_eval.errors import StoreError, counted
from bon_eval.records import Draw, Problem
from bon_eval.store import parts
from bon_eval.store.files import write_atomic

FORMAT = 2
"""Of runs that are written; those of `READABLE` can be read."""
READABLE = (1, 2)
KEY = ("problem_id", "arm", "index")
"""The columns that name a response."""
FILE = "problems.parquet"
IN_EXTENT = "in_extent"
"""The column of `FILE` that says whether a problem is of the extent; a run of format 1 has none, and all are."""


def check_format(directory: Path, meta: Mapping[str, Any]) -> None:
    """Raise `StoreError` for a run of an older format, which is read and not gone on with."""
    if meta["format"] != FORMAT:
        version = meta.get("versions", {}).get("bon-eval", "of an older version")
        raise StoreError(
            f"{directory} was made by bon-eval {version} in run format {meta['format']}, in which runs cannot go on or "
            "grow; grade, report, score and compare still read it: give --out another directory"
        )


class Held:
    """Which responses are there: of each problem and draw, its indices."""

    def __init__(self) -> None:
        self._bits: dict[tuple[str, Draw], int] = {}

    @classmethod
    def of(cls, stored: Iterable[parts.Part], where: Path) -> Held:
        """What parts hold.

        Raises:
            StoreError: a response is there twice.
        """
        held = cls()
        for table in parts.read_parts(stored, KEY):
            for row in table.group_by(["problem_id", "arm"]).aggregate([("index", "list")]).to_pylist():
                problem, draw = row["problem_id"], row["arm"]
                if (twice := held.add(problem, draw, row["index_list"])) is not None:
                    raise StoreError(
                        f"{where}: {draw} response {twice} of problem {problem} is there twice; the parts were edited "
                        "or copied: restore them, or run with --fresh"
                    )
        return held

    def add(self, problem: str, draw: Draw, indexes: Iterable[int]) -> int | None:
        """Take in responses; the first that was there already, or None. Nothing is taken in then."""
        bits = self._bits.get((problem, draw), 0)
        for index in indexes:
            if bits >> index & 1:
                return index
            bits |= 1 << index
        self._bits[problem, draw] = bits
        return None

    def missing(self, problem: str, draw: Draw, n: int) -> tuple[int, ...]:
        """Of the indices below n, those that are not there."""
        bits = self._bits.get((problem, draw), 0)
        return tuple(index for index in range(n) if not bits >> index & 1)

    def has(self, problem: str, draw: Draw, index: int) -> bool:
        """Whether a response is there."""
        return bool(self._bits.get((problem, draw), 0) >> index & 1)

    def whole(self, of: Mapping[Draw, int], problem_ids: Iterable[str]) -> int:
        """Requests of these problems, one a draw, whose every response is there."""
        full = {draw: (1 << n) - 1 for draw, n in of.items()}
        return sum(
            self._bits.get((problem, draw), 0) & bits == bits for problem in problem_ids for draw, bits in full.items()
        )

    def covers(self, of: Mapping[Draw, int], problem_ids: Sequence[str]) -> bool:
        """Whether every response of these problems is there."""
        return self.whole(of, problem_ids) == len(of) * len(problem_ids)

    def __bool__(self) -> bool:
        """Whether anything is there."""
        return bool(self._bits)

    def __iter__(self) -> Iterator[tuple[str, Draw]]:
        """The problem and draw of whatever is there, wholly or in part."""
        return iter(self._bits)


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """The part of a run that is looked at."""

    draws: Mapping[Draw, int]
    """Responses per problem of each draw."""
    problem_ids: pa.Array | None
    """Ids of its problems; None where the run stores no others."""

    @classmethod
    def of(cls, path: Path, config: RunConfig | Mapping[str, Any]) -> Extent:
        """Of a stored run, as its own configuration and its problems have it."""
        rows = _read(path, ["problem_id"])
        inside = _inside(rows)
        return cls(draws(config), None if inside is None else rows.filter(inside)["problem_id"].combine_chunks())

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """Which rows of a table with the columns of `KEY` are of the extent, (rows,)."""
        arm, index = table["arm"], table["index"].to_numpy()
        inside = np.zeros(table.num_rows, dtype=np.bool_)
        for draw, n in self.draws.items():
            inside |= pc.equal(arm, draw).to_numpy() & (index < n)
        if self.problem_ids is not None:
            inside &= pc.is_in(table["problem_id"], value_set=self.problem_ids).to_numpy()
        return inside

    def take(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The rows of the extent; tables without any are passed over."""
        for table in tables:
            inside = self.mask(table)
            if inside.all():
                yield table
            elif inside.any():
                yield table.filter(pa.array(inside))


def session_extents(sessions: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a run's sessions sampled for, in words; those that went on where another stopped are left out.

    Shards that were merged sampled side by side: where all of them took the same steps, a step is of their problems
    together; else the steps are those of the shard that took most, which is named.

    >>> extent = {"problems": 3, "draws": {"greedy": 1, "sample": 8}}
    >>> session_extents([{"extent": extent | {"problems": n}, "shard": f"{k}/2"} for k, n in ((1, 3), (2, 2), (2, 2))])
    ['5 problems: greedy 1, sample 8']
    """
    steps: dict[str | None, list[tuple[int, str]]] = {}
    for session in sessions:
        if (extent := session.get("extent")) is not None:
            step = extent["problems"], ", ".join(f"{draw} {n}" for draw, n in extent["draws"].items())
            own = steps.setdefault(session.get("shard"), [])
            if own[-1:] != [step]:
                own.append(step)
    whole = steps.pop(None, [])
    most = max(steps, key=lambda shard: len(steps[shard]), default=None)
    found = [] if most is None else [f"shard {most}, {counted(n)}: {draws}" for n, draws in steps[most]]
    if len({tuple(draws for _, draws in own) for own in steps.values()}) == 1:
        found = [f"{counted(sum(n for n, _ in step))}: {step[0][1]}" for step in zip(*steps.values(), strict=True)]
    return found + [f"{counted(n)}: {draws}" for n, draws in whole]


def problem_rows(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """The problems of a run's extent in task order, with their prompts.

    Args:
        path: the run directory.
        columns: ``problem_id``, ``fields`` and ``messages`` (JSON), ``gold``, ``prompt``, ``prompt_token_ids``; None:
            all there are.

    Raises:
        StoreError: the file is missing or damaged.
    """
    rows = _read(path, columns)
    inside = _inside(rows)
    found = rows if inside is None else rows.filter(inside)
    return found.drop_columns(IN_EXTENT) if IN_EXTENT in found.column_names else found


def make_problems(problems: Sequence[Problem], prompts: pa.Table) -> pa.Table:
    """The rows of `FILE` for problems that are all of the extent.

    `prompts` has the columns ``prompt``, ``prompt_token_ids`` and, where there are any, ``messages`` (JSON).
    """
    size = len(problems)
    messages = prompts["messages"] if "messages" in prompts.column_names else pa.nulls(size, pa.string())
    return pa.table(
        {
            "problem_id": pa.array([p.id for p in problems], pa.string()),
            "fields": pa.array([json.dumps(p.fields, ensure_ascii=False) for p in problems], pa.string()),
            "gold": pa.array([p.gold for p in problems], pa.string()),
            "prompt": prompts["prompt"],
            "prompt_token_ids": prompts["prompt_token_ids"],
            "messages": messages,
            IN_EXTENT: pa.array([True] * size, pa.bool_()),
        }
    )


def join_draws(
    where: str, meta: Mapping[str, Any], held: Held, given: Iterable[DrawSpec]
) -> dict[str, Mapping[str, float]]:
    """The parameters of a run's draws by name, with those given: a name stands for what is stored of it, if anything.

    Raises:
        StoreError: one is stored with other parameters.
    """
    stored = {draw for _, draw in held}
    known = {name: parameters for name, parameters in meta.get("draws", {}).items() if name in stored}
    draws_given = tuple(given)
    if why := check_same_parameters(known, draws_given):
        raise StoreError(f"{where}: {why}")
    return known | {draw.name: draw.parameters for draw in draws_given}


def with_others(path: Path, given: pa.Table, changed: Callable[[str, str, str], StoreError]) -> pa.Table:
    """Rows of `FILE` for a new extent: those given, and behind them the others that the run stores.

    Args:
        path: the run directory; a run whose problems cannot be read has none.
        given: as `make_problems` gives them.
        changed: (problem id, stored prompt, given prompt) -> what to raise where a problem is another one by now; the
            prompts are equal where its gold answer or its tokens alone are not.
    """
    if not (path / FILE).is_file():
        return given
    stored = _read(path, None)
    at = pc.index_in(given["problem_id"], value_set=stored["problem_id"].combine_chunks())
    common = given.filter(at.is_valid())
    same = stored.take(at.combine_chunks().drop_null())
    if not all(common[name].equals(same[name]) for name in ("gold", "prompt_token_ids")):
        compared = ["problem_id", "gold", "prompt", "prompt_token_ids"]
        for now, before in zip(common.select(compared).to_pylist(), same.select(compared).to_pylist(), strict=True):
            if now != before:
                raise changed(now["problem_id"], before["prompt"], now["prompt"])
    given = _with_stored_fields(given, stored)
    others = stored.filter(pc.invert(pc.is_in(stored["problem_id"], value_set=given["problem_id"].combine_chunks())))
    if not others.num_rows:
        return given
    outside = pa.array([False] * others.num_rows, pa.bool_())
    others = others.set_column(others.column_names.index(IN_EXTENT), IN_EXTENT, outside)
    return pa.concat_tables([given, others.select(given.column_names)])


def _with_stored_fields(given: pa.Table, stored: pa.Table) -> pa.Table:
    """The rows with the columns of the data that only the stored ones have; a value that is given wins."""
    before = dict(zip(stored["problem_id"].to_pylist(), stored["fields"].to_pylist(), strict=True))
    joined = []
    for problem, fields in zip(given["problem_id"].to_pylist(), given["fields"].to_pylist(), strict=True):
        both = json.loads(before.get(problem, "{}")) | json.loads(fields)
        joined.append(json.dumps(both, ensure_ascii=False))
    return given.set_column(given.column_names.index("fields"), "fields", pa.array(joined, pa.string()))


def in_order(paths: Sequence[Path], order: Sequence[str]) -> pa.Table:
    """Rows of `FILE` for a run whose parts lie in several directories: those of its extent in task order, others."""
    rows = pa.concat_tables([_read(path, None) for path in paths])
    at = pc.fill_null(pc.index_in(rows["problem_id"], value_set=pa.array(order, pa.string())), len(order))
    return rows.take(pa.array(np.argsort(at.to_numpy(), kind="stable")))


def write_problems(path: Path, rows: pa.Table) -> None:
    """Store what the analysis and the graders need of the task, where that is not what is stored already."""
    file = path / FILE
    if file.is_file():
        keys = ["problem_id", "fields", IN_EXTENT]
        if set(keys) <= set(pq.read_schema(file).names) and pq.read_table(file, columns=keys).equals(rows.select(keys)):
            return
    write_atomic(file, lambda temporary: pq.write_table(rows, temporary, compression="zstd"))


def _read(path: Path, columns: Sequence[str] | None) -> pa.Table:
    file = path / FILE
    try:
        names = pq.read_schema(file).names
        wanted = names if columns is None else [*(c for c in columns if c in names), IN_EXTENT]
        return pq.read_table(file, columns=[name for name in dict.fromkeys(wanted) if name in names])
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{file} is missing or damaged; the run cannot be analysed without it") from error


def _inside(rows: pa.Table) -> pa.ChunkedArray | None:
    """Which of the stored problems are of the extent; None: all."""
    if IN_EXTENT not in rows.column_names or pc.all(rows[IN_EXTENT]).as_py() is not False:
        return None
    return rows[IN_EXTENT]
