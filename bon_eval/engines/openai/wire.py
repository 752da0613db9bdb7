"""What goes over the wire: requests as JSON bodies, and JSON answers as responses, each checked to be what was asked.

Both shapes of log-probs are read: the lists of the completions API (``tokens``, ``token_logprobs``) and the entries of
the chat API (``content``), which llama.cpp's server uses for both.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bon_eval.engines.openai.logprobs import count, pairs, read_ids, read_logprobs
from bon_eval.engines.servers import Server, ServerSettings
from bon_eval.errors import Boundary, EngineError, counted
from bon_eval.records import TOPK, ForcedSequence, Request, Response

SHAPE = "it is of another shape than OpenAI's API has; check --base-url, or use another version or server"


@dataclass(frozen=True, slots=True)
class Choice:
    """One response as the server gave it."""

    text: str
    token_ids: array[int]
    """Empty where the server gives none."""
    logprobs: array[float]
    """One for each token; float32, as the store keeps them."""
    finish_reason: str
    topk: array[float] | None
    """Top-k confidence of each token, where it was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer."""

    choices: tuple[Choice, ...]
    prompt_tokens: int | None
    """As the server counted them."""


def sampling_body(settings: ServerSettings, server: Server, request: Request, n: int) -> dict[str, object]:
    """The JSON body that asks for `n` responses. Every field that shapes the distribution is sent.

    Raises:
        EngineError: the chat API, and a prompt that is no chat.
    """
    sampling = request.sampling
    logprobs = TOPK if sampling.topk else server.logprobs
    body: dict[str, object] = {
        "model": settings.served_model,
        "n": n,
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        **server.fields,
        **(server.order if sampling.truncation else {}),
        **sampling.truncation,
    }
    if settings.api == "chat":
        if request.messages is None:
            raise EngineError(
                f"the prompt of problem {request.problem_id} is plain text, and api=chat sends messages; use "
                "--prompt-style chat, or --engine-arg api=completions"
            )
        body |= {"messages": [dict(m) for m in request.messages], "logprobs": True, "top_logprobs": logprobs}
    else:
        body |= {"prompt": list(request.prompt_token_ids), "logprobs": logprobs}
    if sampling.topk:
        body["return_tokens_as_token_ids"] = True
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if server.stop_token_ids and sampling.stop_token_ids:
        body["stop_token_ids"] = list(sampling.stop_token_ids)
    return body


def scoring_body(settings: ServerSettings, sequence: ForcedSequence, top: int) -> dict[str, object]:
    """The JSON body that scores given tokens, with the `top` most likely ones beside each."""
    return {
        "model": settings.served_model,
        "prompt": [*sequence.prompt_token_ids, *sequence.response_token_ids],
        "max_tokens": 1,
        "temperature": 0.0,
        "prompt_logprobs": top,
    }


@Boundary(EngineError, "the server's answer cannot be read", SHAPE)
def read_answer(body: object, request: Request, n: int, end_texts: frozenset[str]) -> Answer:
    """The n choices of an answer.

    Args:
        body: the JSON.
        request: what was asked, `n` responses at once.
        end_texts: what the request's end tokens read as; used where the server gives no token ids.

    Raises:
        EngineError: fewer choices than asked for, no text, log-probs that are none or cannot be true, another number of
            them than of tokens, a response without its end token or cut elsewhere than at max_tokens, another prompt
            than was sent; or an answer of another shape.
    """
    if not isinstance(body, Mapping) or not isinstance(body.get("choices"), list):
        raise EngineError(f"the server's answer is no completion ({_short(body)}); check --base-url")
    found = body["choices"]
    if len(found) != n:
        fewer = f"give --engine-arg max_n={len(found)}"
        other = "look into its log, and use another version or server"
        remedy = fewer if 0 < len(found) < n else other
        raise EngineError(f"the server gave {counted(len(found), 'choice')} where {n} were asked for; {remedy}")
    usage = body.get("usage")
    read = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    if isinstance(read, int) and read != len(request.prompt_token_ids):
        raise EngineError(_other_prompt(request, read))
    made = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    given = sum(map(count, found))
    if isinstance(made, int) and given and given != made:
        raise EngineError(_other_count(request, given, made))
    choices = tuple(_choice(c, request, end_texts) for c in sorted(found, key=_index))
    return Answer(choices, read if isinstance(read, int) else None)


def _index(choice: object) -> int:
    index = choice.get("index") if isinstance(choice, Mapping) else None
    return index if isinstance(index, int) else 0


def to_response(request: Request, index: int, choice: Choice) -> Response:
    """A choice as the response of the given index."""
    return Response(
        problem_id=request.problem_id,
        arm=request.arm,
        index=index,
        text=choice.text,
        token_ids=tuple(choice.token_ids),
        token_logprobs=tuple(choice.logprobs),
        finish_reason=choice.finish_reason,
        token_topk=None if choice.topk is None else tuple(choice.topk),
    )


@Boundary(EngineError, "the server's scores cannot be read", SHAPE)
def read_scores(body: object, sequence: ForcedSequence) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Log-probs of a sequence's response tokens, and the highest one at each of their positions.

    Raises:
        EngineError: the server gave none, or not for these tokens.
    """
    choices = body.get("choices") if isinstance(body, Mapping) else None
    first = choices[0] if isinstance(choices, list) and choices else None
    positions = first.get("prompt_logprobs") if isinstance(first, Mapping) else None
    n = len(sequence.response_token_ids)
    if not isinstance(positions, list) or len(positions) != len(sequence.prompt_token_ids) + n:
        raise EngineError("the server gave no prompt log-probs for these tokens; score with engine vllm")
    own, top = [], []
    for token, entries in zip(sequence.response_token_ids, positions[-n:], strict=True):
        if not isinstance(entries, Mapping) or str(token) not in entries:
            raise EngineError(f"the server's prompt log-probs are not those of the tokens sent (token {token} lacks)")
        named = dict(pairs({k: e.get("logprob") for k, e in entries.items()}, "a given response"))
        own.append(named[str(token)])
        top.append(max(named.values()))
    return tuple(own), tuple(top)


