"""A grader that is a function of a user's file: known by its content, and an error where it fails."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bon_eval.errors import GraderError
from bon_eval.graders import Grade, get_grader
from bon_eval.graders.batch import grade_many
from bon_eval.graders.plugin import OwnFileGrader
from bon_eval.store.reader import load_run

Command = Callable[..., subprocess.CompletedProcess[str]]
KINDS = '''
from bon_eval.graders import Grade

def f(response, gold):
    """Each kind of value that a function may give."""
    given = {"yes": True, "none": None, "pair": (response != gold, "p"), "grade": Grade(False, "g", "why")}
    return given.get(response, response == gold)

class Maker:
    def __call__(self, response, gold):
        return response == gold

def bad(response, gold):
    if response == "raise":
        raise KeyError("no")
    return "yes"

constant = 3
'''
LENGTH = """
def by_length(response, gold):
    return len(response) % 2 == len(gold) % 2, str(len(response))
"""


def mine(folder: Path, text: str = KINDS) -> Path:
    path = folder / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_function_may_give(tmp_path: Path) -> None:
    name = f"{mine(tmp_path)}:f"
    pairs = [(text, "7") for text in ("7", "8", "yes", "none", "pair", "grade")]
    assert grade_many(name, pairs) == [
        Grade(True, "7", "own function"),
        Grade(False, "8", "own function"),
        Grade(True, "yes", "own function"),
        Grade(None, "none", "no verdict"),
        Grade(True, "p", "own function"),
        Grade(False, "g", "why"),
    ]
    # Of a verdict alone the last line stands for the answer.
    lines = [("think\n 8 \n\n", "7"), ("", "7")]
    assert [grade.answer for grade in grade_many(f"{mine(tmp_path)}:Maker", lines)] == ["8", None]


def test_its_version_is_the_content(tmp_path: Path) -> None:
    path = mine(tmp_path)
    grader = get_grader(f"{path}:f")
    assert grader.name == "mine.py:f"
    assert grader.version == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    assert get_grader(f"{mine(elsewhere)}:f").version == grader.version
    # A process that goes on takes the file as it stands now, and never grades by one text under another's version.
    assert grade_many(f"{path}:f", [("9", "7")])[0].correct is False
    mine(tmp_path, KINDS.replace("response == gold)", "True)"))
    assert get_grader(f"{path}:f").version != grader.version
    assert grade_many(f"{path}:f", [("9", "7")])[0].correct is True
    late = grader("9", "7")
    assert late.correct is not True


@pytest.mark.parametrize(
    ("text", "name", "part"),
    [
        (None, "f", r"mine\.py cannot be read \(No such file or directory\); give path\.py:name"),
        ("def f(:\n", "f", r"cannot be imported \(SyntaxError: .*\(mine\.py, line 1\)\); mend the file"),
        ("import no_such_thing\n", "f", r"cannot be imported \(ModuleNotFoundError: .*\(mine\.py, line 1\)"),
        ("raise BaseException\n", "f", r"cannot be imported \(BaseException \(mine\.py, line 1\)\); mend the file"),
        (KINDS, "g", r"defines no 'g'; define a function of a response and a gold answer"),
        (KINDS, "constant", r"is a int; give a function of a response and a gold answer"),
    ],
)
def test_a_file_that_has_no_grader_is_one_line(tmp_path: Path, text: str | None, name: str, part: str) -> None:
    if text is not None:
        mine(tmp_path, text)
    with pytest.raises(GraderError, match=part) as caught:
        get_grader(f"{tmp_path / 'mine.py'}:{name}")
    assert "\n" not in str(caught.value)


def test_what_it_raises_is_told_with_its_place(tmp_path: Path) -> None:
    grader = get_grader(f"{mine(tmp_path)}:bad")
    assert isinstance(grader, OwnFileGrader)
    raised, odd = grader("raise", "7"), grader("x", "7")
    assert (raised.correct, odd.correct) == (None, None)
    assert raised.reason == "KeyError: 'no' in grader mine.py:bad (mine.py, line 15)"
    assert "TypeError: it returned 'yes'; return True, False or None, (verdict, answer) or a Grade" in odd.reason
    with pytest.raises(GraderError, match=r"fails on the answer 'x' to the gold '7': TypeError: it returned 'yes'"):
        grader.try_on("x", "7")


ENDS = """import os, signal, sys

