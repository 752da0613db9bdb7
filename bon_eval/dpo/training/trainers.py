"""TRL's trainers on token ids: everything that is handed to them, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.dpo.training.settings import TrainSettings
from bon_eval.engines.load import load_adapter, load_causal_lm
from bon_eval.errors import ConfigError, one_line

INSTALL = "pip install 'bon-eval[dpo]'"


@dataclass(frozen=True, slots=True)
class Policy:
    """A LoRA adapter that training goes on from."""

    directory: Path
    content_hash: str


def make_trainer(
    trl: Any,
    settings: TrainSettings,
    model_dir: Path,
    examples: Sequence[Any],
    out: Path,
    reference_dir: Path | None,
    policy: Policy | None,
    trust_remote_code: bool,
) -> Any:
    """A TRL trainer, ready to train; see `bon_eval.dpo.training.train.train` for the arguments.

    Raises:
        ConfigError: TRL refuses the settings.
        ModelError: a model cannot be loaded.
    """
    import datasets
    import torch

    from bon_eval.engines.load import load_tokenizer

    common: dict[str, Any] = {
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
    model = load_causal_lm(model_dir, settings.dtype, trust_remote_code=trust_remote_code)
    tokenizer = load_tokenizer(model_dir, trust_remote_code)
    peft_config = None
    if policy is not None:
        model = load_adapter(model, policy.directory, is_trainable=True)
    elif settings.lora_rank is not None:
        import peft

        targets = settings.lora_targets
        peft_config = peft.LoraConfig(
            r=settings.lora_rank,
            lora_alpha=settings.lora_alpha,
            lora_dropout=0.0,
            target_modules=targets if targets == "all-linear" else targets.split(","),
            task_type="CAUSAL_LM",
        )
    reference = None
    if reference_dir is not None:
        reference = load_causal_lm(reference_dir, settings.dtype, trust_remote_code=trust_remote_code)
    try:
        if settings.method == "sft":
            rows = [
                {
                    "input_ids": [*e.prompt, *e.response],
                    "completion_mask": [0] * len(e.prompt) + [1] * len(e.response),
                }
                for e in examples
            ]
            config = trl.SFTConfig(**common, completion_only_loss=True, packing=False)
            return trl.SFTTrainer(
                model=model,
                args=config,
                train_dataset=datasets.Dataset.from_list(rows),
                processing_class=tokenizer,
                peft_config=peft_config,
            )

        class TokenDPOTrainer(trl.DPOTrainer):  # type: ignore[misc]
            """TRL's trainer on token ids as they are, in place of texts that it would tokenize again."""

            def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:
                return dataset

        rows = [
            {"prompt_ids": list(e.prompt), "chosen_ids": list(e.chosen), "rejected_ids": list(e.rejected)}
            for e in examples
        ]
        config = trl.DPOConfig(**common, beta=settings.beta, precompute_ref_log_probs=True)
        return TokenDPOTrainer(
            model=model,
            ref_model=reference,
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=peft_config,
        )
    except ValueError as error:
        raise ConfigError(f"TRL refuses this training: {one_line(error)}") from error
