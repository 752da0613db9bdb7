"""Finding, loading and calling graders from elsewhere, packages and files; the calls happen in a worker alone."""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from bon_eval.errors import GraderError, foreign_code, place, reason
from bon_eval.graders.base import Grade, Grader
from bon_eval.graders.workers.own_file import content_version, is_file_name, load_own, shown_name, split_name

if TYPE_CHECKING:
    from collections.abc import Callable
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
    with foreign_code(
        lambda error: GraderError(f"{where} cannot be loaded: {reason(error)}{place(error)}; mend it or uninstall")
    ):
        found = points[0].load()
        grader = found() if isinstance(found, type) else found
    if not callable(grader) or any(not isinstance(getattr(grader, x, None), str) for x in ("name", "version")):
        raise GraderError(f"{where} is no grader; it needs name, version and __call__(response, gold) -> Grade")
    if grader.name != name:
        raise GraderError(f"{where} has the name {grader.name!r}; entry point and grader must have the same")
    made: Grader = grader
    return made


class FileGrader:
    """A function ``f(response, gold)`` of a user's file, as a `Grader`.

    It gives True, False or None (no verdict), a pair of that and the answer that was read, or a `Grade`. Of a verdict
    alone the answer, by which votes go, is the response's last line that is not blank.
    """

    def __init__(self, name: str, version: str) -> None:
        found = load_own(name, "grader", "a response and a gold answer", GraderError)

        def told(error: BaseException) -> GraderError:
            where = place(error, str(split_name(name)[0]))
            return GraderError(
                f"grader {name!r}: its class cannot be made without arguments ({reason(error)}{where}); mend the file"
            )

        with foreign_code(told):
            called = found() if isinstance(found, type) else found
        if not callable(called):
            raise GraderError(
                f"grader {name!r} is a {type(found).__name__}; give a function of a response and a gold answer"
            )
        self._function: Callable[[str, str], object] = called
        self.name, self.version = shown_name(name), version

    def __call__(self, response: str, gold: str) -> Grade:
        """What the function gives, as a grade; raises what it raises, and `TypeError` for anything else."""
        given = self._function(response, gold)
        if isinstance(given, Grade):
            return given
        verdict, answer = given if isinstance(given, tuple) and len(given) == 2 else (given, _last_line(response))
        if verdict not in (True, False, None) or not isinstance(answer, str | None):
            raise TypeError(f"it returned {given!r}; return True, False or None, (verdict, answer) or a Grade")
        return Grade(verdict, answer, "no verdict" if verdict is None else "own function")


def _last_line(response: str) -> str | None:
    lines = response.strip().splitlines()
    return lines[-1].strip() if lines else None


@lru_cache(maxsize=8)
def load_file(name: str, version: str) -> FileGrader:
    """The grader ``path.py:name`` as the file stands, whose content must have that version.

    Raises `GraderError`: no such file or function, it cannot be imported, or the file has changed since.
    """
    path, _ = split_name(name)
    if file_version(name) != version:
        raise GraderError(f"grader {name!r}: {path} has changed while it was in use; run the command again")
    return FileGrader(name, version)


def file_version(name: str) -> str:
    """The version of the content of a grader's file; raises `GraderError` where there is none."""
    path, _ = split_name(name)
    try:
        return content_version(path)
    except OSError as error:
        raise GraderError(
            f"grader {name!r}: {path} cannot be read ({error.strerror}); give path.py:name of a Python file"
        ) from error


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"


def plugin_place(name: str, error: BaseException) -> str:
    """File and line of the grader's own code at which it failed; empty where it did not fail there."""
    module = sys.modules.get(type(load_plugin(name)).__module__)
    return place(error, getattr(module, "__file__", None) or "")


def load_asked(question: dict[str, Any]) -> Grader:
    """The grader of a ``plugin`` question. Raises `GraderError`."""
    name = question["grader"]
    return load_file(name, question["version"]) if is_file_name(name) else load_plugin(name)


def plugin_failure(name: str, error: BaseException) -> str:
    """Why there is no verdict: what a grader raised, and where. Of a user's file with the error's own words."""
    what = type(error).__name__
    if is_file_name(name):
        what = str(error) if isinstance(error, GraderError) else reason(error)
        where = place(error, str(split_name(name)[0]))
    else:
        where = plugin_place(name, error)
    return f"{what} in grader {shown_name(name)}{where}"


def plugin_reply(question: dict[str, Any]) -> dict[str, Any]:
    """In the worker: the reply to a ``plugin`` question. Raises what the plugin raises."""
    grade = load_asked(question)(question["answer"], question["gold"])
    if grade.correct not in (True, False, None) or not isinstance(grade.answer, str | None):
        raise TypeError("a Grade needs correct True, False or None and answer text or None")
    return {
        "correct": None if grade.correct is None else bool(grade.correct),
        "rung": str(grade.reason),
        "answer": grade.answer,
    }
