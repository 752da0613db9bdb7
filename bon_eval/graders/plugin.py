"""Graders from other packages: found by entry point, run in worker processes only.

A package offers one by an entry point of the group ``bon_eval.graders``: the entry's name is the grader's name, its
value a `Grader` or a class that makes one without arguments. What it does with a response happens in a worker, under
the same deadline and memory limit as symbolic algebra: a grader that hangs, dies or raises makes the response unscored,
and the reason says so.
"""

from __future__ import annotations

from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.base import UNDECIDED, Decision, Grade
from bon_eval.graders.extract import MAX_RESPONSE_CHARS, Extract
from bon_eval.graders.workers.foreign import load_plugin


class PluginGrader(AnswerGrader):
    """A grader of another package, on the caller's side: it hands the whole response to a worker."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.version = load_plugin(name).version

    def extract(self, response: str) -> Extract:
        """The whole response; the grader itself finds the answer."""
        return Extract(response, "plugin")

    def tagged(self, content: str) -> Extract:
        """The content alone."""
        return self.extract(content)

    def fast(self, answer: str, gold: str) -> Decision:
        """Left to a worker; of a response that is too long for one there is no decision."""
        if len(answer) > MAX_RESPONSE_CHARS:
            return Decision(None, f"too long: more than {MAX_RESPONSE_CHARS:,} characters")
        return UNDECIDED

    def question(self, answer: str, gold: str) -> dict[str, str]:
        """What a worker is asked."""
        return {"op": "plugin", "grader": self.name, "gold": gold, "answer": answer}

    def grade(self, found: Extract, decision: Decision) -> Grade:
        """The grade that the plugin gave."""
        return Grade(decision.correct, decision.answer, decision.rung)

    def strict(self, response: str) -> str | None:
        """A plugin has one format only."""
        return self.extract(response).answer
