"""A key-value cache whose rows start and end at different times, written one column a step.

Rows are right-aligned: every running sequence's newest token stands in the column before `end`, its first one in the
column `starts[row]`. So one step writes one column of all rows, whatever their lengths; a new sequence enters by
placing its prompt's keys and values directly before `end` (rotary positions are in the keys, columns carry none);
a finished one leaves by moving the last row into its place. Nothing is copied as the cache grows, except once every
`SLACK` columns.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

SLACK = 128
"""Columns allocated ahead. The cache is moved once every so many steps."""

KeyValues = list[tuple[torch.Tensor, torch.Tensor]]
"""A prompt's keys and values, per layer, each of shape (1, heads, tokens, head size)."""


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's buffers of shape (row capacity, heads, column capacity, head size)."""

    is_sliding = False

    def __init__(self, owner: BatchCache, like: tuple[torch.Tensor, torch.Tensor]) -> None:
        super().__init__()
        self._owner = owner
        self.keys, self.values = (t.new_empty(0, t.shape[1], 0, t.shape[3]) for t in like)
        self.is_initialized = True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the buffers are made from the first prompt."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one column, shape (rows, heads, 1, head size); return the live columns of the running rows."""
        rows, base, end = self._owner.rows, self._owner.base, self._owner.end
        self.keys[:rows, :, end : end + 1] = key_states
        self.values[:rows, :, end : end + 1] = value_states
        return self.keys[:rows, :, base : end + 1], self.values[:rows, :, base : end + 1]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that the mask covers, and the first one's number."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Live columns."""
        return self._owner.end - self._owner.base

    def get_max_length(self) -> int:
        """No maximum."""
        return -1

    def move(self, rows: int, columns: int, old: slice, new: slice) -> None:
        """Make the buffers (rows, columns) in size with the running rows' columns `old` at `new`."""
        running = self._owner.rows
        for name in ("keys", "values"):
            buffer = getattr(self, name)
            live = buffer[:running, :, old]
            if buffer.shape[0] == rows and buffer.shape[2] == columns:
                buffer[:running, :, new] = live.clone()
            else:
                # Not filled: on a CPU a page of memory costs its time when it is first written to.
                grown = buffer.new_empty(rows, buffer.shape[1], columns, buffer.shape[3])
                grown[:running, :, new] = live
                setattr(self, name, grown)


class BatchCache(Cache):  # type: ignore[misc]
    """The cache of a running batch; see the module's docstring."""

    def __init__(self) -> None:
        super().__init__(layers=[])
        self.layers: list[_Layer] = []
        self.rows = 0
        """Running sequences; they are rows 0 .. rows-1."""
        self.base = 0
        """First live column: the smallest start."""
        self.end = 0
        """One past the last live column; the next step writes here."""
        self.starts: list[int] = []
        """First column of each running row."""
        self._capacity = (0, 0)

    def admit(self, prompt: KeyValues, count: int, row_limit: int) -> None:
        """Add `count` rows that hold the prompt. Room is made for `row_limit` rows at once, and more when needed."""
        if not self.layers:
            self.layers = [_Layer(self, pair) for pair in prompt]
        length = prompt[0][0].shape[2]
        if self.rows == 0:
            self.base = self.end = 0
        self._reserve(self.rows + count, row_limit, left=length)
        start = self.end - length
        base = start if self.rows == 0 else min(self.base, start)
        rows = slice(self.rows, self.rows + count)
        for layer, pair in zip(self.layers, prompt, strict=True):
            for buffer, given in zip((layer.keys, layer.values), pair, strict=True):
                buffer[rows, :, start : self.end] = given
                # A masked column still takes part, as 0 times its value, which a NaN left in memory would survive.
                buffer[rows, :, base:start] = 0
                buffer[: self.rows, :, base : self.base] = 0
        self.starts += [start] * count
        self.rows += count
        self.base = base

    def reserve_step(self) -> None:
        """Make sure that the next step's column exists. To be called before each forward."""
        if self.end == self._capacity[1]:
            self._reserve(self.rows, self._capacity[0], left=0)

    def advance(self) -> None:
        """Count the column that the forward has just written."""
        self.end += 1

    def remove(self, finished: list[int]) -> list[tuple[int, int]]:
        """Drop rows; returns the moves (from row, to row) by which the last rows fill the gaps."""
        gone = set(finished)
        left = self.rows - len(gone)
        gaps = [row for row in sorted(gone) if row < left]
        movers = [row for row in range(left, self.rows) if row not in gone]
        if gaps:
            for layer in self.layers:
                for buffer in (layer.keys, layer.values):
                    buffer[gaps, :, self.base : self.end] = buffer[movers, :, self.base : self.end]
        moves = list(zip(movers, gaps, strict=True))
        for source, target in moves:
            self.starts[target] = self.starts[source]
        del self.starts[left:]
        self.rows = left
        self.base = min(self.starts, default=self.end)
        return moves

    def mask(self, device: torch.device) -> torch.Tensor:
        """Which live columns, the one that is being written included, belong to each row: bool (rows, columns)."""
        starts = torch.tensor(self.starts, device=device)
        return torch.arange(self.base, self.end + 1, device=device) >= starts[:, None]

    def _reserve(self, rows: int, row_limit: int, left: int) -> None:
        """Room for `rows` rows, `left` columns before `end` and at least one column after it."""
        row_capacity, column_capacity = self._capacity
        if rows <= row_capacity and left <= self.end < column_capacity:
            return
        if rows > row_capacity:
            row_capacity = max(rows, row_limit)
        live = self.end - self.base
        end = max(live, left)
        column_capacity = max(column_capacity, end + SLACK)
        for layer in self.layers:
            layer.move(row_capacity, column_capacity, slice(self.base, self.end), slice(end - live, end))
        shift = end - self.end
        self.starts = [start + shift for start in self.starts]
        self.base, self.end = self.base + shift, end
        self._capacity = (row_capacity, column_capacity)
