"""Generated arithmetic word problems of 2 to 4 steps, with their worked solutions.

A problem is a short story about one quantity. Every sentence changes it by one operation (one equation), or by a
product that is added or taken away (two equations). The worked solution lists the equations in the order of the
story and ends with ``#### n`` as in GSM8K, so its gold answer can be recomputed from the solution alone::

    Mia has 12 shells. She buys 3 boxes with 5 shells each. How many shells does Mia have now?
    3*5=15
    12+15=27
    #### 27

All values are whole numbers between 1 and `LARGEST`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")

LARGEST = 200
"""No quantity in a story exceeds this."""

NAMES = (
    ("Mia", "She", "her"),
    ("Tom", "He", "him"),
    ("Ada", "She", "her"),
    ("Sam", "He", "him"),
    ("Lea", "She", "her"),
    ("Ben", "He", "him"),
    ("Eva", "She", "her"),
    ("Max", "He", "him"),
)
ITEMS = ("apples", "pens", "coins", "shells", "cards", "books", "stamps", "cookies")

STARTS = ("{name} has {a} {items}.", "{name} starts with {a} {items}.", "There are {a} {items} on the desk of {name}.")
PRODUCT_STARTS = ("{name} fills {a} bags with {b} {items} each.", "{name} has {a} rows of {b} {items}.")
ADDS = ("{pronoun} buys {a} more.", "{pronoun} finds {a} {items}.", "A friend gives {object} {a} {items}.")
SUBTRACTS = ("{pronoun} loses {a} of them.", "{pronoun} gives {a} away.", "Then {a} {items} are sold.")
MULTIPLIES = ("Then {pronoun} gets {a} times as many.", "Now the {items} become {a} times as many.")
DIVIDES = ("{pronoun} splits them into {a} equal groups and keeps one.", "{pronoun} keeps one part in {a}.")
ADD_PRODUCTS = ("{pronoun} buys {a} boxes with {b} {items} each.", "On each of {a} days {pronoun} finds {b} more.")
SUBTRACT_PRODUCTS = ("{pronoun} gives {b} {items} to each of {a} friends.", "On each of {a} days {pronoun} sells {b}.")
QUESTIONS = (
    "How many {items} does {name} have now?",
    "How many {items} are there in the end?",
    "What is the number of {items} now?",
)


@dataclass(frozen=True, slots=True)
class ArithProblem:
    """A question with its worked solution and its final answer."""

    question: str
    worked: str
    """Equations, one a line, then ``#### n``."""
    answer: int

    @property
    def immediate(self) -> str:
        """The answer alone, without the steps: ``#### n``."""
        return f"#### {self.answer}"


def below(rng: random.Random, n: int) -> int:
    """A whole number in [0, n). Built on ``random()``, the one method whose sequence Python promises to keep."""
    return int(rng.random() * n)


def between(rng: random.Random, low: int, high: int) -> int:
    """A whole number in [low, high], both ends included."""
    return low + below(rng, high - low + 1)


def pick(rng: random.Random, options: Sequence[T]) -> T:
    """One of the options, each with the same probability."""
    return options[below(rng, len(options))]


