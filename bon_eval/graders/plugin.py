"""Graders from elsewhere: of other packages, found by entry point, and of a user's file; run in worker processes only.

A package offers one by an entry point of the group ``bon_eval.graders``: the entry's name is the grader's name, its
value a `Grader` or a class that makes one without arguments. What it does with a response happens in a worker, under
the same deadline and memory limit as symbolic algebra: a grader that hangs, dies or raises makes the response unscored,
and the reason says so.

A user's own file, ``path.py:function``, is known by its content, whose hash is the grader's version. There an error
ends the grading with one line: nothing is lost, since the responses are stored, and a slip should not pass for a
verdict.
"""

from __future__ import annotations

from bon_eval.errors import GraderError
from bon_eval.graders.answer_grader import AnswerGrader
from bon_eval.graders.base import UNDECIDED, Decision, Grade
from bon_eval.graders.extract import MAX_RESPONSE_CHARS, Extract
from bon_eval.graders.workers.foreign import file_version, load_file, load_plugin
from bon_eval.graders.workers.own_file import split_name


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


class OwnFileGrader(PluginGrader):
    """A function of a user's file, on the caller's side."""

    def __init__(self, name: str) -> None:
        self.version = file_version(name)
        self.name = load_file(name, self.version).name
        path, function = split_name(name)
        self._source = f"{path.absolute()}:{function}"  # a link's own name is the grader's

    def question(self, answer: str, gold: str) -> dict[str, str]:
        """What a worker is asked: of the file as it stood when this grader was made."""
        asked = {"op": "plugin", "grader": self._source, "version": self.version}
        return {**asked, "gold": gold, "answer": answer}

    def failed(self, reason: str) -> bool:
        """Whether the reason of a grade is that the function raised something or ended its worker."""
        return f" in grader {self.name}" in reason or reason.startswith(f"grader {self.name} ended its worker")

    def try_on(self, response: str, gold: str) -> None:
        """Grade one text; raises `GraderError` where the function fails on it."""
        decision = self.decide(response, gold)
        if decision.correct is None and self.failed(decision.rung):
            raise GraderError(
                f"grader {self.name!r} fails on the answer {response!r} to the gold {gold!r}: {decision.rung}; mend it"
            )
