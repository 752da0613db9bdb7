"""What each arm is worth on each problem: those of other draws, and those of greedy and the pool to pair them with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from bon_eval.analysis.arms import CORRECT, Data, compute_data, stacked
from bon_eval.analysis.draws.facts import DrawArmKind, arm_name
from bon_eval.analysis.responses import Array, Drawn
from bon_eval.analysis.settings import Settings, default_ns
from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.records import Pool


@dataclass(frozen=True, slots=True, eq=False)
class ArmValues:
    """One arm of one draw on each problem."""

    draw: str
    arm: DrawArmKind
    n: int
    scorer: str | None
    correct: Array
    """(P,): the probability that the answer is correct."""
    quantities: Array | None = None
    """(quantities, P), of the picked response, as `bon_eval.analysis.arms.QUANTITIES`; None of arms that pick an
    answer."""
    error: float = 0.0
    """Monte Carlo standard error of the mean of `correct`; 0 where it is exact."""
    knows_reasoning: bool = False
    """Whether the grades say where reasoning ends."""

    @property
    def name(self) -> str:
        """The arm as all tables name it."""
        return arm_name(self.draw, self.arm, self.n, self.scorer)


@dataclass(frozen=True, slots=True, eq=False)
class DrawValues:
    """One draw besides greedy and the pool, analysed like the pool."""

    name: str
    drawn: Drawn
    data: Data
    """With the draw in the pool's place."""
    arms: tuple[ArmValues, ...]
    """Its mean, best-of-n by the primary scorer at powers of two and n, by the others at n, votes, the oracle; of a
    single response the mean alone."""


def draw_values(data: Data, settings: Settings, *, curves: bool) -> tuple[DrawValues, ...]:
    """Of every draw of `data.responses.others`; `curves`: also at every n, without the weighted votes."""
    return tuple(_of(name, drawn, data, settings, curves) for name, drawn in data.responses.others.items())


def pool_values(data: Data, settings: Settings) -> tuple[ArmValues, ...]:
    """Greedy and the arms of the pool, at the n of the table."""
    greedy = data.responses.greedy
    return (_mean(GREEDY, greedy), *_arms(SAMPLE, data, settings))


def _of(name: str, drawn: Drawn, data: Data, settings: Settings, curves: bool) -> DrawValues:
    own = replace(settings, ns=default_ns(drawn.pool.n))
    in_its_place = replace(
        data.responses,
        pool=drawn.pool,
        scores=drawn.scores,
        vote_scores=drawn.vote_scores,
        duplicates=None,
        others={},
    )
    of_draw = compute_data(in_its_place, own, curves=curves, votes_at_last=True)
    arms = tuple(_arms(name, of_draw, own))
    return DrawValues(name, drawn, of_draw, arms if drawn.pool.n > 1 else arms[:1])


def _arms(name: str, data: Data, settings: Settings) -> Iterator[ArmValues]:
    pool, last = data.responses.pool, settings.ns[-1]
    known = pool.answer_chars is not None
    yield _mean(name, pool)
    for scorer in sorted(data.picks, key=lambda scorer: scorer != settings.primary_scorer):
        for n in settings.ns if scorer == settings.primary_scorer else (last,):
            picked = data.picks[scorer].per_problem[n]
            yield ArmValues(name, "best-of-n", n, scorer, picked[CORRECT], picked, knows_reasoning=known)
    yield ArmValues(name, "vote", last, None, data.vote[last], error=data.vote_error[last])
    for rule, vote in data.weighted.items():
        yield ArmValues(name, "vote", last, rule, vote.values[last], error=vote.error[last])
    yield ArmValues(name, "oracle", last, None, data.oracle[last])


def _mean(name: str, pool: Pool) -> ArmValues:
    mean = stacked(pool).mean(axis=2)
    known = pool.answer_chars is not None
    return ArmValues(name, "mean", 1, None, mean[CORRECT], mean, knows_reasoning=known)
