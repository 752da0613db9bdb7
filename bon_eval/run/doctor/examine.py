"""Sampling a few prompts on every engine and scoring the same tokens back by every engine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bon_eval.config import draw_specs
from bon_eval.engines import REMOTE, OpenEngine, choose_engine, installed_engines, open_engine
from bon_eval.engines.base import EngineSpec
from bon_eval.engines.split import split_arguments
from bon_eval.errors import EngineError, counted
from bon_eval.records import ForcedSequence, Request, Response, Sampling
from bon_eval.run.console.progress import Progress
from bon_eval.run.doctor.agreement import key, response_differences, sizes, token_differences
from bon_eval.run.doctor.block import engine_line, heading, legend, row, wrapped
from bon_eval.run.doctor.limits import LIMITS, exceeded, loosest
from bon_eval.run.doctor.verdict import trouble
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare_prompts

_TEMPERED = 0.5
"""Another temperature: log-probs from after the temperature are right in the pool, and may be in greedy decoding."""
_AT_TEMPERED = 2
_MARK = f" at temperature {_TEMPERED}"
POOL, OTHERS = "pool", f"T 0 and {_TEMPERED}"


@dataclass(frozen=True, slots=True)
class _Drawn:
    """What an engine sampled, and what is in force in it."""

    facts: Mapping[str, object]
    groups: Mapping[str, list[Response]]
    """`POOL` and `OTHERS`."""


def examine(
    model: str,
    engines: Sequence[str] = (),
    *,
    dtype: str = "float32",
    revision: str | None = None,
    adapter: str | None = None,
    seed: int = 0,
    trust_remote_code: bool = False,
    engine_args: Mapping[str, object] | None = None,
    base_url: str | None = None,
    served_model: str | None = None,
    n: int = 8,
    limit: int = 8,
    max_tokens: int = 48,
) -> Iterator[str]:
    """Sample a few problems of the embedded task and score them back; yields the lines of one block.

    Every engine scores its own responses and those of the others, and every comparison has a verdict by the limits of
    the less exact dtype of the two (`LIMITS`; a server's may be any).

    Args:
        engines: names; all that are installed when empty.
        engine_args: each goes to the engine that takes it (`split_arguments`).
        base_url: of a server that has the model: it is checked too.
        served_model: its name there. [default: `model`]

    Raises:
        ConfigError: an engine or one of its arguments that is not known.
        EngineError: two do not agree, once the block is complete; or an engine cannot be loaded.
    """
    names = list(dict.fromkeys(choose_engine(e)[0] for e in engines)) or installed_engines()
    if base_url is not None:
        names.append(REMOTE)
    # Whatever is opened before the last one is opened twice, and vLLM takes longest.
    names = sorted(set(names), key=[REMOTE, "transformers", "vllm"].index)
    server = {} if base_url is None else {"base_url": base_url, "served_model": served_model or model}
    args = split_arguments(names, {**server, **(engine_args or {})})
    ready = prepare_prompts(
        RunOptions(model, "arith", limit=limit, revision=revision, adapter=adapter, trust_remote_code=trust_remote_code)
    )
    prompts = {p.problem_id: p.token_ids for p in ready.prompts}
    ends = tuple(end.token_id for end in ready.ends)
    asked = {"n": n, "temperature": 1.0}
    requests = [
        Request(f"{p.problem_id}{_MARK}", "sample", p.token_ids, _AT_TEMPERED, Sampling(_TEMPERED, max_tokens, ends))
        for p in ready.prompts
    ]
    requests += [
        Request(prompt.problem_id, draw.name, prompt.token_ids, draw.n, draw.sampling(max_tokens, ends))
        for draw in draw_specs(asked)
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

    def opened(name: str) -> OpenEngine:
        own = replace(spec, engine_args=args[name])
        return open_engine(name, replace(own, adapter_dir=None, probe=requests[-1]) if name == REMOTE else own)

    drawn: dict[str, _Drawn] = {}
    troubles: list[str] = []
    judged: list[str] = []

    def compared(engine: OpenEngine, by: str, name: str) -> Iterator[str]:
        groups = drawn[by].groups
        everything = [r for group in groups.values() for r in group]
        sequences = [ForcedSequence(key(r), prompts[_problem(r)], r.token_ids) for r in everything if r.n_tokens]
        label = f"{name} scores what {by} sampled"
        with Progress(len(sequences), label=label, unit="responses", engine=engine, brief=True) as progress:
            forced = dict(progress.over(engine.score(sequences)))
        tokens = {draw: token_differences(responses, forced, name) for draw, responses in groups.items()}
        pool = response_differences(groups[POOL], forced, sizes(n))
        both = (drawn[by].facts, engine.facts)
        dtype = loosest(*(str(facts["dtype"]) if "dtype" in facts else None for facts in both))
        judged.append(dtype)
        for draw, differences in tokens.items():
            whole = pool if draw == POOL else None
            found = exceeded(LIMITS[dtype], differences, pool.nats_per_token, whole)
            if found:
                troubles.append(trouble(by, name, draw, dtype, found, differences, both))
            yield row(by, name, draw, differences, whole, not found)

    def scores(engine: OpenEngine) -> bool:
        # A server that does not score is checked by the engines here; alone it is refused when it is asked.
        return len(names) == 1 or bool(engine.facts.get("scores", True))

    yield from wrapped(
        f"{model}: {counted(limit)} of arith, each with a pool of {n}, greedy and {_AT_TEMPERED} responses at "
        f"temperature {_TEMPERED}, {max_tokens} tokens at most"
    )
    for name in names:
        with opened(name) as engine:
            sampled = []
            with Progress(
                sum(r.n for r in requests), label=f"{name} samples", unit="responses", engine=engine, brief=True
            ) as progress:
                for finished in engine.sample(requests):
                    sampled += finished
                    progress.advance(len(finished))
            drawn[name] = _Drawn(engine.facts, _grouped(sampled))
            yield from wrapped(engine_line(engine.facts))
            if name == names[0]:
                yield from heading(sizes(n))
            if not scores(engine):
                yield f"{name} does not score given tokens: its own are scored by the other engines alone"
                continue
            for by in drawn:
                yield from compared(engine, by, name)
    # One engine at a time has the device's memory, so an engine is opened again for what was sampled after it.
    for position, name in enumerate(names[:-1]):
        with opened(name) as engine:
            for by in names[position + 1 :] if scores(engine) else ():
                yield from compared(engine, by, name)
    yield from legend({dtype: LIMITS[dtype] for dtype in LIMITS if dtype in judged})
    if troubles:
        more = f" ({len(troubles)} comparisons differ, see above)" if len(troubles) > 1 else ""
        raise EngineError(troubles[0] + more)


def _problem(response: Response) -> str:
    return response.problem_id.removesuffix(_MARK)


def _grouped(responses: Sequence[Response]) -> dict[str, list[Response]]:
    """The pool, and what was drawn at other temperatures.

    Raises:
        EngineError: a response without token ids, which cannot be scored.
    """
    groups: dict[str, list[Response]] = {POOL: [], OTHERS: []}
    for response in sorted(responses, key=lambda r: (r.problem_id, r.arm, r.index)):
        if len(response.token_ids) != response.n_tokens:
            raise EngineError(
                "the server gives no token ids of its responses, so that they cannot be scored; check a server of vLLM"
            )
        pool = response.arm == "sample" and not response.problem_id.endswith(_MARK)
        groups[POOL if pool else OTHERS].append(response)
    return groups
