"""What a checkpoint does to preference pairs, pair by pair: pure functions of teacher-forced log-probs.

Every pair was scored by the base (reference) model and by the checkpoint: the same tokens, so differences are paired.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import EngineError
from bon_eval.records import Forced
from bon_eval.stats.bootstrap import NOT_ABOVE_0, NOT_BELOW_0, UNBOUNDED, UNIT, Support

Array = NDArray[np.float64]
UnitT = TypeVar("UnitT", bound=Hashable)
ROUNDING = 1e-4
"""Nats by which an argmax's log-prob may stand below the own token's: two roundings of one number in float32."""


@dataclass(frozen=True, slots=True, eq=False)
class SideScores:
    """One side (chosen, say) of K pairs under one model; all arrays have shape (K,)."""

    log_likelihood: Array
    """Summed log-probs of the response's tokens, nats."""
    n_tokens: Array
    argmax_log_likelihood: Array
    """Summed log-probs of the most likely token at each position of the response, nats."""
    mass_outside_argmax: Array
    """Mean over positions of 1 - max p."""
    log_mass_outside_argmax: Array
    """Mean over positions of log(1 - max p), positions where max p rounds to 1 left out; NaN where none is left."""


def side_scores(forced: Sequence[Forced]) -> SideScores:
    """Summaries of K responses under one model.

    The mass is masked before the logarithm is taken: log(0) at a single saturated position would otherwise turn a whole
    column into infinities or NaN.

    Raises:
        EngineError: at some position the most likely token is less likely than the response's own; the response is
            named. No distribution allows it, so a number is not what it claims to be.
    """
    own, tokens, argmax, mass, log_mass = (np.empty(len(forced)) for _ in range(5))
    for k, response in enumerate(forced):
        logprobs = np.asarray(response.logprobs, dtype=np.float64)
        top = np.asarray(response.argmax_logprobs, dtype=np.float64)
        if len(top) != len(logprobs) or (top < logprobs - ROUNDING).any():
            raise EngineError(
                f"{response.key}: a token is more likely than the argmax of its own position; the engine's log-probs "
                "cannot be those of one distribution"
            )
        top = np.minimum(top, 0.0)  # above 0 by rounding only
        own[k], tokens[k], argmax[k] = logprobs.sum(), len(logprobs), top.sum()
        outside = -np.expm1(top)
        mass[k] = outside.mean()
        open_ = outside > 0.0
        log_mass[k] = np.log(outside[open_]).mean() if open_.any() else np.nan
    return SideScores(own, tokens, argmax, mass, log_mass)


@dataclass(frozen=True, slots=True)
class MeasureKind:
    """What a measure is, for tables and axes."""

    label: str
    unit: str
    """``share``, ``nats`` or ``nats per token``."""
    support: Support = UNIT
    """Where a pair's number can lie."""


PAIR_MEASURES: Mapping[str, MeasureKind] = {
    "log_likelihood.chosen": MeasureKind("log-likelihood of chosen", "nats", NOT_ABOVE_0),
    "log_likelihood.rejected": MeasureKind("log-likelihood of rejected", "nats", NOT_ABOVE_0),
    "both_fall": MeasureKind("pairs whose chosen and rejected both fall", "share"),
    "ranking_accuracy": MeasureKind("ranking accuracy", "share"),
    "ranking_accuracy_per_token": MeasureKind("ranking accuracy, length-normalised", "share"),
    "flips.right_right": MeasureKind("ranked right before, right now", "share"),
    "flips.right_wrong": MeasureKind("ranked right before, wrong now", "share"),
    "flips.wrong_right": MeasureKind("ranked wrong before, right now", "share"),
    "flips.wrong_wrong": MeasureKind("ranked wrong before, wrong now", "share"),
    "reward_accuracy": MeasureKind("reward accuracy", "share"),
    "reward_margin": MeasureKind("reward margin / beta", "nats", UNBOUNDED),
    "dpo_loss": MeasureKind("DPO loss", "nats", NOT_BELOW_0),
    "argmax_along_chosen": MeasureKind("argmax log-prob along the chosen prefix", "nats", NOT_ABOVE_0),
    "mass_outside_argmax": MeasureKind("mass outside the argmax, chosen prefix", "share"),
    "log_mass_outside_argmax": MeasureKind("log mass outside the argmax, chosen prefix", "nats per token", NOT_ABOVE_0),
}
"""Every measure of a pair set, in the order of the tables."""

ZERO_BY_DEFINITION = frozenset({"both_fall", "reward_accuracy"})
"""Shares of signs of differences from the base model: 0 at the base model itself, and about chance for one that differs
from it by rounding alone. A change of theirs from the base model is none that could be tested."""


