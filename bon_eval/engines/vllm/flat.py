"""Reading what vLLM gives: log-probs in a `FlatLogprobs`, one list and where each position's entries begin and end."""

from __future__ import annotations

from typing import Any

from bon_eval.errors import EngineError
from bon_eval.records import Request, Response


def top_confidences(flat: Any) -> tuple[float, ...]:
    """Minus the mean of the top log-probs at each position, which follow the token's own."""
    spans = zip(flat.start_indices, flat.end_indices, strict=True)
    return tuple(-sum(flat.logprobs[start + 1 : end]) / (end - start - 1) for start, end in spans)


def own_logprobs(flat: Any, token_ids: tuple[int, ...]) -> tuple[float, ...]:
    """Log-probs of the given tokens at the last len(token_ids) positions of vLLM's `FlatLogprobs`."""
    starts = flat.start_indices[max(0, len(flat.start_indices) - len(token_ids)) :]
    # The first entry of a position is the token itself; top log-probs, when asked for, follow it.
    if len(starts) != len(token_ids) or any(
        flat.token_ids[i] != token for i, token in zip(starts, token_ids, strict=True)
    ):
        raise EngineError("vLLM returned log-probs that do not belong to the response's tokens; please report this")
    return tuple(float(flat.logprobs[i]) for i in starts)


def top_logprobs(flat: Any, n: int) -> tuple[float, ...]:
    """The highest log-prob at each of the last n positions of vLLM's `FlatLogprobs`."""
    ends = zip(flat.start_indices[-n:], flat.end_indices[-n:], strict=True)
    return tuple(float(max(flat.logprobs[start:end])) for start, end in ends)


def to_response(request: Request, index: int, completion: Any) -> Response:
    """The request's response of that index, as vLLM gave it."""
    token_ids = tuple(int(t) for t in completion.token_ids)
    return Response(
        problem_id=request.problem_id,
        arm=request.arm,
        index=index,
        text=completion.text,
        token_ids=token_ids,
        token_logprobs=own_logprobs(completion.logprobs, token_ids),
        # A stop string completed by the last allowed token ends the response; vLLM calls that `length`.
        finish_reason="stop" if isinstance(completion.stop_reason, str) else str(completion.finish_reason),
        token_topk=top_confidences(completion.logprobs) if request.sampling.topk else None,
    )
