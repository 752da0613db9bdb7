"""What the report of an imported run holds that lacks something: each number, or why it is not there.

Accuracies and shares are fractions of 1, log-likelihoods nats per response, lengths tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from bon_eval.analysis.levels.facts import Levels
from bon_eval.analysis.results import ArmKind
from bon_eval.analysis.settings import Settings
from bon_eval.analysis.shapes import Histogram
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.units import SHARE, Count, LogLikelihood, NotNegative, Positive, Share, Size


@dataclass(frozen=True, slots=True)
class ImportedArm:
    """One way to answer: means over problems with intervals over problems."""

    arm: ArmKind
    n: Size
    scorer: str | None
    """What best-of-n picks by, or the name of a weighted vote."""
    accuracy: Annotated[Interval, SHARE]
    over_sample: PairedTest | None
    """Accuracy minus that of one sample, paired by problem; None for the sample itself and for greedy."""
    p_over_sample: Share | None
    """Step-down p-value in the family of all arms against one sample (`bon_eval.stats.step_down`)."""
    over_greedy: PairedTest | None
    """Accuracy minus greedy's; None without greedy responses."""
    p_over_greedy: Share | None
    """Step-down p-value in the family of all arms against greedy."""
    log_likelihood: LogLikelihood | None
    """Mean over problems and picks."""
    n_tokens: NotNegative | None
    truncated: Share | None
    unfinished: Share | None
    unscored: Share | None
    monte_carlo_error: Positive | None = None
    null_reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As tables print it, such as ``best-of-32 log_likelihood``."""
        if self.arm in ("greedy", "sample"):
            return self.arm
        return f"{self.arm.removesuffix('-n').removesuffix('-of')}-of-{self.n}" + (
            f" {self.scorer}" if self.scorer else ""
        )


@dataclass(frozen=True, slots=True)
class ImportedPoint:
    """An arm at one n."""

    arm: str
    """A scorer that best-of-n goes by, ``vote`` (with the name of a weighted vote behind it) or ``oracle``."""
    n: Size
    accuracy: Share

    @property
    def scorer(self) -> str:
        """As `bon_eval.analysis.curves.CurvePoint` has it."""
        return self.arm


@dataclass(frozen=True, slots=True)
class ImportedProblem:
    """What arms are worth on one problem; None where the run lacks what it needs."""

    problem_id: str
    gold: str
    greedy_correct: bool | None
    pool_accuracy: Share
    best_of_n: Mapping[str, Share]
    """Scorer -> at the table's last n."""
    vote: Share
    oracle: Share
    best_log_likelihood: LogLikelihood | None
    pool_truncated: Share | None
    pool_unscored: Share


@dataclass(frozen=True, slots=True)
class ScorerAuroc:
    """How well a scorer tells correct from incorrect responses to one problem."""

    scorer: str
    auroc: Annotated[Interval, SHARE]
    """Within problems, ties one half; 0.5 is chance."""
    problems: Size
    """Those whose pool holds both kinds."""


@dataclass(frozen=True, slots=True)
class ImportedAnalysis:
    """Everything that the report of such a run prints."""

    run: Mapping[str, object]
    """As `bon_eval.analysis.results.Analysis.run`, with ``source``."""
    settings: Settings
    pool_size: Size
    n_problems: Size
    n_clusters: Size | None
    n_excluded: Count
    """Problems left out because a response of theirs was cut."""
    arms: tuple[ImportedArm, ...]
    curves: tuple[ImportedPoint, ...]
    problems: tuple[ImportedProblem, ...]
    aurocs: tuple[ScorerAuroc, ...]
    histograms: tuple[Histogram, ...]
    levels: Levels
    """Whether likelihood predicts correctness; without log-likelihoods and lengths the reason why it is not asked."""
    absent: Mapping[str, str]
    """What a full report has and this one has not -> why, and what would give it."""
    sentences: tuple[str, ...]
    """Verdicts in words."""
    cautions: tuple[str, ...]
    duplicate_share: Share
    """Mean over problems of the share of pool responses whose text repeats an earlier one."""
    chance: Share | None
    """Mean over problems of how often a guess is right; None where it is not known."""

    @property
    def units(self) -> tuple[int, str]:
        """How many of what are resampled: ``problem`` or ``cluster``."""
        return (self.n_problems, "problem") if self.n_clusters is None else (self.n_clusters, "cluster")
