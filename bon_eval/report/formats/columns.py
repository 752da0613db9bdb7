"""Rows declared column by column: name, type and value stand once, for CSV, for JSON and for the JSON schema.

A `Row` makes the cells of a value; `bon_eval.report.formats.json_schema` makes its schema from the same columns. NaN
and infinity become null, and every null of a row with `REASONS` has its reason in ``null_reasons``. Without reasons a
null would hide what an infinity says: such rows refuse it (`Row.finite`).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Annotated, Any, Generic, Literal, TypeVar

from bon_eval.errors import StoreError
from bon_eval.report.formats.field_types import field_type, is_optional, parts_of
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.means import reason_of
from bon_eval.stats.units import Count, EstimateOnly, Limits, Points, Share

T = TypeVar("T")
CsvRow = dict[str, object]

_NOT_FINITE = "not defined for these values: the interval or test gave no finite number"


@dataclass(frozen=True, slots=True)
class Many:
    """A list of rows."""

    row: Row[Any]
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Maybe:
    """A row or null."""

    row: Row[Any]


@dataclass(frozen=True, slots=True)
class Keyed:
    """An object of rows by name."""

    row: Row[Any]
    key: object = str
    """The type of the names."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object that goes into JSON as it was stored; other versions may have stored other keys."""

    keys: Mapping[str, object]
    """Key -> type."""
    required: tuple[str, ...] = ()
    nullable: bool = False
    closed: bool = False
    """Whether it has no other keys."""
    description: str = ""


# Without slots: `Row[X](...)` sets an attribute of its own, which a frozen class with slots refuses by another error.
@dataclass(frozen=True)
class Column(Generic[T]):
    """One cell of a row."""

    name: str
    type: object
    """A Python type, with its range by `Annotated`, or one of `Row`, `Many`, `Maybe`, `Keyed`, `Stored`."""
    value: Callable[[T], object]
    source: str = ""
    """The field behind it, by which `Row.reasons` names it."""
    why: str | None = None
    """Why a null is null, where `Row.reasons` does not say."""
    method: Callable[[T], str | None] | None = None
    """The method behind an end of an interval: ``none: ...`` says why there is none."""
    description: str = ""
    later: bool = False
    """Whether documents of this format were written before there was such a column, and may lack it."""


@dataclass(frozen=True)
class Row(Generic[T]):
    """The columns of one kind of row, in their order."""

    name: str
    """In the ``$defs`` of the schema; empty for an object that stands in one place only."""
    columns: tuple[Column[T], ...]
    description: str = ""
    reasons: Callable[[T], Mapping[str, str]] | None = None
    """Why the cells of a field are null: field -> reason."""
    finite: bool = False
    """Whether an infinite number is refused; else it becomes null."""

    def cells(self, value: T) -> CsvRow:
        """The cells for CSV: no nested rows, nothing but finite numbers."""
        return {column.name: _finite(column.value(value)) for column in self.columns if _is_cell(column)}

    def json(self, value: T) -> dict[str, object]:
        """The row for JSON; a null without a reason is a bug (KeyError).

        Raises:
            StoreError: an infinite number in a row that must be finite.
        """
        if self.finite:
            self._refuse_infinity(value)
        found = {column.name: _plain(column.type, column.value(value)) for column in self.columns}
        if REASONS in self.columns:
            found[REASONS.name] = self._null_reasons(value)
        return found

    def _refuse_infinity(self, value: T) -> None:
        for column in self.columns:
            cell = column.value(value)
            if isinstance(cell, float) and math.isinf(cell):
                raise StoreError(f"{column.name} of a {self.name or 'row'} is infinite; nothing was written")

    def _null_reasons(self, value: T) -> dict[str, str]:
        known = {} if self.reasons is None else self.reasons(value)
        found = {}
        for column in self.columns:
            cell = column.value(value) if _is_cell(column) else ""
            if cell is None:
                found[column.name] = known.get(column.source) or column.why or known[column.source]
            elif _finite(cell) is None:
                method = None if column.method is None else column.method(value)
                reason = None if method is None else reason_of(method)
                found[column.name] = _NOT_FINITE if reason is None else f"no interval: {reason}"
        return found


REASONS: Column[Any] = Column("null_reasons", Mapping[str, str], lambda _: {})
"""Where ``null_reasons`` stands in a row; not a cell of CSV."""


def stamp(name: str, version: int) -> tuple[Column[Any], ...]:
    """What a document says of itself first: its format and the version of it."""
    return (
        Column("format", Literal[name], lambda _: name),
        Column("format_version", Literal[version], lambda _: version),
    )


def own(cls: type[T], *paths: str, why: str | None = None) -> tuple[Column[T], ...]:
    """Fields and properties of a dataclass as columns of the same name and type; ``test.p_value`` is that of a field.

    >>> [column.name for column in own(PairedTest, "method", "n_contested")]
    ['method', 'n_contested']
    """
    return tuple(
        Column(path.rpartition(".")[2], field_type(cls, path), attrgetter(path), source=path, why=why) for path in paths
    )


