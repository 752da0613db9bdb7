"""Does likelihood predict correctness? Four levels, each with an interval over problems.

At each of them it is asked of the summed log-likelihood and per token, and with length held fixed. Across methods and
across settings the points are few and given: intervals are over problems, for these very points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.arms import stream
from bon_eval.analysis.levels.facts import FORMS, Form, LevelName, LevelRow, Levels, Predicts
from bon_eval.analysis.levels.ways import Way, likelihoods, methods, scales
from bon_eval.analysis.responses import Array, Responses
from bon_eval.analysis.settings import Settings
from bon_eval.draws import GREEDY, SAMPLE, DrawSpec
from bon_eval.errors import counted
from bon_eval.estimators import within_problem_auroc
from bon_eval.estimators.levels.concordance import Across, across_problems, columns, within_problems
from bon_eval.estimators.levels.lines import least_points, line_gain
from bon_eval.records import Pool
from bon_eval.stats import Interval, bootstrap_cis
from bon_eval.stats.bootstrap import UNBOUNDED, UNIT, Support
from bon_eval.stats.closed_form import concordance_interval
from bon_eval.stats.clusters import cluster_sums, effective_number
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.stats.paired import linear_units

Intervals = Callable[[float], Interval]
"""The interval of a number, at a confidence."""


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    """A row before it is answered."""

    level: LevelName
    of: str
    found: Mapping[Form, Intervals | str]
    """Form -> its intervals, or why it has none."""
    problems: tuple[int, int]
    """At any length, and at like lengths."""
    compared: tuple[str, ...] = ()
    responses: int | None = None

    @property
    def is_line(self) -> bool:
        return self.level in ("methods", "settings")


class _Means:
    """Means over problems whose intervals share their resampled problems."""

    def __init__(self, settings: Settings, name: str, support: Support, clusters: NDArray[np.intp] | None) -> None:
        self._of = settings, name, support, clusters
        self._columns: list[Array] = []
        self._at: dict[float, list[Interval]] = {}

    def add(self, values: Array) -> Intervals:
        """Of one more mean, (P,); all are added before the first interval is asked for."""
        k = len(self._columns)
        self._columns.append(values)
        return lambda confidence: self._intervals(confidence)[k]

    def _intervals(self, confidence: float) -> list[Interval]:
        if confidence not in self._at:
            settings, name, support, clusters = self._of
            self._at[confidence] = bootstrap_cis(
                np.column_stack(self._columns),
                rng=stream(settings, name),
                draws=max(settings.draws, math.ceil(2.0 / (1.0 - confidence))),
                confidence=confidence,
                support=support,
                clusters=clusters,
            )
        return self._at[confidence]


def levels(responses: Responses, settings: Settings, specs: Sequence[DrawSpec], temperature: float | None) -> Levels:
    """All levels of one run.

    Args:
        responses: every draw, aligned by problem.
        settings: of the analysis.
        specs: how draws were sampled; those of `Responses.others` take part besides greedy and the pool.
        temperature: of the pool; None: unknown.
    """
    reason = _without_likelihoods(responses)
    if reason is not None:
        return Levels(reason=reason)
    specs = [spec for spec in specs if spec.name in responses.others]
    lines = _Means(settings, "lines of likelihood", UNBOUNDED, responses.clusters)
    asked = [
        _line("methods", "all", methods(responses, settings, specs), lines),
        *(
            _line("settings", scale.parameter, scale.ways, lines)
            for scale in scales(responses, settings, specs, temperature)
        ),
        *([_pairs(GREEDY, responses.greedy, responses.clusters)] if responses.greedy.problem_ids else []),
        _pairs(SAMPLE, responses.pool, responses.clusters),
        _responses(responses, settings),
    ]
    n_asked = sum(not isinstance(question.found["summed"], str) for question in asked)
    confidence = 1.0 - settings.planned_alpha / max(1, n_asked)
    return Levels(tuple(_answered(question, settings, confidence) for question in asked))


def _without_likelihoods(responses: Responses) -> str | None:
    """Why nothing is asked."""
    if any(not np.isfinite(pool.log_likelihood).all() for pool in responses.pools):
        return "not all responses have a log-likelihood"
    if any((pool.n_tokens < 1).any() for pool in responses.pools):
        return "not all responses have a number of tokens"
    return None


def _answered(asked: _Question, settings: Settings, confidence: float) -> LevelRow:
    numbers = {form: None if isinstance(of, str) else of(settings.confidence) for form, of in asked.found.items()}
    chance = 0.0 if asked.is_line else 0.5

    def predicts(form: Form) -> Predicts:
        of, interval = asked.found[form], numbers[form]
        if isinstance(of, str) or interval is None:
            return "not asked"
        # The interval at a higher confidence holds this one.
        if settings.alpha == 0.0 or interval.reason or interval.low <= chance <= interval.high:
            return "not shown"
        wider = of(confidence)
        return "yes" if wider.low > chance else "reversed" if wider.high < chance else "not shown"

    return LevelRow(
        level=asked.level,
        of=asked.of,
        statistic="points" if asked.is_line else "auroc",
        compared=asked.compared,
        problems=asked.problems[0],
        problems_at_length=asked.problems[1],
        responses=asked.responses,
        **numbers,
        predicts=predicts("summed"),
        predicts_at_length=predicts("summed_at_length"),
        reasons={form: of for form, of in asked.found.items() if isinstance(of, str)},
    )


def _line(level: LevelName, of: str, ways: Sequence[Way], lines: _Means) -> _Question:
    found: dict[Form, Intervals | str] = {}
    right, length = (np.stack([getattr(way, name) for way in ways]) for name in ("correct", "n_tokens"))
    n_problems = right.shape[1]
    for k, form in enumerate(FORMS):
        held, least = k >= 2, least_points(held=k >= 2)
        if len(ways) < least:
            found[form] = f"{len(ways)} {level}; from {least} on"
        elif n_problems < LEAST_PROBLEMS:
            found[form] = f"{counted(n_problems)}; from {LEAST_PROBLEMS} on"
        else:
            likelihood = np.stack([way.likelihood[k % 2] for way in ways])
            units = line_gain(likelihood, right, length if held else None)
            if units is None:
                found[form] = (
                    f"likelihood and length go together over the {level}"
                    if held
                    else f"the {level} have one likelihood"
                )
            elif abs(gain := 100.0 * float(units.mean())) > 100.0:
                found[form] = f"the line would gain {gain:+.0f} points, more than accuracies can differ" + (
                    f": likelihood and length go together too closely over the {level}" if held else ""
                )
            else:
                found[form] = lines.add(100.0 * units)
    return _Question(level, of, found, (n_problems, n_problems), tuple(way.name for way in ways))


def _pairs(draw: str, pool: Pool, clusters: NDArray[np.intp] | None) -> _Question:
    across = across_problems(likelihoods(pool), pool.correct, pool.n_tokens)
    found: dict[Form, Intervals | str] = {}
    for k, form in enumerate(FORMS):
        found[form] = _over_pairs(across[k % 2][k // 2], clusters)
    n_problems = len(pool.problem_ids)
    matched = int(np.count_nonzero(across[0][1].sides.sum(axis=0)))
    return _Question("pairs", draw, found, (n_problems, matched), responses=columns(n_problems, pool.n))


def _over_pairs(found: Across, clusters: NDArray[np.intp] | None) -> Intervals | str:
    taking_part = int(np.count_nonzero(found.sides.sum(axis=0)))
    if math.isnan(found.estimate) or taking_part < LEAST_PROBLEMS:
        return f"{counted(taking_part)} in such pairs; from {LEAST_PROBLEMS} on"
    sides = found.sides if clusters is None else cluster_sums(found.sides.T, clusters).T
    if sides.shape[1] < 2:
        return "1 cluster; from 2 on"
    first, second = (effective_number(side) for side in sides)

    def at(confidence: float) -> Interval:
        units, _ = linear_units(found.units[:, None], clusters, confidence)
        low, high, method = concordance_interval(units[:, 0], (first, second), confidence)
        return Interval(found.estimate, low, high, method)

    return at


def _responses(responses: Responses, settings: Settings) -> _Question:
    pool, scores = responses.pool, likelihoods(responses.pool)
    any_length = np.stack([within_problem_auroc(score, pool.correct) for score in scores])
    like = within_problems(scores, pool.correct, pool.n_tokens)
    found: dict[Form, Intervals | str] = {}
    counts = []
    # Of any length the numbers are those of the scorers' own AUROC, which draws from this stream.
    for name, values, forms in (("auroc", any_length, FORMS[:2]), ("auroc at length", like, FORMS[2:])):
        both = ~np.isnan(values[0])
        counts.append(int(np.count_nonzero(both)))
        few = f"{counted(counts[-1])} with such pairs; from {LEAST_PROBLEMS} on"
        means = _Means(settings, name, UNIT, responses.clusters_of(both))
        for form, value in zip(forms, values, strict=True):
            found[form] = few if counts[-1] < LEAST_PROBLEMS else means.add(value[both])
    return _Question("responses", SAMPLE, found, (counts[0], counts[1]), responses=pool.n)
