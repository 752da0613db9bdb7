"""What a conditions file claims: the words of each claim, and the numbers and thresholds that decide it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from bon_eval.errors import ConfigError
from squeeze.numbers import When

Needs = Literal["all", "any"]
OWN, SELF = "{own}", "self"
"""In a measure: the held-out pairs of the condition's own kind; in place of a condition: the part's own."""
_PART_KEYS = {"what", "measure", "when", "above", "below", "within", "fails", "minus", "only_if"}
_CLAIM_KEYS = {"text", "conditions", "needs", "parts"}
_WORDS = {"quote", "source", "refuted"}


@dataclass(frozen=True, slots=True)
class ClaimPart:
    """One number of a claim and what is claimed of it."""

    what: Literal["change", "value"]
    """From the base model, or as it is."""
    measure: str
    when: When = "last"
    """At which checkpoint, see `squeeze.numbers`; of a value the last one."""
    above: float | None = None
    below: float | None = None
    within: float | None = None
    """Between minus this and this."""
    fails: float | None = None
    """Where the other side begins; None: at the threshold itself."""
    minus: tuple[str, str] | None = None
    """(condition, measure) that is subtracted, problem by problem."""
    only_if: tuple[str, ClaimPart] | None = None
    """(condition, part) that must hold, else this one is open."""

    def threshold(self) -> str:
        """The claim as text."""
        if self.within is not None:
            return f"within ±{self.within:g}"
        return f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed, of which conditions, and by which numbers it is decided."""

    id: str
    text: str
    quote: str
    """The words that it is made of, as the source has them; empty where the question is this study's own."""
    source: str
    refuted: str
    """What would refute it, in words."""
    conditions: tuple[str, ...]
    needs: Needs
    """Whether it must hold of all conditions, or of one."""
    parts: tuple[ClaimPart, ...]
    """Of each condition, all of them."""

    def among(self, conditions: Collection[str]) -> Claim:
        """The claim about those of its conditions that are among these; it may have none left."""
        return replace(self, conditions=tuple(name for name in self.conditions if name in conditions))


def parse_claims(content: object) -> tuple[Claim, ...]:
    """The ``claims`` of a conditions file.

    Raises:
        ConfigError: a claim that is not as it should be; the message names it.
    """
    if not isinstance(content, Mapping) or not content:
        raise ConfigError("the conditions file has no claims; give each a text, conditions and parts")
    return tuple(_claim(str(id_), claim) for id_, claim in content.items())


def of_condition(part: ClaimPart, condition: str, own: Mapping[str, str]) -> ClaimPart:
    """The part with its condition, and the held-out pairs of its condition's own kind, in place.

    Raises:
        ConfigError: the condition has no pairs of its own, and the part asks for them.
    """

    def named(measure: str) -> str:
        if OWN in measure and condition not in own:
            raise ConfigError(f"{measure!r} is claimed of {condition!r}, which has no pairs of its own")
        return measure.replace(OWN, own.get(condition, ""))

    def where(name: str) -> str:
        return condition if name == SELF else name

    needed = part.only_if
    return replace(
        part,
        measure=named(part.measure),
        minus=None if part.minus is None else (where(part.minus[0]), named(part.minus[1])),
        only_if=None if needed is None else (where(needed[0]), of_condition(needed[1], condition, own)),
    )


def _claim(id_: str, content: Any) -> Claim:
    if not isinstance(content, Mapping) or not _CLAIM_KEYS <= set(content) <= _CLAIM_KEYS | _WORDS:
        raise ConfigError(
            f"claim {id_!r} has text, conditions, needs and parts, and may have quote, source and refuted"
        )
    if content["needs"] not in get_args(Needs):
        raise ConfigError(f"claim {id_!r}: needs is {content['needs']!r}; valid: all, any")
    for key in ("conditions", "parts"):
        if not isinstance(content[key], list) or not content[key]:
            raise ConfigError(f"claim {id_!r} must have a list of {key}")
    return Claim(
        id=id_,
        text=str(content["text"]).strip(),
        conditions=tuple(map(str, content["conditions"])),
        needs=content["needs"],
        parts=tuple(_part(entry, id_) for entry in content["parts"]),
        **{word: str(content.get(word, "")).strip() for word in sorted(_WORDS)},
    )


def _part(entry: Any, claim: str) -> ClaimPart:
    if not isinstance(entry, Mapping) or not {"what", "measure"} <= set(entry) <= _PART_KEYS:
        raise ConfigError(f"claim {claim!r}: a part has what, measure and one of above, below, within")
    if entry["what"] not in ("change", "value"):
        raise ConfigError(f"claim {claim!r}: what is {entry['what']!r}; valid: change, value")
    if (when := entry.get("when", "last")) not in get_args(When):
        raise ConfigError(f"claim {claim!r}: when is {when!r}; valid: {', '.join(get_args(When))}")
    if when != "last" and entry["what"] == "value":
        raise ConfigError(f"claim {claim!r}: a value is of the last checkpoint; give a change, or leave when out")
    sides = [name for name in ("above", "below", "within") if name in entry]
    if len(sides) != 1:
        raise ConfigError(
            f"claim {claim!r}: a part has one of above, below, within, not {' and '.join(sides) or 'none'}"
        )
    if "within" in entry and when == "some":
        raise ConfigError(f"claim {claim!r}: some checkpoint is within limits before training; give above or below")
    if "within" in entry and "fails" in entry:
        raise ConfigError(f"claim {claim!r}: within has two sides, so fails has no meaning; leave it out")
    minus, only_if = entry.get("minus"), entry.get("only_if")
    if minus is not None and (
        not isinstance(minus, Mapping) or not {"condition"} <= set(minus) <= {"condition", "measure"}
    ):
        raise ConfigError(f"claim {claim!r}: minus has a condition and may have a measure, and nothing else")
    return ClaimPart(
        what=entry["what"],
        measure=str(entry["measure"]),
        when=when,
        minus=None if minus is None else (str(minus["condition"]), str(minus.get("measure", entry["measure"]))),
        only_if=None if only_if is None else _needed(only_if, claim),
        **{name: _number(entry[name], name, claim) for name in (*sides, "fails") if name in entry},
    )


def _needed(entry: Any, claim: str) -> tuple[str, ClaimPart]:
    if not isinstance(entry, Mapping):
        raise ConfigError(f"claim {claim!r}: only_if is a part, which may name a condition")
    part = _part({key: value for key, value in entry.items() if key != "condition"}, claim)
    return str(entry.get("condition", SELF)), part


def _number(value: object, name: str, claim: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise ConfigError(f"claim {claim!r}: {name} is {value!r}; it must be a number")
    return float(value)
