"""How numbers were made of a stored run, or of runs that are compared, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.imported.findings import ImportedAnalysis
from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.errors import counted
from bon_eval.report.formats.figures import scorer_label
from bon_eval.report.paper.changes import AnyComparison
from bon_eval.run.versions import versions as installed
from bon_eval.scorers import get_scorer
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS


def statistics(analysis: AnyAnalysis) -> Iterator[str]:
    """The arms, the intervals and the families of tests of a run's own report."""
    settings, units = analysis.settings, analysis.units[1]
    if any(row.arm == "best-of-n" for row in analysis.arms):
        by = scorer_label(settings.primary_scorer)
        others = [scorer_label(name) for name in settings.scorers if name != settings.primary_scorer]
        blind = [scorer_label(name) for name in settings.scorers if get_scorer(name).blind]
        controls = f" ({listed(blind)} as {'a control' if len(blind) == 1 else 'controls'})" if blind else ""
        yield (
            f"Best-of-n picks the response of highest {by} among n"
            + (f"; it is also made by {listed(others)}{controls}" if others else "")
            + f". Its accuracy is the exact expectation over all subsets of n of the {analysis.pool_size} responses."
        )
    yield (
        "A vote picks the most frequent answer, answers that are equal to the grader being one; the oracle counts a "
        "problem that any of n responses solves."
    )
    clusters = ""
    if analysis.n_clusters is not None:
        clusters = (
            f", {counted(analysis.n_clusters, 'group')} of problems with one {settings.cluster} resampled together"
        )
    yield (
        f"Intervals are {100 * settings.confidence:g} % over {units}s{clusters}; differences are paired by problem; "
        f"what is resampled takes {settings.draws:,} draws, seed {settings.seed}."
    )
    if analysis.units[0] < LEAST_PROBLEMS:
        yield f"With {counted(*analysis.units)}, fewer than {LEAST_PROBLEMS}, no difference is tested."
        return
    yield _families(analysis)
    if settings.looks > 1:
        yield f"{settings.looks} looks at the growing run were planned, which share the 5 %."


def _families(analysis: AnyAnalysis) -> str:
    if isinstance(analysis, ImportedAnalysis):
        return "p-values are adjusted over all arms of the table (step-down max-t), against each baseline by itself."
    draws = ", and over all arms of the further draws (step-down max-t)" if analysis.draws else ""
    return (
        "p-values against greedy decoding are adjusted over the n of best-of-n (Holm), over all other arms (step-down "
        f"max-t){draws}."
    )


def versions(meta: Mapping[str, Any]) -> str:
    """Of bon-eval: the one that made the run, and this one."""
    made, here = meta.get("versions", {}).get("bon-eval"), installed()["bon-eval"]
    verb = "imported" if "source" in meta else "sampled"
    if made in (None, here):
        return f"All of it was done with bon-eval {here}."
    return f"It was {verb} with bon-eval {made} and analysed with bon-eval {here}."


def of_comparison(found: AnyComparison, names: Sequence[str]) -> Iterator[str]:
    """How two runs or more were compared."""
    units = found.units[1]
    family = "the accuracies" if isinstance(found, Comparison) else f"all {len(found.pairs)} differences"
    yield (
        f"{listed(list(names))} are compared on the same {counted(found.n_problems)}, paired by problem; best-of-n, "
        f"vote and oracle are of n = {found.n}."
    )
    clusters = ""
    if found.n_clusters is not None:
        clusters = f", {counted(found.n_clusters, 'group')} of problems with one {found.cluster} resampled together"
    yield (
        f"Intervals are 95 % over {units}s{clusters}; what is resampled takes {found.draws:,} draws, seed "
        f"{found.seed}; p-values are Holm-adjusted over {family}."
    )


def listed(words: list[str], joint: str = "and") -> str:
    """Words as a sentence has them; there is one at least.

    >>> listed(["a", "b", "c"], "or")
    'a, b or c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"
