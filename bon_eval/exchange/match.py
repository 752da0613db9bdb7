"""Whose response is it: a source's rows and a task's problems, by id, by question or by row; and whose gold answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

from bon_eval.config import digest
from bon_eval.errors import SourceError, counted, listed, shortened, unknown_name
from bon_eval.exchange.sample import Sample
from bon_eval.graders import get_grader
from bon_eval.records import Problem
from bon_eval.tasks.spec import TaskSpec
from bon_eval.tasks.templates import render_template

Match = Literal["auto", "id", "question", "row"]
MATCHES: tuple[Match, ...] = get_args(Match)
Golds = Literal["agree", "task", "source"]
"""Whose gold answers grade: of both where they agree, of the task or of the source where they do not."""
GOLDS: tuple[Golds, ...] = get_args(Golds)

_SHOWN = 3


class Matcher:
    """Finds the problem of each response; what is matched by is fixed by the first one."""

    def __init__(self, spec: TaskSpec, problems: Sequence[Problem], how: Match = "auto") -> None:
        if how not in MATCHES:
            raise SourceError(unknown_name("way to match", how, list(MATCHES)))
        self.how: Match = how
        self._task, self._question = spec.name, spec.columns.question
        self._problems = tuple(problems)
        self._by_id = {problem.id: problem for problem in problems}
        self._by_question: dict[str, Problem | None] = {}
        for problem in problems:
            asked = plain(problem.fields[self._question])
            self._by_question[asked] = None if asked in self._by_question else problem

    def settled(self, sample: Sample) -> Sample:
        """The response with its problem's question, id and its own number, where they stand in another place."""
        if sample.numbered is not None and sample.problem_id not in self._by_id:
            stem, number = sample.numbered
            if stem in self._by_id and sample.index is None:
                sample = replace(sample, problem_id=stem, index=number)
        return self._with_question(sample)

    def problem(self, sample: Sample) -> Problem:
        """The problem that a response is to, as `settled` gives it.

        Raises:
            SourceError: the task has none such, two of them, or asks another question under that id.
        """
        if self.how == "auto":
            self.how = self._settled(sample)
        if self.how == "question":
            return self._of_question(sample)
        return self._checked(self._of_row(sample) if self.how == "row" else self._of_id(sample), sample)

    def _with_question(self, sample: Sample) -> Sample:
        """With the question of the data set's row that the source keeps, under the task's name of its column."""
        if sample.question is not None or sample.doc is None:
            return sample
        asked = sample.doc.get(self._question)
        return replace(sample, question=asked) if isinstance(asked, str) else sample

    def _settled(self, sample: Sample) -> Match:
        asked = None if sample.question is None else plain(sample.question)
        known = self._by_id.get(sample.problem_id or "")
        if known is not None and asked in self._by_question and asked != plain(known.fields[self._question]):
            return "question"  # ids that count other rows than the task's
        if sample.problem_id in self._by_id:
            return "id"
        if sample.question is not None or (sample.asked is not None and plain(sample.asked) in self._by_question):
            return "question"
        if sample.problem_id is not None:
            return "id"
        raise SourceError(
            f"{sample.where} says neither which problem nor which question it answers; name the column with "
            "--id-column or --question-column, or give --match row where the rows are the task's problems in order"
        )

    def _of_id(self, sample: Sample) -> Problem:
        if sample.problem_id is None:
            raise SourceError(f"{sample.where} has no id; fill it, or give --match question or --match row")
        if sample.problem_id not in self._by_id:
            raise SourceError(
                f"{sample.where}: task {self._task} has no problem {sample.problem_id!r}; its ids are such as "
                f"{listed(list(self._by_id)[:_SHOWN])}: is it a log of another task, or of other --data? --match "
                "question goes by the question's text"
            )
        return self._by_id[sample.problem_id]

    def _of_row(self, sample: Sample) -> Problem:
        if sample.row is None or sample.row >= len(self._problems):
            raise SourceError(
                f"{sample.where} is beyond the {counted(len(self._problems))} of task {self._task}, whose order "
                "--match row goes by"
            )
        problem = self._problems[sample.row]
        if sample.problem_id in self._by_id and sample.problem_id != problem.id:
            raise SourceError(
                f"{sample.where} is problem {problem.id!r} of task {self._task} by its place and "
                f"{sample.problem_id!r} by its id; give --match id, or --id-column none where that is another id"
            )
        return problem

    def _of_question(self, sample: Sample) -> Problem:
        question = sample.question or sample.asked
        if question is None:
            raise SourceError(f"{sample.where} has no question; fill it, or give --match id")
        asked = plain(question)
        if asked not in self._by_question:
            raise SourceError(
                f"{sample.where}: task {self._task} does not ask {shortened(repr(question))}; is it a log of "
                "another task, or of other --data?"
            )
        problem = self._by_question[asked]
        if problem is None:
            raise SourceError(
                f"{sample.where}: task {self._task} asks {shortened(repr(question))} twice, so that the text "
                "does not say which problem it is; give --match id"
            )
        return problem

    def _checked(self, problem: Problem, sample: Sample) -> Problem:
        """The problem, where its question is the one that the source states, if it states one."""
        asked = problem.fields[self._question]
        if sample.question is not None and plain(sample.question) != plain(asked):
            raise SourceError(
                f"{sample.where}: problem {problem.id!r} of task {self._task} asks {shortened(repr(asked))}, and the "
                f"source {shortened(repr(sample.question))}; is it a log of another task, or of other --data? "
                "--match question goes by the text, --question-column none does not look at it"
            )
        return problem