def renamed(cls: type[T], **paths: str) -> tuple[Column[T], ...]:
    """The same under other names: column -> field."""
    return tuple(Column(name, field_type(cls, path), attrgetter(path), source=path) for name, path in paths.items())


def later(*columns: Column[T]) -> tuple[Column[T], ...]:
    """Columns that older documents of the same format lack."""
    return tuple(replace(column, later=True) for column in columns)


def where_tested(columns: tuple[Column[T], ...], path: str = "") -> tuple[Column[T], ...]:
    """p-values of the test at a path of the row (its own by default): null where that test has no interval."""

    test: Callable[[T], Any] = attrgetter(path) if path else lambda row: row

    def value(column: Column[T], row: T) -> object:
        return math.nan if math.isnan(getattr(test(row), "low", 0.0)) else column.value(row)

    def method(row: T) -> str | None:
        return getattr(test(row), "method", None)

    return tuple(
        replace(column, type=column.type | None, value=functools.partial(value, column), method=method)  # type: ignore[operator]
        for column in columns
    )


def limits(path: str = "", prefix: str = "") -> tuple[Column[Any], ...]:
    """``low`` and ``high`` of the row, or of the interval or test at a path of it; null where they do not exist."""
    return tuple(Column(f"{prefix}{end}", float | None, attrgetter(f"{path}{end}")) for end in ("low", "high"))


def interval(cls: type[T], field: str, name: str = "", why: str | None = None) -> tuple[Column[T], ...]:
    """A field that is an `Interval`: estimate, low, high, method. The ends are null where they do not exist."""
    kind, name = field_type(cls, field), name or field
    bare, rules = parts_of(kind)
    assert bare is Interval, f"{cls.__name__}.{field} is no interval"
    limits = next((rule for rule in rules if isinstance(rule, Limits)), Limits())
    number = Annotated[float, limits]
    end: Any = float if any(isinstance(rule, EstimateOnly) for rule in rules) else number
    parts = (
        (name, number, "estimate"),
        (f"{name}_low", end | None, "low"),
        (f"{name}_high", end | None, "high"),
        (f"{name}_method", str, "method"),
    )
    return _spread(field, parts, optional=is_optional(kind), why=why)


def marked(field: str, name: str = "") -> Column[Any]:
    """Whether a field that is an interval or a test of nats is too skewed to be relied on."""
    return Column(f"{name or field}_marked", bool, attrgetter(f"{field}.marked"))


def lift(cls: type[T], field: str, why: str | None = None) -> tuple[Column[T], ...]:
    """A field that is a `PairedTest` of two accuracies, in points, with the problems that decide it."""
    parts = (
        ("lift_points", Points, "difference"),
        ("lift_points_low", Points | None, "low"),
        ("lift_points_high", Points | None, "high"),
        ("lift_method", str, "method"),
        ("p_value", Share, "p_value"),
        ("contested", Count, "n_contested"),
    )
    return _spread(field, parts, optional=is_optional(field_type(cls, field)), why=why, scale=100.0)


def difference(cls: type[T], field: str, name: str, scale: float, why: str | None = None) -> tuple[Column[T], ...]:
    """A field that is a `PairedTest` of two shares, times `scale` (100 for points)."""
    number = Annotated[float, Limits(minimum=-scale, maximum=scale)]
    parts = (
        (name, number, "difference"),
        (f"{name}_low", number | None, "low"),
        (f"{name}_high", number | None, "high"),
        (f"{name}_method", str, "method"),
        (f"{name}_p_value", Share, "p_value"),
    )
    return _spread(field, parts, optional=is_optional(field_type(cls, field)), why=why, scale=scale)


_SCALED = frozenset({"difference", "low", "high"})


def _spread(
    field: str, parts: tuple[tuple[str, Any, str], ...], *, optional: bool, why: str | None, scale: float = 1.0
) -> tuple[Column[Any], ...]:
    """A column for each part (name, type, attribute) of an interval or a test."""

    def value(part: str, row: object) -> object:
        whole: Interval | PairedTest | None = getattr(row, field)
        found = None if whole is None else getattr(whole, part)
        return scale * found if found is not None and scale != 1.0 and part in _SCALED else found

    def method(row: object) -> str | None:
        whole: Interval | PairedTest | None = getattr(row, field)
        return None if whole is None else whole.method

    columns = tuple(
        Column(name, kind | None if optional else kind, functools.partial(value, part), field, why, method=method)
        for name, kind, part in parts
    )
    return tuple(
        c for column in columns for c in (where_tested((column,), field) if "p_value" in column.name else (column,))
    )


def _is_cell(column: Column[Any]) -> bool:
    return column is not REASONS and not isinstance(column.type, Row | Many | Maybe | Keyed | Stored)


def _finite(cell: object) -> object:
    return None if isinstance(cell, float) and not math.isfinite(cell) else cell


def _plain(kind: object, value: Any) -> object:
    """JSON-ready: rows made, tuples as lists, mappings as objects, no NaN."""
    match kind:
        case Row():
            return kind.json(value)
        case Many():
            return [kind.row.json(each) for each in value]
        case Maybe():
            return None if value is None else kind.row.json(value)
        case Keyed():
            return {name: kind.row.json(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else _finite(value)
