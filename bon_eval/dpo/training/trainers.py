"""TRL's trainers on token ids: everything that is handed to them, in one place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.dpo.training.losses import NLL, dpo_arguments, is_simpo, simpo_arguments
from bon_eval.dpo.training.micro_batches import Size, size_of, weighted_metrics, weights
from bon_eval.dpo.training.settings import TrainSettings
from bon_eval.engines.load import load_adapter, load_causal_lm, load_tokenizer
from bon_eval.engines.models import ResolvedModel

INSTALL = "pip install 'bon-eval[dpo]'"


@dataclass(frozen=True, slots=True)
class Policy:
    """A LoRA adapter that training goes on from."""

    directory: Path
    content_hash: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Weights as they stand: those of a model, or of an adapter on it."""

    model: ResolvedModel
    policy: Policy | None = None


class _WithoutCard:
    """A trainer that writes no README.md: what was trained is in training.json."""

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """Nothing."""


class _OfSteps(_WithoutCard):
    """A trainer on pairs that knows all micro-batches of the step that it is at."""

    micro_batches: list[Size]

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """As the trainer does, with their sizes kept."""
        found = super().get_batch_samples(*args, **kwargs)  # type: ignore[misc]
        self.micro_batches = [size_of(inputs) for inputs in found[0]]
        return found


def make_trainer(
    trl: Any,
    settings: TrainSettings,
    standing: Standing,
    examples: Sequence[Any],
    out: Path,
    reference: Standing | None,
    trust_remote_code: bool,
    log: str | None = None,
) -> Any:
    """A TRL trainer, ready to train; see `bon_eval.dpo.training.train.train` for the arguments.

    `log` gets the traceback where a model cannot be loaded.

    Raises:
        ModelError: a model cannot be loaded.
        Exception: whatever TRL raises, where it refuses the settings.
    """
    import datasets

    model = _load(standing, settings.dtype, trust_remote_code, log, is_trainable=True)
    tokenizer = load_tokenizer(standing.model.directory, trust_remote_code, log=log)
    if tokenizer.pad_token is None:  # TRL's own choice, too late in one of its trainers
        tokenizer.pad_token = tokenizer.eos_token
    common = _common(settings, out)
    given = {
        "model": model,
        "processing_class": tokenizer,
        "peft_config": _new_adapter(settings) if standing.policy is None else None,
    }
    if settings.method == "sft":
        rows = [
            {"input_ids": [*e.prompt, *e.response], "completion_mask": [0] * len(e.prompt) + [1] * len(e.response)}
            for e in examples
        ]

        class TokenSFTTrainer(_WithoutCard, trl.SFTTrainer):  # type: ignore[misc]
            """TRL's trainer, which takes token ids as they are."""

        config = trl.SFTConfig(**common, completion_only_loss=True, packing=False)
        trainer = TokenSFTTrainer(args=config, train_dataset=datasets.Dataset.from_list(rows), **given)
        # TRL computes this loss itself, over the tokens of all micro-batches of a step, whatever the model takes.
        trainer.model_accepts_loss_kwargs = True
        return _without_card(trainer)
    if is_simpo(settings.loss):
        return _simpo_trainer(settings, common, examples, given)
    ref_model = None
    if reference is not None and reference != standing:
        ref_model = _load(reference, settings.dtype, trust_remote_code, log)
    return _dpo_trainer(trl, settings, common, examples, given, ref_model)


def _dpo_trainer(
    trl: Any,
    settings: TrainSettings,
    common: dict[str, Any],
    examples: Sequence[Any],
    given: dict[str, Any],
    ref_model: Any,
) -> Any:
    import datasets

    class TokenDPOTrainer(_OfSteps, trl.DPOTrainer):  # type: ignore[misc]
        """TRL's trainer on token ids as they are, in place of texts that it would tokenize again."""

        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
            return dataset

        def _compute_loss(self, model: Any, inputs: Any, return_outputs: bool) -> Any:
            weight = weights(size_of(inputs), self.micro_batches)
            # TRL's NLL is a mean over tokens among means over pairs.
            self.loss_weights = [
                value * (weight.tokens / weight.pairs if name == NLL else 1.0)
                for name, value in zip(losses["loss_type"], losses["loss_weights"], strict=True)
            ]
            penalty = settings.dpop_lambda
            with nullcontext() if penalty is None else penalised_reference(model, inputs, penalty):
                loss = super()._compute_loss(model, inputs, return_outputs)
            logged = self._metrics["train"]
            for name, value in weighted_metrics({n: values[-1] for n, values in logged.items()}, weight.pairs).items():
                logged[name][-1] = value
            return weight.pairs * loss

    assert settings.loss is not None
    losses = dpo_arguments(
        settings.loss, beta=settings.beta, label_smoothing=settings.label_smoothing, ld_alpha=settings.ld_alpha
    )
    rows = [
        {"prompt_ids": list(e.prompt), "chosen_ids": list(e.chosen), "rejected_ids": list(e.rejected)} for e in examples
    ]
    trainer = TokenDPOTrainer(
        ref_model=ref_model,
        args=trl.DPOConfig(**common, **losses, precompute_ref_log_probs=True),
        train_dataset=datasets.Dataset.from_list(rows),
        **given,
    )
    if "ref" in getattr(trainer.model, "peft_config", {}):
        # TRL's copy of the adapter that is gone on from. Its log-probs are known now, and it would be saved each time.
        trainer.model.delete_adapter("ref")
    return _without_card(trainer)


