"""Why vLLM failed: its engine is another process, and what went wrong there stands in the log alone."""

from __future__ import annotations

import os
import re
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bon_eval.engines.base import AGAIN
from bon_eval.errors import BonEvalError, Boundary, EngineError, log_traceback, reason, shortened

_PREFIX = re.compile(r"^(\([^)]*\bpid=\d+\) )?((DEBUG|INFO|WARNING|ERROR|CRITICAL) \S+ \S+ \[[^\]]*\] )?")
_ERROR = re.compile(r"[A-Za-z_][\w.]*(: .*)?$")
_TRACEBACK = "Traceback (most recent call last):"


@contextmanager
def loading(model_dir: str, log_path: str | None) -> Iterator[str | None]:
    """Around the start of an engine: what it raises becomes one line with the cause that its log names.

    Yields the file that the engine's processes must write to; None where their output stays on standard error.

    Raises:
        EngineError: something was raised.
    """
    with ExitStack() as stack:
        path = log_path
        if log_path == os.devnull:  # nobody wants the log, and yet it alone holds the cause
            path = stack.enter_context(tempfile.NamedTemporaryFile(prefix="bon-eval-vllm-")).name
        start = log_size(path)
        try:
            yield path
        except BonEvalError:
            raise
        except Exception as error:
            cause = cause_since(path, start) or reason(error)
            hint = ""
            if path is not None and path == log_path:
                hint = f" (its log: {path})"
                log_traceback(error, path)
            _let_go(error)
            raise EngineError(
                f"vLLM could not load {model_dir}: {cause}{hint}; give a complete model directory and engine arguments "
                "that fit the machine"
            ) from error


def _let_go(error: BaseException | None) -> None:
    """Free what an error's frames hold now: vLLM's half-made client is among it, and its ZeroMQ context, collected in a
    circle with an open socket at any later moment, would wait for that socket, and the process with it."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


@contextmanager
def running(log_path: str | None, start: int) -> Iterator[None]:
    """Around work of a loaded engine: what it raises becomes one line, with the cause where its process died of one.

    `start`: bytes of the log before that work.

    Raises:
        EngineError: something was raised.
    """
    from vllm.v1.engine.exceptions import EngineDeadError

    with Boundary(EngineError, "engine vllm failed", AGAIN, log=log_path):
        try:
            yield
        except EngineDeadError as error:
            cause = cause_since(log_path, start)
            hint = f" (its log: {log_path})" if log_path not in (None, os.devnull) else ""
            raise EngineError(
                f"vLLM's engine process died{'' if cause is None else f': {cause}'}{hint}; {AGAIN}"
            ) from error


def log_size(path: str | None) -> int:
    """Bytes of a log so far; 0 of none."""
    return os.path.getsize(path) if path is not None and os.path.isfile(path) else 0


def cause_since(path: str | None, start: int) -> str | None:
    """The root cause that a log names behind its first `start` bytes; None where it names none."""
    if path is None or not os.path.isfile(path):
        return None
    return root_cause(Path(path).read_bytes()[start:].decode("utf-8", "replace"))


def root_cause(log: str) -> str | None:
    """The error of the first traceback in a log, on one line; None where there is none.

    The later ones are of the processes above, each of which says that the one below it has failed.

    >>> print(root_cause('''(Worker pid=7) ERROR 11-29 12:38:10 [executor.py:953] Traceback (most recent call last):
    ... (Worker pid=7) ERROR 11-29 12:38:10 [executor.py:953]   File "a.py", line 1, in f
    ... (Worker pid=7) ERROR 11-29 12:38:10 [executor.py:953] lib.OddError: file not
    ... (Worker pid=7) ERROR 11-29 12:38:10 [executor.py:953]   fully covered
    ... Traceback (most recent call last):
    ... RuntimeError: engine failed; see above'''))
    lib.OddError: file not fully covered
    """
    lines = [_PREFIX.sub("", line) for line in log.splitlines()]
    inside = False
    for number, line in enumerate(lines):
        if line.startswith(_TRACEBACK):
            inside = True
        elif inside and _ERROR.match(line):
            rest: list[str] = []
            for more in lines[number + 1 :]:
                if not more.startswith(" "):
                    break
                rest.append(more)
            return shortened(" ".join([line, *rest]))
    return None
