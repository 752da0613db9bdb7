"""Whether the pools of a run hold independent draws, looked at while it samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.errors import EngineError
from bon_eval.estimators.repeats import Repeats
from bon_eval.records import Response
from bon_eval.store import parts
from bon_eval.store.reader import stored_parts
from bon_eval.store.writer import RunStore, read_meta

_Drawn = tuple[int, int, float]
"""Index within the pool, what tells the response from others of the pool, log-likelihood."""


class Independence:
    """The test of one run, of which stored pools are a part.

    Pools are taken in task order, whenever they finish: those of short responses finish first, and they alone would
    repeat themselves more than all do.
    """

    def __init__(self, store: RunStore, problem_ids: Iterable[str]) -> None:
        self._repeats = Repeats(store.config.temperature)
        self._size = store.config.n
        self._order = deque(problem_ids)
        self._waiting: dict[str, list[_Drawn]] = {}
        if store.held and self._repeats.tells:
            for problem, drawn in _stored(store.directory, self._size):
                self._waiting.setdefault(problem, []).append(drawn)

    def check(self, responses: Iterable[Response]) -> None:
        """Take in one request's responses.

        Raises:
            EngineError: the pools so far repeat themselves beyond what their log-likelihoods explain.
        """
        if not self._repeats.tells:
            return
        for r in responses:
            if r.arm == "sample":
                logprobs = () if r.token_ids else r.token_logprobs
                told = _told(np.array(r.token_ids, np.int32), r.text, np.array(logprobs, np.float32))
                self._waiting.setdefault(r.problem_id, []).append((r.index, told, r.log_likelihood))
        while self._order and len(self._waiting.get(self._order[0], ())) == self._size:
            drawn = sorted(self._waiting.pop(self._order.popleft()))
            self._repeats.add([key for _, key, _ in drawn], (value for _, _, value in drawn))
        found = self._repeats
        if found.found:
            raise EngineError(
                f"draws repeat each other: {found.seen:,} of {found.draws:,} responses are one of their pool over "
                f"again, token for token, where the model's own log-likelihoods explain {found.expected:,.1f}; "
                "servers behind a router that share a seed do that (give each its own --seed), and caches: mend it, "
                "then sample again with --fresh"
            )


def _stored(directory: Path, n: int) -> Iterator[tuple[str, _Drawn]]:
    """The problem of each of the first n responses of a stored pool, and the response; no Python object for each of
    their tokens."""
    columns = ["problem_id", "arm", "index", "text", "token_ids", "token_logprobs", "log_likelihood"]
    for table in parts.read_parts(stored_parts(directory, read_meta(directory)), columns):
        pools = table.filter(pc.and_(pc.equal(table["arm"], "sample"), pc.less(table["index"], n))).combine_chunks()
        for batch in pools.to_batches():
            names = ("problem_id", "index", "text", "log_likelihood")
            plain = (batch[name].to_pylist() for name in names)
            rows = zip(*plain, _pieces(batch["token_ids"]), _pieces(batch["token_logprobs"]), strict=True)
            for problem, index, text, log_likelihood, ids, logprobs in rows:
                yield problem, (index, _told(ids, text, logprobs), log_likelihood)


def _pieces(column: pa.ListArray) -> Iterator[NDArray[Any]]:
    """The numbers of each row."""
    flat = column.values.to_numpy()
    return (flat[start:end] for start, end in pairwise(column.offsets.to_numpy()))


def _told(token_ids: NDArray[np.int32], text: str, logprobs: NDArray[np.float32]) -> int:
    """By what a response is told from others of its pool, whether it was stored before or comes now: its token ids, or
    where a server gave none its text and log-probs."""
    return hash(token_ids.tobytes() or (text, logprobs.tobytes()))
