"""Training through TRL's DPOTrainer and SFTTrainer: this module only feeds them token ids and watches them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from bon_eval.config import differences, digest
from bon_eval.dpo.checkpoints import TRAINING_FILE, broken
from bon_eval.dpo.settings import TrainSettings
from bon_eval.dpo.tokens import TokenPair, TokenResponse
from bon_eval.engines.base import stderr_to
from bon_eval.errors import BonEvalError, ConfigError, ModelError, StoreError
from bon_eval.files import write_text

INSTALL = "pip install 'bon-eval[dpo]'"
FORMAT = 1


class TrainingError(BonEvalError):
    """A training that cannot go on; the checkpoints saved before it are whole."""


def train(
    settings: TrainSettings,
    model_dir: Path,
    model_hash: str,
    examples: Sequence[TokenPair] | Sequence[TokenResponse],
    out: Path,
    *,
    reference_dir: Path | None = None,
    policy_adapter: Path | None = None,
    trust_remote_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Train and save ``checkpoint-0``, ``checkpoint-<k>`` ... under `out`; goes on where a killed training stopped.

    TRL seeds torch, NumPy and random of the process.

    Args:
        settings: everything that the result depends on, but the data.
        model_dir: the model that is trained, a local directory.
        model_hash: its content hash.
        examples: pairs for DPO, responses for SFT, as token ids; trained on as they are, nothing is cut.
        out: the training directory.
        reference_dir: DPO's reference model; None: the model itself as it is before the first step.
        policy_adapter: a LoRA adapter on the model to go on from.

    Returns:
        The last checkpoint's directory.

    Raises:
        ConfigError: trl is missing, or `out` holds another training (the message names what differs).
        ModelError: the model cannot be loaded.
        TrainingError: the loss or the gradient is not finite; the last good checkpoint stays.
    """
    trl = _import_trl()
    identity = _identity(settings, model_hash, examples, policy_adapter)
    _claim(out, settings, identity)
    resume = _last_whole(out, quiet)
    final = out / f"checkpoint-{settings.steps}"
    if resume == final:
        _say(f"{out}: trained already, {settings.steps} steps", quiet)
        return final
    with stderr_to(str(out / "training.log")):
        trainer = _trainer(trl, settings, model_dir, examples, out, reference_dir, policy_adapter, trust_remote_code)
    watch = _watch(settings, out, quiet)
    trainer.add_callback(watch)
    if resume is None:
        _save_start(trainer, out)
    with stderr_to(str(out / "training.log")), redirect_stdout(io.StringIO()):
        try:
            trainer.train(resume_from_checkpoint=str(resume) if resume is not None and resume.name != _START else None)
        except _NotFiniteError as error:
            stopped: str | None = str(error)
        except RuntimeError as error:
            if "out of memory" not in str(error):
                raise
            stopped = "the device's memory does not suffice; lower --micro-batch or add --gradient-checkpointing"
        else:
            stopped = None
    if stopped is not None:
        last = _last_whole(out, quiet=True)
        kept = last.name if last is not None else "none"
        raise TrainingError(f"{out}: {stopped}; the last good checkpoint is {kept}")
    return final


_START = "checkpoint-0"


class _NotFiniteError(Exception):
    pass


def _import_trl() -> Any:
    # TRL's own telemetry and hub calls have no place in a measurement.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("WANDB_DISABLED", "true")
    try:
        import trl
    except ImportError as error:
        raise ConfigError(f"training needs TRL, which cannot be imported ({error}); {INSTALL}") from error
    return trl


def _identity(
    settings: TrainSettings, model_hash: str, examples: Sequence[Any], policy_adapter: Path | None
) -> dict[str, object]:
    tokens = [[getattr(e, name) for name in e.__slots__] for e in examples]
    return {
        **{k: v for k, v in settings.as_dict().items() if k not in ("micro_batch", "gradient_checkpointing")},
        "model_hash": model_hash,
        "adapter": None if policy_adapter is None else policy_adapter.name,
        "examples_hash": digest(tokens),
    }