@dataclass(slots=True)
class _Story:
    rng: random.Random
    words: dict[str, str]
    value: int = 0
    sentences: list[str] = field(default_factory=list)
    equations: list[str] = field(default_factory=list)

    def tell(self, templates: Sequence[str], **numbers: int) -> None:
        text = pick(self.rng, templates).format(**self.words, **numbers)
        # The pronoun stands first in some sentences and inside others.
        for subject in ("He", "She"):
            text = text.replace(f" {subject} ", f" {subject.lower()} ")
        self.sentences.append(text)

    def compute(self, left: int, operator: str, right: int) -> int:
        result = {"+": left + right, "-": left - right, "*": left * right, "/": left // right}[operator]
        self.equations.append(f"{left}{operator}{right}={result}")
        return result


def _add(story: _Story) -> bool:
    if story.value > LARGEST - 3:
        return False
    a = between(story.rng, 3, min(60, LARGEST - story.value))
    story.tell(ADDS, a=a)
    story.value = story.compute(story.value, "+", a)
    return True


def _subtract(story: _Story) -> bool:
    if story.value < 4:
        return False
    a = between(story.rng, 3, min(60, story.value - 1))
    story.tell(SUBTRACTS, a=a)
    story.value = story.compute(story.value, "-", a)
    return True


def _multiply(story: _Story) -> bool:
    if not 2 <= story.value <= 50:
        return False
    a = between(story.rng, 2, min(6, LARGEST // story.value))
    story.tell(MULTIPLIES, a=a)
    story.value = story.compute(story.value, "*", a)
    return True


def _divide(story: _Story) -> bool:
    divisors = [d for d in range(2, 10) if story.value % d == 0 and story.value > d]
    if not divisors:
        return False
    a = pick(story.rng, divisors)
    story.tell(DIVIDES, a=a)
    story.value = story.compute(story.value, "/", a)
    return True


def _add_product(story: _Story) -> bool:
    a, b = between(story.rng, 2, 9), between(story.rng, 2, 9)
    if story.value + a * b > LARGEST:
        return False
    story.tell(ADD_PRODUCTS, a=a, b=b)
    story.value = story.compute(story.value, "+", story.compute(a, "*", b))
    return True


def _subtract_product(story: _Story) -> bool:
    a, b = between(story.rng, 2, 9), between(story.rng, 2, 9)
    if a * b >= story.value:
        return False
    story.tell(SUBTRACT_PRODUCTS, a=a, b=b)
    story.value = story.compute(story.value, "-", story.compute(a, "*", b))
    return True


ONE_STEP: tuple[Callable[[_Story], bool], ...] = (_add, _subtract, _multiply, _divide)
TWO_STEP: tuple[Callable[[_Story], bool], ...] = (_add_product, _subtract_product)


def draw_problem(rng: random.Random) -> ArithProblem:
    """One problem of 2, 3 or 4 steps (equations), each number of steps with the same probability."""
    name, pronoun, pronoun_object = pick(rng, NAMES)
    words = {"name": name, "pronoun": pronoun, "object": pronoun_object, "items": pick(rng, ITEMS)}
    story = _Story(rng, words)
    steps = between(rng, 2, 4)
    if rng.random() < 0.25:
        a, b = between(rng, 2, 9), between(rng, 2, 9)
        story.tell(PRODUCT_STARTS, a=a, b=b)
        story.value = story.compute(a, "*", b)
    else:
        story.value = between(rng, 5, 99)
        story.tell(STARTS, a=story.value)
    last: Callable[[_Story], bool] | None = None
    while (left := steps - len(story.equations)) > 0:
        operations = ONE_STEP + TWO_STEP if left >= 2 else ONE_STEP
        operation = pick(rng, operations)
        # The same operation twice in a row reads as a misprint.
        if operation is not last and operation(story):
            last = operation
    story.tell(QUESTIONS)
    lines = [*story.equations, f"#### {story.value}"]
    return ArithProblem(question=" ".join(story.sentences), worked="\n".join(lines), answer=story.value)


def problems(seed: str, exclude: Collection[str] = ()) -> Iterator[ArithProblem]:
    """An endless stream of problems, the same for the same seed; questions in `exclude` are passed over."""
    rng = random.Random(seed)
    while True:
        problem = draw_problem(rng)
        if problem.question not in exclude:
            yield problem


def distinct_problems(seed: str, count: int, exclude: Collection[str] = ()) -> list[ArithProblem]:
    """The first `count` problems of the stream with distinct questions, none of them in `exclude`."""
    found: dict[str, ArithProblem] = {}
    for problem in problems(seed, exclude):
        found.setdefault(problem.question, problem)
        if len(found) == count:
            break
    return list(found.values())


def vocabulary_pieces() -> list[str]:
    """Every word of the stories as it occurs, sorted: with its leading space, and bare where it can stand first."""
    openings = (*STARTS, *PRODUCT_STARTS)
    changes = (*ADDS, *SUBTRACTS, *MULTIPLIES, *DIVIDES, *ADD_PRODUCTS, *SUBTRACT_PRODUCTS)
    words = {w.strip(".?") for t in (*openings, *changes, *QUESTIONS) for w in t.split() if "{" not in w}
    words.update(ITEMS, ("He", "She", "he", "she"), *NAMES)
    first = {t.split()[0] for t in openings if not t.startswith("{name}")}
    first.update(name for name, _, _ in NAMES)
    return sorted({f" {w}" for w in words} | first)
