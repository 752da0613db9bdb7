"""Best-of-n of arrays: scores and verdicts in, arms with intervals and paired tests out; no run is needed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.analysis.settings import Settings, resolve_settings
from bon_eval.errors import ConfigError, counted
from bon_eval.estimators import best_of_n, majority_vote, pass_at_n
from bon_eval.report.notebook.table import html_table
from bon_eval.stats import Interval, PairedTest, bootstrap_cis, holm, paired_tests
from bon_eval.stats.array_checks import reject_nan, two_dimensional
from bon_eval.stats.clusters import number_clusters
from bon_eval.stats.streams import seeded_stream

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[np.float64]
ONE = "scores"
"""The name of scores that were given without one."""


@dataclass(frozen=True, slots=True)
class ArrayArm:
    """One way to answer: means over problems with intervals over problems; fractions of 1."""

    arm: str
    """``greedy``, ``sample``, ``best-of-n``, ``vote`` or ``oracle``."""
    n: int
    scorer: str | None
    """What best-of-n picks by; None for the others."""
    accuracy: Interval
    lift: PairedTest | None
    """Accuracy minus the reference's, paired by problem; None for the reference itself."""
    p_holm: float | None
    """Holm-adjusted p-value of `lift` over best-of-n and the votes; None for the other arms."""


@dataclass(frozen=True, slots=True, repr=False)
class ArrayAnalysis:
    """What `analyse` finds."""

    arms: tuple[ArrayArm, ...]
    reference: str
    """What lifts are over: ``greedy`` where it was given, else ``sample``."""
    n_problems: int
    pool_size: int

    def __repr__(self) -> str:
        """One line."""
        sizes = f"{counted(self.n_problems)} x {counted(self.pool_size, 'response')}"
        return f"<ArrayAnalysis of {sizes}, lift over {self.reference}>"

    def to_pandas(self) -> pd.DataFrame:
        """A row for each arm: fractions of 1, lifts in percentage points; NaN where there is no interval or test."""
        import pandas as pd

        return pd.DataFrame([_cells(arm) for arm in self.arms])

    def _repr_html_(self) -> str:
        """The arms as a table, for a notebook."""
        head = ("arm", "accuracy [95 %]", f"lift over {self.reference}, points", "p (Holm)")
        return html_table(repr(self), [head, *(_texts(arm) for arm in self.arms)])


def analyse(
    scores: ArrayLike | Mapping[str, ArrayLike],
    correct: ArrayLike,
    *,
    greedy: ArrayLike | None = None,
    answers: ArrayLike | Sequence[Sequence[Hashable]] | None = None,
    ns: Sequence[int] | None = None,
    seed: int = 0,
    draws: int = 10_000,
    clusters: Sequence[Hashable] | None = None,
) -> ArrayAnalysis:
    """One sample, best-of-n, vote and oracle of any pools: the estimators, intervals and tests of a run's report.

    Args:
        scores: (P, N), problems by responses, higher is better; or several, by name. Ties are shared.
        correct: (P, N), True or 1 for a correct response.
        greedy: (P,), whether the greedy response is correct; with it lifts are over greedy, else over one sample.
        answers: (P, N), what each response answers, equal where they count as one in a vote (None: no answer); without
            it there is no vote.
        ns: sizes of best-of-n; default: powers of two and N. The largest is that of vote and oracle.
        seed: of all randomness.
        draws: bootstrap draws.
        clusters: (P,), equal for problems that share a source, which are resampled together.

    Raises:
        ConfigError: shapes that do not fit, a score that is NaN, verdicts that are not 0 or 1, n beyond N.

    >>> found = analyse([[0.1, 0.9], [0.7, 0.2]], [[0, 1], [1, 0]])
    >>> found, [(arm.arm, arm.accuracy.estimate) for arm in found.arms]  # doctest: +NORMALIZE_WHITESPACE
    (<ArrayAnalysis of 2 problems x 2 responses, lift over sample>,
     [('sample', 0.5), ('best-of-n', 1.0), ('oracle', 1.0)])
    """
    verdicts = _verdicts("correct", two_dimensional("correct", correct))
    named = dict(scores) if isinstance(scores, Mapping) else {ONE: scores}
    given = {name: _scores(name, array, verdicts.shape) for name, array in named.items()}
    if not given or not len(verdicts):
        raise ConfigError(f"{len(given)} arrays of scores over {len(verdicts)} problems; give at least one of each")
    settings = resolve_settings(verdicts.shape[1], len(verdicts), ns=ns, seed=seed, draws=draws)
    values: dict[tuple[str, int, str | None], Array] = {}
    if greedy is not None:
        values["greedy", 1, None] = _first_axis("greedy", _verdicts("greedy", np.asarray(greedy)), len(verdicts))
    values["sample", 1, None] = verdicts.mean(axis=1)
    for name, array in given.items():
        # The weights of the ranks sum to 1 up to rounding only, and a problem that is always solved is not contested.
        picked = np.round(best_of_n(array, verdicts, settings.ns), 12)
        values |= {("best-of-n", n, name): row for n, row in zip(settings.ns, picked, strict=True)}
    last = settings.ns[-1]
    if answers is not None:
        rng = seeded_stream(seed, "vote")
        classes = _classes(answers, verdicts.shape)
        values["vote", last, None] = majority_vote(classes, verdicts, [last], rng=rng, draws=settings.vote_draws)[0][0]
    values["oracle", last, None] = pass_at_n(verdicts, [last])[0]
    groups = None if clusters is None else number_clusters(_first_axis("clusters", clusters, len(verdicts)))
    return ArrayAnalysis(_arms(values, settings, groups), next(iter(values))[0], *verdicts.shape)


