"""Which sampled responses are their problem's greedy response over again: told by token ids, not by log-probs.

Two log-likelihoods of one response differ by the engine's rounding, by tenths of a nat in bfloat16, so no tolerance on
them tells the same response from another one. The same token ids give the same text: ids are read only where lengths
and text are those of the greedy response, and neither texts nor ids are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.records import Draw, ToldBy
from bon_eval.store import parts


@dataclass(slots=True)
class Texts:
    """What is kept of the texts as the batches go by, for rows in the order in which they were read."""

    draws: Mapping[Draw, int]
    """Responses of each draw's pool."""
    candidates: list[NDArray[np.bool_]] = field(default_factory=list)
    """Of each batch, (rows,): whether the text is that of the greedy response, or that is in another batch."""
    _distinct: dict[tuple[str, Draw], int] = field(default_factory=dict)
    """Different texts of each pool that lies within one batch."""
    _pieces: dict[tuple[str, Draw], set[int]] = field(default_factory=dict)
    """Of the others: 64 bits of each different text."""

    def distinct(self, problem: str, draw: Draw) -> int:
        """Different texts of a pool."""
        pieces = self._pieces.get((problem, draw))
        return self._distinct[problem, draw] if pieces is None else len(pieces)

    def add(self, batch: pa.Table, inside: NDArray[np.bool_]) -> None:
        """Take in a batch with ``problem_id``, ``arm`` and ``text``, of which some rows are `inside` what is read."""
        rows = batch.select(["problem_id", "arm", "text"]).combine_chunks()
        if not rows.num_rows:
            self.candidates.append(np.zeros(0, dtype=np.bool_))
            return
        # Numbered and counted by hand: Arrow's own count of distinct strings takes many times their memory.
        problems, texts = (rows[name].combine_chunks().dictionary_encode() for name in ("problem_id", "text"))
        problem, text = (column.indices.to_numpy().astype(np.int64) for column in (problems, texts))
        drawn = {draw: pc.equal(rows["arm"], draw).to_numpy() & inside for draw in self.draws}
        for draw, own in drawn.items():
            self._count(draw, problem, text, own, problems.dictionary, texts.dictionary)
        if "greedy" not in drawn:
            self.candidates.append(np.zeros(batch.num_rows, dtype=np.bool_))
            return
        greedy = np.full(len(problems.dictionary), -1, dtype=np.int64)
        greedy[problem[drawn["greedy"]]] = text[drawn["greedy"]]
        of_greedy = greedy[problem]
        self.candidates.append(drawn["sample"] & ((of_greedy < 0) | (of_greedy == text)))

    def _count(
        self,
        draw: Draw,
        problem: NDArray[np.int64],
        text: NDArray[np.int64],
        own: NDArray[np.bool_],
        problems: pa.Array,
        texts: pa.Array,
    ) -> None:
        """Count the different texts of one draw's rows; `problem` and `text` are numbers into the dictionaries."""
        pairs = np.unique(problem[own] * len(texts) + text[own])
        of_problem, counts = np.unique(pairs // len(texts), return_counts=True)
        ids = problems.take(pa.array(of_problem)).to_pylist()
        sizes = np.bincount(problem[own], minlength=len(problems))[of_problem]
        ends = np.cumsum(counts)
        for name, size, start, end in zip(ids, sizes.tolist(), ends - counts, ends, strict=True):
            if size == self.draws[draw]:
                self._distinct[name, draw] = int(end - start)
            else:
                words = texts.take(pa.array(pairs[start:end] % len(texts))).to_pylist()
                self._pieces.setdefault((name, draw), set()).update(map(hash, words))


def same_as_greedy(
    stored: Sequence[parts.Part], table: pa.Table, texts: Texts, problem_ids: Sequence[str], n: int
) -> tuple[NDArray[np.bool_], ToldBy]:
    """Whether each sampled response is the greedy response of its problem, (P, n), and what told so.

    Args:
        stored: the parts.
        table: all rows of them in order, with ``problem_id``, ``arm``, ``index``, ``n_tokens`` and ``n_bytes``.
        texts: of the same batches.
        problem_ids: the P problems, each of which has one greedy response and n sampled ones.
        n: responses of a pool.
    """
    found = pc.index_in(table["problem_id"], value_set=pa.array(problem_ids, pa.string()))
    problem = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    greedy = pc.equal(table["arm"], "greedy").to_numpy() & (problem >= 0)
    candidate = np.concatenate([*texts.candidates, np.zeros(0, dtype=np.bool_)]) & (problem >= 0)
    greedy_row = np.zeros(len(problem_ids), dtype=np.int64)
    greedy_row[problem[greedy]] = np.flatnonzero(greedy)
    for name in ("n_tokens", "n_bytes"):
        size = table[name].to_numpy()
        candidate &= size == size[greedy_row[problem]]
    rows = np.flatnonzero(candidate)
    # The first problem's greedy response besides: whether the engine gave ids is said where nothing is the same, too.
    wanted = np.zeros(table.num_rows, dtype=np.bool_)
    wanted[rows] = wanted[greedy_row[problem[rows]]] = wanted[greedy_row[:1]] = True
    ids, counts = _digests(stored, texts, "token_ids", wanted)
    there = counts > 0
    pair = greedy_row[problem[rows]]
    same = (ids[rows] == ids[pair]) & there[rows] & there[pair]
    without = ~(there[rows] & there[pair])
    if without.any():
        needed = np.zeros_like(wanted)
        needed[rows[without]] = needed[pair[without]] = True
        letters, _ = _digests(stored, texts, "text", needed)
        same |= without & (letters[rows] == letters[pair])
    out = np.zeros((len(problem_ids), n), dtype=np.bool_)
    out[problem[rows], table["index"].to_numpy()[rows]] = same
    return out, "token ids" if there[wanted].all() else "text"


def _digests(
    stored: Sequence[parts.Part], texts: Texts, column: str, wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """A digest of 64 bits and the number of ids or bytes of each wanted row, (rows,); 0 for the others."""
    digests, counts = np.zeros(len(wanted), dtype=np.uint64), np.zeros(len(wanted), dtype=np.int64)
    starts = np.cumsum([0, *map(len, texts.candidates)])
    needed = [k for k, (start, end) in enumerate(pairwise(starts)) if wanted[start:end].any()]
    batches = parts.read_parts(stored, [column], batch_bytes=parts.BATCH_BYTES, only=frozenset(needed))
    for k, batch in zip(needed, batches, strict=True):
        own = wanted[starts[k] : starts[k + 1]]
        flat, sizes = _flat(batch.filter(pa.array(own))[column])
        at = starts[k] + np.flatnonzero(own)
        digests[at], counts[at] = digest_rows(flat, sizes), sizes
    return digests, counts


def _flat(column: pa.ChunkedArray) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Token ids, or the bytes of texts, one after the other, and how many there are of each row."""
    if pa.types.is_string(column.type):
        texts = [text.encode() for text in column.to_pylist()]
        flat = np.frombuffer(b"".join(texts), dtype=np.uint8)
        return flat.astype(np.uint64), np.array(list(map(len, texts)), dtype=np.int64)
    sizes = pc.list_value_length(column).to_numpy().astype(np.int64)
    return pc.list_flatten(column).to_numpy().astype(np.uint64), sizes


def digest_rows(flat: NDArray[np.uint64], sizes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """64 bits of each sequence of numbers below 2^32: the sum over them, mixed with their places, mod 2^64.

    Two different sequences share one with a chance of about 2^-64. The mixing is the last step of SplitMix64 (Steele,
    Lea & Flood 2014, doi 10.1145/2660193.2660195).

    Args:
        flat: the sequences one after the other.
        sizes: how many numbers each has.

    >>> found = digest_rows(np.array([1, 2, 2, 1, 1, 2], dtype=np.uint64), np.array([2, 2, 2]))
    >>> bool(found[0] == found[2]), bool(found[0] == found[1])
    (True, False)
    """
    ends = np.cumsum(sizes)
    place = np.arange(len(flat), dtype=np.uint64) - np.repeat((ends - sizes).astype(np.uint64), sizes)
    mixed = flat + (place << np.uint64(32)) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed ^= mixed >> np.uint64(shift)
        mixed *= np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    sums = np.concatenate((np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    digests: NDArray[np.uint64] = sums[ends] - sums[ends - sizes]
    return digests


def token_digests(tables: Iterable[pa.Table], problem_ids: Sequence[str], draw: str, n: int) -> NDArray[np.uint64]:
    """64 bits of each response's token ids, (P, n); see `digest_rows`.

    Args:
        tables: of a run's responses, with ``problem_id``, ``arm``, ``index`` and ``token_ids``.
        problem_ids: P ids, the order of the rows.
        draw, n: which responses.
    """
    row_of = {problem: row for row, problem in enumerate(problem_ids)}
    out = np.zeros((len(problem_ids), n), dtype=np.uint64)
    for table in tables:
        own = table.filter(pc.and_(pc.equal(table["arm"], draw), pc.less(table["index"], n)))
        digests = digest_rows(*_flat(own["token_ids"]))
        rows = np.array([row_of.get(problem, -1) for problem in own["problem_id"].to_pylist()], dtype=np.intp)
        there = rows >= 0
        out[rows[there], own["index"].to_numpy()[there]] = digests[there]
    return out
