"""Named draws: every way in which a run samples its problems, from the texts of `--draw` to what engines are asked for.

``greedy`` and ``sample`` (the pool, whose temperature is the run's) are always there. Others are the user's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

from bon_eval.errors import ConfigError, unknown_name
from bon_eval.records import Sampling

GREEDY, SAMPLE = "greedy", "sample"
PARAMETERS = {"temperature": float, "top_p": float, "top_k": int, "min_p": float}
"""What shapes the distribution of a draw, and its type."""
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}(@[0-9.e+-]{1,24})*")
_EXAMPLE = "low=temperature:0.25,n:8"
_RESERVED = (GREEDY, SAMPLE, "best-of-n", "vote", "oracle", "adaptive")
_LIKE_AN_ARM = re.compile(r"(best|vote|oracle)-of-.*")
"""What tables call arms of the pool, such as ``vote-of-8``."""
_MOST = 64


@dataclass(frozen=True, slots=True)
class DrawSpec:
    """One way of sampling.

    Raises:
        ConfigError: n below 1, several responses at temperature 0, or a parameter out of its range.
    """

    name: str
    n: int
    """Responses per problem."""
    temperature: float = 1.0
    """0: the most likely token at each place."""
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"draw {self.name}: n must be at least 1, got {self.n}; leave the draw out for none")
        if self.temperature == 0 and self.n > 1:
            raise ConfigError(
                f"draw {self.name}: temperature 0 gives one response {self.n} times over; give n:1, or a temperature "
                "above 0"
            )
        try:
            self.sampling(1)
        except ConfigError as error:
            raise ConfigError(f"draw {self.name}: {error}") from error

    def sampling(
        self, max_tokens: int, stop_token_ids: tuple[int, ...] = (), stop: tuple[str, ...] = (), topk: bool = False
    ) -> Sampling:
        """What an engine is asked for."""
        return Sampling(self.temperature, max_tokens, stop_token_ids, stop, topk, self.top_p, self.top_k, self.min_p)

    @property
    def parameters(self) -> dict[str, float]:
        """What the distribution depends on, by name."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def __str__(self) -> str:
        """As `--draw` takes it.

        >>> str(DrawSpec("low", 8, temperature=0.25))
        'low=temperature:0.25,n:8'
        """
        off = {"top_p": 1.0, "top_k": 0, "min_p": 0.0}
        given = [f"{name}:{_text(value)}" for name, value in self.parameters.items() if value != off.get(name)]
        return f"{self.name}=" + ",".join([*given, f"n:{self.n}"])


def specs(config: Mapping[str, Any]) -> tuple[DrawSpec, ...]:
    """The draws of a run in the order of the requests, greedy and the pool first.

    `config`: as run.json has it; ``n``, ``temperature`` and, where there are any, ``draws`` are enough. That of an
    imported run says whether there is a greedy draw (``greedy``); how its pool was sampled is the other program's, and
    its spec names the pool alone.
    """
    imported = "greedy" in config
    temperature = 1.0 if imported else float(config["temperature"])
    return (
        *(() if imported and not config["greedy"] else (DrawSpec(GREEDY, 1, temperature=0.0),)),
        DrawSpec(SAMPLE, int(config["n"]), temperature=temperature),
        *(DrawSpec(**stored) for stored in config.get("draws", ())),
    )


def parse_draws(texts: Iterable[str]) -> tuple[DrawSpec, ...]:
    """``NAME=parameter:value,...,n:N`` as draws; several values of a parameter, parted by ``/``, are a grid.

    >>> [str(draw) for draw in parse_draws(["low=temperature:0.25,n:8", "grid=temperature:0.5/1,n:4"])]
    ['low=temperature:0.25,n:8', 'grid@0.5=temperature:0.5,n:4', 'grid@1=temperature:1,n:4']

    Raises:
        ConfigError: a text that is none, an unknown parameter or value, a name that is taken, or too many draws.
    """
    found: dict[str, DrawSpec] = {}
    for text in texts:
        for draw in _expanded(text):
            if draw.name in found:
                raise ConfigError(
                    f"--draw {text!r}: two draws have the name {draw.name!r}; give each a name of its own"
                )
            found[draw.name] = draw
    if len(found) > _MOST:
        raise ConfigError(f"--draw gives {len(found)} draws, and a run takes {_MOST} at most; give fewer values")
    return tuple(found.values())


