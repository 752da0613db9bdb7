"""Any OpenAI-compatible server that returns log-probs (vLLM, SGLang, llama.cpp, a router), through the openai client.

The prompt goes as token ids, never as text. The model runs elsewhere: what can be checked is checked by trial requests
before a run, and of every answer. Sampling is seeded by the server: requests carry no seed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from bon_eval.engines.base import EngineSpec, LoadedEngine, Order, Pulse, Tally
from bon_eval.engines.models import stated_context
from bon_eval.engines.openai.client import Client
from bon_eval.engines.openai.probe import find, path, probe
from bon_eval.engines.openai.truncation import Trial
from bon_eval.engines.openai.wire import Choice, read_answer, read_scores, sampling_body, scoring_body, to_response
from bon_eval.engines.servers import ServerSettings
from bon_eval.errors import EngineError
from bon_eval.records import Forced, ForcedSequence, Request, Response, Sampling

_SCORE_WINDOW = 64
# HTTP requests at once: the client opens at most 1,000 connections, and one that waits for its turn would use up its
# deadline; 1,024 open files are a usual limit, too.
_MOST_REQUESTS = 900
# Longest wait for an answer before the caller has its turn.
_TURN_S = 1.0
# Probability below which two parts of one pool that are the same are one answer given twice.
_CACHED_BELOW = 1e-9


@dataclass(slots=True, eq=False)
class _Pool:
    """A request on its way, in one or several HTTP requests."""

    request: Request
    seen: list[int | None]
    """Hash of each response's log-probs, once it is there."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """One HTTP request: where its answer belongs, and how many responses it stands for."""

    body: dict[str, object]
    path: str
    size: int
    owner: Any
    offset: int = 0


