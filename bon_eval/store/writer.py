"""The run directory while it is written: one owner, append-only response parts, resume after any kill.

Reading a finished run needs `bon_eval.store.reader` alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.config import RunConfig, Shard, differences, digest, draw_specs, draws
from bon_eval.errors import StoreError
from bon_eval.records import Draw, Problem, Response
from bon_eval.store import parts
from bon_eval.store.extent import (
    FORMAT,
    READABLE,
    Held,
    check_format,
    join_draws,
    make_problems,
    with_others,
    write_problems,
)
from bon_eval.store.files import TEMPORARY, cannot_write, lock, write_atomic, write_text
from bon_eval.store.prompts import differing_text, with_first_text

_CONFIG = {"model": str, "task": str, "engine": str, "n": int, "max_tokens": int}
"""What every stored configuration has, by its type; an imported one need not know the last."""
_OWN_FILES = {"run.lock", "engine.log", "responses", "problems.parquet", "order.parquet"}


Ended = Literal["orderly", "at once", "broken off"]
"""How a session's sampling ended: all that it began is stored; a signal gave that up; an error broke it off."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a session has sampled and stored."""

    ended: Ended
    seconds: float
    """Of sampling alone, by a clock that never goes back."""
    responses: int
    tokens: int
    """Of the responses."""
    prompt_tokens: int
    """Of each stored request's prompt, once a request."""


