"""Standard output and figures that the surroundings spoil, in a process as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL = Path("/dev/full")


def start(*arguments: object, path: Path | None = None, **environment: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join([*([] if path is None else [str(path)]), str(ROOT)])
    return subprocess.Popen(
        [sys.executable, "-m", "bon_eval.cli", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"} | {"PYTHONPATH": paths} | environment,
    )


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", [{}, {"PYTHONUNBUFFERED": "1"}])
@pytest.mark.parametrize("arguments", [["tasks", "list"], ["run", "--help"], ["--version"], ["--help"]])
def test_a_full_disk_behind_standard_output_is_one_line(arguments: list[str], unbuffered: dict[str, str]) -> None:
    with FULL.open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bon_eval.cli", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""} | unbuffered,
        )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert line.startswith("error: cannot write to standard output: No space left on device; ")


def test_a_pipe_that_is_closed_is_no_error() -> None:
    process = start("tasks", "list")
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait() == 141


def test_a_terminal_without_the_letters_of_a_prompt(tmp_path: Path) -> None:
    task = tmp_path / "own.yaml"
    task.write_text((ROOT / "tasks" / "arith.yaml").read_text().replace("description: ", "description: \u20ac "))
    process = start("tasks", "show", task, PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    printed, error = process.communicate()
    assert process.returncode == 0, error
    assert r"\u20ac" in printed


def test_a_notebooks_backend_that_is_not_there(copy: Path) -> None:
    process = start("report", copy, MPLBACKEND="module://no_such_package.backend_inline")
    _, error = process.communicate()
    assert process.returncode == 0, error
    assert (copy / "figures" / "lift.png").is_file()


def test_a_matplotlib_that_fails_is_one_line(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ArithmeticError('odd')\n")
    for option, code in (("--html", 2), ("--no-html", 0)):
        process = start("report", copy, option, path=tmp_path)
        _, error = process.communicate()
        assert process.returncode == code, error
        if code:
            [line] = error.splitlines()
            assert line == (
                "error: matplotlib cannot be imported: ArithmeticError: odd; mend it, or go without figures: --no-html"
            )


def test_an_own_scorer_that_fails_is_one_line(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(response):\n    return len(response.text) / 0\n")
    process = start("report", copy, "--draws", "200", "--no-html", "--scorer", f"{tmp_path}/mine.py:f")
    _, error = process.communicate()
    assert process.returncode == 2
    [line] = error.splitlines()
    assert "ZeroDivisionError: division by zero (mine.py, line 2); mend it" in line
