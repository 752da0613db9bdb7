"""What the tests of several graders share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from bon_eval.graders.answer_classes import AnswerClasses
from bon_eval.graders.batch import BatchGrader


@pytest.fixture(scope="session")
def answer_classes() -> Callable[[str, Sequence[str | None]], list[int]]:
    """(grader, answers of one problem) -> their classes, numbered as a run's grading numbers them."""

    def classes(grader: str, answers: Sequence[str | None]) -> list[int]:
        with BatchGrader(grader) as batches:
            return AnswerClasses(len(answers)).number("problem", batches.keys(answers))

    return classes
