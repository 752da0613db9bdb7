r"""Units of measure behind a value: two that are stated must be one and the same.

A unit may be left out on either side, and nothing is ever converted: ``17\text{ cm}^2`` answers ``17`` and is answered
by it, but ``17\text{ cm}^3``, ``17\text{ m}^2`` and ``17`` dollars are other quantities. Words that are not in the
table (eggs, days, people) are never compared, and neither are rates (``60 km/h``). The bare word "units" stands for any
length, its square for any area.
"""

from __future__ import annotations

import re
from functools import lru_cache

from bon_eval.graders.answers.latex import Token, tokenize
from bon_eval.graders.language.groups import ParseError

Unit = tuple[str, int]
"""Name and power."""

_NAMES = {
    "mm": "mm millimeter millimetre", "cm": "cm centimeter centimetre", "dm": "dm decimeter decimetre",
    "m": "m meter metre", "km": "km kilometer kilometre", "in": "inch inche", "ft": "ft foot feet", "yd": "yd yard",
    "mi": "mi mile", "unit": "unit", "g": "gram", "kg": "kg kilogram", "mg": "mg milligram", "lb": "lb pound",
    "oz": "oz ounce", "ton": "ton tonne", "L": "liter litre", "mL": "ml milliliter millilitre", "gal": "gal gallon",
    "dollar": "dollar usd buck", "cent": "cent", "s": "sec second", "min": "min minute", "h": "hr hour",
    "celsius": "celsius", "fahrenheit": "fahrenheit",
}  # fmt: skip
_UNITS = {word: unit for unit, words in _NAMES.items() for word in words.split()}
_LENGTHS = {"mm", "cm", "dm", "m", "km", "in", "ft", "yd", "mi"}
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}


def units_agree(a: str, b: str) -> bool:
    """Whether two answers do not state different units."""
    x, y = unit_of(a), unit_of(b)
    if x is None or y is None or x == y:
        return True
    if "unit" in (x[0], y[0]) and {x[0], y[0]} <= _LENGTHS | {"unit"}:
        return x[1] == y[1] or ("unit", 1) in (x, y)
    return False


@lru_cache(maxsize=50_000)
def unit_of(text: str) -> Unit | None:
    """The unit of measure at the end of an answer; None for none, for one that is not known, and for more than one."""
    if not any(c.isalpha() for c in text):
        return None
    try:
        tokens = tokenize(text)
    except (ParseError, RecursionError):
        return None
    end, power = _power(tokens)
    start = end
    while start and tokens[start - 1].kind == "text":
        start -= 1
    if start in (0, end) or any(token.kind == "text" for token in tokens[:start]):
        return None
    if tokens[start - 1].value in ("/", ",") or tokens[start - 1].kind == "let":
        return None
    words = " ".join(token.value for token in tokens[start:end]).replace(".", " ").split()
    powers = [_POWERS[word] for word in words if word in _POWERS]
    names = [word for word in words if word not in _POWERS and word not in ("degree", "degrees")]
    if len(names) != 1 or len(powers) > 1 or not re.fullmatch(r"[a-z]+", names[0]):
        return None
    name = _UNITS.get(names[0]) or _UNITS.get(names[0].removesuffix("s"))
    return None if name is None else (name, powers[0] if powers else power)


def _power(tokens: list[Token]) -> tuple[int, int]:
    """Number of tokens before an exponent at the end, and the exponent: 1 where there is none."""
    n = len(tokens)
    if n > 2 and tokens[-2].value == "^" and tokens[-1].kind == "num" and tokens[-3].kind == "text":
        exponent, end = tokens[-1].value, n - 2
    elif n > 4 and [t.value for t in tokens[-4:-2]] == ["^", "{"] and tokens[-1].value == "}":
        exponent, end = tokens[-2].value, n - 4
    else:
        return n, 1
    return (end, int(exponent)) if exponent in ("2", "3") else (n, 1)
