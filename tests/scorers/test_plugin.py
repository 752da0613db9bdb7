"""A user's own scorer: from a file, from an installed package, and what is wrong with one."""

from __future__ import annotations

import sys
from importlib.metadata import PathDistribution

import numpy as np
import pytest

from bon_eval.errors import ConfigError
from bon_eval.records import Pool, Response
from bon_eval.scorers import PluginScorer, Scorer, get_scorer, offered_names

R = Response("p", "sample", 2, "two words", (1, 2), (-1.0, -2.0), "stop")


def write(tmp_path, text):
    path = tmp_path / "mine.py"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_function_of_a_file(tmp_path):
    path = write(tmp_path, 'def words(response):\n    """Number of words."""\n    return len(response.text.split())\n')
    scorer = get_scorer(f"{path}:words")
    assert isinstance(scorer, PluginScorer)
    assert scorer(R) == 2.0
    assert scorer.name == f"{path}:words"
    assert scorer.summary == "Number of words."


def test_a_scorer_of_a_file_keeps_its_form_for_pools(tmp_path):
    text = (
        "from bon_eval.scorers import scorer\n"
        "@scorer(lambda pool: 2.0 * pool.log_likelihood)\n"
        "def double(response):\n    return 2.0 * response.log_likelihood\n"
    )
    path = write(tmp_path, text)
    found = get_scorer(f"{path}:double")
    assert isinstance(found, Scorer)
    assert not isinstance(found, PluginScorer)
    assert found(R) == -6.0


MUTE = """class Mute(Exception):
    def __str__(self):
        raise RuntimeError
raise Mute
"""


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("x = 1\n", "y", "defines no 'y'"),
        ("x = 1\n", "x", "is a int; give a function"),
        ("def f(:\n", "f", "cannot be imported"),
        ("import no_such_module_at_all\n", "f", "No module named"),
        ("raise BaseException('out')\n", "f", r"cannot be imported \(BaseException: out \(mine\.py, line 1\)\)"),
        ("import sys; sys.exit('x')\n", "f", r"cannot be imported \(SystemExit: x \(mine\.py, line 1\)\)"),
        (MUTE, "f", r"\(Mute: its text cannot be had: RuntimeError \(mine\.py, line 4\)\)"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, text, name, message):
    with pytest.raises(ConfigError, match=message):
        get_scorer(f"{write(tmp_path, text)}:{name}")


def test_no_such_file():
    with pytest.raises(ConfigError, match=r"there is no file nowhere/mine\.py"):
        get_scorer("nowhere/mine.py:f")


@pytest.mark.parametrize("value", ["None", "'1'", "float('nan')", "True"])
def test_what_is_no_number(tmp_path, value):
    scorer = get_scorer(f"{write(tmp_path, f'f = lambda r: {value}')}:f")
    with pytest.raises(ConfigError, match="for response 2 of problem 'p'; return a number"):
        scorer(R)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 1 / 0", r"ZeroDivisionError: division by zero \(mine\.py, line 7\)"),
        ("return json.loads('x')", r"JSONDecodeError: .* \(mine\.py, line 7\)"),
        ("return helper()", r"Odd: odd \(mine\.py, line 5\)"),
        ("raise SystemExit(3)", r"SystemExit: 3 \(mine\.py, line 7\)"),
        ("assert response is None", r"AssertionError \(mine\.py, line 7\)"),
    ],
)
def test_a_function_that_fails_names_its_own_line(tmp_path, body, said):
    helper = "import json\nclass Odd(Exception):\n    pass\ndef helper():\n    raise Odd('odd')\n"
    text = f"{helper}def f(response):\n    {body}\n"
    scorer = get_scorer(f"{write(tmp_path, text)}:f")
    with pytest.raises(ConfigError, match=f"failed on response 2 of problem 'p': {said}; mend it"):
        scorer(R)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n1 / 0\n", r"ZeroDivisionError: .* \(mine\.py, line 2\)"),
        ("import sys\nsys.exit(1)\n", r"SystemExit: 1 \(mine"),
    ],
)
def test_a_file_that_fails_names_its_own_line(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        get_scorer(f"{write(tmp_path, text)}:f")


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ("pool.log_likelihood + no_name", r"failed on a pool: NameError: .*\(mine\.py, line 2\)"),
        ("pool.log_likelihood[0]", r"an array of shape \(3,\) for a pool, .*\(problems, N\) = \(2, 3\)"),
        ("pool.log_likelihood * float('nan')", "or one with nan"),
        ("'text'", "failed on a pool: ValueError"),
    ],
)
def test_a_form_for_pools_that_fails(tmp_path, over, said):
    text = f"from bon_eval.scorers import scorer\n@scorer(lambda pool: {over})\ndef f(response):\n    return 1.0\n"
    found = get_scorer(f"{write(tmp_path, text)}:f")
    ones = np.ones((2, 3))
    no = ones < 0
    pool = Pool(("a", "b"), -ones, ones.astype(np.int32), no, no, no, no.astype(np.int32))
    with pytest.raises(ConfigError, match=said):
        found.over(pool)


def test_an_entry_point(tmp_path, monkeypatch):
    write(tmp_path, "def words(response):\n    return len(response.text.split())\n")
    meta = tmp_path / "mine-1.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n", encoding="utf-8")
    (meta / "entry_points.txt").write_text("[bon_eval.scorers]\nwords = mine:words\nlost = mine:no\n", encoding="utf-8")
    assert PathDistribution(meta).entry_points
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert offered_names() == ["lost", "words"]
    assert get_scorer("words")(R) == 2.0
    with pytest.raises(ConfigError, match="cannot be imported"):
        get_scorer("lost")
    with pytest.raises(ConfigError, match=r"unknown scorer 'wards'; valid: .*words, or path\.py:name"):
        get_scorer("wards")
