"""benchmarks/scorers.py runs at a small size: every scorer and vote has a line, and both forms agree."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bon_eval.analysis.vote_rules import ALL_VOTES
from bon_eval.scorers import SCORERS

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "scorers.py"


def test_the_benchmark_prints_its_lines() -> None:
    command = [sys.executable, str(SCRIPT), "--problems", "6", "--n", "4", "--tokens", "20"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in (*SCORERS, *(f"vote {vote}" for vote in ALL_VOTES)):
        assert re.search(rf"^  {re.escape(name)} +[\d.]+ s$", text, re.MULTILINE)
    assert "largest gap  0.0e+00" in text
    assert re.search(r"ratio +[\d.]+ times faster", text)
