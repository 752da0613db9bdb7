"""A study whose base model is brought to the task first: the embedded model in a pretrained one's place."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from squeeze.plan import read_plan

pytest.importorskip("trl")
ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "scripts" / "run_squeeze.py"
COMMITTED = ROOT / "results" / "squeeze" / "smollm2" / "conditions.yaml"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of conditions.yaml and work/, after the runner on few problems and steps; the page is in page/."""
    folder = tmp_path_factory.mktemp("study")
    content: dict[str, Any] = yaml.safe_load(COMMITTED.read_text())
    claims = yaml.safe_load((COMMITTED.parent / content["claims"]).read_text())["claims"]
    options = ["--steps", 2, "--save-every", 1, "--batch-size", 8, "--micro-batch", 8, "--learning-rate", 1e-2]
    content["models"]["smollm2"]["sft"] |= {"problems": 16, "options": [*options, "--lora-rank", 2, "--quiet"]}
    content |= {
        "n": 4,
        "seeds": [1],
        "sample_at": [2],
        "probes": ["chosen-permuted"],
        "conditions": {"on-policy": content["conditions"]["on-policy"]},
        "figures": {"all": ["on-policy"]},
        "claims": "claims.yaml",
    }
    for made, problems in (("train", 24), ("held_out", 24), ("base_report", 12)):
        content[made] |= {"problems": problems, "n": 4}
    content["training"] |= {"steps": 2, "save_every": 2, "options": ["--lora-rank", 2]}
    (folder / "conditions.yaml").write_text(yaml.safe_dump(content))
    (folder / "claims.yaml").write_text(yaml.safe_dump({"claims": {id_: claims[id_] for id_ in "jk"}}))
    (folder / "work").mkdir()
    shutil.copytree(ROOT / "bon_eval" / "assets" / "arith-mixed", folder / "work" / "SmolLM2-135M-Instruct")
    command = [sys.executable, str(RUNNER), "--conditions", str(folder / "conditions.yaml")]
    done = subprocess.run(
        [*command, "--work", str(folder / "work"), "--out", str(folder / "page")],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_the_merged_model_is_the_pretrained_one_with_its_adapter(study: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    work = study / "work"
    bare = AutoModelForCausalLM.from_pretrained(work / "SmolLM2-135M-Instruct", dtype=torch.float32).eval()
    ids = torch.arange(3, 23)[None]
    with torch.inference_mode():
        untrained = bare(ids).logits
        adapted = PeftModel.from_pretrained(bare, str(work / "sft" / "smollm2" / "checkpoint-2")).eval()(ids).logits
        merged = AutoModelForCausalLM.from_pretrained(work / "models" / "smollm2").eval()(ids).logits
    assert (adapted - untrained).abs().max() > 1e-2
    torch.testing.assert_close(merged, adapted, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_it_is_the_base_model_of_pools_and_trainings(study: Path) -> None:
    work = study / "work"
    merged = str(work / "models" / "smollm2")
    assert json.loads((work / "pools" / "smollm2-held-out" / "run.json").read_text())["config"]["model"] == merged
    track = work / "tracks" / "smollm2-on-policy-1" / "trajectory.json"
    assert json.loads(track.read_text())["points"][0]["step"] == 0
    claims = {claim["claim"]: claim for claim in json.loads((study / "page" / "claims.json").read_text())["claims"]}
    assert {claim["condition"] for claim in claims.values()} == {"base", "on-policy"}


@pytest.mark.slow
def test_the_base_models_own_report_stands_beside_the_page(study: Path) -> None:
    report = json.loads((study / "page" / "base" / "report.json").read_text())
    assert {arm["n"] for arm in report["arms"]} >= {1, 2, 4}
    assert {path.name for path in (study / "page" / "base").iterdir()} >= {"report.html", "report.csv", "figures"}
    assert not list((study / "page" / "base").rglob("*.parquet"))


def test_no_problem_is_asked_that_the_base_model_was_trained_on(tmp_path: Path) -> None:
    plan = read_plan(COMMITTED, tmp_path, fast=False)
    plan.write_data()
    brought = {problem.question for problem in plan.brought("smollm2")}
    asked = [
        json.loads(line)["question"]
        for name in ("held-out", "train-21", "train-22", "base")
        for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()
    ]
    assert len(brought) == 1600
    assert len(asked) == len(set(asked)) == 48 + 2 * 160 + 150
    assert not brought & set(asked)


def test_claims_of_another_file(tmp_path: Path) -> None:
    plan = read_plan(COMMITTED, tmp_path, fast=True)
    assert plan.content["claims"] == yaml.safe_load((ROOT / "results/squeeze/conditions.yaml").read_text())["claims"]
    assert plan.seeds == (21,)


def test_options_of_all_trainings_and_of_one_stand_once(tmp_path: Path) -> None:
    content = yaml.safe_load(COMMITTED.read_text())
    content["conditions"]["RPO"] = {"pairs": "paraphrased", "dpo": {"options": ["--loss", "sigmoid", "--loss", "sft"]}}
    content["claims"] = str((COMMITTED.parent / content["claims"]).resolve())
    (tmp_path / "conditions.yaml").write_text(yaml.safe_dump(content))
    plan = read_plan(tmp_path / "conditions.yaml", tmp_path, fast=True)
    commands = {cell.condition: plan.commands(cell) for cell in plan.cells()}
    dpo, track = commands["RPO"]
    assert [dpo[k + 1] for k, word in enumerate(dpo) if word == "--loss"] == ["sigmoid", "sft"]
    assert dpo[dpo.index("--model") + 1] == track[track.index("--base") + 1] == str(tmp_path / "models" / "smollm2")
    for command in (dpo, *commands["SFT first"][:2]):
        assert command[command.index("--lora-rank") :].count("16") == 1
        assert command.count("--lora-rank") == 1
