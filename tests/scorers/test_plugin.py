"""A user's own scorer: from a file, from an installed package, and what is wrong with one."""

from __future__ import annotations

import sys
from importlib.metadata import PathDistribution

import pytest

from bon_eval.errors import ConfigError
from bon_eval.records import Response
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


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("x = 1\n", "y", "defines no 'y'"),
        ("x = 1\n", "x", "is a int; give a function"),
        ("def f(:\n", "f", "cannot be imported"),
        ("import no_such_module_at_all\n", "f", "No module named"),
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
