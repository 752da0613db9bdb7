"""What a server can do, asked before a run depends on it: its models, its largest n, whose log-probs it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bon_eval.config import digest
from bon_eval.engines.openai.client import Client, RefusedError
from bon_eval.engines.openai.wire import read_answer, sampling_body, top_logprobs
from bon_eval.engines.servers import SERVERS, Server, ServerSettings
from bon_eval.errors import EngineError
from bon_eval.records import Request, Sampling

_PROBE_TOKENS = 8
_FINGERPRINT = 5
_COLD, _HOT = 0.5, 2.0
_LEAST_GAP = 1.0
_RAW_BELOW, _TEMPERED_ABOVE = 1.5, 2.5


@dataclass(frozen=True, slots=True)
class Found:
    """A server that answers and has the model."""

    server: Server
    version: str | None
    context_length: int | None
    """Most tokens of prompt and response together; None where the server does not say."""


@dataclass(frozen=True, slots=True)
class Probed:
    """What the trial requests showed."""

    max_n: int
    """Most choices that one HTTP request may ask for."""
    token_ids: bool
    """Whether the server gives the token ids of responses."""
    prompt_checked: bool
    """Whether the server counts the prompt's tokens, so that each prompt is known to arrive as it was sent."""
    fingerprint: dict[str, object]
    """Log-probs of the most likely first tokens after the prompt (``logprobs``), and which one that is (``prompt``):
    tells one served model from another."""


async def find(client: Client, settings: ServerSettings) -> Found:
    """Read the server's list of models.

    Raises:
        EngineError: nothing answers, or the server does not have the model.
    """
    listed = await client.get("/models", wait=settings.wait)
    data = listed.get("data") if isinstance(listed, Mapping) else None
    if not isinstance(data, list) or not all(isinstance(m, Mapping) and "id" in m for m in data):
        raise EngineError(f"{settings.base_url}/models lists no models; the base URL of most servers ends with /v1")
    names = {str(m["id"]): m for m in data}
    if settings.served_model not in names:
        raise EngineError(
            f"the server at {settings.base_url} has no model {settings.served_model!r}, but "
            f"{', '.join(sorted(names)) or 'none'}; name it with --engine-arg served_model=NAME"
        )
    card = names[settings.served_model]
    server = SERVERS[settings.server] if settings.server is not None else _told_by(str(card.get("owned_by")))
    context = card.get("max_model_len")
    if not isinstance(context, int) and isinstance(meta := card.get("meta"), Mapping):
        context = meta.get("n_ctx") or meta.get("n_ctx_train")
    return Found(server, await _version(client, settings, server), context if isinstance(context, int) else None)


async def probe(
    client: Client, settings: ServerSettings, server: Server, request: Request, end_texts: frozenset[str]
) -> Probed:
    """Try a request of the run, short, and two of one token at different temperatures.

    Raises:
        EngineError: the server gives fewer choices than asked for or no log-probs; or log-probs of the tempered
            distribution, or it cannot be told whose they are.
    """
    most = min(settings.max_n, server.max_n)
    n = min(request.n, most)
    brief = replace(request, sampling=short(request, _PROBE_TOKENS))
    while True:
        try:
            body = sampling_body(settings, server, brief, n)
            answer = read_answer(await client.post(path(settings), body, patience=0.0), brief, n, end_texts)
            break
        except RefusedError as error:
            if n == 1 or error.status not in (400, 422):
                raise
            n //= 2
    known = all(len(c.token_ids) > 0 for c in answer.choices)
    first = await _check_raw(client, settings, server, request)
    fingerprint: dict[str, object] = {"prompt": digest(list(request.prompt_token_ids))[:12], "logprobs": first}
    return Probed(
        n if n < min(request.n, most) else most,
        known,
        answer.prompt_tokens is not None,
        fingerprint,
    )


def path(settings: ServerSettings) -> str:
    """Where responses are asked for."""
    return "/chat/completions" if settings.api == "chat" else "/completions"


async def _check_raw(client: Client, settings: ServerSettings, server: Server, request: Request) -> dict[str, float]:
    """Raise `EngineError` unless log-probs are the same at every temperature; returns those after the prompt.

    The log-probs of two tokens lie 4 times as far apart at temperature 1/2 as at 2 where they are of the tempered
    distribution, and equally far where they are raw. Two that lie close show nothing: then a shorter prompt is tried.
    """
    first: dict[str, float] | None = None
    for prompt in prompts(settings, request):
        asked = replace(request, prompt_token_ids=prompt)
        cold, hot = [await _top(client, settings, server, asked, t) for t in (_COLD, _HOT)]
        first = cold if first is None else first
        shared = sorted(cold.keys() & hot.keys(), key=cold.__getitem__)
        if len(shared) < 2:
            continue
        low, high = shared[0], shared[-1]
        gap, hot_gap = cold[high] - cold[low], hot[high] - hot[low]
        if gap < _LEAST_GAP:
            continue
        if gap < _RAW_BELOW * hot_gap:
            return dict(sorted(first.items(), key=lambda item: -item[1])[:_FINGERPRINT])
        if gap > _TEMPERED_ABOVE * hot_gap:
            raise EngineError(
                f"the server's log-probs are of the tempered distribution ({high!r} over {low!r}: {gap:.2f} nats at "
                f"temperature {_COLD}, {hot_gap:.2f} at {_HOT}), and a log-likelihood is of the raw one; {server.raw}"
            )
    raise EngineError(
        "it cannot be told whether the server's log-probs are of the raw distribution: it cannot be asked for the "
        f"most likely tokens ({server.top} were), or theirs lie too close to tell; use a server that names them"
    )


async def _top(
    client: Client, settings: ServerSettings, server: Server, request: Request, t: float
) -> dict[str, float]:
    sampling = replace(short(request, 1), temperature=t)
    body = sampling_body(settings, server, replace(request, sampling=sampling, n=1), 1)
    body["top_logprobs" if settings.api == "chat" else "logprobs"] = server.top
    return top_logprobs(await client.post(path(settings), body, patience=0.0))


def short(request: Request, tokens: int) -> Sampling:
    """What a trial asks for: few tokens of the request's temperature, none cut."""
    most = min(tokens, request.sampling.max_tokens)
    return replace(request.sampling, max_tokens=most, stop=(), topk=False, top_p=1.0, top_k=0, min_p=0.0)


def prompts(settings: ServerSettings, request: Request) -> list[tuple[int, ...]]:
    """The request's prompt and shorter ones, to be tried where it shows nothing; the chat API takes messages alone."""
    ids = request.prompt_token_ids
    return [ids, *([] if settings.api == "chat" else [ids[: len(ids) // k] for k in (2, 3, 4, 8) if len(ids) >= k])]


def _told_by(owner: str) -> Server:
    return next((s for s in SERVERS.values() if owner in s.owned_by), SERVERS["openai"])


async def _version(client: Client, settings: ServerSettings, server: Server) -> str | None:
    if server.name != "vllm":
        return None
    try:
        found = await client.get(f"{settings.base_url.removesuffix('/v1')}/version")
    except EngineError:  # a router need not pass it on
        return None
    return str(found.get("version")) if isinstance(found, Mapping) else None
