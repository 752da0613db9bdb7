"""Reasoning is not the answer: which part of a response graders read."""

from __future__ import annotations

import time

import pytest
import reasoning_cases as cases

from bon_eval.graders import get_grader, strict
from bon_eval.graders.batch import grade_many
from bon_eval.graders.reasoning import NOT_FINISHED, REASONING, reasoning_between, reasoning_of


@pytest.mark.parametrize(("grader", "response", "gold", "correct"), cases.REASONING)
def test_cases(grader: str, response: str, gold: str, correct: bool) -> None:
    grade = get_grader(grader)(response, gold)
    assert grade.correct is correct, grade
    assert grade_many(grader, [(response, gold)]) == [grade]


def test_the_table_is_balanced() -> None:
    right = sum(correct for *_, correct in cases.REASONING)
    assert abs(2 * right - len(cases.REASONING)) <= 1


@pytest.mark.parametrize("block", REASONING, ids=lambda block: block.opening)
def test_every_block_of_the_list(block: object) -> None:
    opening, closing = block.opening, block.closing  # type: ignore[attr-defined]
    parts = reasoning_of().split(f"{opening}It may be 4{closing}It is 5")
    assert (parts.answer, parts.answer_chars) == ("It is 5", 7)
    assert reasoning_of().split(f"{opening}It may be 4").answer is None
    assert reasoning_of().split(f"It may be 4{closing}It is 5").answer == "It is 5"


def test_not_finished_is_wrong_and_says_so() -> None:
    grade = get_grader("math")("<think>\\boxed{5}", "5")
    assert (grade.correct, grade.answer, grade.reason) == (False, None, NOT_FINISHED)
    assert strict("math", "<think>\\boxed{5}", "5") is False
    assert strict("math", "<think>\\boxed{4}</think>\\boxed{5}", "5") is True
    assert strict("math", "<think>\\boxed{5}</think>It is 5.", "5") is False


def test_lengths_are_those_of_the_two_parts() -> None:
    text = "<think>\U0001f600 é</think>\n\nIt is <answer>5</answer>"
    parts = reasoning_of().split(text)
    assert (parts.reasoning_chars, parts.answer_chars) == (len("<think>\U0001f600 é</think>"), len(text) - 18)
    assert (parts.answer, parts.tagged) == ("5", True)
    assert reasoning_of().split("It is 5").reasoning_chars is None


@pytest.mark.parametrize(
    ("prompt", "opened"),
    [
        ("<|user|>7?<|assistant|><think>\n", True),
        ("<|user|>7?<|assistant|>\n<THINK>", True),
        ("<|start|>assistant<|channel|>analysis<|message|>", True),
        ("<|user|>7?<|assistant|><think>\n\n</think>\n\n", False),
        ("Think between <think> and </think>. 7?", False),
        ("Begin with <think> and go on.\n", False),
        ("", False),
    ],
)
def test_a_prompt_may_open_the_block(prompt: str, opened: bool) -> None:
    step = reasoning_of()
    block = step.opened_by(prompt)
    assert (block is not None) is opened
    assert (step.split("The answer is 7.", opened=block).answer is None) is opened
    assert step.split("The answer is 7.</think>It is 8.", opened=0).answer == "It is 8."


def test_markers_of_a_task_stand_in_place_of_the_usual_ones() -> None:
    own = [("<scratch>", "</scratch>")]
    assert reasoning_between(own).split("<scratch>5</scratch>6").answer == "6"
    assert reasoning_between(own).split("<think>5</think>6").answer == "<think>5</think>6"
    assert reasoning_between([]).split("<think>5").answer == "<think>5"
    response = "<scratch>\\boxed{5}</scratch>It is 6."
    assert grade_many("math", [(response, "6")], reasoning=own)[0].correct is True
    assert grade_many("math", [(response, "6")])[0].correct is False


@pytest.mark.parametrize(
    "unit",
    [
        "<think>",
        "</think>",
        "`<think>",
        "```\n<think>\n```\n",
        "```\n<think>\n",
        "<answer>",
        "<answer></answer>",
        '"<think>"',
        "`",
        "<",
    ],
)
def test_linear_in_the_response(unit: str) -> None:
    start = time.process_time()
    reasoning_of().split(unit * (1_000_000 // len(unit)))
    assert time.process_time() - start < 300  # in quadratic time it would be hours
