"""Which text is the answer: the tables of cases, as single verdicts and as one pool."""

from __future__ import annotations

import pytest
import reading_cases as cases

from bon_eval.graders import get_grader
from bon_eval.graders.batch import grade_many
from bon_eval.graders.language.tables import LANGUAGES
from bon_eval.graders.reading.announce import announced, may_announce

ROWS = [pytest.param(*row, id=f"{name}-{k}") for name, table in cases.ALL.items() for k, row in enumerate(table)]


@pytest.mark.parametrize(("grader", "response", "gold", "correct"), ROWS)
def test_verdict(grader: str, response: str, gold: str, correct: bool) -> None:
    assert get_grader(grader)(response, gold).correct is correct


@pytest.mark.parametrize("name", cases.ALL)
def test_a_table_tries_both_verdicts(name: str) -> None:
    right = sum(correct for *_, correct in cases.ALL[name])
    wrong = len(cases.ALL[name]) - right
    assert min(right, wrong) >= 15


def test_a_pool_agrees_with_single_verdicts() -> None:
    rows = [row for table in cases.ALL.values() for row in table if row[0] == "math"]
    grades = grade_many("math", [(response, gold) for _, response, gold, _ in rows], workers=1)
    assert [row for row, grade in zip(rows, grades, strict=True) if grade.correct is not row[3]] == []


@pytest.mark.parametrize("language", LANGUAGES, ids=lambda x: x.name)
def test_every_language_announces_an_answer(language: object) -> None:
    noun = language.answer.split()[0].replace("_", " ")  # type: ignore[attr-defined]
    text = f"3 + 4 = 7\n{noun.capitalize()}: 7"
    assert [a.content.strip() for a in announced(text, 0, len(text))] == ["7"]
    assert may_announce(text)
