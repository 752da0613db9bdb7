"""What is found of draws besides greedy and the pool, as values without behaviour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bon_eval.draws import SAMPLE
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.units import NOT_NEGATIVE, NOT_POSITIVE, SHARE, EstimateOnly, NotNegative, Positive, Share, Size

DrawArmKind = Literal["mean", "best-of-n", "vote", "oracle"]
"""The ways to answer from a draw: one of its responses, the one of highest score, a vote, any that is correct."""


def arm_name(draw: str, arm: DrawArmKind, n: int, scorer: str | None) -> str:
    """An arm as the tables print it; of the pool, whose name is left out, too.

    >>> arm_name("low", "best-of-n", 8, "shortest"), arm_name("sample", "vote", 32, None)
    ('low best-of-8 shortest', 'vote-of-32')
    """
    if arm == "mean":
        return draw
    kind = f"best-of-{n}" if arm == "best-of-n" else f"{arm}-of-{n}"
    return " ".join([*([] if draw == SAMPLE else [draw]), kind, *([scorer] if scorer else [])])


@dataclass(frozen=True, slots=True)
class DrawArm:
    """One way to answer from one draw."""

    draw: str
    arm: DrawArmKind
    n: Size
    """Responses that the arm draws for one answer."""
    scorer: str | None
    """What best-of-n picks by, or the name of a weighted vote; None for the other arms."""
    accuracy: Annotated[Interval, SHARE]
    lift: PairedTest
    """Accuracy minus greedy's, paired by problem, as a fraction."""
    p_joint: Share
    """Step-down p-value of `lift` in the family of all arms of all draws (`bon_eval.stats.step_down`)."""
    log_likelihood: Annotated[Interval, NOT_POSITIVE, EstimateOnly()] | None
    """Of the picked responses under the model's raw distribution, in nats; None for votes and the oracle, as are the
    next four."""
    n_tokens: NotNegative | None
    truncated: Share | None
    unfinished: Share | None
    """Reasoning not finished, and so no answer; None where the grades do not tell, too."""
    unscored: Share | None
    monte_carlo_error: Positive | None = None
    """Standard error of `accuracy` from drawing subsets; None where the arm is exact."""

    @property
    def name(self) -> str:
        """The arm as the tables print it, such as ``low`` or ``low best-of-8 log_likelihood``."""
        return arm_name(self.draw, self.arm, self.n, self.scorer)


@dataclass(frozen=True, slots=True)
class DrawFacts:
    """One draw and its arms."""

    draw: str
    n: Size
    """Responses per problem."""
    temperature: NotNegative
    top_p: Annotated[float, SHARE]
    top_k: NotNegative
    min_p: Annotated[float, SHARE]
    own_distribution: bool
    """Whether its responses are samples of the model's own distribution."""
    tokens: Annotated[Interval, NOT_NEGATIVE]
    """Of one response."""
    duplicate_share: Share | None
    """Mean over problems of the share of responses whose text repeats an earlier one; None where it was not given."""
    distinct_answers: NotNegative
    """Mean over problems of the number of different answers among the n responses."""
    answer_entropy: NotNegative
    """Mean over problems of the entropy of the answers, in nats, no answer being one; by the shares in n responses, and
    so too low, and never above log n."""
    arms: tuple[DrawArm, ...]


@dataclass(frozen=True, slots=True)
class DrawPair:
    """Two arms of which one at least is of a draw, paired by problem."""

    arm: str
    other: str
    test: PairedTest
    """Accuracy of `arm` minus that of `other`, as a fraction."""
    p_joint: Share
    """Step-down p-value within the family of all these pairs."""
