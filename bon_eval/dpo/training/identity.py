"""What tells a stored training from another: whether a directory can be gone on with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bon_eval.config import differences, digest
from bon_eval.dpo.pairs.tokens import slots
from bon_eval.dpo.training.checkpoints import TRAINING_FILE, read_training, step_of
from bon_eval.dpo.training.losses import DEFAULT_LOSS, NLL, terms_of
from bon_eval.dpo.training.settings import LATER, TrainSettings
from bon_eval.dpo.training.start import Start
from bon_eval.dpo.training.trainers import Standing
from bon_eval.errors import StoreError

WEIGHTED = "weighted_micro_batches"
"""Key of training.json where a micro-batch counts by what it holds (`bon_eval.dpo.training.micro_batches`); older
trainings lack it."""


def identity_of(
    settings: TrainSettings, standing: Standing, examples: Sequence[Any], start: Start | None
) -> dict[str, object]:
    """What a stored training must agree with: settings, weights and examples."""
    found: dict[str, object] = {
        **settings.identity(),
        "model_hash": standing.model.content_hash,
        "adapter_hash": None if standing.policy is None else standing.policy.content_hash,
        "examples_hash": digest([slots(e) for e in examples]),
    }
    return found if start is None else found | {"start": start.content_hash}


def check_free(out: Path, identity: Mapping[str, object], examples: int) -> None:
    """Raise `StoreError` where a directory holds another training, or checkpoints of another program."""
    path = out / TRAINING_FILE
    if path.is_file():
        stored = read_training(path)
        known, given = _said(stored["identity"]), _said(identity)
        if "micro_batch" not in given:
            known.pop("micro_batch", None)  # older versions had it beside every NLL
        if changed := differences(known, given):
            raise StoreError(f"{out} holds another training ({'; '.join(changed)}); give --out another directory")
        if counted_otherwise(stored, examples):
            raise StoreError(
                f"{out} holds a training of an older version, in which a step's micro-batches counted the same "
                "whatever they held; give --out another directory"
            )
    elif out.is_dir() and any(step_of(path) is not None for path in out.iterdir()):
        raise StoreError(f"{out} holds checkpoints of another program; give --out another directory")


def counted_otherwise(stored: Mapping[str, Any], examples: int) -> bool:
    """Whether a training's numbers are others than today's: one without `WEIGHTED` that had unequal micro-batches.

    Args:
        stored: the content of its training.json.
        examples: how many pairs there are.
    """
    settings = stored["settings"]
    batch, micro, steps = (int(settings[name]) for name in ("batch_size", "micro_batch", "steps"))
    if stored.get(WEIGHTED) or settings["method"] == "sft" or micro == batch:
        return False
    if any(term.name == NLL for term in terms_of(settings.get("loss", DEFAULT_LOSS))):
        return True
    left = examples % batch  # pairs of the last step of a pass over them
    return left > micro and left % micro > 0 and steps >= math.ceil(examples / batch)


def _said(identity: Mapping[str, object]) -> dict[str, object]:
    """An identity with the defaults that DPO's leaves out, for messages."""
    unsaid = LATER if identity.get("method") == "dpo" else {}
    return {**identity, **{name: value for name, value in unsaid.items() if name not in identity}}
