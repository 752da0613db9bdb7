"""Draws besides greedy and the pool: what each is worth by every way to answer from it, paired with every other arm.

Each is analysed like the pool, on the same problems and under the same scorers. Whatever assumes samples of the model's
own distribution (sharpening curve, stopping rules, coverage) is not made of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import numpy as np

from bon_eval.analysis.arms import CORRECT, LOG_LIKELIHOOD, N_TOKENS, Data, compute_data, stacked, stream
from bon_eval.analysis.responses import Array, Drawn
from bon_eval.analysis.settings import Settings, default_ns
from bon_eval.draws import DrawSpec
from bon_eval.estimators.distinct import answer_entropy, distinct_of_n
from bon_eval.stats import Interval, PairedTest, bootstrap_cis, paired_tests, step_down
from bon_eval.stats.bootstrap import NOT_ABOVE_0, NOT_BELOW_0, UNBOUNDED
from bon_eval.stats.paired import paired_differences
from bon_eval.stats.units import NOT_NEGATIVE, NOT_POSITIVE, SHARE, EstimateOnly, NotNegative, Positive, Share, Size

DrawArmKind = Literal["mean", "best-of-n", "vote", "oracle"]
"""The ways to answer from a draw: one of its responses, the one of highest score, a vote, any that is correct."""


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
        if self.arm == "mean":
            return self.draw
        kind = f"best-of-{self.n}" if self.arm == "best-of-n" else f"{self.arm}-of-{self.n}"
        return " ".join([self.draw, kind, *([self.scorer] if self.scorer else [])])


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


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One arm of one draw before it has an interval."""

    draw: str
    arm: DrawArmKind
    n: int
    scorer: str | None
    correct: Array
    """(P,)."""
    log_likelihood: Array | None = None
    shares: tuple[float, ...] | None = None
    """Mean length, and shares truncated, unfinished and unscored; None of arms that pick an answer."""
    error: float = 0.0


def draw_facts(
    data: Data, settings: Settings, specs: Sequence[DrawSpec]
) -> tuple[tuple[DrawFacts, ...], tuple[DrawPair, ...]]:
    """Every draw with its arms, and their pairs with the arms of the pool and with one another.

    Pairs are: every draw's mean, best-of-n by the primary scorer and vote against one sample, best-of-N and the vote of
    the pool; and those of two draws, each with its like. Comparisons with greedy are the arms' lifts.

    Args:
        data: of the run, whose `Responses.others` are the draws.
        settings: of the analysis; best-of-n is shown at powers of two and the draw's n.
        specs: how each was drawn.
    """
    others = data.responses.others
    if not others:
        return (), ()
    greedy = stacked(data.responses.greedy)[CORRECT].mean(axis=1)
    columns = [column for name, drawn in others.items() for column in _columns(name, drawn, data, settings)]
    common: dict[str, Any] = {
        "draws": settings.draws,
        "confidence": settings.confidence,
        "clusters": data.responses.clusters,
    }
    accuracy = bootstrap_cis(
        np.column_stack([c.correct for c in columns]), rng=stream(settings, "intervals of draws"), **common
    )
    lifts = paired_tests(
        np.column_stack([c.correct for c in columns]),
        np.column_stack([greedy] * len(columns)),
        rng=stream(settings, "tests of draws"),
        **common,
    )
    p_joint = step_down(
        np.column_stack([paired_differences(c.correct, greedy, True) for c in columns]),
        [test.p_value for test in lifts],
        rng=stream(settings, "family of draws"),
        draws=settings.draws,
        clusters=data.responses.clusters,
    )
    likelihood = _likelihoods(columns, settings, common)
    arms = [
        DrawArm(
            c.draw,
            c.arm,
            c.n,
            c.scorer,
            interval,
            lift,
            p_value,
            likelihood.get(k),
            *_shares(c, data),
            c.error or None,
        )
        for k, (c, interval, lift, p_value) in enumerate(zip(columns, accuracy, lifts, p_joint.tolist(), strict=True))
    ]
    tokens = bootstrap_cis(
        np.column_stack([drawn.pool.n_tokens.mean(axis=1) for drawn in others.values()]),
        support=NOT_BELOW_0,
        rng=stream(settings, "tokens of draws"),
        **common,
    )
    of_name = {spec.name: spec for spec in specs}
    facts = tuple(
        _facts(of_name[name], drawn, found, tuple(arm for arm in arms if arm.draw == name))
        for (name, drawn), found in zip(others.items(), tokens, strict=True)
    )
    return facts, _pairs(data, settings, columns, arms)


