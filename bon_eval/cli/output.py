"""Standard output that takes nothing any more: a full disk, a pipe that nobody reads."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from contextlib import suppress

import click

_CLOSED_PIPE = 141


def is_of_output(error: OSError) -> bool:
    """Whether it was raised while something was printed: commands print through click alone."""
    return any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__))


def report_output(error: OSError) -> int:
    """Say on standard error what cannot be written, but not of a closed pipe, whose reader has had enough.

    The stream is led away first: at its end the interpreter would write once more what it still holds, and complain.

    Returns:
        The exit code.
    """
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return _CLOSED_PIPE
    with suppress(OSError):  # standard error may be what is full
        click.echo(
            f"error: cannot write to standard output: {error.strerror or error}; files are whole, only what is "
            "printed is lost: send it elsewhere",
            err=True,
        )
    return 2
