"""Best-of-n, votes and the oracle over n: of the pool, and of any other draw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated

from bon_eval.analysis.arms import CORRECT, LOG_LIKELIHOOD, N_TOKENS, TRUNCATED, UNFINISHED, UNSCORED, Data, cell_label
from bon_eval.analysis.responses import Array
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.units import SHARE, LogLikelihood, NotNegative, Positive, Share, Size


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Best-of-n by one scorer at one n."""

    scorer: str
    """A scorer, or ``vote`` (with the name of a weighted vote behind it) or ``oracle``: those pick answers and have no
    likelihood, length or shares."""
    n: Size
    accuracy: Share
    interval: Annotated[Interval, SHARE] | None
    """Of `accuracy`; at n = 1 and the table's n, at every n in a small run, otherwise None."""
    difference: float
    """Accuracy minus greedy's, as a fraction."""
    lift: PairedTest | None
    """The same with interval and test, where `interval` is."""
    log_likelihood: LogLikelihood | None
    n_tokens: NotNegative | None
    truncated: Share | None
    unfinished: Share | None
    unscored: Share | None
    monte_carlo_error: Positive | None = None


def curve_points(
    data: Data, intervals: Mapping[str, Interval], lifts: Mapping[str, PairedTest], greedy: float
) -> Iterator[CurvePoint]:
    """Every scorer and the oracle at n = 1..N, the votes at the n at which `data` has them.

    Args:
        data: of the pool, or of the draw that stands in its place.
        intervals: of accuracies, by `bon_eval.analysis.arms.cell_label`; points without one have none.
        lifts: likewise, of accuracies minus greedy's.
        greedy: accuracy of greedy.
    """

    def point(scorer: str, n: int, accuracy: float, means: Array | None, error: float = 0.0) -> CurvePoint:
        label = cell_label(scorer, n)
        return CurvePoint(
            scorer=scorer,
            n=n,
            accuracy=accuracy,
            interval=intervals.get(label),
            difference=accuracy - greedy,
            lift=lifts.get(label),
            log_likelihood=None if means is None else float(means[LOG_LIKELIHOOD]),
            n_tokens=None if means is None else float(means[N_TOKENS]),
            truncated=None if means is None else float(means[TRUNCATED]),
            unfinished=float(means[UNFINISHED]) if means is not None and data.responses.knows_reasoning else None,
            unscored=None if means is None else float(means[UNSCORED]),
            monte_carlo_error=error or None,
        )

    for scorer, picks in data.picks.items():
        for n, means in picks.means.items():
            yield point(scorer, n, float(means[CORRECT]), means)
    for n in sorted(data.vote):
        yield point("vote", n, float(data.vote[n].mean()), None, data.vote_error[n])
    for name, vote in data.weighted.items():
        for n, value in vote.values.items():
            yield point(f"vote {name}", n, float(value.mean()), None, vote.error[n])
    for n, value in data.oracle.items():
        yield point("oracle", n, float(value.mean()), None)