class OpenAIEngine(LoadedEngine):
    """A served model behind the `Engine` protocol.

    Raises:
        ConfigError: an engine argument that is not taken.
        EngineError: the client is missing, nothing answers, the server does not have the model, or a trial request
            shows that its numbers would be wrong.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._settings = ServerSettings.of(spec.engine_args)
        self._client = Client(self._settings, spec.seed)
        self._spec = spec
        self._texts: dict[tuple[int, ...], frozenset[str]] = {}
        self._tried: set[tuple[frozenset[str], bool]] = set()
        self._tally, self._order = Tally(), Order()
        try:
            found = self._client.run(find(self._client, self._settings))
            self._server = found.server
            self._max_n = min(self._settings.max_n, found.server.max_n)
            self._context = found.context_length or stated_context(Path(spec.model_dir)) or 2**31 - 1
            self._facts = {
                "name": "openai",
                "server": self._server.name,
                "version": found.version,
                "served_model": self._settings.served_model,
                "api": self._settings.api,
                "context_length": self._context,
                "sent": dict(self._server.fields),
                "seed": "the server's own",
                "scores": found.server.prompt_logprobs,
                "given": dict(sorted(spec.engine_args.items())),
            }
            if spec.probe is not None:
                self._probe(spec.probe)
        except BaseException:
            self._client.close()
            raise

    @property
    def pulse(self) -> Pulse:
        """See `Engine.pulse`; a server tells of a response's tokens when all of it is there."""
        return Pulse(self._tally.tokens, self._tally.begun, 0, live=False)

    def _probe(self, request: Request) -> None:
        if request.sampling.topk and not self._server.topk:
            raise EngineError(
                f"--token-stats topk needs the most likely tokens by id, which a server of kind {self._server.name} "
                "does not give; sample without it"
            )
        ends = self._end_texts(request.sampling.stop_token_ids)
        shown = self._client.run(probe(self._client, self._settings, self._server, request, ends))
        self._max_n = shown.max_n
        self._facts |= {
            "max_n": shown.max_n,
            "token_ids": shown.token_ids,
            "prompts_checked": shown.prompt_checked,
            "logprobs_mode": "raw (shown by a trial)",
            "fingerprint": shown.fingerprint,
        }
        for sampling in (request.sampling, *self._spec.samplings):
            self._try(sampling, request)

    def _try(self, sampling: Sampling, request: Request) -> None:
        """Raise `EngineError` where the server does not cut tokens as asked: shown once for draws that are alike."""
        kind = frozenset(sampling.truncation), sampling.temperature == 1
        if kind[0] and kind not in self._tried:
            self._client.run(Trial(self._client, self._settings, self._server, request, self._max_n).check(sampling))
            self._tried.add(kind)

    def sample(self, requests: Iterable[Request], *, use_adapter: bool = True) -> Iterator[list[Response]]:
        """Draw every request's responses, yielding each answer's as it comes. See `Engine.sample`."""
        self._order = Order()
        for answered in self._stream(self._sampling_jobs(requests), self._settings.concurrency, self._order):
            if answered is None:
                yield []
                continue
            job, answer = answered
            pool: _Pool = job.owner
            ends = self._end_texts(pool.request.sampling.stop_token_ids)
            found = read_answer(answer, pool.request, job.size, ends).choices
            self._tally.tokens += sum(len(choice.logprobs) for choice in found)
            seen = [hash(choice.logprobs.tobytes()) for choice in found]
            _check_fresh(pool, found, seen)
            pool.seen[job.offset : job.offset + job.size] = seen
            yield [to_response(pool.request, i, choice) for i, choice in enumerate(found, job.offset)]

    def score(
        self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True
    ) -> Iterator[tuple[str, tuple[float, ...]]]:
        """Teacher forcing through prompt log-probs. See `Engine.score`."""
        for sequence, (own, _) in self._forced(sequences, 0):
            yield sequence.key, own

    def score_argmax(self, sequences: Iterable[ForcedSequence], *, use_adapter: bool = True) -> Iterator[Forced]:
        """Teacher forcing with the argmax beside it. See `Engine.score_argmax`."""
        for sequence, (own, top) in self._forced(sequences, 1):
            yield Forced(sequence.key, own, top)

    def load_adapter(self, directory: str, adapter_hash: str) -> None:
        """A server has its own adapters, each under a name."""
        raise EngineError(
            "a server loads its own adapters; serve this one and name it with --engine-arg served_model=NAME"
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _sampling_jobs(self, requests: Iterable[Request]) -> Iterator[_Job]:
        for request in requests:
            self._try(request.sampling, request)
            pool = _Pool(request, [None] * request.n)
            jobs = -(-request.n // self._max_n)
            for k in range(jobs):
                start, stop = k * request.n // jobs, (k + 1) * request.n // jobs
                body = sampling_body(self._settings, self._server, request, stop - start)
                yield _Job(body, path(self._settings), stop - start, pool, start)

    def _forced(self, sequences: Iterable[ForcedSequence], top: int) -> Iterator[tuple[ForcedSequence, Any]]:
        if not self._server.prompt_logprobs:
            raise EngineError(
                f"a server of kind {self._server.name} does not score given tokens by id; score with engine vllm, or "
                "through a server of vLLM"
            )
        jobs = (_Job(scoring_body(self._settings, s, top), "/completions", 1, s) for s in sequences)
        for answered in self._stream(jobs, min(_SCORE_WINDOW, self._settings.concurrency), Order()):
            if answered is None:
                continue
            job, answer = answered
            scores = read_scores(answer, job.owner)
            self._tally.tokens += len(job.owner.response_token_ids)
            yield job.owner, scores

    def _stream(self, jobs: Iterator[_Job], window: int, order: Order) -> Iterator[tuple[_Job, Any] | None]:
        """Keep as many responses on their way as the window allows and hand out answers as they come, in any order.

        What a server has begun is not known: all that was sent to it counts as begun. None: nothing came for a while.
        """
        running: dict[Future[Any], _Job] = {}
        answered: SimpleQueue[Future[Any]] = SimpleQueue()
        flying = 0
        held = next(jobs, None)
        try:
            while running or (held is not None and order.begin):
                while held is not None and order.begin:
                    if running and (flying + held.size > window or len(running) >= _MOST_REQUESTS):
                        break
                    sent = self._client.start(self._client.post(held.path, held.body))
                    running[sent] = held
                    sent.add_done_callback(answered.put)
                    flying += held.size
                    self._tally.begun = flying
                    held = next(jobs, None)
                try:
                    done = answered.get(timeout=_TURN_S if order.go_on else 0)
                except Empty:
                    if not order.go_on:
                        break
                    yield None
                    continue
                job = running.pop(done)
                flying -= job.size
                self._tally.begun = flying
                yield job, done.result()
        finally:
            self._tally.begun = 0
            for left in running:
                left.cancel()

    def _end_texts(self, ends: tuple[int, ...]) -> frozenset[str]:
        """What the end tokens read as, with and without special tokens."""
        if ends not in self._texts:
            from bon_eval.engines.load import load_tokenizer

            tokenizer = load_tokenizer(self._spec.model_dir, self._spec.trust_remote_code)
            names = [str(name) for name in tokenizer.convert_ids_to_tokens(list(ends))]
            self._texts[ends] = frozenset({"", *names, *(str(tokenizer.decode([token])) for token in ends)})
        return self._texts[ends]


def _check_fresh(pool: _Pool, found: tuple[Choice, ...], seen: list[int]) -> None:
    """Raise `EngineError` where a part of a pool repeats another: a cache answers equal requests with one answer."""
    if _chance(found, pool.request.sampling) > _CACHED_BELOW:
        return
    size = len(seen)
    for start in range(0, len(pool.seen) - size + 1):
        if pool.seen[start : start + size] == seen:
            raise EngineError(
                f"problem {pool.request.problem_id}: the server answered two requests with the same {size} responses; "
                "a cache stands between, or servers behind a router share a seed: turn it off, or give each server its "
                "own --seed, since every response must be drawn"
            )


def _chance(found: tuple[Choice, ...], sampling: Sampling) -> float:
    """At most the probability that these responses come again in this order.

    From temperature 1 on by their log-likelihoods. Below 1, and where tokens are cut, these bound nothing; but the same
    responses come in each of their orders alike.
    """
    if sampling.temperature >= 1.0 and not sampling.truncation:
        return math.exp(sum(sum(c.logprobs) for c in found) / sampling.temperature)
    same = Counter(c.logprobs.tobytes() for c in found)
    return math.exp(sum(math.lgamma(k + 1) for k in same.values()) - math.lgamma(len(found) + 1))
