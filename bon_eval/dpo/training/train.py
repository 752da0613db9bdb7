"""Training through TRL's DPOTrainer and SFTTrainer: this module only feeds them token ids and watches them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, closing, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from bon_eval.config import differences, digest
from bon_eval.dpo.pairs.tokens import TokenPair, TokenResponse, slots
from bon_eval.dpo.training.checkpoints import TRAINING_FILE, TRAINING_FORMAT, broken, read_training, step_of
from bon_eval.dpo.training.settings import TrainSettings
from bon_eval.dpo.training.trainers import INSTALL, Policy, make_trainer
from bon_eval.engines.base import stderr_to
from bon_eval.engines.models import ResolvedModel
from bon_eval.errors import BonEvalError, ConfigError, StoreError
from bon_eval.run.console.progress import say
from bon_eval.store.files import lock, make_directory, write_text


class TrainingError(BonEvalError):
    """A training that cannot go on; the checkpoints saved before it are whole."""


def train(
    settings: TrainSettings,
    model: ResolvedModel,
    examples: Sequence[TokenPair] | Sequence[TokenResponse],
    out: Path,
    *,
    reference_dir: Path | None = None,
    policy: Policy | None = None,
    trust_remote_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Train and save ``checkpoint-0``, ``checkpoint-<k>`` ... under `out`; goes on where a killed training stopped.

    TRL seeds torch, NumPy and random of the process.

    Args:
        settings: everything that the result depends on, but the data.
        model: what is trained.
        examples: pairs for DPO, responses for SFT, as token ids; trained on as they are, nothing is cut.
        out: the training directory.
        reference_dir: DPO's reference model; None: the model itself as it is before the first step.
        policy: a LoRA adapter on the model to go on from.

    Returns:
        The last checkpoint's directory.

    Raises:
        ConfigError: trl is missing, or `out` holds another training (the message names what differs).
        ModelError: the model cannot be loaded.
        TrainingError: the loss or the gradient is not finite; the last good checkpoint stays.
    """
    trl = _import_trl()
    identity = _identity(settings, model.content_hash, examples, policy)
    _claim(out, settings, identity)
    with ExitStack() as stack:
        stack.enter_context(closing(lock(out)))
        resume = _last_whole(out, quiet)
        final = out / f"checkpoint-{settings.steps}"
        if resume == final:
            say(f"{out}: trained already, {settings.steps} steps", quiet)
            return final
        with stderr_to(str(out / "training.log")):
            trainer = make_trainer(
                trl, settings, model.directory, examples, out, reference_dir, policy, trust_remote_code
            )
        # Progress still goes to the terminal while standard error goes to the log.
        terminal = stack.enter_context(os.fdopen(os.dup(2), "w"))
        trainer.add_callback(_watch(settings, out, terminal, quiet))
        start = resume is None or resume.name == _START
        with stderr_to(str(out / "training.log")), redirect_stdout(io.StringIO()):
            if resume is None:
                _save_start(trainer, out)
            try:
                trainer.train(resume_from_checkpoint=None if start else str(resume))
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
    settings: TrainSettings, model_hash: str, examples: Sequence[Any], policy: Policy | None
) -> dict[str, object]:
    return {
        **{k: v for k, v in settings.as_dict().items() if k not in ("micro_batch", "gradient_checkpointing")},
        "model_hash": model_hash,
        "adapter_hash": None if policy is None else policy.content_hash,
        "examples_hash": digest([slots(e) for e in examples]),
    }


def _claim(out: Path, settings: TrainSettings, identity: dict[str, object]) -> None:
    """Own the directory for this training, or refuse it."""
    path = out / TRAINING_FILE
    if path.is_file():
        if changed := differences(read_training(path)["identity"], identity):
            raise StoreError(f"{out} holds another training ({'; '.join(changed)}); give --out another directory")
    elif out.is_dir() and any(step_of(path) is not None for path in out.iterdir()):
        raise StoreError(f"{out} holds checkpoints of another program; give --out another directory")
    make_directory(out)
    content = {"format": TRAINING_FORMAT, "settings": settings.as_dict(), "identity": identity}
    write_text(path, json.dumps(content, indent=2) + "\n")


def _last_whole(out: Path, quiet: bool) -> Path | None:
    """The last whole checkpoint; half-written ones, which a kill leaves behind, are removed."""
    whole = {}
    for path in out.iterdir():
        step = step_of(path)
        if step is None:
            continue
        if (reason := broken(path)) is None:
            whole[step] = path
        else:
            say(f"{path} is removed and made again: {reason}", quiet)
            shutil.rmtree(path)
    return whole[max(whole)] if whole else None


def _save_start(trainer: Any, out: Path) -> None:
    trainer.save_model(str(out / _START))
    trainer.state.save_to_json(str(out / _START / "trainer_state.json"))


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


def _watch(settings: TrainSettings, out: Path, terminal: TextIO, quiet: bool) -> Any:
    import transformers

    class Watch(transformers.TrainerCallback):  # type: ignore[misc]
        """Stops at the first number that is not finite, before anything is saved, and keeps log.csv."""

        def on_log(
            self, args: Any, state: Any, control: Any, model: Any = None, logs: dict[str, Any] | None = None, **_: Any
        ) -> None:
            for name in ("loss", "grad_norm"):
                value = (logs or {}).get(name)
                if value is not None and not math.isfinite(float(value)):
                    raise _NotFiniteError(
                        f"the {name.replace('_', ' ')} at step {state.global_step} is {value}; lower --learning-rate"
                    )
            # A step can leave weights behind that only the next loss would show, after a checkpoint was saved.
            if state.global_step % settings.save_every == 0 or state.global_step == settings.steps:
                trained = [p for p in model.parameters() if p.requires_grad]
                if not all(bool(p.isfinite().all()) for p in trained):
                    raise _NotFiniteError(
                        f"the weights after step {state.global_step} are not finite; lower --learning-rate"
                    )

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _write_log(out, state.log_history)
            loss = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), "unknown")
            if not quiet:
                print(f"training: {state.global_step}/{settings.steps} steps, loss {loss}", file=terminal, flush=True)

    return Watch()


def _write_log(out: Path, history: Sequence[dict[str, Any]]) -> None:
    rows = [entry for entry in history if "loss" in entry]
    names = [name for name in _COLUMNS if any(name in row for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_COLUMNS[name] for name in names])
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    write_text(out / "log.csv", text.getvalue())