def exits(response, gold):
    sys.exit(response)

def stops(response, gold):
    raise KeyboardInterrupt

def leaves(response, gold):
    os._exit(3)

def dies(response, gold):
    os.kill(os.getpid(), signal.SIGKILL)

def asks(response, gold):
    return input() == gold

def eats(response, gold):
    raise MemoryError

def chats(response, gold):
    print("a" * 100_000)
    os.write(1, b"b" * 100_000)
    return response == gold
"""


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("exits", "SystemExit: 9 in grader mine.py:exits (mine.py, line 4)"),
        ("stops", "KeyboardInterrupt in grader mine.py:stops (mine.py, line 7)"),
        ("leaves", "grader mine.py:leaves ended its worker (exit code 3)"),
        ("dies", "grader mine.py:dies ended its worker (exit code -9)"),
        ("asks", "EOFError: EOF when reading a line in grader mine.py:asks (mine.py, line 16)"),
    ],
)
def test_one_that_ends_or_reads_is_a_failure(tmp_path: Path, function: str, why: str) -> None:
    path = mine(tmp_path, ENDS)
    grader = get_grader(f"{path}:{function}")
    assert isinstance(grader, OwnFileGrader)
    grade = grader("9", "9")
    assert (grade.correct, grade.reason) == (None, why)
    assert grader.failed(grade.reason)
    assert grader("9", "9") == grade


def test_what_one_prints_is_none_of_the_messages(tmp_path: Path) -> None:
    grader = get_grader(f"{mine(tmp_path, ENDS)}:chats")
    assert [grader(answer, "9").correct for answer in ("9", "8", "9")] == [True, False, True]


FORKS = """import os, sys

def forks(response, gold):
    child = os.fork()
    if not child and response == "exits":
        sys.exit(0)
    if not child:
        return False
    os.waitpid(child, 0)
    return response == gold

class Needs:
    def __init__(self, one):
        pass
