"""The run's own report and others: which settings are its own, and where a report with others goes.

A run's own report lies in its directory and is what a summary reads. Its settings are those that `bon-eval run` was
given last; report.json states them, so that nothing else needs to be kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bon_eval.analysis.imported.analyse import default_scorers
from bon_eval.analysis.imported.either import AnyAnalysis, analyse_any
from bon_eval.analysis.settings import DEFAULT_SCORERS, default_ns
from bon_eval.analysis.vote_rules import MAJORITY, get_vote
from bon_eval.errors import ConfigError
from bon_eval.report.imported.rows import FORMAT as IMPORTED
from bon_eval.report.imported.rows import FORMAT_VERSION as IMPORTED_VERSION
from bon_eval.report.run.rows import FORMAT_VERSION
from bon_eval.scorers import PluginScorer, get_scorer
from bon_eval.store.reader import Run, load_run

FOLDER = "reports"
"""Of a run: its named reports, a directory each."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,=+-]*")
_OPTIONS = {
    "scorers": "--scorer",
    "votes": "--vote",
    "ns": "--ns",
    "seed": "--seed",
    "draws": "--draws",
    "exclude_truncated": "--exclude-truncated",
    "margin": "--margin",
    "looks": "--looks",
    "cluster": "--cluster",
}
"""Field of `Asked` -> the option that sets it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an analysis is asked for; arguments of `bon_eval.analysis.analyse.analyse`."""

    scorers: tuple[str, ...] = DEFAULT_SCORERS
    votes: tuple[str, ...] = ()
    ns: tuple[int, ...] | None = None
    """None: powers of two and N, also of a pool that has grown."""
    seed: int = 0
    draws: int = 10_000
    exclude_truncated: bool = False
    margin: float = 0.02
    """A fraction of 1."""
    looks: int = 1
    cluster: str | None = None
    """None: the task's."""

    def arguments(self) -> dict[str, Any]:
        """By name, for `analyse`."""
        return asdict(self)


def analysed(
    directory: Path, asked: Asked, *, partial: bool = False, loaded: Run | None = None
) -> tuple[Run, AnyAnalysis]:
    """A stored run with all that the settings need, and its analysis.

    Args:
        directory: of the run.
        asked: the settings.
        partial: as of `bon_eval.store.reader.load_run`.
        loaded: the run, where it was loaded before: read again only for scorers that need more than every run has.

    Raises:
        BonEvalError: as of `bon_eval.store.reader.load_run` and `bon_eval.analysis.analyse.analyse`.
    """
    needed = (*asked.scorers, *(get_vote(vote).scorer for vote in asked.votes))
    scorers = [get_scorer(name) for name in needed]
    more = any(scorer.needs_tokens or scorer.stats or isinstance(scorer, PluginScorer) for scorer in scorers)
    stored = load_run(directory, partial=partial, scorers=needed) if loaded is None or more else loaded
    return stored, analyse_any(stored, **asked.arguments())


def check_stored(scorers: Sequence[str], votes: Sequence[str], token_stats: str) -> None:
    """Raise `ConfigError` for a scorer that needs what the run will not store, before any sampling is paid for."""
    for name in (*scorers, *(get_vote(vote).scorer for vote in votes)):
        for stat in get_scorer(name).stats:
            if stat == "topk" and token_stats != "topk":
                raise ConfigError(f"scorer {name!r} needs the top-k confidence of each token; add --token-stats topk")
            if stat != "topk":
                raise ConfigError(
                    f"scorer {name!r} needs {stat}, which sampling does not store; run without it, then: bon-eval "
                    f"score RUN --stats {stat} and bon-eval report RUN --scorer {name}"
                )


def own_settings(
    directory: Path, config: Mapping[str, Any], lacking: Mapping[str, str] | None = None
) -> tuple[Asked, str | None]:
    """The run's own settings, and a caution where its report.json cannot tell them.

    Args:
        directory: of the run.
        config: its stored configuration, for the seed of a run that has no report yet.
        lacking: of an imported run, as `bon_eval.store.imported.source.absent`: scorers that were left to it are those
            that need nothing of it.
    """
    usual = default_scorers(lacking or {})
    path, unread = directory / "report.json", Asked(usual, seed=int(config.get("seed") or 0))
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        imported = content.get("format") == IMPORTED
        if content["format_version"] != (IMPORTED_VERSION if imported else FORMAT_VERSION):
            raise ValueError(f"it is of report format {content['format_version']}")
        found = content["analysis"]
        ns, scorers = tuple(found["ns"]), tuple(found["scorers"])
        if imported and scorers == default_scorers(content["run"]["source"]["absent"]):
            scorers = usual  # it may lack less by now
        return Asked(
            scorers=scorers,
            votes=tuple(found["votes"]),
            ns=None if ns == default_ns(found["pool_size"]) else ns,
            seed=found["seed"],
            draws=found["draws"],
            exclude_truncated=found["exclude_truncated"],
            margin=found["margin"],
            looks=found["looks"],
            cluster=found["cluster"],
        ), None
    except FileNotFoundError:
        return unread, None
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"its {error} is missing" if isinstance(error, KeyError) else str(error)
        return unread, f"{path} cannot tell the run's own settings ({why}); the defaults are taken for them"


def differing(own: Asked, given: Asked, pool_size: int) -> list[str]:
    """The options by which settings are others than the run's own.

    >>> differing(Asked(), Asked(ns=(1, 3), margin=0.05, votes=("majority",)), 4)
    ['--ns 1,3 (its own: 2,4)', '--margin 5 (its own: 2)']
    >>> differing(Asked(), Asked(ns=(4, 2)), 4)
    []
    """
    pairs = (
        (option, _shown(name, own, pool_size), _shown(name, given, pool_size)) for name, option in _OPTIONS.items()
    )
    return [f"{option} {there} (its own: {here})" for option, here, there in pairs if here != there]


def _shown(name: str, asked: Asked, pool_size: int) -> str:
    """As the command line has it, with what is left open filled in."""
    value = getattr(asked, name)
    if name == "ns":
        value = default_ns(pool_size) if value is None else tuple(sorted(set(value)))
    if name == "votes":
        value = tuple(vote for vote in value if get_vote(vote).name != MAJORITY)
    if isinstance(value, tuple):
        return ",".join(map(str, dict.fromkeys(value))) or "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if name == "margin":
        return repr(round(100.0 * value, 9)).removesuffix(".0")
    return "the task's" if value is None else str(value)


def place(run: Path, name: str | None, out: Path | None) -> tuple[Path, str]:
    """Where a named report of a run goes, and its name: ``RUN/reports/NAME``, or `out`, whose name is its default.

    Raises:
        ConfigError: a name that is no plain one, or a directory that holds a run or other files than a report's.
    """
    if name is not None and not _NAME.fullmatch(name):
        raise ConfigError(
            f"--name {name!r} is no plain name; give letters, digits and _ . , = + - alone, and --out DIR for a report "
            "elsewhere"
        )
    if out is None:
        assert name is not None
        return run / FOLDER / name, name
    if (out / "run.json").exists():
        raise ConfigError(
            f"--out {out} is a run's directory, whose report is made with the run's own settings; give another "
            "directory, or --own in its place to make these the run's own"
        )
    if out.is_dir() and any(out.iterdir()) and not (out / "report.json").is_file():
        raise ConfigError(f"--out {out} holds files that are no report; give a new or an empty directory")
    return out, name or out.resolve().name
