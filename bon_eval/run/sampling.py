"""What is owed -> engine -> store: the sampling of a run, resumable at any moment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bon_eval.config import RunConfig, draw_specs
from bon_eval.engines.base import Engine
from bon_eval.errors import EngineError, ModelError
from bon_eval.records import ForcedSequence, Request
from bon_eval.run.console.progress import Progress
from bon_eval.run.console.signals import Drain, Stopped
from bon_eval.run.independence import Independence
from bon_eval.store.writer import RunStore, Work
from bon_eval.tasks.prompts import RenderedPrompt


def requests(config: RunConfig, prompts: Sequence[RenderedPrompt]) -> Iterator[Request]:
    """Each problem's requests, one for each draw, side by side, in task order.

    All draws share one stream: none waits for another, and the slowest greedy response does not come last.
    """
    shared = config.max_tokens, config.stop_token_ids, config.stop, config.token_stats == "topk"
    drawn = [(draw, draw.sampling(*shared)) for draw in draw_specs(config)]
    for prompt in prompts:
        for draw, sampling in drawn:
            yield Request(prompt.problem_id, draw.name, prompt.token_ids, draw.n, sampling, prompt.messages)


def sample(
    store: RunStore,
    engine: Engine,
    prompts: Sequence[RenderedPrompt],
    *,
    use_adapter: bool = True,
    quiet: bool = False,
) -> None:
    """Draw what the store still owes and store each request's responses as they finish.

    Ctrl-C or SIGTERM once: what is in flight is finished and stored first (see `bon_eval.run.console.signals`).

    Raises:
        Stopped: a signal came.
        EngineError: the engine failed or gave numbers that cannot be true; what was stored before is kept.
        StoreError: the disk is full; what was stored before is kept.
    """
    lacking = {(r.problem_id, r.arm): store.missing(r.problem_id, r.arm) for r in requests(store.config, prompts)}
    owed = [
        replace(r, n=len(missing)) for r in requests(store.config, prompts) if (missing := lacking[r.problem_id, r.arm])
    ]
    left: dict[str, int] = {}
    for r in owed:
        left[r.problem_id] = left.get(r.problem_id, 0) + 1
    lengths = {p.problem_id: len(p.token_ids) for p in prompts}
    independence = Independence(store, lengths)
    count = tokens = prompt_tokens = 0
    began = time.monotonic()
    with (
        Drain() as drain,
        Progress(
            len(prompts),
            done=len(prompts) - len(left),
            label="sampling",
            unit="problems",
            engine=engine,
            quiet=quiet,
        ) as progress,
    ):
        try:
            for answer in engine.sample(drain.feed(owed), use_adapter=use_adapter):
                # The engine counts from 0, whatever is stored of the pool.
                places = lacking[answer[0].problem_id, answer[0].arm]
                responses = [replace(r, index=places[r.index]) for r in answer]
                independence.check(responses)
                store.append(responses)
                drain.landed()
                problem = responses[0].problem_id
                left[problem] -= 1
                more = sum(r.n_tokens for r in responses)
                count, tokens, prompt_tokens = count + len(responses), tokens + more, prompt_tokens + lengths[problem]
                progress.advance(0 if left[problem] else 1, responses=len(responses))
        finally:
            store.end_session(Work(time.monotonic() - began, count, tokens, prompt_tokens))
    unanswered = [problem for problem, count in left.items() if count]
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
