"""What the openai engine is told, and what each kind of server must be asked for so that it samples the raw model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from bon_eval.errors import ConfigError, unknown_name


@dataclass(frozen=True, slots=True)
class Server:
    """One kind of OpenAI-compatible server."""

    name: str
    owned_by: tuple[str, ...]
    """What its list of models calls the owner, by which it is told from others."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """Sent with every request beside the standard ones: no top-k, min-p or penalty, whatever its own defaults are."""
    order: Mapping[str, object] = field(default_factory=dict)
    """Sent besides where tokens are cut: the order in which it has to go about it."""
    temperature_first: bool = False
    """Whether tokens are known to be cut after the temperature, as `Sampling` says."""
    top_p_last: bool = False
    """Whether top-p is known to cut last, and of what the others have left."""
    logprobs: int = 1
    """Log-probs besides the own token's: the fewest with which it gives the own token's."""
    stop_token_ids: bool = False
    """Whether it takes the tokens that end a response. Others end at what their own copy of the model names."""
    prompt_logprobs: bool = False
    """Whether it scores given tokens."""
    topk: bool = False
    """Whether it names the most likely tokens without mixing up those that read the same."""
    top: int = 20
    """Most likely tokens that it names on demand; the original API stops at 5."""
    max_n: int = 2**31
    """Most choices of one HTTP request whose tokens it counts, all of them, in ``usage``."""
    raw: str = "start it so that it returns log-probs from before the temperature"
    """How it is made to return the log-probs of the raw distribution."""


SERVERS = {
    s.name: s
    for s in (
        Server(
            "vllm",
            ("vllm",),
            MappingProxyType(
                {
                    "top_k": 0,
                    "min_p": 0.0,
                    "repetition_penalty": 1.0,
                    "skip_special_tokens": True,
                    "return_token_ids": True,
                }
            ),
            temperature_first=True,
            top_p_last=True,
            logprobs=0,
            stop_token_ids=True,
            prompt_logprobs=True,
            topk=True,
            raw="start it with: vllm serve MODEL --logprobs-mode raw_logprobs",
        ),
        Server(
            "sglang",
            ("sglang",),
            MappingProxyType({"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "skip_special_tokens": True}),
            temperature_first=True,
            stop_token_ids=True,
            raw="start it with SGLANG_RETURN_ORIGINAL_LOGPROB=1 in its environment",
        ),
        Server(
            "llamacpp",
            ("llamacpp", "llama.cpp"),
            MappingProxyType(
                {
                    **{"top_k": 0, "min_p": 0.0, "typical_p": 1.0, "repeat_penalty": 1.0, "dry_multiplier": 0.0},
                    **{"xtc_probability": 0.0, "post_sampling_probs": False},
                }
            ),
            order=MappingProxyType({"samplers": ["temperature", "min_p", "top_k", "top_p"]}),
            temperature_first=True,
            top_p_last=True,
            max_n=1,
            raw="use a version of llama-server that takes post_sampling_probs",
        ),
        Server("openai", (), top=5),
    )
}
"""By name. ``openai`` is every other one: it is sent standard fields only, top_k and min_p where a draw has them."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The engine arguments of the openai engine."""

    base_url: str
    """Up to and including ``/v1``."""
    served_model: str
    """The name under which the server has the model."""
    api: str = "completions"
    """``completions`` sends the prompt's token ids; ``chat`` sends its messages, and the server applies its own copy
    of the chat template."""
    server: str | None = None
    """Of `SERVERS`; None: by the owner that the server's list of models names."""
    concurrency: int = 512
    """Most responses on their way at once."""
    max_n: int = 64
    """Most responses per HTTP request; a larger pool is asked for in several."""
    timeout: float = 1800.0
    """Seconds for one HTTP request, its waiting in the server's queue included."""
    patience: float = 600.0
    """Seconds for which a failed request is tried again, whether the server is down, busy or slow."""
    wait: float = 0.0
    """Seconds to wait at the start for a server that is not up yet."""

    @classmethod
    def of(cls, args: Mapping[str, object]) -> ServerSettings:
        """From engine arguments.

        Raises:
            ConfigError: one is unknown, missing, of another type or out of its range; or the URL holds a password.
        """
        known = {f.name for f in fields(cls)}
        for name in args:
            if "key" in name or "token" in name or "password" in name:
                raise ConfigError(
                    f"engine argument {name} is not taken: a key is read from the environment alone (OPENAI_API_KEY)"
                )
            if name not in known:
                raise ConfigError(unknown_name("argument of engine openai", name, sorted(known)))
        if not args.get("base_url"):
            raise ConfigError("engine openai needs the server's address: --base-url http://HOST:PORT/v1")
        given: dict[str, Any] = dict(args)
        for name, kind in (("concurrency", int), ("max_n", int), ("timeout", float), ("patience", float)):
            given[name] = _number(name, given.get(name, cls.__dataclass_fields__[name].default), kind)
            if not 0 < given[name] < math.inf:
                raise ConfigError(f"engine argument {name} must be above 0, got {given[name]}")
        given["wait"] = _number("wait", given.get("wait", 0.0), float)
        if not 0 <= given["wait"] < math.inf:
            raise ConfigError(f"engine argument wait must be at least 0 seconds, got {given['wait']}")
        given |= {"base_url": _url(str(given["base_url"])), "served_model": str(given["served_model"])}
        settings = cls(**given)
        if settings.api not in ("completions", "chat"):
            raise ConfigError(unknown_name("api of engine openai", str(settings.api), ["completions", "chat"]))
        if settings.server is not None and settings.server not in SERVERS:
            raise ConfigError(unknown_name("server of engine openai", str(settings.server), list(SERVERS)))
        return settings


def _number(name: str, value: object, kind: type) -> Any:
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise ConfigError(f"engine argument {name} must be a {'whole number' if kind is int else 'number'}: {value!r}")
    return kind(value)


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"base URL {text!r} is no address of a server; for example http://127.0.0.1:8000/v1")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        shown = f"{parts.scheme}://{parts.hostname}{parts.path}"
        raise ConfigError(
            f"the base URL of {shown} holds more than an address; it is stored with the run, so a key belongs into the "
            "environment (OPENAI_API_KEY)"
        )
    return text.rstrip("/")
