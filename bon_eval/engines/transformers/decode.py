"""The decoding loop: one running batch that finished sequences leave at once and new ones enter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache

from bon_eval.engines.base import Order, Tally
from bon_eval.engines.transformers.cache import SLACK, BatchCache, KeyValues
from bon_eval.engines.transformers.draw import draw, raw_logprobs, top_confidence
from bon_eval.engines.transformers.text import Detokenizer, find_stop
from bon_eval.errors import EngineError
from bon_eval.records import Request, Response


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What bounds the running batch."""

    rows: int
    """Most sequences at once."""
    cache_bytes: int
    """Most memory for keys and values, unless one sequence alone needs more."""
    context: int
    """Most tokens of prompt and response together."""


@dataclass(slots=True, eq=False)
class _Job:
    """A request on its way."""

    request: Request
    max_tokens: int
    stop_token_ids: frozenset[int]
    context: tuple[int, ...]
    """Tokens before the response that its text depends on."""
    started: int = 0

    @property
    def length(self) -> int:
        """Most tokens that one of its sequences can have."""
        return len(self.request.prompt_token_ids) + self.max_tokens


@dataclass(slots=True, eq=False)
class _Row:
    """One sequence of the batch."""

    job: _Job
    index: int
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    topk: list[float] = field(default_factory=list)
    """Filled where the request asks for it."""


