"""A grader from another package: the walk-through of docs/tasks.md, installed and run as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).resolve().parents[2]
BAD = """
import os
from bon_eval.graders import Grade

class Bad:
    name, version = "bad", "bad-1"

    def __call__(self, response, gold):
        if response == "hang":
            while True:
                pass
        if response == "die" or "2" in response:
            os._exit(7)
        if response == "raise":
            raise KeyError("no")
        if response == "no grade":
            return Grade("yes", None, "")
        return Grade(None if response == "none" else response == gold, f"{os.getpid()}", "read")
"""


def blocks() -> dict[str, str]:
    """The page's code by language."""
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    return {m[1]: m[2] for m in re.finditer(r"^```(json|yaml|python|toml)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the page's package and a bad one are installed, with the page's task beside them."""
    folder, code = tmp_path_factory.mktemp("outside"), blocks()
    bad_project = code["toml"].replace("roman-grader", "bad-grader").replace("roman", "bad").replace("Roman", "Bad")
    for name, module, project in (("roman", code["python"], code["toml"]), ("bad", BAD, bad_project)):
        source = folder / name
        source.mkdir()
        (source / f"{name}_grader.py").write_text(module, encoding="utf-8")
        (source / "pyproject.toml").write_text(project, encoding="utf-8")
    offline = ["-q", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    sources = [str(folder / name) for name in ("roman", "bad")]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, *sources], check=True, capture_output=True)
    (folder / "roman.jsonl").write_text(code["json"], encoding="utf-8")
    (folder / "roman.yaml").write_text(code["yaml"], encoding="utf-8")
    return folder


def python(installed: Path, *args: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), str(installed / "site")])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *args], capture_output=True, text=True, cwd=installed, env=environment, check=False
    )


@pytest.mark.slow
def test_the_page_is_a_task_that_checks_and_runs(installed: Path) -> None:
    checked = python(installed, "-m", "bon_eval.cli", "tasks", "check", "roman.yaml")
    assert checked.stdout.strip() == (
        "roman: 3 problems; 4 of 4 right answers graded correct; 0 of 0 near misses graded wrong"
    ), checked.stderr
    options = ["--model", "arith-mixed", "--n", "2", "--engine", "transformers", "--draws", "200", "--max-tokens", "8"]
    ran = python(installed, "-m", "bon_eval.cli", "run", "--task", "roman.yaml", *options, "--out", "run")
    assert ran.returncode == 0, ran.stderr
    grades = pd.read_parquet(installed / "run" / "grades.parquet")
    assert set(grades["grader_version"]) == {"roman-1"}
    assert len(grades) == 3 * 3
    assert set(grades["reason"]) <= {"last numeral", "no numeral found"}


@pytest.mark.slow
def test_a_grader_that_ends_its_worker_is_said_once(installed: Path) -> None:
    options = ["--model", "arith-mixed", "--n", "2", "--engine", "transformers", "--draws", "200", "--limit", "4"]
    ran = python(installed, "-m", "bon_eval.cli", "run", "--task", "arith", *options, "--out", "arith")
    assert ran.returncode == 0, ran.stderr
    graded = python(installed, "-m", "bon_eval.cli", "grade", "arith", "--grader", "bad")
    assert graded.returncode == 0, graded.stderr
    grades = pd.read_parquet(installed / "arith" / "grades.parquet")
    ended = grades["reason"].str.contains("grader bad ended its worker")
    assert ended.any()
    [line] = [line for line in graded.stderr.splitlines() if "failed on" in line]
    assert line.startswith(f"grader bad failed on {ended.sum()} response")
    assert "grader bad ended its worker" in line


def test_votes_and_strict_follow_the_outside_answer(installed: Path) -> None:
    code = (
        "import json; from bon_eval.graders import get_grader, strict; from bon_eval.graders.batch import *\n"
        "from bon_eval.graders.answer_classes import AnswerClasses\n"
        "rows = [('XIV', '14'), ('so XIIII', '14'), ('IX', '14'), ('none', '14')]\n"
        "grades = grade_many('roman', rows)\n"
        "keys = BatchGrader('roman').keys([g.answer for g in grades])\n"
        "print(json.dumps([[g.correct for g in grades], AnswerClasses(4).number('p', keys),\n"
        "                  strict('roman', 'XIV', '14'), get_grader('roman').version]))"
    )
    done = python(installed, "-c", code)
    assert json.loads(done.stdout) == [[True, True, False, False], [0, 0, 1, -1], True, "roman-1"], done.stderr


def test_it_runs_in_a_worker_and_cannot_hurt_the_caller(installed: Path) -> None:
    code = (
        "import json, os; from bon_eval.graders import get_grader; from bon_eval.graders.batch import grade_many\n"
        "texts = ['good', 'hang', 'die', 'raise', 'no grade', 'none', 'good']\n"
        "many = grade_many('bad', [(t, 'good') for t in texts], deadline=0.3, workers=1)\n"
        "one = get_grader('bad')('good', 'good')\n"
        "print(json.dumps([[[g.correct, g.reason] for g in many], one.correct, int(one.answer) != os.getpid()]))"
    )
    done = python(installed, "-c", code)
    grades, correct, elsewhere = json.loads(done.stdout)
    assert (correct, elsewhere) == (True, True)
    assert [g[0] for g in grades] == [True, None, None, None, None, None, True], done.stderr
    reasons = [g[1] for g in grades]
    assert reasons[1] == "grader bad passed its deadline of 0.9 s of processor time"
    assert reasons[2] == "grader bad ended its worker (exit code 7)"
    assert reasons[3] == "KeyError in grader bad (bad_grader.py, line 15)"
    assert reasons[4] == "TypeError in grader bad"
    assert reasons[5] == reasons[6] == "read"


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        ("raise RuntimeError('broken')\n", ["cannot be loaded", "RuntimeError: broken"]),
        ("class Bad:\n    name, version = 'good', '1'\n    def __call__(self): ...\n", ["has the name 'good'"]),
        ("class Bad:\n    name = 'bad'\n    def __call__(self): ...\n", ["is no grader", "version"]),
        ("Bad = 3\n", ["is no grader"]),
    ],
)
def test_a_package_that_offers_none(installed: Path, tmp_path: Path, module: str, parts: list[str]) -> None:
    (tmp_path / "bad_grader.py").write_text(module, encoding="utf-8")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from bon_eval.graders import get_grader\n"
        "from bon_eval.errors import GraderError\n"
        "try:\n    get_grader('bad')\nexcept GraderError as error:\n    print(error)"
    )
    message = python(installed, "-c", code).stdout.strip()
    assert "\n" not in message
    for part in ["grader 'bad' of package bad-grader", *parts]:
        assert part in message


def test_an_unknown_name_lists_the_outside_ones_too(installed: Path) -> None:
    checked = python(installed, "-m", "bon_eval.cli", "grade", "nowhere", "--grader", "x")
    assert checked.returncode == 2
    code = "from bon_eval.graders import get_grader\nget_grader('nope')"
    assert "valid: bad, choice, game24, gsm8k, math, numeric, roman, true_false" in python(installed, "-c", code).stderr
