"""What tests of training share: the command line, what a training left behind, and the harness's own log-probs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from bon_eval.cli import main
from bon_eval.engines.models import ASSETS

BASE = ASSETS / "arith-mixed"
FEW = ["--steps", "6", "--save-every", "2", "--batch-size", "12", "--micro-batch", "12", "--learning-rate", "1e-5"]


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def good(*arguments: object) -> str:
    done = invoke(*arguments)
    assert done.exit_code == 0, done.output
    return str(done.output)


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: value.float() for name, value in load_file(next(folder.glob("*.safetensors"))).items()}


def log(folder: Path) -> list[dict[str, float]]:
    with (folder / "log.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def token_scores(
    pairs: Path, model: Path, adapter: Path | None = None
) -> dict[str, tuple[tuple[float, ...], tuple[float, ...]]]:
    """Pair id -> log-probs of the tokens of chosen and rejected, by the harness's engine."""
    from bon_eval.dpo.pairs.files import read_pairs
    from bon_eval.dpo.pairs.tokens import tokenize_pairs
    from bon_eval.engines.base import EngineSpec
    from bon_eval.engines.load import load_tokenizer
    from bon_eval.engines.transformers import TransformersEngine
    from bon_eval.records import ForcedSequence

    tokens = tokenize_pairs(read_pairs(pairs), load_tokenizer(BASE), 256)
    spec = EngineSpec(str(model), "float32", None if adapter is None else str(adapter), "x")
    with TransformersEngine(spec) as engine:
        sequences = [
            ForcedSequence(f"{p.id} {s}", p.prompt, getattr(p, s)) for p in tokens for s in ("chosen", "rejected")
        ]
        found = {key: tuple(values) for key, values in engine.score(sequences)}
    return {p.id: (found[f"{p.id} chosen"], found[f"{p.id} rejected"]) for p in tokens}
