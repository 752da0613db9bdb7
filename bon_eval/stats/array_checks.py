"""Checks and chunks shared by the estimators: arrays of shape (P, N), problems by responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bon_eval.errors import ConfigError

CHUNK_ELEMENTS = 1 << 20
"""Numbers handled at once, so that memory does not grow with the number of problems."""


def two_dimensional(name: str, array: ArrayLike) -> NDArray[Any]:
    """The array, or `ConfigError` unless it is (P, N) with N >= 1."""
    out = np.asarray(array)
    if out.ndim != 2 or out.shape[1] == 0:
        raise ConfigError(f"{name} has shape {out.shape}; expected (problems, N) with N >= 1")
    return out


def values_like(reference: NDArray[Any], values: ArrayLike, *, name: str = "values") -> NDArray[Any]:
    """Values of shape (P, N) or (K, P, N), or `ConfigError` unless they fit the reference and are finite."""
    out = np.asarray(values)
    if out.ndim not in (2, 3) or out.shape[-2:] != reference.shape:
        raise ConfigError(f"{name} have shape {out.shape}; expected (problems, N) = {reference.shape}")
    if not np.all(np.isfinite(out)):
        raise ConfigError(f"{name} hold NaN or infinity, which have no mean; drop those problems first")
    return out


def checked_ns(ns: Sequence[int], n_responses: int) -> list[int]:
    """The subset sizes as int, or `ConfigError` unless each is 1 <= n <= N."""
    sizes = [int(n) for n in ns]
    for given, n in zip(ns, sizes, strict=True):
        if n != given or not 1 <= n <= n_responses:
            raise ConfigError(f"n = {given} is not a whole number between 1 and the pool size N = {n_responses}")
    return sizes


def reject_nan(scores: NDArray[Any]) -> None:
    """`ConfigError` that names the first NaN score."""
    bad = np.argwhere(np.isnan(scores.astype(np.float64, copy=False)))
    if len(bad):
        raise ConfigError(f"score of response {bad[0, 1]} of problem row {bad[0, 0]} is NaN and cannot be ranked")


def row_chunks(n_rows: int, row_elements: int) -> Iterator[slice]:
    """Slices of rows that hold about `CHUNK_ELEMENTS` numbers each, at least one row."""
    step = max(1, CHUNK_ELEMENTS // row_elements)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def ranked_scores(scores: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp] | None]:
    """Order of ranks (best first) of shape (rows, N), and the flat starts of blocks of ties (None: no ties)."""
    reject_nan(scores)
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, axis=1)
    new_block = np.ones(ranked.shape, dtype=np.bool_)
    np.not_equal(ranked[:, 1:], ranked[:, :-1], out=new_block[:, 1:])
    return order, None if new_block.all() else np.flatnonzero(new_block)


def share_ties(ranked: NDArray[np.float64], block_starts: NDArray[np.intp] | None) -> NDArray[np.float64]:
    """Values (rows, N) in the order of ranks, each replaced by the mean of its block of ties."""
    if block_starts is None:
        return ranked
    lengths = np.diff(block_starts, append=ranked.size)
    block_means = np.add.reduceat(ranked.ravel(), block_starts) / lengths
    return np.repeat(block_means, lengths).reshape(ranked.shape)