def with_own(of_task: Iterable[DrawSpec], own: Iterable[DrawSpec]) -> tuple[DrawSpec, ...]:
    """A task's draws and the user's; of two with one name the user's."""
    return tuple(({draw.name: draw for draw in of_task} | {draw.name: draw for draw in own}).values())


def check_same_parameters(stored: Mapping[str, Mapping[str, float]], given: Iterable[DrawSpec]) -> str | None:
    """Why draws cannot join those that a run stores, by name: one has other parameters; None where all can."""
    if changed := changed_parameters(stored, {draw.name: draw.parameters for draw in given}):
        name, how = changed
        return f"draw {name!r} is stored with other parameters ({how}); give the new one another name"
    return None


def changed_parameters(
    one: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]
) -> tuple[str, str] | None:
    """The first draw that has one name and other parameters in two runs, and which; None where there is none.

    Args:
        one, other: by the draw's name, its parameters.
    """
    for name in (name for name in other if name in one):
        old, new = one[name], other[name]
        if changed := ", ".join(f"{k} {old[k]:g} -> {v:g}" for k, v in new.items() if old[k] != v):
            return name, changed
    return None


def as_stored(draw: DrawSpec) -> dict[str, Any]:
    """JSON-ready, every field; the reverse of ``DrawSpec(**stored)``."""
    return asdict(draw)


def _expanded(text: str) -> Iterator[DrawSpec]:
    """The draw of a text, or those of a grid."""
    name, sign, rest = text.partition("=")
    if not sign or not rest:
        raise ConfigError(f"--draw {text!r} is not NAME=parameter:value,...,n:N, for example {_EXAMPLE}")
    if not _NAME.fullmatch(name) or name in _RESERVED or _LIKE_AN_ARM.fullmatch(name):
        raise ConfigError(
            f"--draw {text!r}: {name!r} cannot name a draw; give lower-case letters, digits, - and _, 32 at most, that "
            f"begin with a letter and are none of {', '.join(_RESERVED)}, nor an arm such as vote-of-8"
        )
    values: dict[str, list[float]] = {}
    for part in rest.split(","):
        key, colon, value = (piece.strip() for piece in part.partition(":"))
        if key not in (*PARAMETERS, "n"):
            raise ConfigError(f"--draw {text!r}: {unknown_name('parameter', key, [*PARAMETERS, 'n'])}")
        if key in values:
            raise ConfigError(f"--draw {text!r}: {key} is given twice; give it once")
        if not colon or not value:
            raise ConfigError(f"--draw {text!r}: {key} has no value; write {key}:VALUE")
        values[key] = [_number(text, key, item.strip()) for item in value.split("/")]
    if "n" not in values:
        raise ConfigError(f"--draw {text!r} does not say how many responses a problem; add n:8, for example")
    if not values.keys() & PARAMETERS.keys():
        raise ConfigError(
            f"--draw {text!r} has no parameter of {', '.join(PARAMETERS)}: it would be the pool over again; name one"
        )
    if len(values["n"]) > 1:
        raise ConfigError(f"--draw {text!r}: n takes one value, since a larger pool holds the smaller ones")
    keys = [key for key in values if len(values[key]) > 1]
    for combination in product(*(values[key] for key in keys)):
        given = {key: found[0] for key, found in values.items()} | dict(zip(keys, combination, strict=True))
        suffix = "".join(f"@{_text(value)}" for value in combination)
        yield DrawSpec(name + suffix, **given)  # type: ignore[arg-type]


def _text(value: float) -> str:
    """The shortest text of a number that is read as the same one."""
    return str(value).removesuffix(".0")


def _number(text: str, key: str, value: str) -> float:
    kind = PARAMETERS.get(key, int)
    try:
        number: float = kind(value)
    except ValueError as error:
        what = "a whole number" if kind is int else "a number"
        raise ConfigError(f"--draw {text!r}: {key} is {value!r}; it must be {what}") from error
    if not math.isfinite(number):
        raise ConfigError(f"--draw {text!r}: {key} is {value!r}; it must be finite")
    return number
