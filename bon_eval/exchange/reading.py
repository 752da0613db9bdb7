"""A source's responses as they go by: whose they are, numbered within their problem, and what they state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.errors import SourceError, counted
from bon_eval.exchange.match import GoldCheck
from bon_eval.exchange.sample import Sample
from bon_eval.exchange.staging import Numbered
from bon_eval.exchange.stated import Stated
from bon_eval.records import Draw, Problem

_MOST_NUMBERS = 1 << 16
NO_GREEDY = "the source has no greedy responses (one of each problem joins the run with --greedy SOURCE)"


class Problems(Protocol):
    """What finds the problem of a response."""

    def settled(self, sample: Sample) -> Sample:
        """The response with what its problem is found by."""

    def problem(self, sample: Sample) -> Problem:
        """The problem that a response is to."""


class Reading:
    """One pass over a source; what it holds of it does not grow with the number of responses but with the problems."""

    def __init__(self, problems: Problems, golds: GoldCheck | None) -> None:
        self._problems, self._golds = problems, golds
        self.found: dict[str, Problem] = {}
        """By id, in the order of their first responses."""
        self.prompts: dict[str, str] = {}
        """Problem -> the prompt that the source states."""
        self.stated = Stated()
        self._counts: dict[tuple[str, Draw], int] = {}
        self._numbers: dict[tuple[str, Draw], int] = {}
        self._names: dict[tuple[str, Draw], set[int]] = {}
        self._by_number: bool | None = None

    def numbered(self, samples: Iterable[Sample]) -> Iterator[Numbered]:
        """(problem id, index within problem and draw, response), in the order of the source.

        Raises:
            SourceError: a response of another task, one that stands there twice by its own number, or two greedy ones.
        """
        for given in samples:
            sample = self._problems.settled(given)
            problem = self._problems.problem(sample)
            if self._golds is not None:
                self._golds.see(problem, sample)
            self.found.setdefault(problem.id, problem)
            self._see_prompt(problem.id, sample)
            key = problem.id, sample.draw
            count = self._counts.get(key, 0)
            number = self._number(key, sample)
            index = count if number is None else number
            if sample.draw == GREEDY and count:
                raise SourceError(
                    f"{sample.where}: problem {problem.id!r} has a greedy response already; a greedy draw has one"
                )
            self._counts[key] = count + 1
            self.stated.see(sample)
            yield problem.id, index, sample
        if not self._counts:
            raise SourceError("the source holds no responses; give another")

    def _see_prompt(self, problem: str, sample: Sample) -> None:
        if sample.prompt is None:
            return
        before = self.prompts.setdefault(problem, sample.prompt)
        if before != sample.prompt:
            raise SourceError(
                f"{sample.where}: problem {problem!r} was asked with another prompt than in an earlier row; import "
                "responses to each prompt as a run of their own, or leave the prompts out with --prompt-column none"
            )

    def _number(self, key: tuple[str, Draw], sample: Sample) -> int | None:
        """The number that the source gives a response within its problem; None where it gives none, or a name.

        Raises:
            SourceError: the response is there already by its number or name, or only some have numbers.
        """
        if sample.draw == GREEDY:
            return None  # there is one of each problem
        number = None if sample.index is None or not sample.index.isdecimal() else int(sample.index)
        number = None if number is None or number >= _MOST_NUMBERS else number
        if self._by_number not in (None, number is not None):
            raise SourceError(
                f"{sample.where} {'has no' if number is None else 'has a'} number of a response, unlike earlier rows; "
                "give all of them one, or --index-column none"
            )
        self._by_number = number is not None
        if number is not None:
            held = self._numbers.get(key, 0)
            twice = bool(held >> number & 1)
            self._numbers[key] = held | 1 << number
        elif sample.index is not None:
            names = self._names.setdefault(key, set())
            twice = (name := hash(sample.index)) in names
            names.add(name)
        else:
            return None
        if twice:
            raise SourceError(
                f"{sample.where}: response {sample.index} of problem {key[0]!r} is there twice; drop one, or give "
                "--index-column none where that is no number of responses"
            )
        return number

    @property
    def has_gaps(self) -> bool:
        """Whether the source's numbers are not 0, 1, 2 ... within each problem, so that they must be renumbered."""
        return any(bits & bits + 1 for bits in self._numbers.values())

    def place(self, problem: str, draw: Draw, number: int) -> int:
        """How many responses of the problem and draw have a lower number."""
        return (self._numbers[problem, draw] & (1 << number) - 1).bit_count()

    @property
    def has_greedy(self) -> bool:
        """Whether there is a greedy response to any problem."""
        return any(draw == GREEDY for _, draw in self._counts)

    def sizes(self) -> tuple[int, int]:
        """Responses of the pool that has fewest, and of that with most.

        Raises:
            SourceError: a problem lacks its pool, or its greedy response where others have one; it is named.
        """
        wanted = {SAMPLE: "response besides the greedy one"} | ({GREEDY: "greedy response"} if self.has_greedy else {})
        for draw, what in wanted.items():
            lacking = [problem for problem in self.found if (problem, draw) not in self._counts]
            if lacking:
                raise SourceError(
                    f"{counted(len(lacking))} of {len(self.found):,} have no {what} in the source, the first is "
                    f"{lacking[0]!r}; leave them out, or give a source that has them"
                )
        pools = [count for (_, draw), count in self._counts.items() if draw == SAMPLE]
        return min(pools), max(pools)

    def fewest(self) -> str:
        """The problem with the smallest pool."""
        pools: Mapping[str, int] = {p: count for (p, draw), count in self._counts.items() if draw == SAMPLE}
        return min(pools, key=lambda problem: pools[problem])

    def absent(self) -> dict[str, str]:
        """What the run will lack -> why."""
        return self.stated.absent() | ({} if self.has_greedy else {GREEDY: NO_GREEDY})