def pair_measures(
    base_chosen: SideScores, base_rejected: SideScores, chosen: SideScores, rejected: SideScores, *, beta: float
) -> dict[str, Array]:
    """The measures of `PAIR_MEASURES` for each of K pairs, shape (K,) each.

    With pi the checkpoint and ref the base model, m = [log pi(y+) - log ref(y+)] - [log pi(y-) - log ref(y-)]:

    * ranking accuracy: pi(y+) >= pi(y-) (Chen et al. 2024, arXiv 2405.19534, definition 2.3); length-normalised: the
      same of the mean log-prob per token.
    * flips: ranking at the reference x ranking now; the four shares sum to 1.
    * reward accuracy: m > 0, a different number (0 at the reference itself, where every m is 0).
    * DPO loss: -log sigmoid(beta m) (Rafailov et al. 2023, arXiv 2305.18290, equation 7).
    * both fall: log pi < log ref for chosen and rejected (likelihood displacement, Razin et al. 2024,
      arXiv 2410.08847).
    * argmax along the chosen prefix: sum_t max_v log pi(v | x, y+_<t) (the y* proxy of Ren & Sutherland 2024,
      arXiv 2407.10490).

    >>> import numpy as np
    >>> def side(*x): return SideScores(np.array(x), np.ones(1), np.zeros(1), np.zeros(1), np.zeros(1))
    >>> found = pair_measures(side(-2.0), side(-1.0), side(-1.5), side(-3.0), beta=0.1)
    >>> float(found["ranking_accuracy"][0]), float(found["flips.wrong_right"][0]), float(found["reward_margin"][0])
    (1.0, 1.0, 2.5)
    """
    margin = (chosen.log_likelihood - base_chosen.log_likelihood) - (
        rejected.log_likelihood - base_rejected.log_likelihood
    )
    before = base_chosen.log_likelihood >= base_rejected.log_likelihood
    now = chosen.log_likelihood >= rejected.log_likelihood
    per_token = chosen.log_likelihood / chosen.n_tokens >= rejected.log_likelihood / rejected.n_tokens
    fall = (chosen.log_likelihood < base_chosen.log_likelihood) & (
        rejected.log_likelihood < base_rejected.log_likelihood
    )
    shares = {
        "both_fall": fall,
        "ranking_accuracy": now,
        "ranking_accuracy_per_token": per_token,
        "flips.right_right": before & now,
        "flips.right_wrong": before & ~now,
        "flips.wrong_right": ~before & now,
        "flips.wrong_wrong": ~before & ~now,
        "reward_accuracy": margin > 0.0,
    }
    nats = {
        "log_likelihood.chosen": chosen.log_likelihood,
        "log_likelihood.rejected": rejected.log_likelihood,
        "reward_margin": margin,
        "dpo_loss": np.logaddexp(0.0, -beta * margin),
        "argmax_along_chosen": chosen.argmax_log_likelihood,
        "mass_outside_argmax": chosen.mass_outside_argmax,
        "log_mass_outside_argmax": chosen.log_mass_outside_argmax,
    }
    found = {name: values.astype(np.float64) for name, values in shares.items()} | nats
    return {name: found[name] for name in PAIR_MEASURES}


def ches(chosen: Array, rejected: Array, tokens: tuple[Array, Array]) -> Array:
    """Centred hidden embedding similarity of each pair, and its length-normalised form, shape (K, 2).

    CHES(y+, y-) = <sum_k h_k(y+), sum_k h_k(y-)> - ||sum_k h_k(y+)||^2, with h_k(y) the last layer's hidden state that
    predicts token k of y; length-normalised: with means in place of the sums. Higher predicts more likelihood
    displacement. Source: Razin et al. 2024, arXiv 2410.08847, definition 2 and its length-normalised variant.

    Args:
        chosen, rejected: the states' sums over the tokens of each pair's side, (K, hidden size).
        tokens: of chosen and of rejected, (K,) each.

    >>> import numpy as np
    >>> ches(np.array([[2.0, 0.0]]), np.array([[1.0, 1.0]]), (np.array([2]), np.array([1]))).tolist()
    [[-2.0, 0.0]]
    """
    means = chosen / tokens[0][:, None], rejected / tokens[1][:, None]
    forms = [np.einsum("kh,kh->k", plus, minus - plus) for plus, minus in ((chosen, rejected), means)]
    return np.stack(forms, axis=1)


def problem_sums(values: Array, problem_ids: Sequence[UnitT]) -> tuple[tuple[UnitT, ...], Array, Array]:
    """Pairs (K,) or (K, M) to sums for each problem, for `bon_eval.stats.ratio_means`: problems are the sampling unit.

    Where problems are clustered their clusters stand in place of them.

    Returns:
        The problems in order of first appearance, the sums over their pairs, (P,) or (P, M), and their numbers of
        pairs, (P,). The sum of sums over the sum of numbers is the mean over pairs.
    """
    first: dict[UnitT, int] = {}
    index = np.array([first.setdefault(problem, len(first)) for problem in problem_ids], dtype=np.intp)
    sums = np.zeros((len(first), *values.shape[1:]))
    np.add.at(sums, index, values)
    return tuple(first), sums, np.bincount(index).astype(np.float64)