def _claim(out: Path, settings: TrainSettings, identity: dict[str, object]) -> None:
    """Own the directory for this training, or refuse it."""
    path = out / TRAINING_FILE
    if path.is_file():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored.get("format") != FORMAT:
            raise StoreError(f"{path} is not of training format {FORMAT}; give --out another directory")
        if changed := differences(stored["identity"], identity):
            raise StoreError(f"{out} holds another training ({'; '.join(changed)}); give --out another directory")
    elif out.is_dir() and any(out.glob("checkpoint-*")):
        raise StoreError(f"{out} holds checkpoints of another program; give --out another directory")
    out.mkdir(parents=True, exist_ok=True)
    content = {"format": FORMAT, "settings": settings.as_dict(), "identity": identity}
    write_text(path, json.dumps(content, indent=2) + "\n")


def _last_whole(out: Path, quiet: bool) -> Path | None:
    """The last whole checkpoint; half-written ones, which a kill leaves behind, are removed."""
    whole = []
    for path in out.glob("checkpoint-*"):
        if (reason := broken(path)) is None:
            whole.append(path)
        else:
            _say(f"{path} is removed and made again: {reason}", quiet)
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.partition("-")[2]), default=None)


def _save_start(trainer: Any, out: Path) -> None:
    trainer.save_model(str(out / _START))
    trainer.state.save_to_json(str(out / _START / "trainer_state.json"))


def _trainer(
    trl: Any,
    settings: TrainSettings,
    model_dir: Path,
    examples: Sequence[Any],
    out: Path,
    reference_dir: Path | None,
    policy_adapter: Path | None,
    trust_remote_code: bool,
) -> Any:
    import datasets
    import torch
    import transformers

    from bon_eval.prompts import load_tokenizer

    def load(directory: Path) -> Any:
        try:
            return transformers.AutoModelForCausalLM.from_pretrained(
                str(directory),
                dtype=getattr(torch, settings.dtype),
                trust_remote_code=trust_remote_code,
                local_files_only=True,
            )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise ModelError(
                f"transformers could not load {directory}: {str(error).strip().splitlines()[0]}"
            ) from error

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
    model = load(model_dir)
    tokenizer = load_tokenizer(model_dir, trust_remote_code)
    peft_config = None
    if policy_adapter is not None:
        import peft

        model = peft.PeftModel.from_pretrained(model, str(policy_adapter), is_trainable=True)
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
            ref_model=None if reference_dir is None else load(reference_dir),
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=peft_config,
        )
    except ValueError as error:
        raise ConfigError(f"TRL refuses this training: {' '.join(str(error).split())}") from error


_COLUMNS = {
    "step": "step",
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "rewards/accuracies": "reward_accuracy",
    "rewards/margins": "reward_margin",
    "logps/chosen": "log_likelihood_chosen",
    "logps/rejected": "log_likelihood_rejected",
}


def _watch(settings: TrainSettings, out: Path, quiet: bool) -> Any:
    import transformers

    class Watch(transformers.TrainerCallback):  # type: ignore[misc]
        """Stops at the first number that is not finite, before anything is saved, and keeps log.csv."""

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            for name in ("loss", "grad_norm"):
                value = (logs or {}).get(name)
                if value is not None and not math.isfinite(float(value)):
                    raise _NotFiniteError(
                        f"the {name.replace('_', ' ')} at step {state.global_step} is {value}; lower --learning-rate"
                    )

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _write_log(out, state.log_history)
            loss = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), "unknown")
            _say_aside(f"training: {state.global_step}/{settings.steps} steps, loss {loss}", quiet)

    return Watch()


def _write_log(out: Path, history: Sequence[dict[str, Any]]) -> None:
    rows = [entry for entry in history if "loss" in entry]
    names = [name for name in _COLUMNS if any(name in row for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_COLUMNS[name] for name in names])
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    write_text(out / "log.csv", text.getvalue())


_STDERR = os.dup(2)


def _say_aside(text: str, quiet: bool) -> None:
    """A line on the terminal while standard error goes to the log."""
    if not quiet:
        os.write(_STDERR, f"{text}\n".encode())


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)
