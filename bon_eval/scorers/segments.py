"""Numbers over the tokens of each response: ragged segments of one flat array, worked on in bounded batches.

Every function takes ``tokens`` (T,) float32 or float64 and ``offsets`` (S + 1,): segment k is
``tokens[offsets[k]:offsets[k + 1]]``, none is empty; it returns (S,) float64. A segment's result depends on its own
tokens alone, to the last bit: sums run in token order, and padding stands behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Tokens = NDArray[np.float32] | NDArray[np.float64]
Offsets = NDArray[np.int64]

CHUNK_ELEMENTS = 1 << 20
"""Numbers of a padded batch, so that memory does not grow with the pool."""


def lowest(tokens: Tokens, offsets: Offsets) -> Array:
    """The smallest number of each segment."""
    return np.minimum.reduceat(tokens, offsets[:-1]).astype(np.float64)


def mean(tokens: Tokens, offsets: Offsets) -> Array:
    """The mean of each segment."""
    return tail_mean(tokens, offsets, int(np.diff(offsets).max(initial=1)))


def tail_mean(tokens: Tokens, offsets: Offsets, window: int) -> Array:
    """The mean of the last `window` numbers of each segment, of all of them where there are fewer."""
    starts = np.maximum(offsets[:-1], offsets[1:] - window)
    out = np.empty(len(starts))
    for part, lengths, padded in _padded(tokens, starts, offsets[1:] - starts, 0.0):
        out[part] = padded.astype(np.float64).cumsum(axis=1)[:, -1] / lengths
    return out


def lowest_window_mean(tokens: Tokens, offsets: Offsets, window: int) -> Array:
    """The smallest mean of `window` neighbours in each segment, of the whole segment where it is shorter."""
    out = np.empty(len(offsets) - 1)
    for part, lengths, padded in _padded(tokens, offsets[:-1], np.diff(offsets), 0.0):
        sums = padded.astype(np.float64).cumsum(axis=1)
        found = sums[:, -1] / lengths
        if sums.shape[1] > window:
            windows = np.concatenate([sums[:, window - 1 : window], sums[:, window:] - sums[:, :-window]], axis=1)
            windows[np.arange(windows.shape[1]) + window > lengths[:, None]] = np.inf
            found = np.where(lengths > window, windows.min(axis=1) / window, found)
        out[part] = found
    return out


def lowest_decile_mean(tokens: Tokens, offsets: Offsets) -> Array:
    """Mean of the lowest tenth (rounded up) of each segment."""
    out = np.empty(len(offsets) - 1)
    for part, lengths, padded in _padded(tokens, offsets[:-1], np.diff(offsets), np.inf):
        padded.sort(axis=1)
        keep = -(-lengths // 10)
        lowest_ones = padded[:, : int(keep.max())].astype(np.float64)
        lowest_ones[np.arange(lowest_ones.shape[1]) >= keep[:, None]] = 0.0
        out[part] = lowest_ones.cumsum(axis=1)[:, -1] / keep
    return out


def _padded(
    tokens: Tokens, starts: NDArray[Any], lengths: NDArray[Any], fill: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[Any]]]:
    """(segments, their lengths, their tokens as rows filled up on the right), neighbours in length together."""
    by_length = np.argsort(lengths, kind="stable")
    ascending = lengths[by_length]
    start = 0
    while start < len(by_length):
        # Padded to at most twice their own length.
        width = 2 * int(ascending[start])
        stop = min(start + max(1, CHUNK_ELEMENTS // width), int(np.searchsorted(ascending, width, side="right")))
        part = by_length[start:stop]
        column = np.arange(int(ascending[stop - 1]))
        inside = column < lengths[part][:, None]
        rows = tokens[np.where(inside, starts[part][:, None] + column, 0)]
        rows[~inside] = fill
        yield part, lengths[part], rows
        start = stop
