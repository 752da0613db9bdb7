"""What an engine is: it samples responses and scores given ones, both as raw log-probs of the tokens themselves."""

from __future__ import annotations

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from bon_eval.errors import EngineError
from bon_eval.records import Forced, ForcedSequence, Request, Response, Sampling

AGAIN = "what was stored is kept, and the same command goes on where it stopped"
"""What to do when an engine fails in the midst of a run."""


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """How to load a model into an engine. Directories are local: hub names are resolved before."""

    model_dir: str
    dtype: str = "auto"
    """``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``."""
    adapter_dir: str | None = None
    """A PEFT LoRA directory, or None."""
    adapter_hash: str | None = None
    """Content hash of the adapter; engines name the adapter by it, since they tell adapters apart by name alone."""
    seed: int = 0
    """Seed of this session's sampling stream."""
    max_length: int | None = None
    """Longest prompt and response together that will be asked for, in tokens; None: the model's own context."""
    log_path: str | None = None
    """File for what the engine and its processes print while they load and run; None leaves it on standard error."""
    trust_remote_code: bool = False
    engine_args: dict[str, object] = field(default_factory=dict)
    """Passed through to the engine's own constructor."""
    probe: Request | None = None
    """One of the requests to come: an engine whose model runs elsewhere tries it before anything depends on it."""
    samplings: tuple[Sampling, ...] = ()
    """Other ways of sampling to come, which it tries as well; one that is not named is tried when it comes."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What an engine has done and has in hand at a moment, by its own counts."""

    tokens: int
    """Generated or scored since the engine was opened; those of unfinished responses count too, where `live`."""
    begun: int
    """Sequences that it has taken and not ended, without the next."""
    unbegun: int
    """Sequences that it has taken to sample and that have no token yet."""
    live: bool = True
    """False where tokens are known only with the whole answer that they belong to."""


@dataclass(slots=True)
class Tally:
    """What an engine counts for its `Pulse`: written by the thread that works, read by another one."""

    tokens: int = 0
    begun: int = 0
    unbegun: int = 0

    def pulse(self) -> Pulse:
        """As it stands."""
        return Pulse(self.tokens, self.begun, self.unbegun)


@dataclass(slots=True)
class Order:
    """What a running `Engine.sample` was told by `Engine.stop`: read between two steps."""

    begin: bool = True
    """Whether responses may be begun."""
    go_on: bool = True
    """Whether those that are begun go on."""


class Engine(Protocol):
    """A loaded model. Use as a context manager, one at a time per process."""

    @property
    def facts(self) -> dict[str, object]:
        """JSON-ready facts for the report: name, version, device, dtype, kernels, context length."""

    @property
    def pulse(self) -> Pulse:
        """What it has done and has in hand: cheap, from any thread, at once even while it is inside a long step."""

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and response together."""

    def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
        """Draw every request's responses, each exactly once with its index 0..n-1 within the request.

        Yields responses as soon as they are done, in any order: those that finish together come together, of
        whatever requests they are. A list may be empty: the caller then has its turn while nothing finishes. Requests
        are taken lazily, in order. With ``use_adapter=False`` the base model answers, where an adapter is loaded.
        Raises `EngineError` when the engine fails.
        """

    def stop(self, *, at_once: bool = False) -> None:
        """Bring the running `sample` to an early end; returns at once, and may be called in a signal handler.

        No response is begun from here on, and what has no token yet is given back; what is begun runs to its end and
        is yielded. With `at_once` it is given up after the step that the engine is in. What has finished is yielded in
        either case.
        """

    def score(
        self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True
    ) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Teacher forcing: ``(key, log-probs of the response's tokens)`` for each sequence, in any order.

        With ``use_adapter=False`` the base model scores, where an adapter is loaded. Memory is bounded by the
        engine's own batch, not by the number of sequences.
        """

    def score_argmax(self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True) -> Iterator[Forced]:
        """As `score`, with the most likely token's log-prob at each position beside the own token's."""

    def load_adapter(self, directory: str, adapter_hash: str) -> None:
        """Put another LoRA adapter in the place of the one that the engine was opened with.

        Raises `EngineError` where it was opened without one and `ModelError` for an adapter that does not fit.
        """

    def close(self) -> None:
        """Free the model; the engine cannot be used afterwards."""


class LoadedEngine(ABC):
    """What is the same in every engine once its model is there. `__init__` sets the attributes."""

    _facts: dict[str, object]
    _context: int
    _order: Order

    @property
    def facts(self) -> dict[str, object]:
        """JSON-ready facts for the report."""
        return dict(self._facts)

    @property
    def context_length(self) -> int:
        """Most tokens of prompt and response together."""
        return self._context

    @property
    @abstractmethod
    def pulse(self) -> Pulse:
        """See `Engine.pulse`."""

    def stop(self, *, at_once: bool = False) -> None:
        """See `Engine.stop`."""
        self._order.begin = False
        if at_once:
            self._order.go_on = False

    @abstractmethod
    def close(self) -> None:
        """See `Engine.close`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def no_adapter() -> EngineError:
    """What `Engine.load_adapter` raises where there is none to take the place of."""
    return EngineError("the engine was opened without an adapter, so none can take its place; open it with one")


@contextmanager
def stderr_to(path: str | None) -> Iterator[None]:
    """Append file descriptors 1 and 2 to a file for a while; processes started meanwhile keep writing there.

    Engines and their native libraries print notices that a user cannot act on; the log keeps them for the day when
    something fails.
    """
    if path is None:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in (*saved, log):
            os.close(descriptor)
