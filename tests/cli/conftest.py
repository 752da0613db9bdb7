"""What the tests of several families of commands share: one real run, copies of it, and how an error looks."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from example_run import FAST, RUN


@pytest.fixture(scope="session")
def finished(
    bon_eval: Callable[..., subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """One real run of the embedded model."""
    out = tmp_path_factory.mktemp("run") / "run"
    done = bon_eval(*RUN, *FAST, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "best-of-6" in done.stdout
    return out


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