class RunStore:
    """The only writer of a run directory. Use as a context manager.

    What the directory holds stays, whatever the extent: responses are added, and a smaller extent leaves the others
    where they are.

    Raises:
        StoreError: another process owns the directory, it belongs to another run (the message names what differs) or
            an older format, it holds files that are no run, or a part is damaged.
    """

    def __init__(
        self,
        directory: Path,
        config: RunConfig,
        problems: Sequence[Problem],
        prompts: pa.Table,
        order: Sequence[str] | None = None,
    ) -> None:
        """`order`: of a shard, the ids of the whole run's problems in task order."""
        self.directory = directory
        self.config = config
        self.held = Held()
        self._ids = tuple(problem.id for problem in problems)
        self._created = False
        self._made: list[Path] = []
        self._lock: IO[str] | None = None
        try:
            self._open(problems, prompts, order)
        except OSError as error:
            self.close()
            raise cannot_write(directory, error) from error
        except StoreError:
            self.close()
            raise

    def _open(self, problems: Sequence[Problem], prompts: pa.Table, order: Sequence[str] | None) -> None:
        responses = self.directory / "responses"
        meta_path = self.directory / "run.json"
        if self.directory.is_dir() and any(self.directory.iterdir()) and not meta_path.is_file():
            leftovers = {p.name for p in self.directory.iterdir()} - _OWN_FILES
            if {name for name in leftovers if not name.startswith(TEMPORARY)}:
                raise StoreError(f"{self.directory} exists and is not a run; give --out another directory")
        self._made = [p for p in (self.directory, *self.directory.parents) if not p.exists()]
        responses.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.directory)
        for leftover in (*self.directory.glob(f"{TEMPORARY}*"), *responses.glob(f"{TEMPORARY}*")):
            leftover.unlink(missing_ok=True)
        if meta_path.is_file():
            self.meta: dict[str, Any] = read_meta(self.directory)
            self._check_same(problems, prompts)
        else:
            self.meta = {"format": FORMAT, "identity": self.config.identity(), "sessions": [], "state": "new"}
            self._created = True
        self._order = order
        rows = make_problems(problems, prompts)
        self._problems = rows if self._created else with_others(self.directory, rows, self._another)
        self.meta["config"] = self.config.as_dict()
        self._schema = parts.TOPK_SCHEMA if self.config.token_stats == "topk" else parts.SCHEMA
        self._log = parts.PartLog(responses, digest(self.config.identity()), self._schema)
        self.held = Held.of(self._log.parts, self.directory)
        self.meta["draws"] = join_draws(str(self.directory), self.meta, self.held, draw_specs(self.config))
        if self._created:
            self.save_meta()
        elif not self.owes():
            self.finish_sampling()

    def _check_same(self, problems: Sequence[Problem], prompts: pa.Table) -> None:
        """Refuse a directory whose responses are not of this run."""
        check_format(self.directory, self.meta)
        changed = differences(self.meta["identity"], self.config.identity())
        if changed:
            texts = dict(zip((p.id for p in problems), prompts["prompt"].to_pylist(), strict=True))
            changed = with_first_text(changed, self.directory, texts)
            raise StoreError(
                f"{self.directory} holds another run ({'; '.join(changed)}); give --out another directory, "
                "or --fresh to set the old run aside"
            )

    def _another(self, problem: str, stored: str, given: str) -> StoreError:
        """A problem has changed since it was sampled."""
        found = differing_text(stored, given, "stored", "now") or "another gold answer or other tokens"
        return StoreError(
            f"{self.directory} holds another problem {problem!r}: {found}; the data or the task has changed, so give "
            "--out another directory, or --fresh to set the old run aside"
        )

    def owes(self) -> bool:
        """Whether responses of the extent are still to be sampled."""
        return not self.held.covers(draws(self.config), self._ids)

    def requests_whole(self) -> int:
        """Requests of the extent whose responses are all stored."""
        return self.held.whole(draws(self.config), self._ids)

    def missing(self, problem: str, draw: Draw) -> tuple[int, ...]:
        """Indices of the responses that the extent still owes."""
        return self.held.missing(problem, draw, draws(self.config)[draw])

    def begin_session(
        self, started: str, versions: dict[str, str], engine: dict[str, object], *, seed: int | None = None
    ) -> None:
        """Record who samples from here on, and what for; call once per process, before the first append.

        `seed`: of the engine, where it was not opened for this run alone; default `session_seed`.
        """
        sessions = self.meta["sessions"]
        used = self.session_seed if seed is None else seed
        extent = {"problems": len(self._ids), "draws": draws(self.config)}
        session = {"started": started, "seed": used, "extent": extent, "redrawn": self._redrawn()}
        sessions.append(session | {"versions": versions, "engine": engine})
        self.meta |= {"versions": versions, "engine": engine, "state": "sampling"}
        self._created = False
        self.save_meta()

    def _redrawn(self) -> int:
        """At most so many responses were begun and lost by the session before, and are drawn again: 0 where it ended in
        good order, else those that it left out of the pools that it had stored in part."""
        extents = [session.get("extent", {}).get("draws", {}) for session in self.meta["sessions"]]
        if not extents or self.meta["sessions"][-1].get("ended") == "orderly":
            return 0
        then, ids = extents[-1], set(self._ids)
        # A pool that holds what an earlier session was for, and no more, was not begun by the last one.
        before = {(draw, n) for extent in extents[:-1] for draw, n in extent.items()}
        lost = 0
        for problem, draw in self.held:
            missing = self.held.missing(problem, draw, n := then.get(draw, 0))
            stored = n - len(missing)
            if problem in ids and not ((draw, stored) in before and missing[:1] == (stored,)):
                lost += len(missing)
        return lost

    def end_session(self, work: Work) -> None:
        """Record what this process has sampled; a process that is killed leaves it out."""
        self.meta["sessions"][-1] |= asdict(work)
        self.save_meta()

    @property
    def session_seed(self) -> int:
        """Seed of the sampling stream of the session that begins now.

        Each session of a resumed run has a stream of its own, drawn from (seed, session number): restarting the
        first one would give the problems that are left the noise that the finished ones already used. So has each
        shard.
        """
        entropy = [self.config.seed, len(self.meta["sessions"])]
        if self.config.shard is not None:
            shard = Shard.parse(self.config.shard)
            entropy += [shard.index, shard.of]
        state = np.random.SeedSequence(entropy).generate_state(1)
        return int(state[0] >> 1)

    def append(self, responses: Sequence[Response]) -> None:
        """Store responses, of any requests: all of them or none.

        Raises:
            EngineError: log-probs that cannot be true.
            StoreError: one is stored already or given twice, or the disk is full.
        """
        table = parts.to_table(responses, self._schema)
        given: set[tuple[str, Draw, int]] = set()
        for key in ((r.problem_id, r.arm, r.index) for r in responses):
            if key in given or self.held.has(*key):
                problem, draw, index = key
                raise StoreError(
                    f"problem {problem} already has its {draw} response {index}; refusing to store it twice"
                )
            given.add(key)
        self._log.append(table)
        for problem, draw, index in given:
            self.held.add(problem, draw, (index,))

    def finish_sampling(self) -> None:
        """Mark the run as complete and merge what is left."""
        self._log.finish()
        self.meta["state"] = "sampled"
        self.save_meta()

    def save_meta(self) -> None:
        """Write run.json, and the problems and their order where those have changed."""
        write_problems(self.directory, self._problems)
        if self._order is not None:
            table = pa.table({"problem_id": pa.array(list(self._order), pa.string())})
            write_atomic(self.directory / "order.parquet", lambda path: pq.write_table(table, path, compression="zstd"))
        write_text(self.directory / "run.json", json.dumps(self.meta, indent=2, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Give the directory up for others."""
        if self._lock is None:
            return
        if self._created and not any((self.directory / "responses").iterdir()):
            self._remove_empty()
        self._lock.close()
        self._lock = None

    def _remove_empty(self) -> None:
        """A run that never began leaves no run behind, only the engine's log where there is one."""
        for name in ("run.json", "problems.parquet", "order.parquet", "run.lock"):
            (self.directory / name).unlink(missing_ok=True)
        log = self.directory / "engine.log"
        if log.is_file() and not log.stat().st_size:
            log.unlink()
        for directory in (self.directory / "responses", *self._made):
            if not any(directory.iterdir()):
                directory.rmdir()

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_meta(directory: Path) -> dict[str, Any]:
    """run.json of a run directory.

    Raises:
        StoreError: the directory is not a run, or its run.json is damaged or of another format.
    """
    path = directory / "run.json"
    if not path.is_file():
        raise StoreError(f"{directory} is not a run directory: it has no run.json")
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") not in READABLE:
        raise StoreError(f"{path} is not of run format {FORMAT}; read it with the version of bon-eval that wrote it")
    config = meta.get("config")
    fields: dict[str, object] = config if isinstance(config, dict) else {}
    kinds = _CONFIG if "source" not in meta else _CONFIG | {"max_tokens": type(fields.get("max_tokens"))}
    bad = [name for name, kind in kinds.items() if type(fields.get(name)) is not kind]
    if bad or fields["n"] < 1 or not isinstance(meta.get("identity"), dict):  # type: ignore[operator]
        what = (
            f"its configuration has no {bad[0]}, or not as it was written"
            if bad
            else "its configuration or identity is not one"
        )
        raise StoreError(f"{path} is damaged: {what}; restore it, or sample the run again")
    return meta
