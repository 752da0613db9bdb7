"""The panels of any comparison by name, each drawn in one way, on the page and in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.imported.either import AnyAnalysis, analyse_any
from bon_eval.analysis.results import Analysis
from bon_eval.analysis.several_runs.comparison import AnyComparison
from bon_eval.analysis.two_runs.added import Added
from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.analysis.two_runs.names import Names
from bon_eval.errors import ConfigError
from bon_eval.estimators import chosen_index
from bon_eval.report.comparison.added_figures import entropies, passing, solved, thresholds
from bon_eval.report.comparison.figures import Groups, accuracy, distributions, lift, tokens
from bon_eval.report.formats.figures import drawing, new_figure
from bon_eval.report.imported.figures import why_absent
from bon_eval.store.forced import Likelihoods, load_likelihoods
from bon_eval.store.reader import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Shown:
    """What the panels of a comparison show."""

    found: AnyComparison
    analyses: tuple[AnyAnalysis, ...]
    """Of each run, with one set of settings."""
    groups: Groups
    """Log-likelihoods under the first of two models; empty where there are none."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the runs."""
        return self.found.names.sides if isinstance(self.found, Comparison) else self.found.names


def shown_of(runs: Sequence[Run], found: AnyComparison) -> Shown:
    """What is drawn of runs and their comparison; raises `StoreError` where stored scores are damaged."""
    analyses = tuple(analyse_any(run, seed=found.seed, draws=found.draws, cluster=found.cluster) for run in runs)
    groups: Groups = {}
    if isinstance(found, Comparison) and found.sources is not None:
        first, second = runs
        groups = _groups(first, load_likelihoods(first, second), found.names)
    return Shown(found, analyses, groups)


def draw_panel(shown: Shown, name: str, *, pyplot: bool = False) -> Figure:
    """One of the `PANELS`; `pyplot`: as a figure of pyplot, which a notebook shows.

    Raises:
        ConfigError: the comparison lacks what it shows.
    """
    panel = PANELS[name]
    if (why := panel.absent(shown)) is not None:
        raise ConfigError(" ".join(f"there is no figure of {panel.what}: {why}".split()))  # a name may hold breaks
    with drawing():
        figure, [ax] = new_figure(pyplot=pyplot)
        panel.draw(shown, figure, ax)
    return figure


def draw_panels(shown: Shown, names: Iterable[str]) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of the panels among these that the comparison can have."""
    for name in names:
        if PANELS[name].absent(shown) is None:
            yield f"compare_{name}", draw_panel(shown, name)


@dataclass(frozen=True, slots=True)
class _Panel:
    what: str
    """It shows, in words."""
    draw: Callable[[Shown, Figure, Axes], None]
    absent: Callable[[Shown], str | None]
    """Why a comparison has none; None where it has."""


def _whole(shown: Shown) -> list[Analysis]:
    return [analysis for analysis in shown.analyses if isinstance(analysis, Analysis)]


def _lift(shown: Shown, figure: Figure, ax: Axes) -> None:
    lift(_whole(shown), shown.names, figure, ax)


def _accuracy(shown: Shown, figure: Figure, ax: Axes) -> None:
    accuracy(shown.analyses, shown.names, figure, ax)


def _tokens(shown: Shown, figure: Figure, ax: Axes) -> None:
    tokens(_whole(shown), shown.names, figure, ax)


def _log_likelihood(shown: Shown, figure: Figure, ax: Axes) -> None:
    distributions(shown.groups, _two(shown).names, figure, ax)


def _of_added(draw: Callable[[Added, Names, Figure, Axes], None]) -> Callable[[Shown, Figure, Axes], None]:
    def drawn(shown: Shown, figure: Figure, ax: Axes) -> None:
        found = _two(shown)
        assert found.added is not None
        draw(found.added, found.names, figure, ax)

    return drawn


def _two(shown: Shown) -> Comparison:
    assert isinstance(shown.found, Comparison)
    return shown.found


def _lacks(name: str) -> Callable[[Shown], str | None]:
    """Of a panel that only a full report has: what imported runs do not state."""

    def absent(shown: Shown) -> str | None:
        parts = [
            f"{run} is imported, and {why_absent(analysis, name)[1]}"
            for run, analysis in zip(shown.names, shown.analyses, strict=True)
            if not isinstance(analysis, Analysis)
        ]
        return "; ".join(parts) or None

    return absent


def _never(_: Shown) -> None:
    return None


def _no_likelihoods(shown: Shown) -> str | None:
    found = shown.found
    if not isinstance(found, Comparison):
        return f"it is of two runs, and these are {len(found.names)}; compare two of them"
    if shown.groups:
        return None
    commands = f"; run: {' and '.join(found.owed)}, then compare again" if found.owed else ""
    return found.reasons["log_likelihood_base"] + commands


def _no_added(shown: Shown) -> str | None:
    found = shown.found
    if not isinstance(found, Comparison):
        return f"it is of two runs, and these are {len(found.names)}; compare two of them"
    return None if found.added is not None else "the comparison was made without what n samples solve"


def _no_entropies(shown: Shown) -> str | None:
    found = shown.found
    if (why := _no_added(shown)) is not None or not isinstance(found, Comparison) or found.added is None:
        return why
    if any(change.name == "entropy_per_token" for change in found.added.quantities):
        return None
    lacking = [found.reasons[name] for name in ("own likelihood", "lengths") if name in found.reasons]
    return "; ".join(lacking) or "the runs have no entropy of tokens"


PANELS: Mapping[str, _Panel] = {
    "lift": _Panel("best-of-n minus greedy", _lift, _lacks("lift")),
    "accuracy": _Panel("accuracy over n", _accuracy, _never),
    "log_likelihood": _Panel("log-likelihoods under the first model", _log_likelihood, _no_likelihoods),
    "tokens": _Panel("accuracy against tokens", _tokens, _lacks("compute")),
    "pass_at_k": _Panel("pass@k of both runs", _of_added(passing), _no_added),
    "thresholds": _Panel("coverage at a threshold", _of_added(thresholds), _no_added),
    "solved": _Panel("what both, one or none of the runs solve", _of_added(solved), _no_added),
    "entropies": _Panel("entropy of answers against that of tokens", _of_added(entropies), _no_entropies),
}
ON_PAGE = ("lift", "accuracy", "log_likelihood")
"""What stands among the panels of compare.html; accuracy against tokens is on each run's own page."""
OF_ADDED = ("pass_at_k", "thresholds", "solved", "entropies")
"""What stands in the section on what was added."""


def _groups(base: Run, likelihoods: Likelihoods, names: Names) -> Groups:
    own, best = likelihoods.base["sample"], chosen_index(base.pool.log_likelihood)
    first, second = names.adjectives
    return {
        f"{first} pool": own,
        f"{first} best-of-{base.pool.n}": own[np.arange(len(own)), best],
        **_greedy(f"{first} greedy", likelihoods.base),
        f"{second} pool": likelihoods.tuned_by_base["sample"],
        **_greedy(f"{second} greedy", likelihoods.tuned_by_base),
    }


def _greedy(label: str, of: Mapping[str, NDArray[np.float64]]) -> Groups:
    return {label: of["greedy"]} if "greedy" in of else {}
