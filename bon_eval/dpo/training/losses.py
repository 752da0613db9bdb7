"""The losses of preference training: TRL's own under TRL's names, which of them go together, and TRL's arguments.

One is not TRL's: ``dpop`` is its ``sigmoid`` with another reference (`trainers.penalised_reference`). `LOSSES` says
where each comes from; docs/training.md says what TRL makes of each, as a formula.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bon_eval.errors import ConfigError, unknown_name

DEFAULT_LOSS = "sigmoid"
SIMPO, DPOP, NLL = "simpo", "dpop", "sft"


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss."""

    source: str
    smoothing: Literal["none", "may", "must"] = "none"
    """Whether it takes ``--label-smoothing``."""
    beta: float = 0.1
    """Where none is given: that of the source where its scale is another one."""
    summed: bool = True
    """Whether it is of summed log-probs, which `ld_alpha` weighs; else of means per token."""
    squared: bool = False
    """Whether it is a square of them, and not a logistic or a hinge."""
    batchwise: bool = False
    """Whether a pair's loss depends on the other pairs of its micro-batch: the numbers depend on the size of it."""


LOSSES: dict[str, Loss] = {
    "sigmoid": Loss("DPO: Rafailov et al. 2023, arXiv 2305.18290", "may"),
    "hinge": Loss("SLiC-HF: Zhao et al. 2023, arXiv 2305.10425"),
    "ipo": Loss("IPO: Azar et al. 2023, arXiv 2310.12036", summed=False, squared=True),
    "exo_pair": Loss("EXO: Ji et al. 2024, arXiv 2402.00856", "must"),
    "nca_pair": Loss("NCA: Chen et al. 2024, arXiv 2402.05369"),
    "robust": Loss("robust DPO: Ray Chowdhury et al. 2024, arXiv 2403.00409", "must"),
    "bco_pair": Loss("BCO: Jung et al. 2024, arXiv 2404.04656"),
    "sppo_hard": Loss("SPPO: Wu et al. 2024, arXiv 2405.00675", squared=True),
    "aot": Loss("AOT: Melnyk et al. 2024, arXiv 2406.05882", "may", batchwise=True),
    "aot_unpaired": Loss("AOT: Melnyk et al. 2024, arXiv 2406.05882", "may", batchwise=True),
    "apo_zero": Loss("APO: D'Oosterlinck et al. 2024, arXiv 2408.06266"),
    "apo_down": Loss("APO: D'Oosterlinck et al. 2024, arXiv 2408.06266"),
    "discopop": Loss("DiscoPOP: Lu et al. 2024, arXiv 2406.08414"),
    "sigmoid_norm": Loss("length-normalised DPO: Lambert et al. 2024, arXiv 2411.15124", beta=5.0, summed=False),
    DPOP: Loss("DPOP: Pal et al. 2024, arXiv 2402.13228"),
    SIMPO: Loss("SimPO: Meng et al. 2024, arXiv 2405.14734", "may", beta=2.0, summed=False),
    NLL: Loss("the NLL of RPO: Pang et al. 2024, arXiv 2404.19733"),
}
SIMPO_GAMMA = 1.0
"""Target margin where none is given: half of the default beta of SimPO."""
_SORTING = ("aot", "aot_unpaired")


@dataclass(frozen=True, slots=True)
class Term:
    """A loss with its weight in the sum."""

    name: str
    weight: float = 1.0

    def __str__(self) -> str:
        return self.name if self.weight == 1.0 else f"{self.name}:{str(self.weight).removesuffix('.0')}"


def loss_text(given: Sequence[str]) -> str:
    """``--loss`` options (``NAME`` or ``NAME:WEIGHT``, several with commas) as one text, in the order of `LOSSES`.

    >>> loss_text(["sft:0.50", "sigmoid"])
    'sigmoid,sft:0.5'

    Raises:
        ConfigError: an unknown name, one that is given twice, or a weight that is no number above 0.
    """
    terms = [_term(part) for text in given or (DEFAULT_LOSS,) for part in text.split(",")]
    names = [term.name for term in terms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"--loss gives {twice[0]} twice; give it once, with one weight")
    return ",".join(str(term) for term in sorted(terms, key=lambda term: list(LOSSES).index(term.name)))


