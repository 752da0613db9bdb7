r"""The last rung, run in a worker process only: values by high-precision arithmetic, then math-verify.

Two expressions are the same when they agree to `DIGITS` digits at points that are fixed by the names of their symbols
(identity testing in the manner of Schwartz 1980 and Zippel 1979, with transcendental points). It needs no
simplification, so it cannot wander off. What the grammar of answers does not hold goes to math-verify, whose "equal"
is confirmed before it counts.
"""

from __future__ import annotations

import hashlib
import re
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]

from bon_eval.graders.answers.clean import flat
from bon_eval.graders.answers.compare import compare, form_key
from bon_eval.graders.answers.exact import decimal_literal, exact, infinity, is_double_of, rounds_to
from bon_eval.graders.answers.forms import form_of
from bon_eval.graders.answers.latex import CHANGED, GOES_ON
from bon_eval.graders.answers.oracle import rational_key
from bon_eval.graders.answers.tree import Expr, symbols
from bon_eval.graders.language.groups import ParseError

DIGITS = 180
_WORKING = 230
_FAR = mpmath.mpf(10) ** 150
_POINTS = 3
_RELATION_POINTS = 5


_ZEROS = re.compile(r",\s*0\d\d")


class TooLargeError(Exception):
    """A value beyond any answer: no decision."""


class UnfitError(ValueError):
    """The value does not exist or has no use here."""


def _point(name: str, k: int, negative: bool) -> Any:
    seed = int.from_bytes(hashlib.sha256(f"{name}|{k}".encode()).digest()[:6], "big")
    value = mpmath.sqrt(mpmath.mpf(seed % 1_000_003 + 2)) / 700 + mpmath.mpf(1) / 7
    return -value if negative else value


def _environments(names: set[str], count: int) -> list[dict[str, Any]]:
    """Points for the symbols; at the last one the first symbol is negative, so that |x| is not x."""
    ordered = sorted(names)
    return [
        {name: _point(name, k, k == count - 1 and name == ordered[0]) for name in ordered}
        for k in range(count if names else 1)
    ]


_TRIGONOMETRIC = {"sin", "cos", "tan", "cot", "sec", "csc"}


def _value(tree: Expr, env: dict[str, Any], angle: bool = False) -> Any:
    kind = tree[0]
    if kind == "q":
        return mpmath.mpf(tree[1].numerator) / tree[1].denominator
    if kind == "s":
        return env[tree[1]]
    if kind == "neg":
        return -_value(tree[1], env, angle)
    if kind == "pct":
        return _value(tree[1], env, angle)
    if kind == "deg":
        value = _value(tree[1], env, angle)
        return value * mpmath.pi / 180 if angle else value
    if kind == "f":
        return _function(tree, env)
    a, b = _value(tree[1], env, angle), _value(tree[2], env, angle)
    if kind == "+":
        if a and b and not _FAR > abs(a / b) > 1 / _FAR:
            raise TooLargeError("terms too far apart in size to tell")
        return a + b
    if kind == "*":
        return a * b
    if kind == "/":
        return a / b
    return _power(a, b)


def _small(value: Any, limit: float, what: str) -> Any:
    if abs(value) > limit:
        raise TooLargeError(f"{what} too large")
    return value


def _power(a: Any, b: Any) -> Any:
    if a:
        _small(b * mpmath.log(a), 1e9, "power")
    return mpmath.power(a, b)


def _function(tree: Expr, env: dict[str, Any]) -> Any:
    name = tree[1]
    if name in ("pi", "e", "i"):
        return {"pi": mpmath.mp.pi, "e": mpmath.mp.e, "i": mpmath.mpc(0, 1)}[name] * 1
    if name == "infty":
        raise UnfitError("an infinite value within an expression")
    arguments = [_value(x, env, name in _TRIGONOMETRIC) for x in tree[2:]]
    a = arguments[0]
    if name == "abs":
        return abs(a)
    if name == "sqrt":
        return mpmath.sqrt(a)
    _small(a, 1e6 if name in ("factorial", "binom") else 1e60, f"argument of {name}")
    if name in ("floor", "ceiling"):
        return mpmath.floor(a) if name == "floor" else mpmath.ceil(a)
    if name == "root":
        if mpmath.im(a) == 0 and mpmath.re(a) < 0 and exact(tree[3]) in (3, 5, 7) and exact(tree[2]) is not None:
            return -mpmath.power(-a, 1 / arguments[1])
        return _power(a, 1 / arguments[1])
    if name in ("log", "ln"):
        return mpmath.log(a, arguments[1]) if len(arguments) > 1 else mpmath.log(a)
    if name in ("max", "min"):
        return (max if name == "max" else min)(arguments, key=mpmath.re)
    if name in ("gcd", "lcm"):
        raise UnfitError("a divisor of what is not whole")
    table = {
        "factorial": mpmath.factorial, "binom": mpmath.binomial, "arcsin": mpmath.asin, "arccos": mpmath.acos,
        "arctan": mpmath.atan,
    }  # fmt: skip
    return (table.get(name) or getattr(mpmath, name))(*arguments)


