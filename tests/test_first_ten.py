"""docs/first-ten.md as a newcomer types it: what is printed is what the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "first-ten.md").read_text(encoding="utf-8")
BLOCKS = "\n".join(re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
TYPED = re.findall(r"^\$ bon-eval (.*)\n((?:(?!\$ ).*\n)*)", BLOCKS, re.MULTILINE)


def missing(said: str, got: str) -> str | None:
    """The first piece of the page that `got` lacks, in order; other lines may stand between, `...` is anything."""
    lines = (" ".join(line.split()) for line in said.strip().splitlines())
    at = 0
    for piece in (piece.strip() for line in lines for piece in line.split("...")):
        found = got.find(piece, at)
        if found < 0:
            return piece
        at = found + len(piece)
    return None


def test_what_is_missing_is_found_in_order() -> None:
    assert missing("a ... c\nd", "a b c x d") is None
    assert missing("a ... c\nd", "a b d c") == "d"
    assert missing("...\nb  b\n...", "a b b") is None


@pytest.mark.slow
def test_the_page_prints_what_it_says(tmp_path: Path) -> None:
    assert len(TYPED) == 10
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    for words, said in TYPED:
        done = subprocess.run(
            [sys.executable, "-m", "bon_eval.cli", *shlex.split(words)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        failed = said.startswith("error: ")
        assert done.returncode == (2 if failed else 0), done.stderr
        got = done.stderr if failed else done.stdout
        assert missing(said, " ".join(got.split())) is None, f"$ bon-eval {words}\n{got}\n--- page:\n{said}"
    assert (tmp_path / "first" / "report.html").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"first", "second"}
