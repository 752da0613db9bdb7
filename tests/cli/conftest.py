"""What the tests of several families of commands share: one real run, copies of it, and how an error looks."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from example_run import FAST, RUN


@pytest.fixture(scope="session")
def by_default(
    bon_eval: Callable[..., subprocess.CompletedProcess[str]],
    made_once: Callable[[str, Callable[[Path], None]], Path],
) -> Path:
    """The folder in which a process of its own made one real run of the embedded model; `printed.json` is its output.

    Without --out the run lies where bon-eval puts it.
    """

    def make(folder: Path) -> None:
        done = bon_eval(*RUN, *FAST, "--quiet", cwd=folder)
        assert done.returncode == 0, done.stderr
        (folder / "printed.json").write_text(json.dumps([done.stdout, done.stderr]), encoding="utf-8")

    return made_once("run", make)


@pytest.fixture(scope="session")
def finished(by_default: Path) -> Path:
    """One real run of the embedded model."""
    [directory] = by_default.glob("results/arith/arith-mixed/*")
    return directory


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


@pytest.fixture(scope="session")
def one_line_error() -> Callable[..., None]:
    """(what a command gave, *parts) -> asserts exit code 2 and one line that holds the parts."""

    def check(result: Result | subprocess.CompletedProcess[str], *parts: str) -> None:
        code = result.exit_code if isinstance(result, Result) else result.returncode
        assert code == 2, result
        text = result.stderr.strip()
        assert "Traceback" not in text
        last = text.splitlines()[-1]
        for part in parts:
            assert part in last, last

    return check
