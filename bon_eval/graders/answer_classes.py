"""Classes of equivalent answers within a problem, which votes count."""

from __future__ import annotations

from collections.abc import Sequence


class AnswerClasses:
    """Classes of equivalent answers, numbered within each problem by first appearance.

    A problem's greedy answer and its pool may lie far apart in the store: its classes are kept until all of its
    responses were seen.

    >>> classes = AnswerClasses(4)
    >>> classes.number("p", ["1/2", None, "2"]), classes.number("p", ["1/2"]), classes.take_finished()
    ([0, -1, 1], [0], 1)
    """

    def __init__(self, responses_per_problem: int) -> None:
        self._size = responses_per_problem
        self._open: dict[str, tuple[dict[str, int], int]] = {}
        self._finished = 0

    def number(self, problem: str, keys: Sequence[str | None]) -> list[int]:
        """The class of each answer of one problem, given by canonical key; -1 for None."""
        classes, seen = self._open.pop(problem, ({}, 0))
        numbers = [-1 if key is None else classes.setdefault(key, len(classes)) for key in keys]
        if seen + len(keys) < self._size:
            self._open[problem] = (classes, seen + len(keys))
        else:
            self._finished += 1
        return numbers

    def take_finished(self) -> int:
        """Problems finished since the last call."""
        finished, self._finished = self._finished, 0
        return finished