def _arms(
    values: Mapping[tuple[str, int, str | None], Array], settings: Settings, clusters: NDArray[np.intp] | None
) -> tuple[ArrayArm, ...]:
    others = list(values)[1:]
    columns, draws = np.column_stack(list(values.values())), settings.draws
    rng = seeded_stream(settings.seed, "intervals")
    intervals = bootstrap_cis(columns, rng=rng, draws=draws, clusters=clusters)
    rng = seeded_stream(settings.seed, "tests")
    tests = paired_tests(columns[:, 1:], columns[:, :1], rng=rng, draws=draws, clusters=clusters)
    lifts = dict(zip(others, tests, strict=True))
    family = [key for key in others if key[0] in ("best-of-n", "vote")]
    adjusted = dict(zip(family, holm([lifts[key].p_value for key in family]).tolist(), strict=True))
    return tuple(
        ArrayArm(*key, interval, lifts.get(key), adjusted.get(key))
        for key, interval in zip(values, intervals, strict=True)
    )


def _scores(name: str, array: ArrayLike, shape: tuple[int, ...]) -> NDArray[Any]:
    found = two_dimensional(name, array)
    if found.shape != shape:
        raise ConfigError(f"{name} have shape {found.shape} and correct has {shape}; give one score for each response")
    try:
        found = found.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name} are no numbers ({error}); higher is better") from error
    reject_nan(found)
    return found


def _verdicts(name: str, given: NDArray[Any]) -> Array:
    if not np.isin(given, (0, 1)).all():
        raise ConfigError(f"{name} holds other values than True and False, or 1 and 0; count what has no verdict as 0")
    return given.astype(np.float64)


def _first_axis(name: str, given: Any, n_problems: int) -> Any:
    if np.ndim(given) != 1 or len(given) != n_problems:
        raise ConfigError(f"{name} has shape {np.shape(given)}; expected one for each of the {n_problems} problems")
    return given


def _classes(answers: ArrayLike | Sequence[Sequence[Hashable]], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Answers numbered within each problem, -1 for none."""
    rows = [list(row) for row in answers]  # type: ignore[union-attr, arg-type]
    if (len(rows), *{len(row) for row in rows}) != shape:
        raise ConfigError(f"answers are not of shape (problems, N) = {shape}; give one for each response")
    found = np.full(shape, -1, dtype=np.int32)
    for k, row in enumerate(rows):
        numbers: dict[Hashable, int] = {}
        for j, answer in enumerate(row):
            if answer is not None and answer == answer:  # NaN is how arrays write none
                found[k, j] = numbers.setdefault(answer, len(numbers))
    return found


def _cells(arm: ArrayArm) -> dict[str, object]:
    lift = arm.lift
    scaled = {} if lift is None else {"lift_points": lift.difference, "lift_low": lift.low, "lift_high": lift.high}
    return {
        "arm": arm.arm,
        "n": arm.n,
        "scorer": arm.scorer,
        "accuracy": arm.accuracy.estimate,
        "accuracy_low": arm.accuracy.low,
        "accuracy_high": arm.accuracy.high,
        **{name: 100.0 * scaled.get(name, np.nan) for name in ("lift_points", "lift_low", "lift_high")},
        "p_value": np.nan if lift is None else lift.p_value,
        "p_holm": np.nan if arm.p_holm is None else arm.p_holm,
    }


def _texts(arm: ArrayArm) -> tuple[str, ...]:
    name = arm.arm if arm.arm in ("greedy", "sample") else f"{arm.arm.removesuffix('-of-n')}-of-{arm.n}"
    by = f" by {arm.scorer}" if arm.scorer not in (None, ONE) else ""
    at, lift = arm.accuracy, arm.lift
    accuracy = f"{at.estimate:.3f} " + ("(no interval)" if at.reason else f"[{at.low:.2f}, {at.high:.2f}]")
    p = "" if arm.p_holm is None else f"{arm.p_holm:.3f}"
    if lift is None:
        return name + by, accuracy, "", p
    points = f"{100 * lift.difference:+.1f} "
    if lift.reason:
        return name + by, accuracy, f"{points}(no interval)", ""
    return name + by, accuracy, f"{points}[{100 * lift.low:+.1f}, {100 * lift.high:+.1f}]", p
