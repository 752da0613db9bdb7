"""Finding, loading and calling the graders that other packages offer; the calls happen in a worker alone."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bon_eval.errors import GraderError, place, reason
from bon_eval.graders.base import Grader

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


ENTRY_POINTS = "bon_eval.graders"


def plugin_names() -> list[str]:
    """Names of the graders that installed packages offer, sorted."""
    from importlib.metadata import entry_points

    return sorted({point.name for point in entry_points(group=ENTRY_POINTS)})


@lru_cache
def load_plugin(name: str) -> Grader:
    """The grader that an installed package offers under that name.

    Raises `GraderError`, naming the package: two packages offer it, it cannot be imported, or it is no grader.
    """
    from importlib.metadata import entry_points

    points = list({(p.value, _package(p)): p for p in entry_points(group=ENTRY_POINTS, name=name)}.values())
    if len(points) != 1:
        packages = ", ".join(sorted(_package(p) for p in points)) or "no package"
        raise GraderError(f"grader {name!r} is offered by {packages}; exactly one must offer it")
    where = f"grader {name!r} of package {_package(points[0])} ({points[0].value})"
    try:
        found = points[0].load()
        grader = found() if isinstance(found, type) else found
    except (Exception, SystemExit) as error:  # foreign code raises anything; the user gets it in one line
        raise GraderError(f"{where} cannot be loaded: {reason(error)}{place(error)}; mend it or uninstall") from error
    if not callable(grader) or any(not isinstance(getattr(grader, x, None), str) for x in ("name", "version")):
        raise GraderError(f"{where} is no grader; it needs name, version and __call__(response, gold) -> Grade")
    if grader.name != name:
        raise GraderError(f"{where} has the name {grader.name!r}; entry point and grader must have the same")
    made: Grader = grader
    return made


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"


def plugin_place(name: str, error: BaseException) -> str:
    """File and line of the grader's own code at which it failed; empty where it did not fail there."""
    module = sys.modules.get(type(load_plugin(name)).__module__)
    return place(error, getattr(module, "__file__", None) or "")


def plugin_reply(question: dict[str, Any]) -> dict[str, Any]:
    """In the worker: the reply to a ``plugin`` question. Raises what the plugin raises."""
    grade = load_plugin(question["grader"])(question["answer"], question["gold"])
    if grade.correct not in (True, False, None) or not isinstance(grade.answer, str | None):
        raise TypeError("a Grade needs correct True, False or None and answer text or None")
    return {
        "correct": None if grade.correct is None else bool(grade.correct),
        "rung": str(grade.reason),
        "answer": grade.answer,
    }