def _without_card(trainer: Any) -> Any:
    """The trainer with a model that leaves no README.md in each checkpoint, as PEFT's do."""
    if hasattr(trainer.model, "create_or_update_model_card"):
        trainer.model.create_or_update_model_card = lambda *_, **__: None
    return trainer


@contextmanager
def penalised_reference(model: Any, inputs: dict[str, Any], weight: float) -> Iterator[None]:
    """DPOP by TRL's sigmoid loss: while it is computed, the reference likes chosen more where the policy fell below it.

    DPOP's margin is d - weight * max(0, log pi_ref(chosen) - log pi(chosen)) (Pal et al. 2024, arXiv 2402.13228):
    DPO's margin d against a reference with that much more on chosen. TRL reads the reference's log-probs
    from `inputs` after the policy's forward pass, whose hook sets them; the gradient goes through.

    Args:
        model: the policy; the first half of a batch is chosen.
        inputs: a batch with ``ref_chosen_logps``, (pairs,).
        weight: lambda.
    """
    before = inputs["ref_chosen_logps"]

    def raise_it(_model: Any, _args: Any, output: Any) -> None:
        now = output.log_probs.sum(dim=1).chunk(2, dim=0)[0]
        inputs["ref_chosen_logps"] = before + weight * (before - now).relu()

    hook = model.register_forward_hook(raise_it)
    try:
        yield
    finally:
        hook.remove()
        inputs["ref_chosen_logps"] = before


def _simpo_trainer(
    settings: TrainSettings, common: dict[str, Any], examples: Sequence[Any], given: dict[str, Any]
) -> Any:
    import datasets
    from trl.experimental.cpo import CPOConfig, CPOTrainer

    class TokenCPOTrainer(_OfSteps, CPOTrainer):
        """TRL's trainer on token ids as they are, in place of texts that it would tokenize again and cut."""

        def tokenize_row(self, feature: Any, model: Any = None) -> Any:
            return feature

        def get_batch_loss_metrics(self, model: Any, batch: Any, train_eval: Any = "train") -> Any:
            weight = weights(size_of(batch), self.micro_batches)
            # TRL's NLL is a mean over tokens beside a mean over pairs.
            self.cpo_alpha = losses["cpo_alpha"] * weight.tokens / weight.pairs
            loss, metrics = super().get_batch_loss_metrics(model, batch, train_eval)
            return weight.pairs * loss, weighted_metrics(metrics, weight.pairs)

    assert settings.loss is not None
    losses = simpo_arguments(
        settings.loss,
        beta=settings.beta,
        label_smoothing=settings.label_smoothing,
        simpo_gamma=settings.simpo_gamma,
    )
    rows = []
    for e in examples:
        row: dict[str, list[int]] = {}
        for side, response in (("chosen", e.chosen), ("rejected", e.rejected)):
            row[f"{side}_input_ids"] = [*e.prompt, *response]
            row[f"{side}_attention_mask"] = [1] * (len(e.prompt) + len(response))
            row[f"{side}_labels"] = [-100] * len(e.prompt) + list(response)
        rows.append(row)
    trainer = TokenCPOTrainer(
        args=CPOConfig(**common, **losses, remove_unused_columns=False),
        train_dataset=datasets.Dataset.from_list(rows),
        **given,
    )
    # In the last step of a pass the other one cuts what TRL logs of each micro-batch to the length of the last of them.
    trainer.accelerator.gather_for_metrics = trainer.accelerator.gather
    return _without_card(trainer)


def _common(settings: TrainSettings, out: Path) -> dict[str, Any]:
    """Arguments that all of TRL's trainers take."""
    import torch

    return {
        "output_dir": str(out),
        "max_steps": settings.steps,
        "per_device_train_batch_size": settings.micro_batch,
        "gradient_accumulation_steps": settings.batch_size // settings.micro_batch,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "constant_with_warmup",
        "warmup_steps": settings.warmup_steps,
        "optim": settings.optimizer,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "save_strategy": "steps",
        "save_steps": settings.save_every,
        "logging_steps": 1,
        # A NaN must be seen, not averaged away.
        "logging_nan_inf_filter": False,
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": False,
        "gradient_checkpointing": settings.gradient_checkpointing,
        "seed": settings.seed,
        "max_length": None,
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def _load(
    standing: Standing, dtype: str, trust_remote_code: bool, log: str | None, *, is_trainable: bool = False
) -> Any:
    model = load_causal_lm(standing.model.directory, dtype, trust_remote_code=trust_remote_code, log=log)
    if standing.policy is None:
        return model
    adapted = load_adapter(model, standing.policy.directory, log=log, is_trainable=is_trainable)
    # TRL reads a reference's output layer from the model itself; the adapter's layers are in it either way.
    return adapted if is_trainable else adapted.get_base_model()


def _new_adapter(settings: TrainSettings) -> Any:
    if settings.lora_rank is None:
        return None
    import peft

    targets = settings.lora_targets
    return peft.LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=0.0,
        target_modules=targets if targets == "all-linear" else targets.split(","),
        task_type="CAUSAL_LM",
    )
