"""The committed schemas are those of the rows, and they fit every committed report."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from write_schemas import ASSETS, schema_texts

from bon_eval.analysis.results import Analysis
from bon_eval.errors import StoreError
from bon_eval.report.formats.columns import REASONS, Column, Keyed, Many, Maybe, Row, interval, own
from bon_eval.report.formats.csv_json import validate
from bon_eval.report.formats.json_schema import schema_text
from bon_eval.report.run.rows import document
from bon_eval.report.trajectory.rows import CHANGE
from bon_eval.stats import Interval, PairedTest
from bon_eval.stats.units import SHARE, Limits, Share, Size

RESULTS = Path(__file__).resolve().parents[2] / "results"
NAMES = ["report.schema.json", "compare.schema.json", "compare_several.schema.json", "trajectory.schema.json"]
LATER = {(".arms", "unfinished"), (".variants.arms", "unfinished"), (".curves", "unfinished"), (".facts", "reasoning")}
LATER |= {(".facts", name) for name in ("special_inside", "cautions", "chance", "chance_oracle")}
LATER |= {
    *(("", name) for name in ("compute", "draws", "draw_pairs", "levels")),
    (".variants", "draws"),
    (".compute", "draw"),
    *((".replayed.stopping", f"tokens{end}") for end in ("", "_low", "_high", "_method", "_marked")),
}
"""Columns that reports of the same format may lack, since they are older."""


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_schema_is_that_of_the_rows(name: str) -> None:
    committed = (ASSETS / name).read_text(encoding="utf-8")
    assert committed == schema_texts()[name], "rows and schema differ; run `make schemas` and commit what it writes"


@pytest.mark.parametrize("name", NAMES)
def test_the_schema_is_one_of_draft_2020_12(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_texts()[name]))


@pytest.mark.parametrize("path", sorted(RESULTS.glob("**/report.json")), ids=lambda path: path.parent.name)
def test_committed_reports_fit(path: Path) -> None:
    validate(json.loads(path.read_text(encoding="utf-8")))


def test_there_are_committed_reports() -> None:
    assert len(list(RESULTS.glob("**/report.json"))) >= 5


def rows(value: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of a report that is a row; its path without the places in lists."""
    if isinstance(value, dict):
        if "null_reasons" in value:
            yield at, value
        for key, cell in value.items():
            yield from rows(cell, f"{at}.{key}")
    if isinstance(value, list):
        for each in value:
            yield from rows(each, at)


LEAST = 5
"""Rows that every list of a report may have to hold."""


def shorten(value: Any, kept: set[int]) -> bool:
    """Leave in each list the rows that are kept or hold one, and the last few: more of a kind only take time."""
    if isinstance(value, list):
        needed = [shorten(each, kept) for each in value]
        value[:] = [each for k, each in enumerate(value) if needed[k] or k >= len(value) - LEAST]
        return any(needed)
    if isinstance(value, dict):
        found = [shorten(cell, kept) for cell in value.values()]
        return id(value) in kept or any(found)
    return False


@pytest.mark.slow
def test_every_row_needs_every_cell_and_takes_no_other(analysis: Analysis) -> None:
    content: Any = document(analysis)
    kinds = dict(rows(content))
    assert len(kinds) >= 12
    shorten(content, {id(row) for row in kinds.values()})
    assert dict(rows(content)) == kinds
    validate(content)
    for path, row in kinds.items():
        for key in list(row):
            cell = row.pop(key)
            if (path, key) in LATER:
                validate(content)
            else:
                with pytest.raises(StoreError, match="is a required property"):
                    validate(content)
            row[key] = cell
        row["surprise"] = 1
        with pytest.raises(StoreError, match="surprise"):
            validate(content)
        del row["surprise"]
        for key, cell in row.items():
            row[key] = {"of": "another type"} if key != "null_reasons" else 1
            with pytest.raises(StoreError):
                validate(content)
            row[key] = cell
        validate(content)
        assert path


@dataclass(frozen=True)
class Inner:
    kind: Literal["a", "b"]


@dataclass(frozen=True)
class Outer:
    n: Size
    share: Share | None
    accuracy: Annotated[Interval, SHARE] | None
    word: Annotated[str, Limits(enum=("x", "y"))]
    inner: Inner
    others: tuple[Inner, ...]

    @property
    def double(self) -> Size:
        return 2 * self.n


INNER = Row[Inner]("inner", own(Inner, "kind"))
OUTER = Row[Outer](
    "",
    (
        *own(Outer, "n", "double", "share", "word", why="no share"),
        *interval(Outer, "accuracy", why="no accuracy"),
        *own(Outer, "inner.kind"),
        REASONS,
        Column("others", Many(INNER, 1), lambda row: row.others),
        Column("first", Maybe(INNER), lambda row: row.others[0]),
        Column("named", Keyed(INNER, Literal["k"]), lambda row: {"k": row.inner}),
    ),
)
VALUE = Outer(2, None, Interval(0.5, float("nan"), 1.0, "m"), "x", Inner("a"), (Inner("b"),))


def test_a_row_is_the_same_in_csv_and_json() -> None:
    cells = OUTER.cells(VALUE)
    found = OUTER.json(VALUE)
    assert list(cells) == [
        "n",
        "double",
        "share",
        "word",
        "accuracy",
        "accuracy_low",
        "accuracy_high",
        "accuracy_method",
        "kind",
    ]
    assert cells == {name: found[name] for name in cells}
    assert cells["accuracy_low"] is None
    assert found["null_reasons"] == {
        "share": "no share",
        "accuracy_low": "not defined for these values: the interval or test gave no finite number",
    }
    assert found["others"] == [{"kind": "b"}]
    assert found["named"] == {"k": {"kind": "a"}}


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("n", 0),
        ("n", None),
        ("n", 1.5),
        ("double", "4"),
        ("share", 1.1),
        ("share", True),
        ("word", "z"),
        ("accuracy", -0.1),
        ("accuracy_high", 2),
        ("accuracy_method", ""),
        ("kind", "c"),
        ("others", []),
        ("first", {}),
        ("named", {"q": {"kind": "a"}}),
        ("null_reasons", {"share": 1}),
    ],
)
def test_the_schema_of_a_row_refuses_what_its_types_refuse(key: str, wrong: object) -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text(OUTER, "outer")))
    found = OUTER.json(VALUE)
    validator.validate(found)
    broken = copy.deepcopy(found) | {key: wrong}
    assert not validator.is_valid(broken)


def test_a_null_without_a_reason_is_a_bug() -> None:
    with pytest.raises(KeyError, match="share"):
        Row[Outer]("", (*own(Outer, "share"), REASONS)).json(VALUE)


def test_two_kinds_of_row_cannot_share_a_name() -> None:
    other = Row[Outer]("inner", own(Outer, "n"))
    both = Row[Outer]("", (Column("a", INNER, lambda row: row.inner), Column("b", other, lambda row: row)))
    with pytest.raises(ValueError, match="two kinds of row are named inner"):
        schema_text(both, "both")


def test_a_type_without_a_schema_is_named() -> None:
    with pytest.raises(TypeError, match="complex"):
        schema_text(Row[Outer]("", (Column("a", complex, lambda _: 1j),)), "odd")


def test_an_infinite_limit_is_refused_where_a_null_would_have_no_reason() -> None:
    test = PairedTest(0.1, -math.inf, 0.3, 0.5, "student-t", 3)
    with pytest.raises(StoreError, match="low of a change is infinite"):
        CHANGE.json(test)
