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
=================  =========================================================================
"""

from __future__ import annotations


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


def unknown_name(kind: str, given: str, valid: list[str]) -> str:
    """One line for a name that is not in a registry: names the valid ones."""
    return f"unknown {kind} {given!r}; valid: {', '.join(sorted(valid))}"


def one_line(error: BaseException) -> str:
    """The text of an error that came from elsewhere, on one line.

    >>> one_line(ValueError("no such\\n  file"))
    'no such file'
    """
    return " ".join(str(error).split())


def first_line(error: BaseException) -> str:
    """The first line of an error's text that is not blank, or its type.

    >>> first_line(OSError("\\n  no such file\\nat all")), first_line(KeyError())
    ('no such file', 'KeyError')
    """
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__


def counted(n: int, what: str = "problem") -> str:
    """A number of things in words.

    >>> counted(1), counted(1200, "response")
    ('1 problem', '1,200 responses')
    """
    return f"{n:,} {what}{'s' if n != 1 else ''}"