class GoldCheck:
    """Compares the golds that a source states with those of the task, each problem's once."""

    def __init__(self, spec: TaskSpec, whose: Golds = "agree") -> None:
        if whose not in GOLDS:
            raise SourceError(unknown_name("choice of gold answers", whose, list(GOLDS)))
        self._spec, self._whose = spec, whose
        self._grader = get_grader(spec.grader)
        self._stated: dict[str, str] = {}
        self.different: dict[str, tuple[str, str]] = {}
        """Problem -> the gold of the source, of the task."""

    def see(self, problem: Problem, sample: Sample) -> None:
        """Take in what a response's row says; raises `SourceError` for two different golds of one problem."""
        if not (sample.gold or "").strip():
            return
        assert sample.gold is not None
        before = self._stated.get(problem.id)
        if before is None:
            self._stated[problem.id] = sample.gold
            if not self._same(problem, sample.gold):
                self.different[problem.id] = (sample.gold, problem.gold)
        elif before != sample.gold:
            raise SourceError(
                f"{sample.where}: the gold answer of problem {problem.id!r} is {shortened(repr(sample.gold))} here and "
                f"{shortened(repr(before))} in an earlier row; correct one"
            )

    def _same(self, problem: Problem, stated: str) -> bool:
        """As texts, as the task's own cell for it, or as the task's grader reads both."""
        cell = problem.fields.get(self._spec.columns.answer, problem.gold)
        if stated.strip() in (problem.gold, cell.strip()):
            return True
        text = render_template(self._spec.answer_format, {"gold": stated.strip()}, str(self._spec.path))
        return any(self._grader(answer, problem.gold).correct is True for answer in (text, stated))

    def settle(self, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        """The problems with the golds that hold.

        Raises:
            SourceError: the two differ, and neither is said to hold; the message names the first.
        """
        if self._whose == "agree" and self.different:
            raise SourceError(
                f"{self.mismatches()}; is it a log of another task? --golds task or --golds source says which holds"
            )
        if self._whose != "source":
            return tuple(problems)
        return tuple(
            Problem(p.id, p.fields, self.different[p.id][0].strip()) if p.id in self.different else p for p in problems
        )

    def mismatches(self) -> str:
        """The golds that differ, the first by name."""
        problem, (source, task) = next(iter(self.different.items()))
        others = f", and so do {len(self.different) - 1} others" if len(self.different) > 1 else ""
        return (
            f"the gold answer of problem {problem!r} differs, {shortened(repr(source))} in the source and "
            f"{shortened(repr(task))} in the task{others}"
        )


class FromSource:
    """Problems as a source states them, where the task's own data is not asked: question and gold stand in the rows."""

    def __init__(self, spec: TaskSpec) -> None:
        self._spec = spec
        self._found: dict[str, Problem] = {}

    def settled(self, sample: Sample) -> Sample:
        """The response with the question of the data set's row that the source keeps, if any."""
        asked = None if sample.doc is None else sample.doc.get(self._spec.columns.question)
        return replace(sample, question=asked) if sample.question is None and isinstance(asked, str) else sample

    def problem(self, sample: Sample) -> Problem:
        """The problem that a response is to, as `settled` gives it.

        Raises:
            SourceError: a row without id or question, without gold, or with another one than an earlier row.
        """
        name = sample.problem_id or (None if sample.question is None else digest(plain(sample.question))[:12])
        if name is None:
            raise SourceError(f"{sample.where} says neither id nor question; name the column with --id-column")
        known = self._found.get(name)
        if known is None:
            if not (sample.gold or "").strip():
                raise SourceError(
                    f"{sample.where} states no gold answer, and --problems source takes the task's problems from the "
                    "source; name its column with --gold-column, or leave that option out"
                )
            assert sample.gold is not None
            asked = sample.question or sample.asked or sample.prompt
            fields = {} if asked is None else {self._spec.columns.question: asked}
            known = self._found[name] = Problem(name, fields, sample.gold.strip())
        if sample.gold is not None and sample.gold.strip() != known.gold:
            raise SourceError(
                f"{sample.where}: the gold answer of problem {name!r} is {shortened(repr(sample.gold))} here and "
                f"{shortened(repr(known.gold))} in an earlier row; correct one"
            )
        return known

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found.values())


def plain(text: str) -> str:
    """A question with its runs of blanks as single ones: programs trim and wrap them differently."""
    return " ".join(text.split())


def in_task_order(found: Mapping[str, Problem], problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """Those of a task's problems that were found, in its order."""
    return tuple(problem for problem in problems if problem.id in found)
