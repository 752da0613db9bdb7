"""What most graders share: extract an answer, then compare it, with a worker where need be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import Any

from bon_eval.graders.base import UNDECIDED, Decision, Grade, as_decision
from bon_eval.graders.extract import Extract
from bon_eval.graders.reading.stretches import without_markup, without_special_tokens
from bon_eval.graders.reasoning import NOT_FINISHED, Parts, reasoning_of
from bon_eval.graders.workers.isolation import shared_pool


class AnswerGrader(ABC):
    """A grader in two steps, so that a run decides each distinct (answer, gold) pair once: extract, then compare.

    The steps that most graders share are here; a grader gives `name`, `version`, `extract`, `fast` and `strict`.
    """

    name: str
    version: str

    @abstractmethod
    def extract(self, response: str) -> Extract:
        """Where and what a response without reasoning answers. Never raises; linear in the response."""

    def tagged(self, content: str) -> Extract:
        """What the content of an answer element answers: all of it is the answer."""
        return self.extract(f"Answer: {content}")

    def read(self, parts: Parts) -> Extract:
        """Where and what a response answers that was parted from its reasoning."""
        if parts.answer is None:
            return Extract(None, NOT_FINISHED)
        text = without_markup(without_special_tokens(parts.answer))
        return self.tagged(text) if parts.tagged else self.extract(text)

    @abstractmethod
    def fast(self, answer: str, gold: str) -> Decision:
        """The decision without a worker, or `UNDECIDED`. `gold` went through `self.gold`. Never raises."""

    def gold(self, gold: str) -> str:
        """The answer within the data's gold."""
        return gold

    def normal(self, answer: str) -> str:
        """The normal form shown in a grade."""
        return answer

    def key(self, answer: str) -> str | None:
        """The vote key of an answer in normal form, equal for equivalent ones; None when only a worker can tell."""
        return answer

    def number(self, answer: str) -> Fraction | None:
        """The rational number that an answer in normal form, or a gold that went through `self.gold`, states.

        None where it states none that is found without a worker, and of graders whose answers are no numbers.
        """
        return None

    @abstractmethod
    def strict(self, response: str) -> str | None:
        """The answer when only the task's own format counts; None without that format. Of text without reasoning."""

    def question(self, answer: str, gold: str) -> dict[str, str]:
        """What a worker is asked when `fast` is undecided."""
        return {"op": "same", "gold": gold, "answer": answer}

    def grade(self, found: Extract, decision: Decision) -> Grade:
        """The grade of an answer that was found in a response."""
        answer = decision.answer
        if answer is None and found.answer is not None:
            answer = self.normal(found.answer)
        return Grade(decision.correct, answer, f"{found.where}; {decision.rung}")

    def decide(self, answer: str, gold: str) -> Decision:
        """The decision on an answer, by a worker where need be."""
        decision = self.fast(answer, gold)
        return decision if decision is not UNDECIDED else as_decision(_ask(self.question(answer, gold)))

    def __call__(self, response: str, gold: str) -> Grade:
        """Grade one response, whatever reasoning stands before its answer; never raises on any text."""
        found = self.read(reasoning_of().split(response))
        if found.answer is None:
            return Grade(False, None, found.where)
        return self.grade(found, self.decide(found.answer, self.gold(gold)))

    def same_answer(self, a: str, b: str) -> bool:
        """Whether two answers are equivalent in a vote: an equivalence relation, symmetric and exact."""
        if a == b:
            return True
        keys = [self.key(x) for x in (a, b)]
        for k, x in enumerate((a, b)):
            if keys[k] is None:
                reply = _ask({"op": "key", "answer": x})
                keys[k] = str(reply["key"]) if "key" in reply else "raw " + self.normal(x)
        return keys[0] == keys[1]

    def solution(self, gold: str) -> str | None:
        """A right final answer, for ``tasks check`` to put into the task's answer format; None: there is none."""
        return self.gold(gold)

    def near_misses(self, gold: str) -> tuple[str, ...]:
        """Final answers that are all wrong, for ``tasks check`` to prove that they are graded so."""
        return ()


def _ask(question: dict[str, str]) -> dict[str, Any]:
    pool = shared_pool()
    reply = pool.ask(question)
    return pool.ask_again(question) if "again" in reply else reply
