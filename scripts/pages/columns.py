"""The page of every column of a report's tables, written from the rows that make them."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from bon_eval.analysis.compute import ComputeRow
from bon_eval.analysis.curves import CurvePoint
from bon_eval.analysis.draws.facts import DrawArm, DrawFacts, DrawPair
from bon_eval.analysis.explain import ScorerRow
from bon_eval.analysis.levels.facts import LevelRow
from bon_eval.analysis.results import ArmPair, ArmRow
from bon_eval.analysis.two_runs.added import Added
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.analysis.unrun_arms import ReweightedPoint, StoppingRow
from bon_eval.report.comparison.added import ADDED
from bon_eval.report.comparison.change_rows import CHANGE
from bon_eval.report.formats.columns import REASONS, Column, Keyed, Many, Maybe, Row, Stored
from bon_eval.report.formats.field_types import alternatives, field_type, parts_of
from bon_eval.report.run.draw_rows import DRAW, DRAW_ARM, DRAW_PAIR
from bon_eval.report.run.explain_rows import COMPUTE, REWEIGHTED, SCORER, STOPPING
from bon_eval.report.run.levels.rows import LEVEL
from bon_eval.report.run.rows import ARM, CURVE, PAIR

_TABLES: tuple[tuple[str, str, tuple[tuple[Row[Any], type], ...]], ...] = (
    ("report.csv", "the arms table; `arms` in report.json", ((ARM, ArmRow),)),
    ("curves.csv", "every scorer at every n", ((CURVE, CurvePoint),)),
    ("pairs.csv", "every arm against every earlier one", ((PAIR, ArmPair),)),
    ("compute.csv", "accuracy of each arm beside the tokens that it generates", ((COMPUTE, ComputeRow),)),
    ("scorers.csv", "what each scorer says of correctness", ((SCORER, ScorerRow),)),
    ("sharpening.csv", "the pool reweighted to powers of the model's distribution", ((REWEIGHTED, ReweightedPoint),)),
    ("adaptive.csv", "stopping when the likeliest response is likely enough", ((STOPPING, StoppingRow),)),
    ("levels.csv", "whether likelihood predicts correctness", ((LEVEL, LevelRow),)),
    ("draws.csv", "draws besides greedy and the pool, and their arms", ((DRAW, DrawFacts), (DRAW_ARM, DrawArm))),
    ("draw_pairs.csv", "arms of draws against arms of the pool and of one another", ((DRAW_PAIR, DrawPair),)),
    ("compare.csv", "two runs: each quantity of both, and its change", ((CHANGE, Change),)),
    ("`added` in compare.json", "whether a training added or only sharpened", ((ADDED, Added),)),
)
_WORDS = {
    "accuracy": "Share of problems that are answered correctly, of the arm's expected answer.",
    "alpha": "The power.",
    "arm": "The way to answer.",
    "family": "The family in which the p-value is adjusted.",
    "log_likelihood": "Of the picked responses under the model, in nats.",
    "method": "How the interval was made.",
    "n": "Responses drawn for one answer.",
    "n_tokens": "Mean length of the picked responses, in tokens.",
    "rule": "The stopping rule.",
    "scorer": "What picks.",
    "truncated": "Share of picked responses that were cut by the limit of tokens.",
    "unscored": "Share of picked responses without a verdict.",
    "unfinished": "Share of picked responses whose reasoning did not end.",
    "monte_carlo_error": "Standard error of `accuracy` from drawing subsets.",
}
"""Columns whose fields say no more than their name."""
_ENDS = {"low": "Lower end of the interval.", "high": "Upper end of the interval.", "method": "How it was made."}
_HEAD = """\
# Columns of a report

Written from the rows of the code. Accuracies and shares are fractions of 1, points are percentage points,
log-likelihoods are nats per response, lengths are tokens. `NAME_low` and `NAME_high` are the ends of a 95 % interval,
and `NAME_method` says how they were made, or why there are none ([statistics](../statistics.md)). In JSON every null
has its reason in `null_reasons` beside it; the schemas are in `bon_eval/assets/`.
"""


def columns_page() -> str:
    """Markdown: a table for each file."""
    parts = [_HEAD]
    for name, what, rows in _TABLES:
        heading = name if name.startswith("`") else f"`{name}`"
        parts.append(f"## {heading}\n\n{what[0].upper()}{what[1:]}.\n\n| column | is | values |\n| --- | --- | --- |")
        parts += [line for row, kind in rows for line in _lines(row, kind)]
    return "\n".join(parts).replace("|\n## ", "|\n\n## ") + "\n"


def _lines(row: Row[Any], kind: type) -> Iterator[str]:
    columns = [column for column in row.columns if column != REASONS]
    for _, group in itertools.groupby(columns, lambda column: column.source or column.name):
        same = list(group)
        said = next((c.description for c in same if c.description), "") or _said(kind, same[0])
        if (row is DRAW_ARM and same[0].name == "name") or (row is DRAW and same[0].name == "arms"):
            continue  # in report.json alone
        names = ", ".join(f"`{_in_csv(row, c.name)}`" for c in same)
        yield f"| {names} | {said.replace('|', chr(92) + '|')} | {_values(same[0])} |"


def _in_csv(row: Row[Any], name: str) -> str:
    """A draw's own columns stand beside those of its arms in draws.csv."""
    return f"draw_{name}" if row is DRAW and (name == "n" or name.startswith("tokens")) else name


def _said(kind: Any, column: Column[Any]) -> str:
    """The docstring of the field behind a column; a field that needs none is called by its name."""
    path = column.source or column.name
    *owners, name = path.split(".")
    try:
        for owner in owners:
            kind, _ = parts_of(field_type(kind, owner))
    except (KeyError, ValueError):
        kind = object
    found = _docstrings(kind).get(name, "") if inspect.isclass(kind) else ""
    said = re.sub(r"``?([^`]+)``?", r"`\1`", " ".join(found.split())) or _WORDS.get(name)
    if said:
        return said
    stem, _, end = column.name.rpartition("_")
    words = column.name.replace("_", " ")
    return _ENDS[end] if stem and end in _ENDS else f"{words[0].upper()}{words[1:]}."


@functools.cache
def _docstrings(cls: Any) -> dict[str, str]:
    """Attribute -> the string below it, or a property's docstring."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for one, after in itertools.pairwise([*body, ast.Pass()]):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found[one.target.id] = str(after.value.value)
        elif isinstance(one, ast.FunctionDef):
            found[one.name] = ast.get_docstring(one) or ""
    return found


def _values(column: Column[Any]) -> str:
    """The type in words."""
    if isinstance(column.type, Row | Many | Maybe | Keyed | Stored):
        return "rows" if isinstance(column.type, Many) else "object"
    if sum(kind is not type(None) for kind in alternatives(column.type)) > 1:
        return "any"
    bare, _ = parts_of(column.type)
    if get_origin(bare) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(bare))
    words = {int: "whole number", float: "number", str: "text", bool: "true or false"}
    return words.get(bare, "list")  # type: ignore[call-overload, no-any-return]