def terms_of(loss: str) -> tuple[Term, ...]:
    """The terms of a `loss_text`."""
    return tuple(_term(part) for part in loss.split(","))


def _term(part: str) -> Term:
    name, sign, weight = part.strip().partition(":")
    if name not in LOSSES:
        raise ConfigError(unknown_name("loss", name, list(LOSSES)))
    try:
        number = float(weight) if sign else 1.0
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ConfigError(f"--loss {part.strip()!r}: a weight is a number above 0; give NAME or NAME:WEIGHT")
    return Term(name, number)


def default_beta(loss: str) -> float:
    """The beta of a loss where none is given.

    Raises:
        ConfigError: its terms have different ones.
    """
    betas = {LOSSES[term.name].beta for term in terms_of(loss) if term.name != NLL}
    if len(betas) > 1:
        raise ConfigError(f"--loss {loss} has terms of different scales, and one beta; give --beta")
    return next(iter(betas), 0.1)


def is_batchwise(loss: str) -> bool:
    """Whether the numbers depend on the size of a micro-batch."""
    return any(LOSSES[term.name].batchwise for term in terms_of(loss))


def is_simpo(loss: str | None) -> bool:
    """Whether it is SimPO, which has no reference model and a trainer of its own."""
    return loss is not None and any(term.name == SIMPO for term in terms_of(loss))


def check_terms(loss: str) -> None:
    """Raise `ConfigError` where terms do not go together, whatever the other options are."""
    terms = terms_of(loss)
    names = [term.name for term in terms]
    if names == [NLL]:
        raise ConfigError(
            f"--loss {NLL} alone is SFT on chosen; use `bon-eval sft --select chosen`, or add another --loss"
        )
    if SIMPO in names and (set(names) - {SIMPO, NLL} or terms[0].weight != 1.0):
        raise ConfigError(f"--loss {loss}: TRL's {SIMPO} has weight 1 and goes with {NLL} alone; give --loss {SIMPO}")
    if DPOP in names and set(names) - {DPOP, NLL}:
        raise ConfigError(f"--loss {loss}: {DPOP} changes the reference of all terms and goes with {NLL} alone")


def check_loss(
    loss: str,
    *,
    label_smoothing: float,
    ld_alpha: float | None,
    simpo_gamma: float | None,
    dpop_lambda: float | None,
    micro_batch: int,
) -> None:
    """Raise `ConfigError` where options do not go together, or TRL would leave one of them out without a word."""
    check_terms(loss)
    names = [term.name for term in terms_of(loss)]
    for option, value, owner in (("--simpo-gamma", simpo_gamma, SIMPO), ("--dpop-lambda", dpop_lambda, DPOP)):
        if value is not None and owner not in names:
            raise ConfigError(
                f"{option} {value} is of --loss {owner}, and the loss is {loss}; leave it out, or give --loss {owner}"
            )
    if simpo_gamma is not None and not 0 <= simpo_gamma < math.inf:
        raise ConfigError(f"--simpo-gamma must be at least 0 and finite, got {simpo_gamma}")
    if DPOP in names and dpop_lambda is None:
        raise ConfigError(f"--loss {DPOP} needs --dpop-lambda, the weight of its penalty; give a number above 0")
    if dpop_lambda is not None and not 0 < dpop_lambda < math.inf:
        raise ConfigError(f"--dpop-lambda must be above 0 and finite, got {dpop_lambda}")
    _check_smoothing(loss, names, label_smoothing)
    if ld_alpha is not None:
        if not 0 <= ld_alpha <= 1:
            raise ConfigError(f"--ld-alpha must be in [0, 1], got {ld_alpha}; 1 is without effect")
        if DPOP in names:
            raise ConfigError(f"--ld-alpha and --loss {DPOP} do not go together; leave one of them out")
        if means := [name for name in names if not LOSSES[name].summed]:
            raise ConfigError(f"--ld-alpha weighs summed log-probs, and {means[0]} takes means; leave one of them out")
    if micro_batch < 2 and (sorts := [name for name in names if name in _SORTING]):
        raise ConfigError(f"--loss {sorts[0]} sorts the pairs of a micro-batch; give --micro-batch 2 or more")


