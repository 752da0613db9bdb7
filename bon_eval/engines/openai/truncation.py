"""Whether a server obeys top_p, top_k and min_p: what it does not know it mostly ignores without a word.

Shown by trial, of each of the three by itself and at temperature 2. Set so that it leaves the most likely token alone,
a parameter that is obeyed gives that token always, and one that is ignored gives another one soon. Whether tokens are
cut before or after the temperature is shown by a token that only the second leaves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bon_eval.engines.openai.client import Client, RefusedError
from bon_eval.engines.openai.logprobs import read_logprobs
from bon_eval.engines.openai.probe import path, prompts, short
from bon_eval.engines.openai.wire import SHAPE, sampling_body
from bon_eval.engines.servers import Server, ServerSettings
from bon_eval.errors import Boundary, EngineError
from bon_eval.records import Request, Sampling

_HOT = 2.0
_CHOICES, _TOKENS, _ROUNDS = 8, 64, 4
"""Of a trial request: most choices, and most tokens over all of them; and most requests after one prompt."""
_SURE = math.log(1e6)
"""Evidence that is enough, in nats: a server of the other kind answers so in one trial of a million."""
_LEAST = 0.5
"""Evidence of a request below which another one like it is not worth it, in nats."""
_NATS = 0.01
"""Log-probs that differ by less are taken for equal, since they are printed with few digits."""
_ALONE: Mapping[str, float] = {"top_p": 1e-5, "top_k": 1, "min_p": 1.0}
"""Leaves the most likely token alone."""
_ORDERS: Mapping[str, tuple[float, ...]] = {"top_p": (0.7, 0.9), "min_p": (0.3, 0.1)}
"""Leaves other tokens of a tempered distribution than of the raw one; top-k leaves the same ones."""
_REMEDY = "leave it out of the draw, or sample with engine vllm or transformers, or through a server of vLLM"

Judge = Callable[[float, float, Sequence[float]], float]
"""(value of the parameter, log-prob of a generated token, log-probs of the most likely tokens there, most likely first)
-> evidence against the one hypothesis in nats; infinite where the token cannot be under the other."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Where to try, and with what."""

    client: Client
    settings: ServerSettings
    server: Server
    request: Request
    """One of the run, for its prompt and end tokens."""
    max_n: int

    async def check(self, sampling: Sampling) -> None:
        """Try what `sampling` cuts tokens by.

        Raises:
            EngineError: the server refuses one of the parameters, ignores it, or applies it elsewhere than `Sampling`
                says; or none of that can be told.
        """
        names = list(sampling.truncation)
        if "top_p" in names and len(names) > 1 and not self.server.top_p_last:
            raise EngineError(
                f"a server of kind {self.server.name} need not cut by top_p after {' and '.join(names[1:])}, so the "
                "draw could be another one than elsewhere; give top_p alone or without it, or use engine vllm or "
                "transformers, or a server of vLLM"
            )
        for name in names:
            ignored = await self._decided(name, [_ALONE[name]], against_ignored)
            if ignored:
                raise EngineError(
                    f"the server ignores {name}: with {name} {_ALONE[name]:g}, which leaves the most likely token "
                    f"alone, it gave another one; {_REMEDY}"
                )
            if ignored is None:
                raise EngineError(
                    f"it cannot be told whether the server obeys {name}: it does not name the most likely tokens, or "
                    f"one of them is certain; {_REMEDY}"
                )
        if sampling.temperature == 1 or self.server.temperature_first:
            return
        for name in (name for name in names if name in _ORDERS):
            after = await self._decided(name, _ORDERS[name], ORDER[name])
            if not after:
                told = "the server cuts" if after is False else "it cannot be told whether the server cuts"
                raise EngineError(
                    f"{told} by {name} before the temperature, where other engines cut after it; give the draw "
                    f"temperature 1, or {_REMEDY}"
                )

    async def _decided(self, name: str, values: Sequence[float], judge: Judge) -> bool | None:
        """True once a token decides, False once none has in spite of enough evidence, None where neither comes."""
        evidence = 0.0
        for prompt in prompts(self.settings, self.request):
            for value in values:
                for _ in range(_ROUNDS):
                    positions = await self._ask(prompt, name, value)
                    gained = sum(judge(value, own, top) for own, top in positions)
                    evidence += gained
                    if evidence >= _SURE:
                        return evidence == math.inf
                    if gained < _LEAST:
                        break
        return None

    async def _ask(self, prompt: tuple[int, ...], name: str, value: float) -> list[tuple[float, list[float]]]:
        """Generated tokens of a trial request: the log-prob of each, and those of the most likely ones beside it."""
        n = min(_CHOICES, self.max_n)
        hot = {"temperature": _HOT, name: value}
        sampling = replace(short(self.request, _TOKENS // n), **hot)  # type: ignore[arg-type]
        asked = replace(self.request, prompt_token_ids=prompt, sampling=sampling)
        body = sampling_body(self.settings, self.server, asked, n)
        body["top_logprobs" if self.settings.api == "chat" else "logprobs"] = self.server.top
        try:
            answer = await self.client.post(path(self.settings), body, patience=0.0)
        except RefusedError as error:
            raise EngineError(f"{error} with {name} {value:g} in it; {_REMEDY}") from None
        with Boundary(EngineError, "the server's answer to a trial request cannot be read", SHAPE):
            read = [read_logprobs(choice, f"a trial of {name}") for choice in answer["choices"]]
        return [
            (own, sorted(top, reverse=True))
            for tokens in read
            for own, top in zip(tokens.logprobs, tokens.top, strict=False)
            if top
        ]


def against_ignored(_value: float, own: float, top: Sequence[float]) -> float:
    """Where one token alone is left: evidence that the parameter is obeyed; infinite: it is not.

    Ignored, it gives the most likely token with a share of at most its own among those named.

    >>> round(against_ignored(1, -0.5, [-0.5, -2.5]), 3), against_ignored(1, -2.5, [-0.5, -2.5])
    (0.313, inf)
    """
    if own < top[0] - _NATS:
        return math.inf
    return _surprise(_weight(top, lambda x: x >= top[0] - _NATS), _weight(top))


def min_p_before(value: float, own: float, top: Sequence[float]) -> float:
    """Evidence that min-p is applied before the temperature; infinite: after it.

    After it, the tokens are left whose raw log-prob is nearer to the highest one by the factor of the temperature.

    >>> round(min_p_before(0.3, -0.5, [-0.5, -2.5]), 3), min_p_before(0.3, -2.5, [-0.5, -2.5])
    (0.313, inf)
    """
    before = top[0] + math.log(value) - _NATS
    if own < before:
        return math.inf
    after = top[0] + _HOT * math.log(value)
    return _surprise(_weight(top, lambda x: x >= before), _weight(top, lambda x: x >= after))


def top_p_before(value: float, own: float, top: Sequence[float]) -> float:
    """Evidence that top-p is applied before the temperature; infinite: after it.

    After it, what is left has at least the share `value` of all, of which those named are a part.

    >>> round(top_p_before(0.7, -0.25, [-0.25, -1.75, -3.0]), 3), top_p_before(0.7, -3.0, [-0.25, -1.75, -3.0])
    (0.189, inf)
    """
    above, nucleus = 0.0, []
    for x in top:
        if above < value + _NATS:
            nucleus.append(x)
            above += math.exp(x)
    if own < nucleus[-1] - _NATS:
        return math.inf
    return _surprise(_weight(nucleus), value * _weight(top))


ORDER: Mapping[str, Judge] = {"min_p": min_p_before, "top_p": top_p_before}


def _weight(logprobs: Sequence[float], kept: Callable[[float], bool] = lambda _: True) -> float:
    """Sum of the tempered weights of those that are kept."""
    return sum(math.exp(x / _HOT) for x in logprobs if kept(x))


def _surprise(part: float, whole: float) -> float:
    """Minus the log of a share, at least 0."""
    return max(0.0, math.log(whole / part))