def _evaluate(tree: Expr, env_count: int, names: set[str]) -> list[Any]:
    """Values at the points; raises `UnfitError` where one does not exist."""
    values: list[Any] = []
    for env in _environments(names, env_count):
        try:
            value = mpmath.mpc(_value(tree, env))
        except (ZeroDivisionError, ValueError, OverflowError) as error:
            raise UnfitError("no value") from error
        if not mpmath.isfinite(value):
            raise UnfitError("not finite")
        values.append(value)
    return values


def _chop(value: Any, scale: Any) -> Any:
    return mpmath.mpf(0) if abs(value) <= scale * mpmath.mpf(10) ** (-DIGITS - 20) else value


def _digits(value: Any) -> str:
    """The value to `DIGITS` digits, real or complex."""
    size = abs(value)
    re, im = _chop(mpmath.re(value), size), _chop(mpmath.im(value), size)
    return f"{mpmath.nstr(re, DIGITS)}{mpmath.nstr(im, DIGITS) + 'i' if im else ''}"


def _rational(value: Any) -> Fraction | None:
    """The fraction of small denominator that the value is to all working digits, if any."""
    size = abs(value)
    if _chop(mpmath.im(value), size) or (size and abs(mpmath.log(size, 2)) > 4_000):
        return None
    real = mpmath.re(value)
    sign, mantissa, exponent, _ = real._mpf_
    number = Fraction(int(mantissa)) * Fraction(2) ** exponent * (-1 if sign else 1)
    near = number.limit_denominator(10**15)
    error = abs(number - near)
    return near if error * 10**DIGITS <= max(abs(near), Fraction(1, 10**30)) else None


class NumericOracle:
    """Settles values at high precision; raises `UnfitError` where there is none."""

    def key(self, tree: Expr) -> str:
        """A reduced fraction where the value is one, else a digest of its digits at the points."""
        if (limit := infinity(tree)) is not None:
            return limit
        if (value := exact(tree)) is not None:
            return rational_key(value.numerator, value.denominator)
        with mpmath.workdps(_WORKING):
            names = symbols(tree)
            values = _evaluate(tree, _POINTS, names)
            digits = [_digits(v) for v in values]
            if len(set(digits)) == 1:  # a constant, whatever symbols were written
                values, names = values[:1], set()
                if (fraction := _rational(values[0])) is not None:
                    if fraction == 0 and not self._vanishes(tree):
                        raise UnfitError("too close to zero to tell")
                    return rational_key(fraction.numerator, fraction.denominator)
        return "n" + hashlib.sha256("|".join(digits[: len(values)]).encode()).hexdigest()

    def _vanishes(self, tree: Expr) -> bool:
        with mpmath.workdps(4 * _WORKING):
            value = _evaluate(tree, _POINTS, symbols(tree))[0]
            return bool(abs(value) <= mpmath.mpf(10) ** (-3 * _WORKING))

    def relation_key(self, operator: str, left: Expr, right: Expr) -> str:
        """The difference of the sides at the points, over its size at the first."""
        with mpmath.workdps(_WORKING):
            tree: Expr = ("+", left, ("neg", right))
            if operator in (">", "ge"):
                tree, operator = ("neg", tree), {">": "<", "ge": "le"}[operator]
            names = symbols(tree)
            values = _evaluate(tree, _RELATION_POINTS, names)
            if not names or not abs(values[0]):
                raise UnfitError("a relation between constants")
            scale = values[0] if operator in ("=", "ne") else abs(values[0])
            digits = "|".join(_digits(v / scale) for v in values)
        return f"{operator}{','.join(sorted(names))}{hashlib.sha256(digits.encode()).hexdigest()}"

    def rounds(self, tree: Expr, decimal: Expr) -> bool:
        """Whether the decimal literal is the value rounded at its last place."""
        literal = decimal_literal(decimal)
        if literal is None:
            return False
        if (value := exact(tree)) is not None:
            return rounds_to(value, tree, literal)
        if symbols(tree):
            return False
        with mpmath.workdps(_WORKING):
            number = _evaluate(tree, 1, set())[0]
            if mpmath.im(number):
                return False
            # 60 digits of the value decide where a decimal of at most 18 digits is concerned.
            value = Fraction(str(mpmath.nstr(mpmath.re(number), 60, strip_zeros=False, min_fixed=-80, max_fixed=400)))
            target = mpmath.mpf(literal[0].numerator) / literal[0].denominator
            return is_double_of(value, literal) or bool(2 * abs(number - target) <= mpmath.mpf(10) ** -literal[1])


class NeedsLibraryError(Exception):
    """The grammar does not hold the gold or the answer."""


def same(gold: str, answer: str) -> bool:
    """Whether the answer is right; raises `NeedsLibraryError` for what the grammar does not hold."""
    oracle = NumericOracle()
    for grouping in (True, False) if not _ZEROS.search(gold + answer) else (True,):
        try:
            if compare(form_of(gold, grouping=grouping), form_of(answer, grouping=grouping), oracle):
                return True
        except (ParseError, RecursionError) as error:
            what = str(error) if isinstance(error, ParseError) else "nested too deeply"
            if what in (CHANGED, GOES_ON):
                return False  # the library drops what it does not know
            raise NeedsLibraryError(what) from error
        except UnfitError:
            return False
    return False


def key(answer: str) -> str:
    """The vote key of an answer."""
    try:
        return form_key(form_of(answer), NumericOracle())
    except (ParseError, RecursionError, UnfitError):
        return "raw " + flat(answer)
