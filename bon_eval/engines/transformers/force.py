"""Teacher forcing: the log-probs of given responses' tokens, in batches of bounded size."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from transformers import DynamicCache

from bon_eval.engines.base import Tally
from bon_eval.engines.transformers.draw import raw_logprobs, top_confidence
from bon_eval.errors import EngineError
from bon_eval.records import Forced, ForcedSequence

WINDOW = 512
"""Sequences that are held at once to be sorted by length."""
_SHARED = 4
"""From so many responses to one prompt on, the prompt is computed once for all of them."""
_LOGIT_ELEMENTS = 2**25
"""Most logits at once, rows x positions x vocabulary (128 MiB in float32), unless one position of the rows has more."""

Measure = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""(log-probs (rows, positions, vocabulary), tokens (rows, positions, 1)) -> (rows, positions)."""


def _entropy(logprobs: torch.Tensor, _tokens: torch.Tensor) -> torch.Tensor:
    return torch.special.entr(logprobs.exp()).sum(dim=-1)


def _self_certainty(logprobs: torch.Tensor, _tokens: torch.Tensor) -> torch.Tensor:
    return -logprobs.mean(dim=-1) - math.log(logprobs.shape[-1])


STATISTICS: dict[str, Measure] = {
    "topk": lambda logprobs, _tokens: top_confidence(logprobs),
    "entropy": _entropy,
    "self_certainty": _self_certainty,
}
"""Numbers of the whole distribution at each token, in nats; formulas in `bon_eval.scorers.confidence`."""


def score(
    model: Any, device: torch.device, sequences: Iterable[ForcedSequence], batch_tokens: int, context: int, tally: Tally
) -> Iterator[Forced]:
    """Yield each sequence's forced log-probs; see `Engine.score_argmax`.

    Args:
        batch_tokens: most tokens of a batch, padding included; a longer sequence is a batch of its own.
        context: most tokens of a sequence.
        tally: where the sequences in hand and the tokens scored are counted.
    """
    for key, (own, argmax) in _forced(model, device, sequences, batch_tokens, context, tally, [_own, _argmax]):
        yield Forced(key, own, argmax)


def statistics(
    model: Any,
    device: torch.device,
    sequences: Iterable[ForcedSequence],
    names: Iterable[str],
    batch_tokens: int,
    context: int,
    tally: Tally,
) -> Iterator[tuple[str, tuple[tuple[float, ...], ...]]]:
    """Yield ``(key, one tuple for each name)``, the names of `STATISTICS`; arguments as in `score`."""
    measures = [STATISTICS[name] for name in names]
    yield from _forced(model, device, sequences, batch_tokens, context, tally, measures)


def _own(logprobs: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    return logprobs.gather(2, tokens).squeeze(2)


def _argmax(logprobs: torch.Tensor, _tokens: torch.Tensor) -> torch.Tensor:
    return logprobs.amax(dim=2)


def _forced(
    model: Any,
    device: torch.device,
    sequences: Iterable[ForcedSequence],
    batch_tokens: int,
    context: int,
    tally: Tally,
    measures: list[Measure],
) -> Iterator[tuple[str, tuple[tuple[float, ...], ...]]]:
    stream = iter(sequences)
    try:
        while window := list(islice(stream, WINDOW)):
            for sequence in window:
                _check(sequence, context)
            tally.begun = len(window)
            for batch in _batches(window, batch_tokens):
                with torch.inference_mode():
                    scored = _score_batch(model, device, batch, measures)
                tally.begun -= len(batch)
                tally.tokens += sum(len(s.response_token_ids) for s in batch)
                yield from scored
    finally:
        tally.begun = 0


def _check(sequence: ForcedSequence, context: int) -> None:
    prompt, response = len(sequence.prompt_token_ids), len(sequence.response_token_ids)
    if prompt < 1 or response < 1 or prompt + response > context:
        raise EngineError(
            f"sequence {sequence.key!r} has {prompt} prompt and {response} response tokens; each must have at least "
            f"one, and the model takes {context} together"
        )


def _length(sequence: ForcedSequence) -> int:
    return len(sequence.prompt_token_ids) + len(sequence.response_token_ids)


def _batches(window: list[ForcedSequence], batch_tokens: int) -> Iterator[list[ForcedSequence]]:
    """Sequences of similar length together; responses to one prompt apart from the others where there are several."""
    by_prompt: dict[tuple[int, ...], list[ForcedSequence]] = defaultdict(list)
    for sequence in window:
        by_prompt[sequence.prompt_token_ids].append(sequence)
    groups = [group for group in by_prompt.values() if len(group) >= _SHARED]
    groups.append([sequence for group in by_prompt.values() if len(group) < _SHARED for sequence in group])
    for group in groups:
        group.sort(key=_length)
        start = 0
        while start < len(group):
            stop = start + 1
            while stop < len(group) and (stop + 1 - start) * _length(group[stop]) <= batch_tokens:
                stop += 1
            yield group[start:stop]
            start = stop


def _score_batch(
    model: Any, device: torch.device, batch: list[ForcedSequence], measures: list[Measure]
) -> list[tuple[str, tuple[tuple[float, ...], ...]]]:
    """Forward the batch in pieces of columns; padding stands on the right, where no causal model sees it."""
    prompts = [len(s.prompt_token_ids) for s in batch]
    ids = torch.zeros(len(batch), max(map(_length, batch)), dtype=torch.long)
    for row, s in enumerate(batch):
        ids[row, : _length(s)] = torch.tensor(s.prompt_token_ids + s.response_token_ids)
    ids = ids.to(device)
    # The logits of column c give the token of column c + 1, so the columns before `first` only fill the cache.
    first = min(prompts) - 1
    cache = DynamicCache()
    if first:
        shared = len(batch) > 1 and all(s.prompt_token_ids == batch[0].prompt_token_ids for s in batch)
        head = ids[:1, :first] if shared else ids[:, :first]
        model(input_ids=head, past_key_values=cache, use_cache=True, logits_to_keep=1)
        if shared:
            cache.batch_repeat_interleave(len(batch))
    pieces = []
    step = max(1, _LOGIT_ELEMENTS // (len(batch) * model.config.get_text_config().vocab_size))
    for start in range(first, ids.shape[1] - 1, step):
        piece = ids[:, start : min(start + step, ids.shape[1] - 1)]
        targets = ids[:, start + 1 : start + 1 + piece.shape[1], None]
        logits = model(input_ids=piece, past_key_values=cache, use_cache=True).logits
        logprobs = raw_logprobs(logits)
        pieces.append(torch.stack([measure(logprobs, targets) for measure in measures]))
    tables = torch.cat(pieces, dim=2).tolist()
    return [
        (s.key, tuple(tuple(table[row][prompts[row] - 1 - first : _length(s) - 1 - first]) for table in tables))
        for row, s in enumerate(batch)
    ]
