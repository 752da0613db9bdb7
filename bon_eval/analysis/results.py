"""What an analysis finds: the rows of its tables and the headline facts, as values without behaviour.

Accuracies and shares are fractions of 1; log-likelihoods are in nats; lengths are in tokens, end token included;
"points" are percentage points (100 times a difference of accuracies). A number that does not exist is None, and
`null_reasons` of its row says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from bon_eval.analysis.compute import ComputeRow
from bon_eval.analysis.curves import CurvePoint
from bon_eval.analysis.draws.facts import DrawFacts, DrawPair
from bon_eval.analysis.draws.values import ArmValues
from bon_eval.analysis.explain import Explanation
from bon_eval.analysis.levels.facts import Levels
from bon_eval.analysis.settings import Settings
from bon_eval.analysis.shapes import ReasoningRow
from bon_eval.analysis.unrun_arms import Replayed
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.units import (
    NOT_POSITIVE,
    SHARE,
    Count,
    EstimateOnly,
    Limits,
    LogLikelihood,
    NotNegative,
    Positive,
    Share,
    Size,
)

ArmKind = Literal["greedy", "sample", "best-of-n", "vote", "oracle"]
"""The ways to answer that a table compares."""

VariantName = Literal["without truncated", "strict format"]
"""The other rules under which the arms table is made again."""


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One line of the arms table: means over problems with intervals over problems."""

    arm: ArmKind
    n: Size
    """Responses that the arm draws for one answer (1 for greedy and sample)."""
    scorer: str | None
    """What best-of-n picks by, or the name of a weighted vote; None for the other arms."""
    accuracy: Annotated[Interval, SHARE]
    lift: PairedTest | None
    """Accuracy minus greedy's, paired by problem, as a fraction; None for greedy itself."""
    lift_percent: float | None
    """The difference in percent of greedy's accuracy."""
    lift_percent_low: float | None
    lift_percent_high: float | None
    """Fieller's interval (`bon_eval.stats.ratios.relative_difference`); None where there is no bound."""
    p_holm: Share | None
    """Holm-adjusted p-value of `lift` in the family best-of-n, all n of the table, primary scorer."""
    p_joint: Share | None
    """Step-down p-value of `lift` in the family of all other arms of the table (`bon_eval.stats.step_down`)."""
    log_likelihood: Annotated[Interval, NOT_POSITIVE, EstimateOnly()] | None
    """Of the picked responses under the model, in nats."""
    n_tokens: NotNegative | None
    truncated: Share | None
    unfinished: Share | None
    """Reasoning not finished, and so no answer; None where the grades do not tell."""
    unscored: Share | None
    monte_carlo_error: Positive | None = None
    """Standard error of `accuracy` from drawing subsets; None where the arm is exact."""
    responses: Annotated[Interval, SHARE] | None = None
    """Interval of `accuracy` over redrawn responses to these very problems; None for greedy, votes and the oracle."""
    fresh: Annotated[Interval, SHARE] | None = None
    """Where the accuracy of a fresh run of the arm on these problems lies with 95 % (n responses each, one picked)."""
    null_reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def p_family(self) -> float | None:
        """The p-value of `lift` in its family, whichever it is; None for greedy."""
        return self.p_joint if self.p_holm is None else self.p_holm

    @property
    def name(self) -> str:
        """The arm as the tables print it, such as ``best-of-32 log_likelihood``."""
        if self.arm in ("greedy", "sample"):
            return self.arm
        if self.arm == "best-of-n":
            return f"best-of-{self.n} {self.scorer}"
        return f"{self.arm}-of-{self.n}" + (f" {self.scorer}" if self.scorer else "")


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One problem: what each arm is worth on it."""

    problem_id: str
    gold: str
    greedy_correct: bool
    """False for an unscored response, too."""
    greedy_unscored: bool
    greedy_truncated: bool
    greedy_unfinished: bool | None
    """Reasoning not finished; None where the grades do not tell, here and in `pool_unfinished`."""
    greedy_log_likelihood: LogLikelihood
    pool_accuracy: Share
    """The value of one sample."""
    best_of_n: Mapping[str, Share]
    """Scorer -> value of best-of-n at the table's last n."""
    vote: Share
    oracle: Share
    best_log_likelihood: LogLikelihood
    """Highest of the pool."""
    above_greedy: Share
    """Share of the pool that is sharper than greedy (see `Facts.sharper_than_greedy`)."""
    pool_truncated: Share
    pool_unfinished: Share | None
    pool_unscored: Share


