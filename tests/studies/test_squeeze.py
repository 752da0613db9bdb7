"""The reproduction's own machinery on a small conditions file: every command of it, the claims and the page."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("trl")
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_small_reproduction(tmp_path: Path) -> None:
    conditions = yaml.safe_load((ROOT / "results/squeeze/conditions.yaml").read_text())
    conditions |= {
        "n": 4,
        "settings": {"small": {"learning_rate": 1.0e-4, "steps": 2}},
        "conditions": {"off-policy": conditions["conditions"]["off-policy"]},
        "claims": {id_: conditions["claims"][id_] for id_ in "abc"},
    }
    conditions["train"]["problems"] = conditions["held_out"]["problems"] = 16
    conditions["fast"]["checkpoints"] = 1
    conditions["training"]["batch_size"] = 8
    file = tmp_path / "conditions.yaml"
    file.write_text(yaml.safe_dump(conditions, sort_keys=False))
    out = tmp_path / "page"
    command = [sys.executable, str(ROOT / "scripts/run_squeeze.py"), "--fast", "--conditions", str(file)]
    command += ["--work", str(tmp_path / "work"), "--out", str(out)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "(a) Off-policy DPO lowers" in done.stdout
    claims = json.loads((out / "claims.json").read_text())["claims"]
    assert [c["claim"] for c in claims] == ["a", "a", "b", "b", "c", "c"]
    # One number of the table against the trajectory behind it.
    with (out / "trajectories.csv").open() as stream:
        first, last = list(csv.DictReader(stream))
    name = "gold.log_likelihood.chosen"
    assert claims[0]["measure"] == name
    assert claims[0]["estimate"] == pytest.approx(float(last[name]) - float(first[name]), abs=1e-4)
    page = (out / "squeeze.html").read_text()
    assert page.count('<section class="claim">') == 3
    assert "<script" not in page
    assert "nan" not in page
    assert "One seed of training: claims are decided for these trainings only" in page
    assert "One seed of training" in done.stdout
    assert "arith-squeeze-train-1" in page