@Boundary(EngineError, "the server's answer to a trial request cannot be read", SHAPE)
def top_logprobs(body: object) -> dict[str, float]:
    """The most likely first tokens of a one-token answer, with their log-probs; empty where the server names none.

    Raises:
        EngineError: a log-prob is no number, or the answer is of another shape.
    """
    choices = body.get("choices") if isinstance(body, Mapping) else None
    logprobs = choices[0].get("logprobs") if isinstance(choices, list) and choices else None
    listed = None
    if isinstance(logprobs, Mapping) and isinstance(content := logprobs.get("content"), list) and content:
        listed = content[0].get("top_logprobs")
    elif isinstance(logprobs, Mapping) and isinstance(every := logprobs.get("top_logprobs"), list) and every:
        listed = every[0]
    return dict(pairs(listed, "a trial request"))


def _choice(choice: object, request: Request, end_texts: frozenset[str]) -> Choice:
    where = f"problem {request.problem_id}, {request.arm}"
    if not isinstance(choice, Mapping):
        raise EngineError(f"{where}: the server's answer is no completion ({_short(choice)})")
    found = read_logprobs(choice, where)
    ids = read_ids(choice, found.tokens, where)
    size = len(found.logprobs)
    if ids and len(ids) != size:
        raise EngineError(f"{where}: the server gave {len(ids)} token ids and {size} log-probs; report it there")
    reason = choice.get("finish_reason")
    if isinstance(choice.get("stop_reason"), str):
        reason = "stop"  # a stop string completed by the last allowed token
    sampling = request.sampling
    _check_inside(request, ids, found.tokens, end_texts, where)
    if reason == "length":
        if size != sampling.max_tokens:
            raise EngineError(
                f"{where}: the server cut a response at {size} tokens where {sampling.max_tokens} were asked "
                "for; start it with a longer context, or without a limit of its own"
            )
    elif reason == "stop":
        if not isinstance(choice.get("stop_reason"), str):
            _check_end(request, ids, found.tokens, end_texts, where)
    else:
        raise EngineError(f"{where}: the server ended a response with {reason!r}, which is neither stop nor length")
    confidences = None
    if sampling.topk:
        if len(found.top) != size or not all(found.top):
            raise EngineError(f"{where}: the server gave no {TOPK} most likely tokens; sample without --token-stats")
        best = (sorted(values, reverse=True)[:TOPK] for values in found.top)
        confidences = array("f", (-sum(values) / len(values) for values in best))
    return Choice(_text(choice, size, where), array("i", ids), array("f", found.logprobs), str(reason), confidences)


