"""What is owed -> engine -> store: the sampling of a run, resumable at any moment."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from bon_eval.config import RunConfig, draw_specs
from bon_eval.engines.base import Engine
from bon_eval.errors import EngineError, ModelError
from bon_eval.records import Draw, ForcedSequence, Request, Response
from bon_eval.run.console.progress import Progress
from bon_eval.run.console.signals import Drain, Stopped
from bon_eval.run.independence import Independence
from bon_eval.store.writer import Ended, RunStore, Work
from bon_eval.tasks.prompts import RenderedPrompt

HOLD_S = 2.0
"""Longest time, in seconds, for which a finished response is not stored."""
HOLD_TOKENS = 1 << 18
"""Most tokens of responses that are not stored, about 20 MB."""


def requests(config: RunConfig, prompts: Sequence[RenderedPrompt]) -> Iterator[Request]:
    """Each problem's requests, one for each draw, side by side, in task order.

    All draws share one stream: none waits for another, and the slowest greedy response does not come last.
    """
    shared = config.max_tokens, config.stop_token_ids, config.stop, config.token_stats == "topk"
    drawn = [(draw, draw.sampling(*shared)) for draw in draw_specs(config)]
    for prompt in prompts:
        for draw, sampling in drawn:
            yield Request(prompt.problem_id, draw.name, prompt.token_ids, draw.n, sampling, prompt.messages)


class _Intake:
    """Takes in responses as they finish, in any order, and stores them soon, but not each on its own.

    A file for each response would cost more than many a response does. So what has finished is held until a request
    is whole, or for `HOLD_S` seconds or `HOLD_TOKENS` tokens: so much is lost by a kill, and memory does not grow with
    the pool.
    """

    def __init__(self, store: RunStore, independence: Independence, owed: Iterable[Request]) -> None:
        self._store, self._independence = store, independence
        self._owed = {(r.problem_id, r.arm): r for r in owed}
        self._left = {key: r.n for key, r in self._owed.items()}
        self.problems = Counter(problem for problem, _ in self._owed)
        """Requests of each problem that are not whole."""
        self._places: dict[tuple[str, Draw], tuple[int, ...]] = {}
        self._held: list[Response] = []
        self._held_tokens, self._due, self._flushed = 0, False, float("-inf")
        self.responses = self.tokens = self.prompt_tokens = 0
        """Stored; of their prompts each request's, once."""

    def take(self, finished: Iterable[Response]) -> int:
        """Take in what the engine gave, and store what is held where it is time to; the problems that became whole.

        Raises:
            EngineError: draws repeat each other, or log-probs that cannot be true.
            StoreError: the disk is full.
        """
        placed = []
        whole = 0
        for response in finished:
            key = response.problem_id, response.arm
            if key not in self._places:
                # The engine counts from 0, whatever is stored of the pool.
                self._places[key] = self._store.missing(*key)
                self.prompt_tokens += len(self._owed[key].prompt_token_ids)
            placed.append(replace(response, index=self._places[key][response.index]))
            self._left[key] -= 1
            if not self._left[key]:
                del self._places[key]
                self.problems[key[0]] -= 1
                self._due, whole = True, whole + (not self.problems[key[0]])
        if placed:
            self._independence.check(placed)
            self._held += placed
            self._held_tokens += sum(r.n_tokens for r in placed)
        self._due |= self._held_tokens >= HOLD_TOKENS
        if self._held and (self._due or time.monotonic() - self._flushed >= HOLD_S):
            self.flush()
        return whole

    def flush(self) -> None:
        """Store what is held."""
        if held := self._held:
            # Gone before they are stored: what cannot be stored now cannot be in a second attempt.
            self._held, self._held_tokens, self._due = [], 0, False
            self._store.append(held)
            self._flushed = time.monotonic()
            self.responses += len(held)
            self.tokens += sum(r.n_tokens for r in held)


def sample(
    store: RunStore,
    engine: Engine,
    prompts: Sequence[RenderedPrompt],
    *,
    use_adapter: bool = True,
    quiet: bool = False,
) -> None:
    """Draw what the store still owes and store the responses as they finish.

    Ctrl-C or SIGTERM once: what is begun is finished and stored first; see `bon_eval.run.console.signals`.

    Raises:
        Stopped: a signal came.
        EngineError: the engine failed or gave numbers that cannot be true; what was finished before is kept.
        StoreError: the disk is full; what was stored before is kept.
    """
    owed = [
        replace(r, n=missing)
        for r in requests(store.config, prompts)
        if (missing := len(store.missing(r.problem_id, r.arm)))
    ]
    intake = _Intake(store, Independence(store, (p.problem_id for p in prompts)), owed)
    began = time.monotonic()
    ended: Ended = "broken off"
    with (
        Drain(engine) as drain,
        Progress(
            len(prompts),
            done=len(prompts) - len(intake.problems),
            label="sampling",
            unit="problems",
            engine=engine,
            quiet=quiet,
        ) as progress,
    ):
        try:
            for finished in engine.sample(drain.feed(owed), use_adapter=use_adapter):
                with drain.undisturbed():
                    progress.advance(intake.take(finished), responses=len(finished))
            ended = "at once" if drain.at_once else "orderly"
        finally:
            with drain.undisturbed():
                try:
                    intake.flush()
                finally:
                    seconds = time.monotonic() - began
                    store.end_session(Work(ended, seconds, intake.responses, intake.tokens, intake.prompt_tokens))
    unanswered = [problem for problem, count in intake.problems.items() if count]
    if not unanswered:
        store.finish_sampling()
    if drain.signum is not None:
        raise Stopped(drain.signum)
    if unanswered:
        raise EngineError(
            f"the engine ended without the responses of problem {unanswered[0]} (and {len(unanswered) - 1} more)"
        )


def check_adapter(engine: Engine, adapter: str, prompt_token_ids: tuple[int, ...], *, quiet: bool = False) -> None:
    """Prove that the adapter is in force: it must move the log-likelihood of a probe prompt.

    Raises:
        ModelError: the log-likelihood with and without the adapter is the same.
    """
    probe = ForcedSequence("probe", prompt_token_ids[:1], prompt_token_ids[1:])
    label = "checking that the adapter is in force"
    with Progress(2, label=label, unit="scored", engine=engine, brief=True, quiet=quiet) as progress:
        [(_, tuned)] = engine.score([probe])
        progress.advance(1)
        [(_, base)] = engine.score([probe], use_adapter=False)
    if tuned == base:
        raise ModelError(
            f"adapter {adapter!r} changes nothing: the probe prompt has log-likelihood {sum(base):.4f} with and "
            "without it; check that it was trained and fits this model"
        )
