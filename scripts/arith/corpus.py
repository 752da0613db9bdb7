"""The task's data files and the two training corpora, all from fixed seeds."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from arith.problems import ArithProblem, distinct_problems, problems

TEST_SEED = "arith-test-1"
TEST_SIZE = 500
FEW_SHOT_SEED = "arith-train-1"
FEW_SHOT_SIZE = 200


@dataclass(frozen=True, slots=True)
class Mix:
    """One model's corpus: how often a problem is answered by its worked solution instead of the answer alone."""

    name: str
    worked_share: float
    seed: str
    steps: int
    """Training steps of the shipped model."""


MIXES = {
    "mixed": Mix("arith-mixed", 0.45, "arith-mixed-corpus-1", steps=2000),
    "worked": Mix("arith-worked", 0.85, "arith-worked-corpus-1", steps=1400),
}


def test_problems() -> list[ArithProblem]:
    """The task's test split."""
    return distinct_problems(TEST_SEED, TEST_SIZE)


def few_shot_problems() -> list[ArithProblem]:
    """The task's train split, from which few-shot examples are drawn; shares no question with the test split."""
    return distinct_problems(FEW_SHOT_SEED, FEW_SHOT_SIZE, exclude={p.question for p in test_problems()})


def to_jsonl(split: list[ArithProblem]) -> str:
    """One JSON object a line with the columns ``question`` and ``answer`` (the worked solution), as GSM8K has."""
    return "".join(json.dumps({"question": p.question, "answer": p.worked}) + "\n" for p in split)


def held_out_questions() -> frozenset[str]:
    """All questions of the task, which no corpus may contain."""
    return frozenset(p.question for p in (*test_problems(), *few_shot_problems()))


def prompt(question: str) -> str:
    """What stands before the response: the question and a newline."""
    return f"{question}\n"


def examples(mix: Mix, held_out: Collection[str]) -> Iterator[tuple[str, str]]:
    """An endless stream of (question, response): worked with probability `mix.worked_share`, else immediate."""
    style = random.Random(f"{mix.seed}-style")
    for problem in problems(mix.seed, exclude=held_out):
        yield problem.question, problem.worked if style.random() < mix.worked_share else problem.immediate
