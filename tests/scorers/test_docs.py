"""docs/scorers.md names every scorer and vote, and its example of a user's own scorer runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bon_eval.analysis.vote_rules import ALL_VOTES, VOTES, get_vote
from bon_eval.records import Response
from bon_eval.scorers import SCORERS, get_scorer

TEXT = (Path(__file__).parent.parent.parent / "docs" / "scorers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*SCORERS, *VOTES])
def test_every_name_has_a_row(name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", TEXT, re.MULTILINE)


def test_the_needs_of_a_row_are_those_of_the_scorer() -> None:
    for name, scorer in SCORERS.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))
        needs = re.split(r"(?<!\\)\|", row)[3].strip().strip("`")
        expected = scorer.stats[0] if scorer.stats else "token log-probs" if scorer.needs_tokens else ""
        assert needs == expected, name


def test_every_vote_of_all_arms_was_measured() -> None:
    for vote in ALL_VOTES:
        assert f"| `{vote}` |" in TEXT
        assert get_vote(vote).name == vote


def test_the_example_of_an_own_scorer_runs(tmp_path: Path) -> None:
    code = next(c for c in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL) if "mine.py" in c)
    (tmp_path / "mine.py").write_text(code, encoding="utf-8")
    scorer = get_scorer(f"{tmp_path / 'mine.py'}:fewest_digits")
    assert scorer(Response("p", "sample", 0, "1 + 22", (1,), (-1.0,), "stop")) == -3.0
