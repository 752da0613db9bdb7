"""The worker process of the graders: reads questions on standard input, answers on standard output.

Started as ``python -m bon_eval.graders.workers.worker MEMORY_MB PARENT_PID [library] [die]`` (load math-verify at once;
die with the starting thread). A message is four bytes of length, big end first, and JSON. Nothing but JSON crosses the
pipes, and nothing that a model wrote is executed.

It ends when its input ends, when its parent is gone (looked at twice a second), when it is killed, and when it has
used up the processor time of its question: the kernel ends it then, whatever it computes.
"""

from __future__ import annotations

import importlib
import json
import os
import struct
import sys
import threading
import time
from typing import IO, Any

HEADER = struct.Struct(">I")
MAX_MESSAGE = 1 << 20


def read_message(stream: IO[bytes]) -> Any:
    """The next message; None at the end of the stream."""
    head = stream.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    (size,) = HEADER.unpack(head)
    body = stream.read(size)
    return json.loads(body) if len(body) == size else None


def write_message(stream: IO[bytes], message: Any) -> None:
    """Send one message."""
    body = json.dumps(message).encode()
    stream.write(HEADER.pack(len(body)) + body)
    stream.flush()


def limit_memory(megabytes: int) -> None:
    """Bound the address space; an answer that needs more gets a MemoryError."""
    import resource

    size = megabytes << 20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        size = min(size, hard)
    resource.setrlimit(resource.RLIMIT_AS, (size, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def limit_processor(seconds: float) -> None:
    """Let the kernel end this process when one question takes more processor time than its deadline.

    By a timer, and much later by a limit, for a plugin that uses the timer itself.
    """
    import resource
    import signal

    signal.setitimer(signal.ITIMER_PROF, seconds)
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(used + 2 * seconds) + 3
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def stop_the_clock() -> None:
    """Between questions, and while something is imported, no time is counted."""
    import resource
    import signal

    signal.setitimer(signal.ITIMER_PROF, 0)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def watch_parent(parent: int) -> None:
    """End this process as soon as its parent has ended."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def die_with_parent() -> None:
    """Linux: be killed by the kernel when the thread that started this process ends."""
    import ctypes
    import signal

    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)


def die_of_the_timer() -> None:
    """Undo what the caller may have made of the signals that end this process."""
    import signal

    for number in (signal.SIGPROF, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGXCPU))


def answer(question: Any, sink: IO[bytes]) -> dict[str, Any]:
    """The reply to one question: ``same`` (gold, answer), ``key`` (answer) or ``plugin`` (grader, gold, answer)."""
    from bon_eval.graders.answers import symbolic

    if question["op"] == "plugin":
        return plugin_answer(question, sink)
    try:
        if question["op"] == "key":
            return {"key": symbolic.key(question["answer"])}
        try:
            return {"correct": symbolic.same(question["gold"], question["answer"]), "rung": "symbolic"}
        except symbolic.NeedsLibraryError as needs:
            library = load_library(sink, question["deadline"])
            reply: dict[str, Any] = library.library_verdict(question["gold"], question["answer"], str(needs))
            return reply
    except symbolic.TooLargeError as error:
        return {"unscored": str(error)}
    except MemoryError:
        return {"unscored": "out of memory"}
    except Exception as error:  # noqa: BLE001 - sympy raises anything; the caller gets it as the reason of no decision
        return {"unscored": f"a defect: {type(error).__name__} in the symbolic comparison"}


def plugin_answer(question: Any, sink: IO[bytes]) -> dict[str, Any]:
    """The grade of a package's or a file's grader, whose loading is no part of a question's time."""
    from bon_eval.graders.workers.foreign import load_asked, plugin_failure, plugin_reply

    try:
        stop_the_clock()
        write_message(sink, {"loading": True})
        load_asked(question)
        write_message(sink, {"loading": False})
        limit_processor(question["deadline"])
        return plugin_reply(question)
    except MemoryError:
        return {"unscored": "out of memory"}
    except BaseException as error:  # noqa: BLE001 - foreign code raises anything, an exit too; it becomes the reason
        return {"unscored": plugin_failure(question["grader"], error)}


def load_library(sink: IO[bytes], deadline: float) -> Any:
    """math-verify, whose loading is no part of a question's time."""
    name = "bon_eval.graders.answers.library"
    if name not in sys.modules:
        stop_the_clock()
        write_message(sink, {"loading": True})
        importlib.import_module(name).warm_up()
        write_message(sink, {"loading": False, "library": True})
        limit_processor(deadline)
    return sys.modules[name]


def main() -> None:
    """Serve until the input ends."""
    memory_mb, parent = int(sys.argv[1]), int(sys.argv[2])
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    quiet = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):  # what a foreign grader reads or prints is none of the messages
        os.dup2(quiet, standard)
    limit_memory(memory_mb)
    if "die" in sys.argv[3:]:
        die_with_parent()
    die_of_the_timer()
    watch_parent(parent)
    from bon_eval.graders.answers import symbolic

    symbolic.same(r"\sqrt{12}+\pi", r"2\sqrt{3}+\pi")  # the first one takes longer than those that follow
    if "library" in sys.argv[3:]:
        importlib.import_module("bon_eval.graders.answers.library").warm_up()
    write_message(sink, {"ready": True})
    own = os.getpid()
    while (question := read_message(source)) is not None:
        limit_processor(question["deadline"])
        try:
            reply = answer(question, sink)
        except MemoryError:
            os._exit(3)
        if os.getpid() != own:  # a process that a foreign grader forked came back: the question is its parent's
            os._exit(0)
        stop_the_clock()
        write_message(sink, reply)


if __name__ == "__main__":
    main()
