"""The study's own machinery on a small conditions file: every command of it, the claims and the page."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("trl")
ROOT = Path(__file__).resolve().parents[2]
RUNNER = ROOT / "scripts" / "run_squeeze.py"
KEPT = ["paraphrased", "wrong-nearer", "SFT first"]


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed file with fewer conditions, problems and steps."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "results/squeeze/conditions.yaml").read_text())
    content |= {
        "n": 4,
        "seeds": [1],
        "sample_at": [2],
        "fast": {"models": ["arith-mixed"]},
        "conditions": {name: content["conditions"][name] for name in KEPT},
        "held_out_pairs": ["outside", "paraphrased", "policy", "nearer"],
        "probes": ["chosen-in-words", "chosen-permuted"],
        "claims": {id_: content["claims"][id_] for id_ in "acij"},
        "figures": {"all": KEPT},
    }
    content["train"]["problems"] = content["held_out"]["problems"] = 24
    content["training"] |= {"learning_rate": 1.0e-4, "steps": 2, "save_every": 1, "batch_size": 8}
    content["conditions"]["SFT first"] |= {"sft": {"select": "chosen", "steps": 1}, "sample_at": [1, 3]}
    content["claims"]["c"]["conditions"] = ["paraphrased"]
    content["claims"]["i"]["conditions"] = ["on-policy", "SFT first"]
    file = tmp_path_factory.mktemp("study") / "conditions.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def study(conditions: Path) -> tuple[Path, str]:
    """(the work folder, what was printed), with the page beside it."""
    folder = conditions.parent
    return folder / "work", run(conditions, folder / "work", folder / "page").stdout


def run(conditions: Path, work: Path, out: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUNNER), "--fast", "--conditions", str(conditions), "--work", str(work)]
    done = subprocess.run(
        [*command, "--out", str(out), *more], env=os.environ, capture_output=True, text=True, check=False, timeout=3600
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_page_and_its_tables(study: tuple[Path, str]) -> None:
    work, printed = study
    out = work.parent / "page"
    assert "(a) Off-policy DPO lowers" in printed
    assert "One seed of training" in printed
    claims = json.loads((out / "claims.json").read_text())["claims"]
    assert {c["claim"] for c in claims} == set("acij")
    # Claims are decided by the conditions that there are.
    assert {c["condition"] for c in claims if c["claim"] == "a"} == {"paraphrased"}
    assert {c["condition"] for c in claims if c["claim"] == "i"} == {"SFT first"}
    # One number of the table against the trajectory behind it.
    rows = {(row["condition"], int(row["step"])): row for row in table(out)}
    name = "paraphrased.log_likelihood.chosen"
    assert claims[0]["measure"] == name
    change = float(rows["paraphrased", 2][name]) - float(rows["paraphrased", 0][name])
    assert claims[0]["estimate"] == pytest.approx(change, abs=2e-3)
    assert rows["paraphrased", 2]["chosen-in-words.log_likelihood"]
    # Only the checkpoints that are named have pools; a chain goes on in its steps.
    assert rows["paraphrased", 1]["accuracy.sample"] == ""
    assert rows["SFT first", 3]["accuracy.sample"]
    kinds = {row["kind"]: row for row in json.loads((out / "claims.json").read_text())["pairs"]}
    assert kinds["policy"]["chosen_in_pool"] == kinds["policy"]["rejected_in_pool"] == 1.0
    assert kinds["outside"]["chosen_in_pool"] == kinds["paraphrased"]["rejected_in_pool"] == 0.0
    assert kinds["outside"]["chosen"] == pytest.approx(
        float(rows["paraphrased", 0]["outside.log_likelihood.chosen"]), abs=2e-3
    )
    page = (out / "squeeze.html").read_text()
    assert page.count('<section class="claim">') == 4
    assert "<script" not in page
    assert "nan" not in page
    assert "One seed of training: claims are decided for these trainings only" in page
    assert "often times the likelihood of both" in page


@pytest.mark.slow
def test_pairs_in_other_words(study: tuple[Path, str]) -> None:
    pairs = study[0] / "pairs"
    sources = {p["id"]: p for p in lines(pairs / "arith-mixed-train-1-policy.jsonl")}
    said = lines(pairs / "arith-mixed-train-1-paraphrased.jsonl")
    assert said
    for pair in said:
        source = sources[pair["id"]]
        assert pair["prompt"] == source["prompt"]
        assert pair["problem_id"] == source["problem_id"]
        for side in ("chosen", "rejected"):
            assert not set(pair[side]) & set("*+/=")
            assert pair[side] != source[side]
        assert not any("token_ids" in name for name in pair)


@pytest.mark.slow
def test_a_second_run_of_a_cell_gives_the_same_numbers(study: tuple[Path, str], conditions: Path) -> None:
    content = yaml.safe_load(conditions.read_text())
    content["conditions"] = {"paraphrased": content["conditions"]["paraphrased"]}
    content["claims"] = {"a": content["claims"]["a"]}
    content["figures"] = {"all": ["paraphrased"]}
    file = conditions.parent / "one.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    run(file, conditions.parent / "again", conditions.parent / "page-again")
    found, before = (
        [row for row in table(conditions.parent / name) if row["condition"] == "paraphrased"]
        for name in ("page-again", "page")
    )
    assert found
    # The other table has columns of conditions that this one has not.
    assert found == [{name: row[name] for name in found[0]} for row in before]


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(study: tuple[Path, str], conditions: Path) -> None:
    work, printed = study
    stamps = {p: p.stat().st_mtime_ns for p in work.rglob("*.safetensors")}
    assert run(conditions, work, work.parent / "page-2").stdout == printed.replace(
        str(work.parent / "page"), str(work.parent / "page-2")
    )
    assert {p: p.stat().st_mtime_ns for p in work.rglob("*.safetensors")} == stamps


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(out: Path) -> list[dict[str, str]]:
    with (out / "trajectories.csv").open() as stream:
        return list(csv.DictReader(stream))