def _text(choice: Mapping[str, Any], size: int, where: str) -> str:
    """A response's text, all of it."""
    message = choice.get("message")
    holder = message if isinstance(message, Mapping) else choice
    for key in ("reasoning_content", "reasoning", "tool_calls"):
        if holder.get(key):
            raise EngineError(
                f"{where}: the server has taken {key} out of the response's text; start it without a parser for "
                "reasoning or tools, so that the text is whole"
            )
    key = "content" if holder is message else "text"
    text = holder.get(key)
    if text is None and holder is message and size == 1:
        return ""  # what the chat API says of a response that is its end token alone
    if not isinstance(text, str):
        raise EngineError(
            f"{where}: the server gave {_short(repr(text))} as the {key} of a response of {size} tokens, which must be "
            "a text, so nothing could be graded; use another version or server, or --engine-arg api="
            f"{'completions' if holder is message else 'chat'}"
        )
    return text


def _check_end(
    request: Request, ids: Sequence[int], tokens: Sequence[str], end_texts: frozenset[str], where: str
) -> None:
    """A response that ended by itself must carry the log-prob of its end token."""
    ends = request.sampling.stop_token_ids
    if not ends:
        return
    ended = ids[-1] in ends if ids else bool(tokens) and tokens[-1] in end_texts
    if not ended and not any(stop in "".join(tokens) for stop in request.sampling.stop):
        raise EngineError(
            f"{where}: the server's log-probs end before the response's end token, so its log-likelihood cannot be "
            "told; use a server that returns it, such as vLLM's"
        )


def _check_inside(
    request: Request, ids: Sequence[int], tokens: Sequence[str], end_texts: frozenset[str], where: str
) -> None:
    """A response that goes on behind an end token, cut or not, is more than the model's answer."""
    names = end_texts - {""}
    if any(i in request.sampling.stop_token_ids for i in ids[:-1]) if ids else any(t in names for t in tokens[:-1]):
        raise EngineError(
            f"{where}: the server went on after an end token of the model; serve it with its generation_config.json, "
            "or use a server that takes stop_token_ids, such as vLLM's"
        )


def _other_prompt(request: Request, counted: int) -> str:
    return (
        f"the server read {counted} tokens in the prompt of problem {request.problem_id}, which has "
        f"{len(request.prompt_token_ids)}: it adds tokens, cuts the prompt, or has another tokenizer or chat template; "
        "give --model the directory that it serves"
    )


def _other_count(request: Request, given: int, made: int) -> str:
    where = f"problem {request.problem_id}, {request.arm}: the server gave {given} log-probs"
    if given > made:
        return (
            f"{where} and counts {made} tokens, as some do that count one choice of several; give --engine-arg "
            "max_n=1, so that a missing log-prob is seen"
        )
    return (
        f"{where} for {made} tokens, so the log-likelihood cannot be told (llama.cpp leaves out tokens that end inside "
        "a character, and those of a stop string); sample with engine vllm or transformers, or through a server of vLLM"
    )


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 120 else text[:117] + "..."
