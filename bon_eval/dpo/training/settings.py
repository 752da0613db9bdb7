"""What a training is: every parameter resolved, frozen, and hashed for resuming."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from bon_eval.dpo.training.losses import (
    DEFAULT_LOSS,
    SIMPO_GAMMA,
    check_loss,
    check_terms,
    default_beta,
    is_batchwise,
    is_simpo,
    loss_text,
)
from bon_eval.errors import ConfigError

Method = Literal["dpo", "sft"]
OPTIMIZERS = ("rmsprop", "adamw_torch", "sgd")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """One training through TRL. Defaults that depend on the method come from `defaults`."""

    method: Method
    steps: int
    """Optimizer steps (of one round, where there are several)."""
    save_every: int
    learning_rate: float
    """Peak, after the warm-up; constant from there on."""
    warmup_steps: int
    batch_size: int
    """Pairs (or responses) per optimizer step."""
    micro_batch: int
    """Pairs (or responses) per forward pass; the rest of the batch is gradient accumulation."""
    optimizer: str
    weight_decay: float = 0.0
    max_grad_norm: float = 10.0
    beta: float | None = 0.1
    """Of DPO; None for SFT."""
    lora_rank: int | None = None
    """None trains all weights."""
    lora_alpha: int | None = None
    lora_targets: str = "all-linear"
    """Comma-separated module names, or PEFT's ``all-linear``."""
    dtype: str = "float32"
    """Of the weights that are trained: bfloat16 rounds small updates away."""
    gradient_checkpointing: bool = False
    seed: int = 0
    loss: str | None = DEFAULT_LOSS
    """Of DPO, as `losses.loss_text` writes it; None for SFT."""
    label_smoothing: float = 0.0
    ld_alpha: float | None = None
    """Weight of log-probs beyond the shorter side's length (LD-DPO: Liu et al. 2024, arXiv 2409.06411)."""
    simpo_gamma: float | None = None
    """Target margin of SimPO."""
    dpop_lambda: float | None = None
    """Weight of DPOP's penalty."""

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "batch_size", "micro_batch"):
            if (value := getattr(self, name)) < 1:
                raise ConfigError(f"{_option(name)} must be at least 1, got {value}")
        for name in ("warmup_steps", "weight_decay"):
            if not 0 <= (value := getattr(self, name)) < math.inf:
                raise ConfigError(f"{_option(name)} must not be negative and must be finite, got {value}")
        for name in ("learning_rate", "max_grad_norm", *(() if self.beta is None else ("beta",))):
            if not 0 < (value := getattr(self, name)) < math.inf:
                raise ConfigError(f"{_option(name)} must be above 0 and finite, got {value}")
        if self.batch_size % self.micro_batch:
            raise ConfigError(
                f"--batch-size {self.batch_size} is no multiple of --micro-batch {self.micro_batch}; gradients are "
                "accumulated over whole micro-batches"
            )
        if self.optimizer not in OPTIMIZERS:
            raise ConfigError(f"--optimizer {self.optimizer!r} is unknown; valid: {', '.join(OPTIMIZERS)}")
        if self.dtype not in ("float32", "bfloat16"):
            raise ConfigError(f"--dtype {self.dtype!r} cannot be trained; valid: float32, bfloat16")
        for name in ("lora_rank", "lora_alpha"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{_option(name)} must be at least 1, got {value}")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"--seed must be in [0, 2**31), got {self.seed}")
        if self.loss is not None:
            check_loss(
                self.loss,
                label_smoothing=self.label_smoothing,
                ld_alpha=self.ld_alpha,
                simpo_gamma=self.simpo_gamma,
                dpop_lambda=self.dpop_lambda,
                micro_batch=self.micro_batch,
            )

    def as_dict(self) -> dict[str, object]:
        """JSON-ready, every field."""
        return asdict(self)

    def identity(self) -> dict[str, object]:
        """What the numbers depend on: what a stored training must agree with.

        Fields that came later are left out at their defaults, so that older trainings agree.
        """
        found = self.as_dict()
        left_out = {name for name, default in LATER.items() if found[name] in (default, None)}
        left_out.add("gradient_checkpointing")
        if self.loss is None or not is_batchwise(self.loss):
            left_out.add("micro_batch")
        return {name: value for name, value in found.items() if name not in left_out}


LATER: dict[str, object] = {
    "loss": DEFAULT_LOSS,
    "label_smoothing": 0.0,
    "ld_alpha": None,
    "simpo_gamma": None,
    "dpop_lambda": None,
}
"""Fields that came later, with their defaults."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a method uses where the user says nothing, and where it comes from."""

    learning_rate: float
    learning_rate_lora: float
    optimizer: str
    batch_size: int
    warmup_share: float
    source: str


DEFAULTS: dict[str, Defaults] = {
    "dpo": Defaults(
        1e-6, 1e-5, "rmsprop", 64, 0.1, "Rafailov et al. 2023: beta 0.1, RMSprop, 1e-6, batch 64, warm-up then constant"
    ),
    "sft": Defaults(1e-5, 1e-4, "adamw_torch", 64, 0.1, "TRL's SFT: AdamW; 1e-5 for full fine-tuning"),
}
"""The DPO paper (arXiv 2305.18290, appendix B) warms up over 150 steps; here it is a tenth of the steps, so that a
short training reaches its learning rate. LoRA takes ten times the learning rate, as TRL's guide advises."""


def resolve(
    method: Method,
    examples: int,
    *,
    steps: int | None,
    epochs: float | None,
    save_every: int | None,
    learning_rate: float | None,
    warmup_steps: int | None,
    batch_size: int | None,
    micro_batch: int | None,
    optimizer: str | None,
    beta: float | None,
    lora_rank: int | None,
    lora_alpha: int | None,
    loss: Sequence[str] = (),
    simpo_gamma: float | None = None,
    **others: object,
) -> TrainSettings:
    """Settings with every default filled in.

    Args:
        examples: pairs or responses that there are; an epoch is one pass over them.
        loss: of DPO, ``NAME`` or ``NAME:WEIGHT`` each; none: DPO's own.
        others: fields of `TrainSettings` as they are.

    Raises:
        ConfigError: both steps and epochs, an alpha without a LoRA rank, or a value out of range.
    """
    if steps is not None and epochs is not None:
        raise ConfigError("--steps and --epochs both say how long to train; give one")
    if epochs is not None and not 0 < epochs < math.inf:
        raise ConfigError(f"--epochs must be above 0 and finite, got {epochs}")
    if lora_alpha is not None and lora_rank is None:
        raise ConfigError(f"--lora-alpha {lora_alpha} has no adapter to scale; give --lora-rank too, or neither")
    chosen = DEFAULTS[method]
    batch = min(chosen.batch_size, examples) if batch_size is None else batch_size
    if batch < 1:
        raise ConfigError(f"--batch-size must be at least 1, got {batch}")
    total = steps if steps is not None else max(1, math.ceil((epochs or 1.0) * examples / batch))
    text = None if method == "sft" else loss_text(loss)
    if text is not None:
        check_terms(text)  # before a beta is missed that would not help
    rate = chosen.learning_rate if lora_rank is None else chosen.learning_rate_lora
    return TrainSettings(
        method=method,
        steps=total,
        save_every=max(1, total // 8) if save_every is None else save_every,
        learning_rate=rate if learning_rate is None else learning_rate,
        warmup_steps=int(chosen.warmup_share * total) if warmup_steps is None else warmup_steps,
        batch_size=batch,
        micro_batch=_divisor(batch, 8) if micro_batch is None else micro_batch,
        optimizer=optimizer or chosen.optimizer,
        beta=None if text is None else (default_beta(text) if beta is None else beta),
        lora_rank=lora_rank,
        lora_alpha=None if lora_rank is None else (2 * lora_rank if lora_alpha is None else lora_alpha),
        loss=text,
        simpo_gamma=SIMPO_GAMMA if simpo_gamma is None and is_simpo(text) else simpo_gamma,
        **others,  # type: ignore[arg-type]
    )


def _divisor(number: int, most: int) -> int:
    return max(d for d in range(1, min(most, number) + 1) if number % d == 0)


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
