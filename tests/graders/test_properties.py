"""What holds for every gold and every way to write it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from multiprocessing import get_context

import grader_cases as cases
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bon_eval.graders import Grade, grade_gsm8k, grade_math, same_answer
from bon_eval.graders.batch import grade_both, grade_many
from bon_eval.tasks.load import list_tasks, load_task
from bon_eval.tasks.problems import load_problems

Classes = Callable[[str, Sequence[str | None]], list[int]]

GOLDS = sorted({gold for gold, _ in cases.EQUAL})
PAIRS = [(g, a, True) for g, a in cases.EQUAL] + [(g, a, False) for g, a in cases.DIFFERENT if g and a != "?"]
PLAIN = re.compile(r"-?\d+(?:\.\d+)?")
SENTENCE = re.compile(r"[a-z]+ [a-z]+ .*\$.+\$")
"""Words with a formula in them, which stand in no formula and no style."""
WRAPPINGS = [
    "{}",
    " {} ",
    "${}$",
    "$${}$$",
    r"\({}\)",
    r"\displaystyle {}",
    r"\displaystyle{{{}}}",
    "{}.",
    "$ {} $.",
    "{} \n",
    "\t{}\n\n",
    r"\, {} \,",
    r"{{{}}}",
    r"\boxed{{{}}}",
]
UNITS = [
    "{} cm",
    r"{}\text{{ cm}}",
    r"{} \text{{ cm}}^2",
    r"{}\,\mathrm{{kg}}",
    "{} dollars",
    r"\${}",
    "{} units",
    "{} m²",
]
TASKS = [pytest.param(task, marks=() if task == "arith" else pytest.mark.data) for task in list_tasks()]
LIMITS = settings(deadline=None, derandomize=True, database=None)


def boxed(answer: str) -> str:
    return "Some steps with 3 and 7. The answer is \\boxed{" + answer + "}."


def wrap(answer: str, wrappings: list[str]) -> str:
    for k, wrapping in enumerate(wrappings):
        if k and "." in wrapping:
            continue  # more dots are an ellipsis
        answer = wrapping.format(answer)
    return answer


def golds_of(task: str, request: pytest.FixtureRequest) -> list[str]:
    """Every gold of a task; skips where its data is not there."""
    if task == "arith":
        return [problem.gold for problem in load_problems(load_task(task))]
    data = request.getfixturevalue("data_dir") / f"{task}_test.jsonl"
    if not data.is_file():
        pytest.skip(f"no {data.name}: set BON_EVAL_DATA to the folder of the real data sets")
    return [problem.gold for problem in load_problems(load_task(task), data=data)]


@pytest.mark.parametrize("task", TASKS)
def test_every_gold_is_right_however_it_is_wrapped(task: str, request: pytest.FixtureRequest) -> None:
    golds = golds_of(task, request)
    rng = random.Random(11)
    rows = [(g, "{}") for g in golds] + [(g, rng.choice(WRAPPINGS)) for g in golds]
    grades, strict = grade_both(load_task(task).grader, [(boxed(w.format(g)), g) for g, w in rows])
    assert [row for row, grade in zip(rows, grades, strict=True) if grade.correct is not True] == []
    if load_task(task).grader == "math":
        assert all(strict)


@pytest.mark.parametrize("task", TASKS)
def test_one_more_than_a_gold_is_wrong_and_so_is_the_next_gold(task: str, request: pytest.FixtureRequest) -> None:
    golds = golds_of(task, request)
    name = load_task(task).grader
    rows = []
    for gold in golds:
        if PLAIN.fullmatch(plain := gold.replace(",", "")):
            rows.append((gold, str(Fraction(plain) + 1)))
        elif m := re.fullmatch(r"(-?)\\d?frac\{(\d+)\}\{(\d+)\}", gold):
            sign, top, bottom = m.groups()
            rows.append((gold, rf"{sign}\frac{{{int(top) + int(bottom) * (-1 if sign else 1)}}}{{{bottom}}}"))
    assert len(rows) > len(golds) / 2
    rows += [(a, b) for a, b in zip(golds, golds[1:] + golds[:1], strict=True) if a.strip("0.") not in b]
    grades = grade_many(name, [(boxed(answer), gold) for gold, answer in rows])
    assert [row for row, grade in zip(rows, grades, strict=True) if grade.correct is not False] == []


@pytest.mark.slow
def test_no_wrapping_and_no_two_change_a_verdict() -> None:
    rows = {}
    for gold, answer, correct in PAIRS:
        for chain in [[w] for w in WRAPPINGS] + [[v, w] for v in WRAPPINGS for w in WRAPPINGS]:
            if not SENTENCE.match(answer):
                rows[gold, wrap(answer, chain)] = correct
    assert len(rows) > 40_000
    grades = grade_many("math", [(boxed(answer), gold) for gold, answer in rows])
    wrong = [row for (row, correct), grade in zip(rows.items(), grades, strict=True) if grade.correct is not correct]
    assert wrong == []


@given(st.sampled_from(PAIRS), st.lists(st.sampled_from(WRAPPINGS), min_size=3, max_size=5))
@settings(LIMITS, max_examples=400)
def test_wrapping_never_changes_a_verdict(pair: tuple[str, str, bool], wrappings: list[str]) -> None:
    gold, answer, correct = pair
    if not SENTENCE.match(answer):
        assert grade_math(boxed(wrap(answer, wrappings)), gold).correct is correct


@given(
    st.sampled_from([pair for pair in PAIRS if PLAIN.fullmatch(pair[1])]),
    st.sampled_from(UNITS),
    st.lists(st.sampled_from(WRAPPINGS), max_size=2),
)
@settings(LIMITS, max_examples=200)
def test_a_unit_never_changes_a_verdict(pair: tuple[str, str, bool], unit: str, wrappings: list[str]) -> None:
    gold, answer, correct = pair
    if any(c.isalpha() for c in gold):
        return  # the gold has a unit, a name or a base of its own
    assert grade_math(boxed(wrap(unit.format(answer), wrappings)), gold).correct is correct


@given(
    st.integers(-(10**30), 10**30), st.sampled_from(["{}", "${}$", "{} cm", r"{}\text{{ cm}}", r"{}\%", "{}.", "x={}"])
)
@settings(LIMITS, max_examples=300)
def test_one_more_is_always_wrong(number: int, form: str) -> None:
    assert grade_math(boxed(form.format(number)), str(number)).correct is True
    assert grade_math(boxed(form.format(number + 1)), str(number)).correct is False
    assert grade_gsm8k(f"#### {number}", f"{number:,}").correct is True
    assert grade_gsm8k(f"#### {number + 1:,}", str(number)).correct is False


@given(st.fractions(max_denominator=10**6), st.integers(1, 10**6))
@settings(LIMITS, max_examples=200)
def test_fractions_are_exact(value: Fraction, scale: int) -> None:
    top, bottom = value.numerator, value.denominator
    gold = rf"\frac{{{top}}}{{{bottom}}}"
    assert grade_math(boxed(f"{top * scale}/{bottom * scale}"), gold).correct is True
    assert grade_math(boxed(f"{top * scale + 1}/{bottom * scale}"), gold).correct is False
    assert grade_math(boxed(f"{top + bottom}/{bottom}"), gold).correct is False


@given(st.text(max_size=300), st.text(max_size=30))
@settings(LIMITS, max_examples=400)
def test_no_text_raises(response: str, gold: str) -> None:
    for grade in (grade_gsm8k(response, gold), grade_math(response, gold)):
        assert isinstance(grade, Grade)


@given(st.text(alphabet="\\{}()[]$^_,.+-*/=<>|&%! 0123456789abxyefracsqtpimnohdcul", max_size=80))
@settings(LIMITS, max_examples=300)
def test_no_latex_raises(answer_classes: Classes, answer: str) -> None:
    assert isinstance(grade_math("\\boxed{" + answer + "}", "7"), Grade)
    answer_classes("math", [answer, "7"])


@given(st.lists(st.sampled_from(sorted({a for _, a, _ in PAIRS})), min_size=3, max_size=3))
@settings(LIMITS, max_examples=100)
def test_same_answer_is_reflexive_symmetric_and_transitive(answers: list[str]) -> None:
    a, b, c = answers
    assert same_answer("math", a, a)
    assert same_answer("math", a, b) == same_answer("math", b, a)
    if same_answer("math", a, b) and same_answer("math", b, c):
        assert same_answer("math", a, c)


def _grade(pair: tuple[str, str]) -> Grade:
    return grade_math(*pair)


@pytest.mark.slow
def test_verdicts_do_not_depend_on_order_thread_or_process() -> None:
    sample = random.Random(2).sample(PAIRS, 150)
    items = [(boxed(answer), gold) for gold, answer, _ in sample]
    grades = [grade_math(*item) for item in items]
    assert [g.correct for g in grades] == [correct for *_, correct in sample]
    assert [grade_math(*item) for item in reversed(items)] == grades[::-1]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(_grade, items)) == grades
    for method in ("fork", "spawn"):
        with ProcessPoolExecutor(2, mp_context=get_context(method)) as processes:
            assert list(processes.map(_grade, items, chunksize=25)) == grades
