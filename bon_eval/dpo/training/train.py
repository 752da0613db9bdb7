"""Training through TRL's DPOTrainer and SFTTrainer: this module only feeds them token ids and watches them."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from bon_eval.dpo.pairs.tokens import TokenPair, TokenResponse
from bon_eval.dpo.training.checkpoints import TRAINING_FILE, TRAINING_FORMAT, broken, step_of
from bon_eval.dpo.training.identity import WEIGHTED, check_free, identity_of
from bon_eval.dpo.training.losses import is_simpo
from bon_eval.dpo.training.settings import TrainSettings
from bon_eval.dpo.training.start import Start
from bon_eval.dpo.training.trainers import INSTALL, Standing, make_trainer
from bon_eval.engines.base import stderr_to
from bon_eval.errors import BonEvalError, Boundary, ConfigError
from bon_eval.run.console.progress import say
from bon_eval.store.files import lock, make_directory, write_text


class TrainingError(BonEvalError):
    """A training that cannot go on; the checkpoints saved before it are whole."""


def train(
    settings: TrainSettings,
    standing: Standing,
    examples: Sequence[TokenPair] | Sequence[TokenResponse],
    out: Path,
    *,
    reference: Standing | None = None,
    start: Start | None = None,
    origin_hash: str | None = None,
    trust_remote_code: bool = False,
    quiet: bool = False,
) -> Path:
    """Train and save ``checkpoint-0``, ``checkpoint-<k>`` ... under `out`; goes on where a killed training stopped.

    TRL seeds torch, NumPy and random of the process.

    Args:
        settings: everything that the result depends on, but the data.
        standing: what is trained: a model, or an adapter on it that training goes on from.
        examples: pairs for DPO, responses for SFT, as token ids; trained on as they are, nothing is cut.
        out: the training directory.
        reference: DPO's reference; None: `standing` itself, as it is before the first step.
        start: the checkpoint that `standing` is, where an earlier training made it.
        origin_hash: content hash of the model that the first training of a chain began with; None: of this one's model.

    Returns:
        The last checkpoint's directory.

    Raises:
        ConfigError: trl is missing, or refuses the settings.
        StoreError: `out` holds another training (the message names what differs).
        ModelError: the model cannot be loaded.
        TrainingError: the loss or the gradient is not finite, or TRL fails; the last good checkpoint stays.
    """
    trl = _import_trl()
    identity = identity_of(settings, standing, examples, start)
    content: dict[str, object] = {
        "format": TRAINING_FORMAT,
        "settings": settings.as_dict(),
        "identity": identity,
        "origin_hash": origin_hash or standing.model.content_hash,
        WEIGHTED: True,
    }
    if start is not None:
        content["start"] = start.record()
    check_free(out, identity, len(examples))
    make_directory(out)
    with ExitStack() as stack:
        stack.enter_context(closing(lock(out)))
        resume = _last_whole(out, quiet)
        final = out / f"checkpoint-{settings.steps}"
        if resume == final:
            say(f"{out}: trained already, {settings.steps} steps", quiet)
            return final
        log = str(out / "training.log")
        refused = Boundary(ConfigError, "TRL refuses this training", _REMEDY, log=log)
        with stderr_to(log), refused:
            try:
                trainer = make_trainer(trl, settings, standing, examples, out, reference, trust_remote_code, log)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                raise TrainingError(f"{out}: {_TOO_LARGE}") from error
        # Not before TRL takes the settings: others could not be given after a refusal.
        write_text(out / TRAINING_FILE, json.dumps(content, indent=2) + "\n")
        # Progress still goes to the terminal while standard error goes to the log.
        terminal = stack.enter_context(os.fdopen(os.dup(2), "w"))
        trainer.add_callback(_watch(settings, out, terminal, quiet))
        fresh = resume is None or resume.name == _START
        stopped: str | None = None
        failed = Boundary(TrainingError, f"{out}: training stopped", _GO_ON, log=log)
        with stderr_to(log), redirect_stdout(io.StringIO()), failed:
            try:
                if resume is None:
                    _save_start(trainer, out)
                trainer.train(resume_from_checkpoint=None if fresh else str(resume))
            except _NotFiniteError as error:
                stopped = str(error)
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                stopped = _TOO_LARGE
        if stopped is not None:
            last = _last_whole(out, quiet=True)
            kept = last.name if last is not None else "none"
            raise TrainingError(f"{out}: {stopped}; the last good checkpoint is {kept}")
        return final


_START = "checkpoint-0"
_REMEDY = "change the options that it names, or the model's files"
_GO_ON = "the checkpoints saved before are whole; mend the cause, and the same command goes on from the last"
_TOO_LARGE = "the device's memory does not suffice; lower --micro-batch or add --gradient-checkpointing"


class _NotFiniteError(Exception):
    pass


def _is_out_of_memory(error: RuntimeError) -> bool:
    return "out of memory" in str(error)


@Boundary(ConfigError, "training needs TRL, which cannot be imported", INSTALL)
def _import_trl() -> Any:
    # TRL's own telemetry and hub calls have no place in a measurement.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("WANDB_DISABLED", "true")
    # SimPO's trainer is one of TRL's experimental ones; a notice of it each time is no news to a user.
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
    import trl

    return trl


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
_SIMPO_COLUMNS = _COLUMNS | {
    "rewards/accuracies": "ranking_accuracy_per_token",
    "logps/chosen": "log_likelihood_per_token_chosen",
    "logps/rejected": "log_likelihood_per_token_rejected",
}
_DPOP_COLUMNS = _COLUMNS | {
    "rewards/accuracies": "penalised_reward_accuracy",
    "rewards/margins": "penalised_reward_margin",
}
_LD_COLUMNS = {name: f"weighted_{column}" if "/" in name else column for name, column in _COLUMNS.items()}


def _columns(settings: TrainSettings) -> dict[str, str]:
    """What TRL logs, under the name of what it is: SimPO's are of means per token, LD-DPO's of weighted sums."""
    if is_simpo(settings.loss):
        return _SIMPO_COLUMNS
    if settings.dpop_lambda is not None:
        return _DPOP_COLUMNS
    return _COLUMNS if settings.ld_alpha is None else _LD_COLUMNS


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
            _write_log(out, state.log_history, _columns(settings))
            loss = next((entry["loss"] for entry in reversed(state.log_history) if "loss" in entry), "unknown")
            if not quiet:
                print(f"training: {state.global_step}/{settings.steps} steps, loss {loss}", file=terminal, flush=True)

    return Watch()


def _write_log(out: Path, history: Sequence[dict[str, Any]], columns: Mapping[str, str]) -> None:
    rows = [entry for entry in history if "loss" in entry]
    names = [name for name in columns if any(name in row for row in rows)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([columns[name] for name in names])
    writer.writerows([row.get(name, "") for name in names] for row in rows)
    write_text(out / "log.csv", text.getvalue())