def _check_smoothing(loss: str, names: list[str], smoothing: float) -> None:
    if not 0 <= smoothing < 0.5:
        raise ConfigError(f"--label-smoothing must be at least 0 and below 0.5, got {smoothing}")
    if smoothing == 0:
        if lacking := [name for name in names if LOSSES[name].smoothing == "must"]:
            hint = {"exo_pair": "0.001 in its paper", "robust": "0.1 in its paper; with 0 it is sigmoid"}[lacking[0]]
            raise ConfigError(f"--loss {lacking[0]} needs --label-smoothing above 0 ({hint})")
        return
    taking = [name for name in names if LOSSES[name].smoothing != "none"]
    if not taking:
        raise ConfigError(
            f"--loss {loss} takes no --label-smoothing, which TRL would leave out; these do: "
            + ", ".join(name for name in LOSSES if LOSSES[name].smoothing != "none")
        )
    if "sigmoid" in taking and len(taking) > 1:
        # As robust with another number, and TRL has one for all terms.
        raise ConfigError(f"--label-smoothing of sigmoid and of {taking[1]} do not go together; leave one of them out")


def dpo_arguments(loss: str, *, beta: float | None, label_smoothing: float, ld_alpha: float | None) -> dict[str, Any]:
    """Arguments of TRL's DPOConfig.

    The sigmoid loss of TRL 1.16 takes no label smoothing. Its ``robust`` loss is ((1 - e) L(d) - e L(-d)) / (1 - 2 e)
    with L(d) = -log sigmoid(beta d), so that at e = -s / (1 - 2 s) it is (1 - s) L(d) + s L(-d): conservative DPO with
    label smoothing s (Mitchell 2023, https://ericmitchell.ai/cdpo.pdf).
    """
    terms = terms_of(loss)
    names = ["sigmoid" if term.name == DPOP else term.name for term in terms]
    if label_smoothing and "sigmoid" in names:
        names = ["robust" if name == "sigmoid" else name for name in names]
        label_smoothing = -label_smoothing / (1 - 2 * label_smoothing)
    return {
        "loss_type": names,
        "loss_weights": [term.weight for term in terms],
        "label_smoothing": label_smoothing,
        "ld_alpha": ld_alpha,
        "beta": beta,
    }


def simpo_arguments(
    loss: str, *, beta: float | None, label_smoothing: float, simpo_gamma: float | None
) -> dict[str, Any]:
    """Arguments of TRL's CPOConfig; its ``cpo_alpha`` weighs the NLL of chosen."""
    return {
        "loss_type": "simpo",
        "cpo_alpha": next((term.weight for term in terms_of(loss) if term.name == NLL), 0.0),
        "simpo_gamma": simpo_gamma,
        "label_smoothing": label_smoothing,
        "beta": beta,
    }


def scale_note(loss: str) -> str | None:
    """A line on terms of different scales, which one beta and the weights have to reconcile; None where there are none.

    The NLL is beside the point: papers add it to the others.
    """
    scales = {term.name: _scale(LOSSES[term.name]) for term in terms_of(loss) if term.name != NLL}
    if len(set(scales.values())) < 2:
        return None
    each = "; ".join(f"{name}: {scale}" for name, scale in scales.items())
    return f"--loss {loss} adds terms on different scales, with one beta ({each}); equal weights are no equal parts"


def _scale(loss: Loss) -> str:
    return ("a square of " if loss.squared else "of ") + ("summed log-probs" if loss.summed else "means per token")


def source_text(loss: str) -> str:
    """The terms with their sources."""
    return " + ".join(f"{term} ({LOSSES[term.name].source})" for term in terms_of(loss))
