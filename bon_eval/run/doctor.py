"""Does an engine's sampling agree with its own teacher forcing, and with the other engine's? `bon-eval doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bon_eval.config import draw_temperatures, draws
from bon_eval.errors import EngineError
from bon_eval.records import Response

TOLERANCE = 1e-3
"""Largest difference per token, in nats, between sampled and forced log-probs of one engine in float32."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Differences per token between the log-probs of sampling and of scoring, in nats."""

    sampled_by: str
    scored_by: str
    n_tokens: int
    max_difference: float
    mean_difference: float
    response: Response
    """The response with the largest difference."""
    position: int
    """Its token with the largest difference, counted from 0."""
    forced: float
    """The forced log-prob of that token."""

    def line(self) -> str:
        """One line for the terminal."""
        return (
            f"{self.sampled_by:>12} sampled, {self.scored_by:>12} forced: {self.n_tokens:6d} tokens, "
            f"max {self.max_difference:.2e}, mean {self.mean_difference:.2e} nats per token"
        )


def agreement(
    responses: Sequence[Response], forced: dict[str, tuple[float, ...]], sampled_by: str, scored_by: str
) -> Agreement:
    """Compare sampled log-probs with forced ones, keyed by `key(response)`.

    Raises:
        EngineError: a response came back with another number of log-probs.
    """
    worst = (-1.0, responses[0], 0, 0.0)
    total, count = 0.0, 0
    for response in responses:
        scored = forced[key(response)]
        if len(scored) != response.n_tokens:
            raise EngineError(
                f"engine {scored_by} scored {len(scored)} tokens of a response with {response.n_tokens} (problem "
                f"{response.problem_id}, {response.arm} {response.index})"
            )
        for position, (a, b) in enumerate(zip(response.token_logprobs, scored, strict=True)):
            total += abs(a - b)
            count += 1
            if not abs(a - b) <= worst[0]:
                worst = (abs(a - b), response, position, b)
    return Agreement(sampled_by, scored_by, count, worst[0], total / count, *worst[1:])


def key(response: Response) -> str:
    """Name of a response in a scoring call."""
    return f"{response.problem_id}/{response.arm}/{response.index}"


def check(found: Agreement, tolerance: float = TOLERANCE) -> None:
    """Raises `EngineError` naming the token when an engine does not agree with itself."""
    if not found.max_difference <= tolerance:
        r = found.response
        raise EngineError(
            f"engine {found.sampled_by}: sampled and forced log-probs differ by {found.max_difference:.2e} nats (limit "
            f"{tolerance:g}) at token {found.position} (id {r.token_ids[found.position]}) of problem {r.problem_id}, "
            f"{r.arm} {r.index}: {r.token_logprobs[found.position]:.6f} against {found.forced:.6f}; "
            "its log-likelihoods cannot be trusted"
        )


def examine(
    model: str,
    engines: Sequence[str] = (),
    *,
    dtype: str = "float32",
    revision: str | None = None,
    adapter: str | None = None,
    seed: int = 0,
    trust_remote_code: bool = False,
    base_url: str | None = None,
    served_model: str | None = None,
    n: int = 4,
    limit: int = 4,
    max_tokens: int = 48,
) -> Iterator[str]:
    """Sample a few problems of the embedded task and score them back; yields one line per comparison.

    Every engine scores its own responses and those of the others. In float32 an engine must agree with itself to
    `TOLERANCE` per token; other precisions and other engines are reported.

    Args:
        engines: names; all that are installed when empty.
        base_url: of a server that has the model: it is checked too, after the engines here.
        served_model: its name there. [default: `model`]

    Raises:
        EngineError: an engine does not agree with itself, or cannot be loaded.
    """
    from bon_eval.engines import REMOTE, OpenEngine, choose_engine, installed_engines, open_engine
    from bon_eval.engines.base import EngineSpec
    from bon_eval.records import ForcedSequence, Request, Sampling
    from bon_eval.run.console.progress import Progress
    from bon_eval.run.options import RunOptions
    from bon_eval.run.prepare import prepare_prompts

    names = list(dict.fromkeys(choose_engine(e)[0] for e in engines)) or installed_engines()
    if base_url is not None:
        names = [name for name in names if name != REMOTE] + [REMOTE]
    ready = prepare_prompts(
        RunOptions(model, "arith", limit=limit, revision=revision, adapter=adapter, trust_remote_code=trust_remote_code)
    )
    prompts = {p.problem_id: p.token_ids for p in ready.prompts}
    asked = {"n": n, "temperature": 1.0}
    sampling = {
        draw: Sampling(temperature, max_tokens, tuple(end.token_id for end in ready.ends))
        for draw, temperature in draw_temperatures(asked).items()
    }
    requests = [
        Request(prompt.problem_id, draw, prompt.token_ids, size, sampling[draw])
        for draw, size in draws(asked).items()
        for prompt in ready.prompts
    ]
    spec = EngineSpec(
        model_dir=str(ready.model.directory),
        dtype=dtype,
        adapter_dir=None if ready.adapter_dir is None else str(ready.adapter_dir),
        adapter_hash=ready.adapter_hash,
        seed=seed,
        max_length=max(map(len, prompts.values())) + max_tokens,
        log_path=os.devnull,
        trust_remote_code=trust_remote_code,
    )

    server: dict[str, object] = (
        {} if base_url is None else {"base_url": base_url, "served_model": served_model or model}
    )

    def opened(name: str) -> OpenEngine:
        return open_engine(
            name, replace(spec, engine_args=server, adapter_dir=None, probe=requests[-1]) if name == REMOTE else spec
        )

    def sequences(responses: Sequence[Response]) -> list[ForcedSequence]:
        return [ForcedSequence(key(r), prompts[r.problem_id], r.token_ids) for r in responses]

    def sampled(engine: OpenEngine, name: str) -> list[Response]:
        label, drawn = f"{name} samples", []
        with Progress(len(requests), label=label, unit="requests", engine=engine, brief=True) as progress:
            for group in engine.sample(requests):
                drawn += group
                progress.advance(1, responses=len(group))
        return drawn

    def scored(engine: OpenEngine, name: str, by: str) -> dict[str, tuple[float, ...]]:
        label, forced = f"{name} scores what {by} sampled", {}
        with Progress(len(drawn[by]), label=label, unit="responses", engine=engine, brief=True) as progress:
            for response, logprobs in engine.score(sequences(drawn[by])):
                forced[response] = logprobs
                progress.advance(1)
        return forced

    drawn: dict[str, list[Response]] = {}
    for name in names:
        with opened(name) as engine:
            drawn[name] = sampled(engine, name)
            for by, responses in drawn.items():
                found = agreement(responses, scored(engine, name, by), by, name)
                yield found.line()
                if by == name != REMOTE and dtype == "float32":  # a server's precision is its own
                    check(found)
    # One engine at a time has the device's memory, so an engine is opened again for what was sampled after it.
    for position, name in enumerate(names[:-1]):
        with opened(name) as engine:
            for by in names[position + 1 :]:
                yield agreement(drawn[by], scored(engine, name, by), by, name).line()
    yield f"{len(names)} engine(s) checked in {dtype}; limit within one engine {TOLERANCE:g} nats per token in float32"
