"""Pairs, DPO and tracking on a real pretrained model: SmolLM2-135M, LoRA, vLLM's CPU build for sampling and forcing."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
pytest.importorskip("trl")


def bon_eval(*arguments: object) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "2", "VLLM_CPU_KVCACHE_SPACE": "1"}
    command = [sys.executable, "-m", "bon_eval.cli", *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=3600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lora_dpo_tracked_with_vllm(smollm2: Path, tmp_path: Path) -> None:
    sampling = ["--task", "arith", "--limit", "4", "--n", "4", "--max-tokens", "24", "--engine", "vllm"]
    run, training, track = tmp_path / "run", tmp_path / "dpo", tmp_path / "track"
    bon_eval("run", "--model", smollm2, *sampling, "--dtype", "float32", "--out", run, "--quiet", "--draws", "100")
    # SmolLM2 seldom ends a response within 24 tokens, so the sampled side has to be made: chosen and rejected by hand.
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(
        '{"prompt": "Two and two are", "chosen": " four.", "rejected": " five."}\n'
        '{"prompt": "The capital of France is", "chosen": " Paris.", "rejected": " Rome."}\n'
    )
    lora = ["--lora-rank", "8", "--steps", "2", "--save-every", "1", "--batch-size", "2", "--learning-rate", "1e-3"]
    bon_eval("dpo", "--model", smollm2, "--pairs", pairs, *lora, "--warmup-steps", "0", "--out", training, "--quiet")
    command = ["track", "--base", smollm2, "--checkpoints", training, *sampling, "--pairs", pairs, "--out", track]
    shown = bon_eval(*command, "--base-run", run, "--draws", "200", "--quiet")
    assert "2 checkpoints after step 0" in shown
    with (track / "trajectory.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["0", "1", "2"]
    losses = [float(row["pairs.dpo_loss"]) for row in rows]
    assert losses[0] == pytest.approx(0.693147, abs=1e-5)
    assert losses[2] < losses[1] < losses[0]
    again = bon_eval(*command, "--base-run", run, "--draws", "200", "--no-html")
    assert again.splitlines()[:8] == shown.splitlines()[:8]

    from bon_eval.dpo.pairs.files import read_pairs
    from bon_eval.dpo.pairs.tokens import TokenResponse, tokenize_pairs
    from bon_eval.dpo.tracking.forced import ForcedLog, response_key
    from bon_eval.engines.base import EngineSpec
    from bon_eval.engines.load import load_tokenizer
    from bon_eval.engines.transformers import TransformersEngine
    from bon_eval.records import ForcedSequence

    tokens = tokenize_pairs(read_pairs(pairs), load_tokenizer(smollm2), 2048)
    for step in (1, 2):
        [folder] = (path for path in (track / f"forced/step-{step:06d}").iterdir() if path.is_dir())
        stored = ForcedLog(folder.parent, folder.name).read()
        adapter = str(training / f"checkpoint-{step}")
        with TransformersEngine(EngineSpec(str(smollm2), "float32", adapter, "x")) as engine:
            for pair in tokens:
                [forced] = engine.score_argmax([ForcedSequence("x", pair.prompt, pair.chosen)])
                key = response_key(TokenResponse("x", "x", pair.prompt, pair.chosen))
                [found] = stored.forced([key], ["x"])
                assert found.logprobs == pytest.approx(forced.logprobs, abs=1e-3)
                assert found.argmax_logprobs == pytest.approx(forced.argmax_logprobs, abs=1e-3)