"""


def test_a_process_that_one_forks_answers_nothing(tmp_path: Path) -> None:
    grader = get_grader(f"{mine(tmp_path, FORKS)}:forks")
    assert [grader(answer, "exits").correct for answer in ("exits", "9", "exits")] == [True, False, True]


def test_one_that_closes_its_pipes_and_lives_on_is_a_failure(tmp_path: Path) -> None:
    code = "import os, time\n\ndef f(response, gold):\n    os.closerange(3, 64)\n    time.sleep(600)\n"
    grader = get_grader(f"{mine(tmp_path, code)}:f")
    assert isinstance(grader, OwnFileGrader)
    assert grader.failed(grader("9", "9").reason)


def test_a_link_has_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "link.py").symlink_to(mine(tmp_path, ENDS))
    grader = get_grader(f"{tmp_path}/link.py:exits")
    assert isinstance(grader, OwnFileGrader)
    reason = grader("9", "9").reason
    assert reason == "SystemExit: 9 in grader link.py:exits (link.py, line 4)"
    assert grader.failed(reason)


def test_a_class_that_needs_arguments(tmp_path: Path) -> None:
    with pytest.raises(GraderError, match=r"its class cannot be made without arguments \(TypeError: .*'one'\)"):
        get_grader(f"{mine(tmp_path, FORKS)}:Needs")


@pytest.mark.slow
def test_a_function_that_never_ends_leaves_its_response_unscored(tmp_path: Path) -> None:
    path = mine(tmp_path, "def f(response, gold):\n    while response == 'hang':\n        pass\n    return True\n")
    hung, fine = grade_many(f"{path}:f", [("hang", "7"), ("x", "7")])
    assert hung.correct is None
    assert fine.correct is True


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """A task that names its grader from where its own file lies."""
    (tmp_path / "task").mkdir()
    mine(tmp_path / "task", LENGTH)
    rows = [{"q": f"What is {k} plus {k}?", "a": str(2 * k)} for k in range(3, 8)]
    (tmp_path / "task" / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = tmp_path / "task" / "own.yaml"
    path.write_text(
        "dataset: {files: {test: rows.jsonl}}\ncolumns: {question: q, answer: a}\nprompt: '{question}'\n"
        "grader: mine.py:by_length\nchance: 0.5\nmax_tokens: 8\n"
    )
    return path


def test_a_run_with_it(bon_eval_here: Command, task: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--model", "arith-mixed", "--n", "3", "--engine", "transformers", "--draws", "200", "--no-html"]

    def run() -> subprocess.CompletedProcess[str]:
        return bon_eval_here("run", "--task", task, *options, "--quiet", "--out", out)

    def last_line(done: subprocess.CompletedProcess[str]) -> str:
        assert done.returncode == 2, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr.strip().splitlines()[-1]

    # One that fails on its first gold answer fails before anything is sampled.
    mine(task.parent, "def by_length(response, gold):\n    return response.no_such_thing\n")
    said = last_line(run())
    assert said.startswith(
        "error: grader 'mine.py:by_length' fails on the answer '6' to the gold '6': AttributeError: "
    )
    assert "(mine.py, line 2); mend it" in said
    assert not out.exists()

    # One that fails on a response ends the grading; the responses stay.
    mine(task.parent, "def by_length(response, gold):\n    return [True][response != gold]\n")
    said = last_line(run())
    assert "grader 'mine.py:by_length' failed on greedy response 0 of problem '" in said
    assert "IndexError: list index out of range in grader mine.py:by_length (mine.py, line 2)" in said
    assert said.endswith(f"mend it, then run: bon-eval grade {out}")
    assert not (out / "grades.parquet").exists()
    stored = sorted((out / "responses").iterdir())

    path = mine(task.parent, LENGTH)
    version = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    done = bon_eval_here("grade", out, "--quiet")
    assert done.returncode == 0, done.stderr
    grades = pd.read_parquet(out / "grades.parquet")
    assert set(grades["grader"]) == {"mine.py:by_length"}
    assert set(grades["grader_version"]) == {version}
    assert all((len(a) > 0) == (c is not None) for a, c in zip(grades["answer"], grades["correct"], strict=True))
    assert load_run(out).pool.answer_class.min() >= 0

    # Another content is another version of the grades, and the same run: nothing is sampled again.
    mine(task.parent, LENGTH.replace("==", "!="))
    done = run()
    assert done.returncode == 0, done.stderr
    assert sorted((out / "responses").iterdir()) == stored
    turned = pd.read_parquet(out / "grades.parquet")
    assert (turned["correct"] != grades["correct"]).all()
    assert set(turned["grader_version"]) != {version}
    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert report["run"]["grader"]["version"] == turned["grader_version"][0]

    # Grades that were there stay where another grader fails.
    before = (out / "grades.parquet").read_bytes()
    for function, why in (
        ("exits", "SystemExit"),
        ("dies", "ended its worker (exit code -9)"),
        ("eats", "failed on every response, most often: out of memory"),
    ):
        assert why in last_line(bon_eval_here("grade", out, "--grader", f"{mine(tmp_path, ENDS)}:{function}"))
        assert (out / "grades.parquet").read_bytes() == before
    given = f"{mine(tmp_path)}:bad"
    said = last_line(bon_eval_here("grade", out, "--grader", given))
    assert f"bon-eval grade {out} --grader {given}" in said
    assert (out / "grades.parquet").read_bytes() == before
