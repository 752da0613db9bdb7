"""Errors that a user can cause, one type per boundary.

Each message says on one line what was given, why it fails and what to do. The command line prints it after
``error:`` and exits with code 2. A bad model response is not an error: it is data, and becomes an ``unscored`` grade.

=================  =========================================================================
`ConfigError`      an option or a combination of options that cannot be run
`TaskError`        a task file, its data or its prompts
`ModelError`       a model, tokenizer or adapter that cannot be loaded or does not fit
`EngineError`      an engine that is missing, failed, or gave numbers that cannot be true
`StoreError`       a run directory that is not one, is damaged, in use, or of another run
`GraderError`      a grader that does not exist or whose workers cannot be started
`SourceError`      a file of another program that cannot be imported as it is
=================  =========================================================================
"""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Callable, Collection, Iterator
from contextlib import ContextDecorator, contextmanager
from pathlib import Path
from types import TracebackType

_LONGEST_REASON = 300
_MOST_NAMES = 20


class BonEvalError(Exception):
    """Base of every error that is the user's to fix; the message is one line."""


class ConfigError(BonEvalError):
    """An option, or a combination of options, that cannot be run."""


class TaskError(BonEvalError):
    """A task file, its data or its prompts."""


class ModelError(BonEvalError):
    """A model, tokenizer or adapter that cannot be loaded or does not fit."""


class EngineError(BonEvalError):
    """An engine that is missing, failed, or returned numbers that cannot be true."""


class StoreError(BonEvalError):
    """A run directory that is not one, is damaged, in use, or belongs to another run."""


class GraderError(BonEvalError):
    """A grader that does not exist, or whose workers cannot be started."""


class SourceError(BonEvalError):
    """A file of another program that cannot be imported as it is, or a run that cannot be exported."""


def unknown_name(kind: str, given: str, valid: list[str]) -> str:
    """One line for a name that is not in a registry: names the valid ones."""
    return f"unknown {kind} {given!r}; valid: {', '.join(sorted(valid))}"


def one_line(error: BaseException) -> str:
    """The text of an error that came from elsewhere, on one line.

    >>> one_line(ValueError("no such\\n  file"))
    'no such file'
    """
    return " ".join(text_of(error).split())


def text_of(error: BaseException) -> str:
    """The text of an error; that of a foreign type may itself fail."""
    try:
        return str(error)
    except Exception as failure:  # noqa: BLE001 (its `__str__` is anybody's code)
        return f"its text cannot be had: {type(failure).__name__}"


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not blank, or its type.

    >>> first_line(OSError("\\n  no such file\\nat all")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    lines = [line for line in text_of(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__


def reason(error: BaseException) -> str:
    """The type and the text of an error that came from elsewhere, on one line of bounded length.

    >>> reason(KeyError("r")), reason(ValueError("no such\\n  file")), reason(RuntimeError())
    ("KeyError: 'r'", 'ValueError: no such file', 'RuntimeError')
    """
    return shortened(f"{type(error).__name__}: {text_of(error)}".removesuffix(": "))


def shortened(text: str) -> str:
    """A text from elsewhere on one line of bounded length."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."


def place(error: BaseException, file: str | None = None) -> str:
    """Where a user's code failed: `` (own.py, line 3)``; of `file` the line that was reached last. Empty where unknown.

    Args:
        error: as it was caught.
        file: the user's own; None: the innermost line, whoever wrote it.
    """
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename is not None:
        frames.append((error.filename, error.lineno))
    own = [frame for frame in frames if file is None or Path(frame[0]).resolve() == Path(file).resolve()]
    return f" ({Path(own[-1][0]).name}, line {own[-1][1]})" if own else ""


class Boundary(ContextDecorator):
    """Around a call into a library: whatever it raises becomes one line, and its traceback goes to the log.

    What a library raises is on no list: a half-downloaded file, a wrong type in a configuration and a missing driver
    each have a type of their own. Errors of ours pass through. In a ``with`` or on a function.
    """

    def __init__(
        self,
        kind: type[BonEvalError],
        what: str,
        remedy: str,
        *,
        log: str | os.PathLike[str] | None = None,
        passing: tuple[type[Exception], ...] = (),
    ) -> None:
        """What failed and what to do about it, as an error of `kind`.

        Args:
            log: the file for the traceback, if any.
            passing: errors that the caller has words of its own for.
        """
        self._kind, self._what, self._remedy, self._log = kind, what, remedy, log
        self._passing: tuple[type[Exception], ...] = (BonEvalError, *passing)

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, self._passing):
            kept = log_traceback(error, self._log)
            raise self._kind(f"{self._what}: {reason(error)}{kept}; {self._remedy}") from error


@contextmanager
def foreign_code(
    told: Callable[[BaseException], BonEvalError], passing: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Around code of a user or of an installed plugin, which raises anything, also what is no `Exception`.

    Args:
        told: the error in its place, of what was raised. Ctrl-C passes through.
        passing: what else does.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, (KeyboardInterrupt, *passing)):
            raise
        raise told(error) from error


def log_traceback(error: BaseException, log: str | os.PathLike[str] | None) -> str:
    """Append the traceback; the words that point to it."""
    if log is None or os.fspath(log) == os.devnull:
        return ""
    try:
        with open(log, "a", encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return ""  # the error itself is what the user needs; a disk that is full is found by what writes a result
    return f" (traceback in {os.fspath(log)})"


def listed(names: Collection[str]) -> str:
    """Names from elsewhere, the first of many, each of bounded length.

    >>> listed(["a", "b"]), listed([str(i) for i in range(22)])[-15:]
    ('a, b', '19 and 2 others')
    """
    shown = [shortened(name) for name in list(names)[:_MOST_NAMES]]
    return ", ".join(shown) + (f" and {len(names) - _MOST_NAMES} others" if len(names) > _MOST_NAMES else "")


def regular(path: Path) -> Path:
    """The path, unless it is a pipe or a device, whose end may never come: that is an `OSError` as of opening it."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "it is a pipe or a device and no regular file; save its content to one", str(path))
    return path


def counted(n: int, what: str = "problem") -> str:
    """A number of things in words.

    >>> counted(1), counted(1200, "response")
    ('1 problem', '1,200 responses')
    """
    return f"{n:,} {what}{'s' if n != 1 else ''}"