class Decoder:
    """Draws the responses of a stream of requests with a causal language model."""

    def __init__(
        self, model: Any, detokenizer: Detokenizer, generator: torch.Generator, limits: BatchLimits, tally: Tally
    ) -> None:
        self._model = model
        self._tally = tally
        self._detokenizer = detokenizer
        self._generator = generator
        self._limits = limits
        self._device = generator.device
        self._cache = BatchCache()
        self._rows: list[_Row] = []
        self._finished: list[Response] = []
        self._token_bytes = 0
        self._prefilled: tuple[tuple[int, ...], KeyValues, torch.Tensor] | None = None

    def run(self, requests: Iterable[Request], order: Order) -> Iterator[list[Response]]:
        """Yield the responses that a step has finished, step by step."""
        jobs = (self._job(request) for request in requests)
        job = next(jobs, None)
        try:
            while order.go_on and (job is not None or self._rows):
                job = job if order.begin else None
                self._count(job)
                # Entering in lots costs a little idle room and saves most of the small copies.
                while job is not None and order.begin and (room := self._room(job)) * 16 >= max(len(self._rows), 1):
                    with torch.inference_mode():
                        self._enter(job, min(room, job.request.n - job.started), room + len(self._rows))
                    yield self._taken()
                    if job.started == job.request.n:
                        job = next(jobs, None)
                    self._count(job)
                if self._rows and order.go_on:
                    with torch.inference_mode():
                        self._step()
                    self._count(job)
                    yield self._taken()
        finally:
            self._tally.begun = self._tally.unbegun = 0

    def _count(self, job: _Job | None) -> None:
        """Note what is in hand, `job` being the request whose turn it is."""
        self._tally.begun = len(self._rows)
        self._tally.unbegun = 0 if job is None else job.request.n - job.started

    def _job(self, request: Request) -> _Job:
        prompt, sampling = request.prompt_token_ids, request.sampling
        room = self._limits.context - len(prompt)
        if not prompt or room < 1:
            raise EngineError(
                f"problem {request.problem_id!r} has a prompt of {len(prompt)} tokens; the model takes 1 to "
                f"{self._limits.context - 1} and a response"
            )
        if request.n < 1 or sampling.max_tokens < 1:
            raise EngineError(
                f"problem {request.problem_id!r} asks for n={request.n}, max_tokens={sampling.max_tokens}; give n "
                ">= 1, max_tokens >= 1"
            )
        return _Job(
            request=request,
            max_tokens=min(sampling.max_tokens, room),
            stop_token_ids=frozenset(sampling.stop_token_ids),
            context=self._detokenizer.context(prompt),
        )

    def _room(self, job: _Job) -> int:
        """Sequences of `job` that may enter now; at least one when nothing runs."""
        if not self._token_bytes:
            with torch.inference_mode():
                self._prefill(job.request.prompt_token_ids)
        longest = max([job.length, *(row.job.length for row in self._rows)]) + SLACK
        rows = min(self._limits.rows, self._limits.cache_bytes // (longest * self._token_bytes))
        return max(rows, 1) - len(self._rows)

    def _enter(self, job: _Job, count: int, row_limit: int) -> None:
        """Draw the first token of `count` sequences from one prefill; those that go on join the batch."""
        keys_values, logits = self._prefill(job.request.prompt_token_ids)
        rows = [_Row(job, job.started + i) for i in range(count)]
        job.started += count
        drawn = self._draw(logits.expand(count, -1), rows)
        done = [self._append(row, *one) for row, one in zip(rows, drawn, strict=True)]
        going_on = [row for row, end in zip(rows, done, strict=True) if not end]
        if going_on:
            self._cache.admit(keys_values, len(going_on), row_limit)
            self._rows += going_on

    def _prefill(self, prompt: tuple[int, ...]) -> tuple[KeyValues, torch.Tensor]:
        """Keys and values of the prompt and the logits after it, shape (1, vocabulary). The last prompt's are kept."""
        if self._prefilled is None or self._prefilled[0] != prompt:
            # Without the config every layer is a full one; a sliding window is then the mask's work alone.
            cache = DynamicCache()
            ids = torch.tensor([prompt], device=self._device)
            logits = self._model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            keys_values = [(layer.keys, layer.values) for layer in cache.layers]
            self._token_bytes = sum(t.shape[1] * t.shape[3] * t.element_size() for pair in keys_values for t in pair)
            self._prefilled = (prompt, keys_values, logits)
        return self._prefilled[1:]

    def _step(self) -> None:
        """One token for every running sequence."""
        self._cache.reserve_step()
        last = torch.tensor([[row.token_ids[-1]] for row in self._rows], device=self._device)
        positions = torch.tensor([[self._cache.end - start] for start in self._cache.starts], device=self._device)
        logits = self._model(
            input_ids=last,
            attention_mask=self._cache.mask(self._device),
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        ).logits[:, -1]
        self._cache.advance()
        drawn = self._draw(logits, self._rows)
        ended = [i for i, row in enumerate(self._rows) if self._append(row, *drawn[i])]
        if ended:
            for source, target in self._cache.remove(ended):
                self._rows[target] = self._rows[source]
            del self._rows[self._cache.rows :]

    def _draw(self, logits: torch.Tensor, rows: list[_Row]) -> list[tuple[int, float, float | None]]:
        """Token, log-prob and, where the request asks for it, top-k confidence of each row."""
        try:
            tokens, logprobs = draw(logits, [row.job.request.sampling for row in rows], self._generator)
        except FloatingPointError as error:
            problems = ", ".join(sorted({row.job.request.problem_id for row in rows})[:3])
            raise EngineError(f"{error} (problems {problems} ...); try --dtype float32") from error
        self._tally.tokens += len(rows)
        confidences: list[float | None] = [None] * len(rows)
        if wanted := [i for i, row in enumerate(rows) if row.job.request.sampling.topk]:
            found = top_confidence(raw_logprobs(logits[wanted])).tolist()
            for i, confidence in zip(wanted, found, strict=True):
                confidences[i] = confidence
        return list(zip(tokens.tolist(), logprobs.tolist(), confidences, strict=True))

    def _append(self, row: _Row, token: int, logprob: float, confidence: float | None) -> bool:
        """Add a token; if the sequence ends with it, store the response and return True."""
        row.token_ids.append(token)
        row.logprobs.append(logprob)
        if confidence is not None:
            row.topk.append(confidence)
        job, stop = row.job, row.job.request.sampling.stop
        if token in job.stop_token_ids:
            self._store(row, self._detokenizer.text(job.context, row.token_ids[:-1]), "stop")
            return True
        if stop and self._detokenizer.may_complete(token, stop):
            text = self._detokenizer.text(job.context, row.token_ids)
            if (start := find_stop(text, stop)) is not None:
                self._store(row, text[:start], "stop")
                return True
        if len(row.token_ids) == job.max_tokens:
            self._store(row, self._detokenizer.text(job.context, row.token_ids), "length")
            return True
        return False

    def _store(self, row: _Row, text: str, finish_reason: str) -> None:
        self._finished.append(
            Response(
                problem_id=row.job.request.problem_id,
                arm=row.job.request.arm,
                index=row.index,
                text=text,
                token_ids=tuple(row.token_ids),
                token_logprobs=tuple(row.logprobs),
                finish_reason=finish_reason,
                token_topk=tuple(row.topk) if row.job.request.sampling.topk else None,
            )
        )

    def _taken(self) -> list[Response]:
        finished, self._finished = self._finished, []
        return finished
