"""Whether what an engine gave can be true: nothing else is stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bon_eval.errors import EngineError
from bon_eval.records import Response


def sound_logprobs(responses: Sequence[Response]) -> NDArray[np.float32]:
    """The token log-probs of all responses, one after the other.

    Raises:
        EngineError: a response that neither ended nor was cut; a log-prob that is positive, not finite or missing.
    """
    lengths = np.array([r.n_tokens for r in responses], dtype=np.int64)
    for r in responses:
        if r.finish_reason not in ("stop", "length"):
            raise EngineError(
                f"problem {r.problem_id}, {r.arm} {r.index}: the engine gave the response up ({r.finish_reason!r}); "
                "it was not stored: run the same command again"
            )
        if not r.n_tokens or len(r.token_ids) not in (0, r.n_tokens):
            raise EngineError(
                f"problem {r.problem_id}, {r.arm} {r.index}: {len(r.token_logprobs)} log-probs for "
                f"{len(r.token_ids)} tokens; the engine is broken, it was not stored"
            )
    flat = np.array([x for r in responses for x in r.token_logprobs], dtype=np.float32)
    if not (np.isfinite(flat) & (flat <= 0)).all():
        bad = int(np.flatnonzero(~(np.isfinite(flat) & (flat <= 0)))[0])
        r = responses[int(np.searchsorted(np.cumsum(lengths), bad, side="right"))]
        raise EngineError(
            f"problem {r.problem_id}, {r.arm} {r.index}: the engine gave the log-prob {flat[bad]} (must be finite and "
            "<= 0); it was not stored"
        )
    return flat
