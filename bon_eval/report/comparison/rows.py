"""The rows of compare.json and compare.csv, column by column, and the document that they make."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from operator import attrgetter
from typing import Any, Literal

from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.analysis.two_runs.findings import Finding
from bon_eval.analysis.two_runs.reward import RewardScorer
from bon_eval.errors import counted
from bon_eval.estimators.amortised import AmortisedShare
from bon_eval.estimators.equivalent_n import Divergence, EquivalentN
from bon_eval.estimators.explained import NO_GAIN, ExplainedGain
from bon_eval.report.comparison.added import ADDED, absent
from bon_eval.report.comparison.change_rows import CHANGE
from bon_eval.report.formats.columns import (
    Column,
    Keyed,
    Many,
    Maybe,
    Row,
    Stored,
    interval,
    later,
    limits,
    own,
    renamed,
    stamp,
    where_tested,
)
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.stats.units import NotNegative, Size
from bon_eval.store.forced import LikelihoodSource

FORMAT_VERSION = 2
"""Of compare.json."""

_End = float | Literal["at most 1", "more than N"] | None


def _ends(estimate: str = "estimate", low: str = "low", high: str = "high") -> tuple[Column[Any], ...]:
    """Three fields of one interval; null where they are NaN or have no bound."""
    fields = {"estimate": estimate, "low": low, "high": high}
    return tuple(Column(name, float | None, _bounded(field)) for name, field in fields.items())


def _bounded(field: str) -> Callable[[object], object]:
    get = attrgetter(field)
    return lambda row: get(row) if math.isfinite(get(row)) else None


def _in_words(field: str) -> Callable[[object], object]:
    """A sharpening-equivalent N: 1 and infinity are the ends of what the base pool can tell."""
    get = attrgetter(field)
    return lambda row: {1.0: "at most 1", math.inf: "more than N"}.get(get(row), get(row))


def _optional(field: str) -> Callable[[object], object]:
    """Of a residual that is None where n is not reached."""
    get = attrgetter(field)
    return lambda test: math.nan if test is None else get(test)


_RESIDUAL_ENDS = {"estimate": "difference", "low": "low", "high": "high"}

_DIVERGENCE = Row[Divergence](
    "divergence",
    (
        *_ends(),
        Column("standard_error", NotNegative | None, lambda found: found.standard_error),
        *own(Divergence, "method", "marked"),
    ),
)

_EQUIVALENT_N = Row[EquivalentN](
    "equivalentN",
    (
        *(Column[EquivalentN](name, _End, _in_words(name)) for name in ("estimate", "low", "high")),
        *own(EquivalentN, "largest"),
    ),
)

_LOG_COVERAGE = Row[Interval]("logCoverage", (*_ends(), *own(Interval, "method")))

_RESIDUAL = Row[PairedTest | None](
    "residual",
    (
        *(Column[PairedTest | None](name, float | None, _optional(field)) for name, field in _RESIDUAL_ENDS.items()),
        Column("marked", bool, lambda test: test is not None and test.marked),
    ),
)

_EXPLAINED = Row[ExplainedGain](
    "",
    (
        Column("predicted_accuracy", float | None, lambda found: found.predicted),
        Column("residual", _RESIDUAL, lambda found: found.residual),
        Column("share", Row("limits", _ends("share", "share_low", "share_high")), lambda found: found),
    ),
    finite=True,
)

_REWARD = Row[RewardScorer](
    "rewardScorer",
    (
        *interval(RewardScorer, "reward"),
        *interval(RewardScorer, "likelihood"),
        *own(RewardScorer, "difference.difference"),
        *limits("difference.", "difference_"),
        *renamed(RewardScorer, difference_method="difference.method"),
        *where_tested(own(RewardScorer, "difference.p_value"), "difference"),
    ),
    description="Accuracy of best-of-n of the tuned model's pool by log pi - log pi_ref and by log pi.",
    finite=True,
)

_RUN_KEYS: Mapping[str, object] = {
    "path": str,
    "config": Stored({}, required=("model", "task", "n")),
    "engine": Stored({}, nullable=True),
    "versions": Stored({}, nullable=True),
    "grader": Stored({}),
}
OF_RUN = Stored(_RUN_KEYS, required=tuple(_RUN_KEYS))

_ANALYSIS = Row[Comparison](
    "",
    (
        *renamed(Comparison, problems="n_problems"),
        *own(Comparison, "cluster", "n_clusters"),
        *own(Comparison, "n"),
        Column("n_before", Size, lambda found: found.sizes[0]),
        Column("n_after", Size, lambda found: found.sizes[1]),
        *own(Comparison, "draws", "seed"),
    ),
)

_Direction = Literal["KL(after || before)", "KL(before || after)"]
_Curve = Literal["log_likelihood", "accuracy"]
_Seen = Literal["before", "after", "after, at the base model's best"]


_OUTSIDE = "the accuracy that sharpening predicts lies outside of [0, 1]: the curve was extended too far"


def _few(found: Comparison) -> str:
    """Why nothing is derived from the tables, or empty."""
    enough = found.units[0] >= LEAST_PROBLEMS
    return "" if enough else f"not said of {counted(*found.units)}; from {LEAST_PROBLEMS} on"


def _amortised(found: Comparison) -> AmortisedShare | None:
    a = found.amortised
    unbounded = math.isinf(a.low) and math.isinf(a.high)
    return None if _few(found) or a.share is None or unbounded else a


def _explained(found: Comparison) -> ExplainedGain | None:
    e = found.explained
    if _few(found) or e is None or not 0.0 <= e.predicted <= 1.0:
        return None
    return replace(e, share=math.nan, share_low=math.nan, share_high=math.nan) if e.reason == NO_GAIN else e


def _equivalent(found: Comparison) -> Mapping[str, EquivalentN]:
    return {} if _few(found) else found.equivalent_n


def _reasons(found: Comparison) -> dict[str, str]:
    reasons = {**found.reasons, **{f"added.{name}": reason for name, reason in absent(found).items()}}
    if found.n_clusters is None:
        reasons |= dict.fromkeys(("analysis.cluster", "analysis.n_clusters"), "each problem is resampled by itself")
    if found.amortised.reason:
        reasons["amortised_share"] = found.amortised.reason
    if found.explained is not None and found.explained.reason:
        reasons["explained"] = found.explained.reason
    reasons |= {f"equivalent_n.{name}": e.reason for name, e in found.equivalent_n.items() if e.reason}
    if few := _few(found):
        reasons |= dict.fromkeys(("amortised_share", "explained", "equivalent_n"), few)
    elif found.explained is not None and not math.isnan(found.explained.predicted) and _explained(found) is None:
        reasons["explained"] = _OUTSIDE
    shares = [("amortised_share", found.amortised.low, found.amortised.high)]
    if found.explained is not None:
        shares.append(("explained", found.explained.share_low, found.explained.share_high))
    for name, low, high in shares:
        if math.isinf(low) or math.isinf(high):
            reasons.setdefault(name, "Fieller's set has no bound on that side")
    of_intervals = {f"log_coverage.{name}": value.reason for name, value in found.log_coverage.items()}
    of_intervals |= {f"divergences.{name}": kl.reason for name, kl in found.divergences.items()}
    return reasons | {name: reason for name, reason in of_intervals.items() if reason is not None}


DOCUMENT = Row[Comparison](
    "",
    (
        *stamp("bon-eval comparison", FORMAT_VERSION),
        Column("before", OF_RUN, lambda found: found.before),
        Column("after", OF_RUN, lambda found: found.after),
        Column("analysis", _ANALYSIS, lambda found: found),
        *own(Comparison, "differences"),
        *later(
            Column(
                "names",
                tuple[str, ...],
                lambda found: found.names.sides,
                description="What the two runs are called; before and after in this document are the first and the "
                "second of them.",
            ),
            Column(
                "owed",
                tuple[str, ...],
                lambda found: found.owed,
                description="Commands that would have each run scored by the other's model.",
            ),
        ),
        Column(
            "likelihoods",
            Mapping[Literal["before", "after"], LikelihoodSource],
            lambda found: dict(zip(("before", "after"), found.sources or (), strict=False)),
            description="Which log-likelihoods of a run's responses under its own model stand in differences between "
            "the models, where the other model's are forced; empty where the prompts differ or a run was not "
            "scored by the other's model.",
        ),
        Column("accuracies", Many(CHANGE, 2), lambda found: found.accuracies),
        Column("quantities", Many(CHANGE), lambda found: found.quantities),
        *later(
            Column(
                "draw_accuracies",
                Many(CHANGE),
                lambda found: found.draw_accuracies,
                description="Of draws that both runs have under one name with one set of parameters.",
            )
        ),
        Column("divergences", Keyed(_DIVERGENCE, _Direction), lambda found: found.divergences),
        Column("equivalent_n", Keyed(_EQUIVALENT_N, _Curve), _equivalent),
        Column("amortised_share", Maybe(Row("limits", _ends("share"))), _amortised),
        Column("explained", Maybe(_EXPLAINED), _explained),
        Column(
            "log_coverage",
            Keyed(_LOG_COVERAGE, _Seen),
            lambda found: found.log_coverage,
            description="Upper bounds of ln C_cov in nats.",
        ),
        *later(
            Column("reward", Maybe(_REWARD), lambda found: found.reward),
            Column("added", Maybe(ADDED), lambda found: found.added),
        ),
        Column("findings", Many(Row("", own(Finding, "name", "verdict", "sentence"))), lambda found: found.findings),
        Column("null_reasons", Mapping[str, str], _reasons),
    ),
    description="compare.json: two runs on the same problems, a base model's and its tuned one's or any. Shares are "
    "fractions of 1; log-likelihoods are nats per response.",
)


def document(found: Comparison) -> dict[str, object]:
    """The content of compare.json: JSON-ready, and nulls have reasons."""
    return DOCUMENT.json(found)
