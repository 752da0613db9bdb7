"""vLLM's own processes: how they are started, kept from signals, watched, and ended with this one."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from typing import Any

from bon_eval.engines.vllm import guardian
from bon_eval.errors import EngineError

_END_S = 60.0
"""Seconds that a killed process may take to give its memory back: of a GPU's driver it can be several."""

_THREAD_S = 5.0
"""Seconds that the thread that reads an engine's outputs may take to end."""


@contextlib.contextmanager
def not_compiling() -> Iterator[None]:
    """Processes started within do not compile, whatever their engine is told; a user's own setting wins.

    However eager the engine is, vLLM compiles single functions (the token's rank, the embedding's mask under tensor
    parallelism): on a CPU that needs a compiler and costs each engine seconds, half a minute where nothing is cached.
    """
    if "TORCHDYNAMO_DISABLE" in os.environ:
        yield
        return
    os.environ["TORCHDYNAMO_DISABLE"] = "1"
    try:
        yield
    finally:
        del os.environ["TORCHDYNAMO_DISABLE"]


def shielded(build: Callable[[], Any], others: set[Any]) -> Any:
    """What `build` makes, in a thread that blocks Ctrl-C and SIGTERM, as the processes that it starts then do.

    A terminal and a scheduler send signals to a whole process group: the engine must outlive them until what is in
    flight is finished. This thread stays open to them, so that a load of minutes can be stopped; then what it has
    started ends, and the children that were there before, `others`, do not.
    """
    made: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        try:
            made.append(build())
        except BaseException as error:  # noqa: BLE001
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.2)  # without a limit a signal would not be heard
    except KeyboardInterrupt:
        end(children() - others)
        raise
    if failed:
        end(children() - others)
        raise failed[0]
    return made[0]


def bystanders() -> set[Any]:
    """The processes below this one that are there before an engine is, and outlive it.

    multiprocessing's tracker is among them: it serves this process, and starting it unblocks Ctrl-C and SIGTERM in the
    thread that does, so that the engine's own thread must not (`shielded`).
    """
    resource_tracker.ensure_running()
    return children()


def children() -> set[Any]:
    """The processes below this one, as psutil has them."""
    import psutil

    return set(psutil.Process().children(recursive=True))


def guard(engine: set[Any]) -> subprocess.Popen[bytes]:
    """A process that kills the engine's processes when this one is killed: vLLM's own outlive their parent."""
    victims = [f"{p.pid}:{guardian.start_time(p.pid)}" for p in engine]
    # In a session of its own, Ctrl-C on the terminal does not reach it before it is needed.
    return subprocess.Popen(
        [sys.executable, guardian.__file__, *victims], stdin=subprocess.PIPE, start_new_session=True
    )


def end(engine: set[Any]) -> None:
    """End an engine's processes and all that they have started; returns once they are gone and their memory is free.

    vLLM by itself kills them and does not wait.

    Raises:
        EngineError: one of them does not end.
    """
    import psutil

    family = set(engine)
    for process in engine:
        with contextlib.suppress(psutil.NoSuchProcess):
            family |= set(process.children(recursive=True))
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    # multiprocessing reaps its own: psutil, first, would take the exit status away from it.
    ids = {process.pid for process in family}
    for started in multiprocessing.active_children():
        if started.pid in ids:
            started.join(_END_S)
    _, alive = psutil.wait_procs(family, timeout=_END_S)
    if alive:
        raise EngineError(
            f"vLLM's processes {', '.join(str(process.pid) for process in alive)} were killed and have not ended after "
            f"{_END_S:.0f} s; they may hold memory that the next engine needs"
        )


def end_client(core: Any) -> None:
    """End what vLLM's client of an engine that was shut down leaves to the garbage collector: its ZeroMQ context.

    Collected in a circle with a socket that is still open, the context waits for that socket, and the whole process
    with it, at any later moment.
    """
    thread, context = getattr(core, "output_queue_thread", None), getattr(core, "ctx", None)
    if context is None:  # the engine runs in this process
        return
    if thread is not None:
        thread.join(_THREAD_S)
        if thread.is_alive():  # its sockets are its own to close
            return
    context.destroy(linger=0)


def watch(core: Any, closed: threading.Event) -> None:
    """Wake a caller that waits for outputs of an engine process that was killed: vLLM 0.32 leaves it waiting."""
    from vllm.v1.engine.exceptions import EngineDeadError

    queue, resources = getattr(core, "outputs_queue", None), getattr(core, "resources", None)
    if queue is None or resources is None:  # the engine runs in this process
        return
    while not closed.wait(0.5):
        if resources.engine_dead:
            queue.put_nowait(EngineDeadError())
            return
