"""The pieces that an engine yields, put together again."""

from __future__ import annotations

from collections.abc import Iterable

from bon_eval.records import Response


def pools(finished: Iterable[list[Response]]) -> dict[tuple[str, str], list[Response]]:
    """(problem, draw) -> its responses in the order of their indices, each of which must be there once."""
    found: dict[tuple[str, str], list[Response]] = {}
    for responses in finished:
        for r in responses:
            found.setdefault((r.problem_id, r.arm), []).append(r)
    for pool in found.values():
        pool.sort(key=lambda r: r.index)
        assert [r.index for r in pool] == list(range(len(pool)))
    return found


def only_pool(finished: Iterable[list[Response]]) -> list[Response]:
    """Of a single request."""
    [pool] = pools(finished).values()
    return pool
