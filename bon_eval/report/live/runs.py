"""What run.json and report.json say of a run, for its line of the index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.config import draws
from bon_eval.errors import ConfigError, StoreError, counted
from bon_eval.report.formats.text import model_name
from bon_eval.report.live.entries import Heading, Kind, State
from bon_eval.report.live.memo import Memo, Unreadable, at, read_object, text_at
from bon_eval.report.live.progress import Counter, Owners, Progress
from bon_eval.store.writer import read_meta

_SILENT_S = 60.0
"""Of a run that no process of this machine has: seconds without a response after which it counts as stopped. It may be
another machine's."""
_LARGEST = 64 << 20
"""Bytes of a run.json that is read."""
_ENDED = {
    "orderly": "what was begun is stored",
    "at once": "by a signal, at once",
    "broken off": "by an error, which its command printed",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Of a run.json."""

    heading: Heading
    config: Mapping[str, Any]
    """What its extent depends on."""
    state: str
    sessions: int
    ended: str | None
    """How the last session's sampling ended; None where that is not said."""
    facts: tuple[tuple[str, str], ...]
    """Names and values for a reader."""


@dataclass(frozen=True, slots=True)
class Said:
    """Of a report.json."""

    heading: Heading
    verdict: str
    missing: int
    """Problems that the run had not finished."""


def read_run(path: Path) -> RunFacts:
    """Of run.json.

    Raises:
        StoreError: it is damaged or of another format.
    """
    if path.stat().st_size > _LARGEST:
        raise StoreError(f"{path.name} has more than {_LARGEST >> 20} MiB, which none of bon-eval's has")
    meta = read_meta(path.parent)
    config = meta["config"]
    try:
        extent = draws(config)
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise StoreError(f"{path} is damaged: its draws are none; restore it, or sample the run again") from error
    sessions = at(meta, "sessions")
    last = sessions[-1] if isinstance(sessions, list) and sessions else None
    shard = text_at(config, "shard")
    kind: Kind = "imported run" if "source" in meta else "run" if shard is None else "shard"
    source = text_at(meta, "source", "format")
    note = f"shard {shard}" if shard else f"imported ({source})" if source else ""
    engine = " ".join(filter(None, (config["engine"], text_at(meta, "engine", "version"))))
    facts = [
        ("model", model_name(config)),
        ("task", config["task"]),
        ("responses per problem", ", ".join(f"{name} {n}" for name, n in extent.items())),
        ("engine", engine),
        ("dtype", text_at(meta, "engine", "dtype") or text_at(config, "dtype") or ""),
        ("grader", text_at(config, "grader") or ""),
        ("sessions", str(len(sessions)) if isinstance(sessions, list) else ""),
        ("last session began", text_at(last, "started") or ""),
    ]
    return RunFacts(
        Heading(kind, model_name(config), config["task"], note),
        {name: config[name] for name in ("n", "temperature", "greedy", "draws") if name in config},
        text_at(meta, "state") or "new",
        len(sessions) if isinstance(sessions, list) else 0,
        text_at(last, "ended"),
        tuple((name, value) for name, value in facts if value),
    )


def read_said(path: Path) -> Said:
    """Of report.json, of an imported run's too.

    Raises:
        StoreError: it is damaged, or no report.
    """
    content = read_object(path)
    config = at(content, "run", "config")
    if not isinstance(config, dict) or not {"model", "task"} <= config.keys():
        raise StoreError(f"{path.name} is damaged: it does not name its model and task")
    name, shard = text_at(content, "run", "report"), text_at(config, "shard")
    verdict = text_at(content, "facts", "verdict") or text_at(content, "sentences", 0)
    if verdict is None:
        verdict = "no verdict in a report of this format; bon-eval report RUN makes it again"
    missing = at(content, "analysis", "problems_missing")
    note = f"report {name}" if name else f"shard {shard}" if shard else ""
    heading = Heading("report", model_name(config), str(config["task"]), note)
    return Said(heading, verdict, missing if isinstance(missing, int) else 0)


def run_state(
    directory: Path, facts: RunFacts, said: Said | Unreadable | None, owners: Owners, counter: Counter, silent_s: float
) -> State:
    """How far a run is.

    Args:
        directory: of the run.
        facts: of its run.json.
        said: of its report.json; None: there is none.
        owners: of directories, now.
        counter: of responses.
        silent_s: seconds since it last stored something.
    """
    owned = owners.has(directory)
    if facts.state != "sampled":
        return _unfinished(facts, counter.of(directory, facts.config), owned=owned, silent_s=silent_s)
    if owned:
        return State("being graded", going=True)
    graded = _time(directory / "grades.parquet")
    if graded is None:
        return State("sampled", "not graded: bon-eval grade RUN, then bon-eval report RUN")
    if said is None:
        return State("graded", "no report yet: bon-eval report RUN")
    if isinstance(said, Unreadable):
        return State("graded", f"{said.why}; bon-eval report RUN makes it again", bad=True)
    reported = _time(directory / "report.json")
    if reported is not None and reported < graded:
        return State("graded", "again since its report: bon-eval report RUN")
    missing = f"without {counted(said.missing)} that it had not finished" if said.missing else ""
    return State("reported", missing)


def _unfinished(facts: RunFacts, progress: Progress | None, *, owned: bool, silent_s: float) -> State:
    stored, owed = (None, 0) if progress is None else (progress.stored, progress.owed)
    if facts.ended is not None and not owned:
        return State("stopped", _ENDED.get(facts.ended, facts.ended), stored, owed)
    if facts.sessions == 0 or facts.ended is not None:  # the model is being loaded, for the first time or again
        return State("starting", "", stored, owed, going=True) if owned else State("not begun", "", stored, owed)
    if owned:
        return State("sampling", "", stored, owed, going=True)
    if silent_s < _SILENT_S:
        return State("sampling", "or just stopped: no process of this machine has it", stored, owed, going=True)
    return State("stopped", "no process of this machine has it", stored, owed)


def _time(path: Path) -> int | None:
    try:
        return path.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return None


def earlier(facts: RunFacts, state: State) -> str:
    """What is to be known of the verdict of a report that is older than its run."""
    grown = facts.state != "sampled" or state.detail.startswith("again")
    return "said by a report from before" if grown else ""


def read_run_at(memo: Memo, directory: Path) -> RunFacts | Unreadable | None:
    """Of a directory's run.json, kept while the file stays."""
    return memo.of(directory / "run.json", "run", read_run)


def read_said_at(memo: Memo, directory: Path) -> Said | Unreadable | None:
    """Of a directory's report.json, kept while the file stays."""
    return memo.of(directory / "report.json", "said", read_said)