@dataclass(frozen=True, slots=True)
class Headline:
    """Best-of-n by the primary scorer minus another arm, paired by problem, with the verdict of its interval."""

    against: Literal["greedy", "sample"]
    test: PairedTest
    p_holm: Share
    """Adjusted over the n of the table: the verdict goes by it."""
    verdict: Annotated[str, Limits(enum=("higher", "lower", "same", "not shown"))]
    """``same``: the difference is shown to be smaller than `Settings.margin`."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Headline facts of a run."""

    comparisons: tuple[Headline, ...]
    """Against greedy, then against one sample."""
    sharper_than_greedy: Annotated[Interval, SHARE]
    """Share of problems whose pool holds a response of higher log-likelihood than greedy's that is not the greedy
    response itself."""
    same_told_by: Literal["token ids", "text", "nothing"]
    """What tells that a pool response is the greedy response: ``text`` where a server gave no token ids for some;
    ``nothing`` of arrays that do not say, where greedy's own response counts when rounding makes it likelier."""
    above_greedy: Share
    """Mean over problems of the share of the pool that is sharper than greedy."""
    duplicate_share: Share | None
    """Mean over problems of the share of pool responses that repeat an earlier one; None if it was not given."""
    reasoning: tuple[ReasoningRow, ...] = ()
    """Of greedy and of the pool; empty where the grades do not tell reasoning from the answer."""
    special_inside: Share | None = None
    """Responses of the pool with a special token before their last one; None where the run does not tell."""
    chance: Share | None = 0.0
    """Mean over problems of how often a guess is right; None where it is not known of one."""
    chance_oracle: Share | None = 0.0
    """The same of an oracle over guesses, as many as the table's last n."""
    cautions: tuple[str, ...] = ()
    """What is wrong with the run as a whole (see `bon_eval.analysis.shapes`)."""

    @property
    def verdict(self) -> str:
        """One sentence: best-of-n against greedy."""
        return self.comparisons[0].sentence

    @property
    def told_apart(self) -> str:
        """How greedy's own response was left out, for the end of a sentence on responses likelier than greedy's."""
        if self.same_told_by == "nothing":
            return " (greedy's own response is not told apart)"
        return f" (greedy's own response, told by {self.same_told_by}, left out)"


PairFamily = Literal["n against greedy", "n against sample", "other pairs"]
"""Which family of comparisons a pair of arms belongs to."""


@dataclass(frozen=True, slots=True)
class ArmPair:
    """Two arms of the table, paired by problem."""

    arm: str
    other: str
    """Names as `ArmRow.name`."""
    test: PairedTest
    """Accuracy of `arm` minus that of `other`, as a fraction."""
    family: PairFamily
    p_holm: Share | None
    """Holm-adjusted within the family of n; None for other pairs."""
    p_joint: Share | None
    """Step-down p-value within the family of other pairs (`bon_eval.stats.step_down`); None for the families of n."""

    @property
    def p_family(self) -> float:
        """The p-value in its family, whichever it is."""
        found = self.p_joint if self.p_holm is None else self.p_holm
        assert found is not None
        return found


@dataclass(frozen=True, slots=True)
class SelectedScorer:
    """The scorer whose best-of-n at the table's last n is most accurate on these problems."""

    scorer: str
    of: Size
    """Scorers that it was selected among; blind controls are none."""
    accuracy: Annotated[Interval, SHARE]
    """Its accuracy on the problems that selected it: too high by what it was selected for."""
    cross_fitted: Annotated[Interval, SHARE]
    """Accuracy of the scorer that one half of the problems selects, on the other half; mean over random halves."""


@dataclass(frozen=True, slots=True)
class Variant:
    """The arms table under another rule, on the same stored responses."""

    name: VariantName
    note: str
    """What the rule is and what it leaves out."""
    n_problems: Size
    arms: tuple[ArmRow, ...]
    draws: tuple[DrawFacts, ...] = ()
    """The draws under the same rule."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that the reports print."""

    run: Mapping[str, object]
    """``config``, ``versions``, ``engine``, ``hashes``, ``state``, ``grader`` and the number of ``sessions``."""
    settings: Settings
    pool_size: Size
    """N, responses per problem."""
    n_problems: Size
    """Problems analysed."""
    n_clusters: Size | None
    """Groups of problems that are resampled together, and the sampling unit; None: each problem by itself."""
    n_excluded: Count
    """Problems left out because a response of theirs was truncated (0 unless `Settings.exclude_truncated`)."""
    n_missing: Count
    """Problems of the run that have no complete responses yet (0 unless the run was loaded as partial)."""
    arms: tuple[ArmRow, ...]
    curves: tuple[CurvePoint, ...]
    """Every scorer at every n = 1..N; the oracle too; the votes at the table's n."""
    problems: tuple[ProblemRow, ...]
    facts: Facts
    explanation: Explanation
    pairs: tuple[ArmPair, ...]
    """Every arm of the table against every earlier one."""
    selected: SelectedScorer | None
    """The scorer of the highest accuracy; None with one scorer or too few problems."""
    replayed: Replayed
    """Arms that were not run: the power distribution, adaptive stopping, coverage."""
    compute: tuple[ComputeRow, ...]
    """Every arm that can be run, adaptive ones too: tokens generated per problem and accuracy."""
    draws: tuple[DrawFacts, ...] = ()
    """Besides greedy and the pool."""
    draw_pairs: tuple[DrawPair, ...] = ()
    """Their arms against those of the pool, and of one another."""
    draw_curves: Mapping[str, tuple[CurvePoint, ...]] = field(default_factory=dict)
    """By draw, as `curves`; the majority vote at powers of two, and intervals where `draws` has the arm."""
    draw_problems: tuple[ArmValues, ...] = ()
    """Where there are draws, every arm on each problem, in the order of `problems`: greedy, the pool's, the draws'."""
    variants: tuple[Variant, ...] = ()
    variant_reasons: Mapping[str, str] = field(default_factory=dict)
    """Name of a variant that is not there -> why."""
    levels: Levels = field(default_factory=Levels)
    """Whether likelihood predicts correctness, across methods, settings, prompt-answer pairs and responses."""

    @property
    def units(self) -> tuple[int, str]:
        """How many of what are resampled: ``problem`` or ``cluster``."""
        return (self.n_problems, "problem") if self.n_clusters is None else (self.n_clusters, "cluster")