def _columns(name: str, drawn: Drawn, data: Data, settings: Settings) -> list[_Column]:
    """The arms of one draw: its mean, best-of-n by every scorer, votes, the oracle."""
    responses, n = data.responses, drawn.pool.n
    values = stacked(drawn.pool).mean(axis=2)
    found = [_Column(name, "mean", 1, None, *_picked(values))]
    if n == 1:
        return found
    own = replace(settings, ns=default_ns(n))
    of_draw = replace(
        responses, pool=drawn.pool, scores=drawn.scores, vote_scores=drawn.vote_scores, duplicates=None, others={}
    )
    arms = compute_data(of_draw, own, curves=False)
    for scorer, picks in arms.picks.items():
        sizes = own.ns if scorer == settings.primary_scorer else own.ns[-1:]
        found += [_Column(name, "best-of-n", size, scorer, *_picked(picks.per_problem[size])) for size in sizes]
    found.append(_Column(name, "vote", n, None, arms.vote[n], error=arms.vote_error[n]))
    found += [_Column(name, "vote", n, rule, v.values[n], error=v.error[n]) for rule, v in arms.weighted.items()]
    found.append(_Column(name, "oracle", n, None, arms.oracle[n]))
    return found


def _picked(values: Array) -> tuple[Array, Array, tuple[float, ...]]:
    """Of (quantities, P): who is correct and how likely, and the means of the others."""
    return values[CORRECT], values[LOG_LIKELIHOOD], tuple(values[N_TOKENS:].mean(axis=1).tolist())


def _shares(column: _Column, data: Data) -> tuple[float | None, float | None, float | None, float | None]:
    """Length, truncated, unfinished, unscored, as a row has them."""
    if column.shares is None:
        return None, None, None, None
    n_tokens, truncated, unfinished, unscored = column.shares
    known = data.responses.others[column.draw].pool.answer_chars is not None
    return n_tokens, truncated, unfinished if known else None, unscored


def _likelihoods(columns: Sequence[_Column], settings: Settings, common: Mapping[str, Any]) -> dict[int, Interval]:
    """By number of the column, for those that pick a response."""
    found = {k: c.log_likelihood for k, c in enumerate(columns) if c.log_likelihood is not None}
    intervals = bootstrap_cis(
        np.column_stack(list(found.values())),
        support=[NOT_ABOVE_0 if (value <= 0.0).all() else UNBOUNDED for value in found.values()],
        rng=stream(settings, "likelihoods of draws"),
        **common,
    )
    return dict(zip(found, intervals, strict=True))


def _facts(spec: DrawSpec, drawn: Drawn, tokens: Interval, arms: tuple[DrawArm, ...]) -> DrawFacts:
    pool = drawn.pool
    return DrawFacts(
        draw=spec.name,
        n=pool.n,
        temperature=spec.temperature,
        top_p=spec.top_p,
        top_k=spec.top_k,
        min_p=spec.min_p,
        own_distribution=spec.sampling(1).own_distribution,
        tokens=tokens,
        duplicate_share=None if drawn.duplicates is None else float(drawn.duplicates.mean()),
        distinct_answers=float(distinct_of_n(pool.answer_class, pool.n).mean()),
        answer_entropy=float(answer_entropy(pool.answer_class).mean()),
        arms=arms,
    )


def _pairs(data: Data, settings: Settings, columns: Sequence[_Column], arms: Sequence[DrawArm]) -> tuple[DrawPair, ...]:
    """Of the likes of each draw and of the pool."""
    primary, last = settings.primary_scorer, settings.ns[-1]
    pool = {
        "sample": ("mean", stacked(data.responses.pool)[CORRECT].mean(axis=1)),
        f"best-of-{last} {primary}": ("best-of-n", data.picks[primary].per_problem[last][CORRECT]),
        f"vote-of-{last}": ("vote", data.vote[last]),
    }
    largest = {c.draw: c.n for c in columns}  # the last arm of a draw is at its n
    own = [
        (arm.name, c.arm, c.correct)
        for c, arm in zip(columns, arms, strict=True)
        if c.arm == "mean" or (c.n == largest[c.draw] and (c.arm, c.scorer) in (("best-of-n", primary), ("vote", None)))
    ]
    wanted = [(name, value, other, against) for name, _, value in own for other, (_, against) in pool.items()]
    wanted += [
        (name, value, other, against)
        for k, (name, kind, value) in enumerate(own)
        for other, other_kind, against in own[:k]
        if kind == other_kind
    ]
    tests = paired_tests(
        np.column_stack([value for _, value, _, _ in wanted]),
        np.column_stack([against for _, _, _, against in wanted]),
        rng=stream(settings, "pairs of draws"),
        draws=settings.draws,
        confidence=settings.confidence,
        clusters=data.responses.clusters,
    )
    p_joint = step_down(
        np.column_stack([paired_differences(value, against, True) for _, value, _, against in wanted]),
        [test.p_value for test in tests],
        rng=stream(settings, "family of pairs of draws"),
        draws=settings.draws,
        clusters=data.responses.clusters,
    )
    return tuple(
        DrawPair(name, other, test, p_value)
        for (name, _, other, _), test, p_value in zip(wanted, tests, p_joint.tolist(), strict=True)
    )
