"""A comparison as tables of LaTeX: accuracies and differences, then likelihoods, lengths and spread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bon_eval.analysis.several_runs.comparison import SeveralComparison
from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.errors import counted
from bon_eval.report.formats.text import config_of
from bon_eval.report.paper.latex import Table, escape, interval, number
from bon_eval.stats import Interval, PairedTest

AnyComparison = Comparison | SeveralComparison

_LONGEST = 16
"""Characters of a run's name above a column."""
_DAGGER = r"\rlap{$^{\dagger}$}"
_MARKED = " A dagger: too skewed for the interval to be relied on."


def comparison_tables(found: AnyComparison) -> Iterator[Table]:
    """The tables; their numbers are those of compare.json."""
    if isinstance(found, Comparison):
        yield from _of_two(found)
    else:
        yield from _of_several(found)


class _Called:
    """What runs are called within tables: a long name is a number there, which the caption explains."""

    def __init__(self, names: Sequence[str]) -> None:
        numbers = {name: f"({k})" for k, name in enumerate(names, start=1)}
        self.long = {name: number for name, number in numbers.items() if len(name) > _LONGEST}
        self.names = tuple(self.long.get(name, name) for name in names)
        self.explained = "".join(f" {number}: {name}." for name, number in self.long.items())

    def within(self, label: str) -> str:
        """A label that may name runs."""
        for name in sorted(self.long, key=len, reverse=True):
            label = label.replace(name, self.long[name])
        return label


def _of_two(found: Comparison) -> Iterator[Table]:
    called = _Called(found.names.sides)
    first, second = called.names
    sizes = " and ".join(map(str, dict.fromkeys(found.sizes)))
    what = f"{first} and {second} on {config_of(found.before)['task']}"
    caption = (
        f"{what} ({counted(found.n_problems)}, {sizes} responses each): accuracy in % with 95 % intervals over "
        f"{found.units[1]}s; differences are {second} minus {first}, paired by problem, in percentage points; "
        f"best-of-n, vote and oracle are of {found.n}. p: Holm-adjusted over the accuracies"
        f"{', those of draws over all of theirs (max-t)' if found.draw_accuracies else ''}.{called.explained}"
    )
    accuracies = (found.accuracies, found.draw_accuracies)
    yield _changes("compare", "accuracy", caption, accuracies, called)
    if found.quantities:
        caption = (
            f"{what}: likelihoods, lengths and spread with 95 % intervals over {found.units[1]}s; shares in %. "
            f"p: unadjusted.{called.explained}"
        )
        yield _changes("compare_quantities", "quantity", caption, (found.quantities,), called)


def _changes(label: str, head: str, caption: str, groups: Sequence[Sequence[Change]], called: _Called) -> Table:
    heads = ((head, 1), *((escape(side), 2) for side in called.names), ("difference", 2), ("$p$", 1))
    marked = any(v.marked for group in groups for c in group for v in (c.before, c.after, c.difference))
    return Table(
        label,
        escape(caption + (_MARKED if marked else "")),
        heads,
        [[_change(change, called) for change in group] for group in groups],
    )


def _change(change: Change, called: _Called) -> list[str]:
    scale, digits = _form(change.unit, change.name)
    return [
        escape(called.within(change.label)),
        *_value(change.before, scale, digits),
        *_value(change.after, scale, digits),
        *_difference(change.difference, scale, digits),
        _p(change.shown_p),
    ]


def _form(unit: str, name: str) -> tuple[float, int]:
    """By what numbers of a unit are multiplied, and their digits."""
    if unit == "share":
        return 100.0, 1
    return 1.0, 3 if name == "entropy_per_token" else 2


def _of_several(found: SeveralComparison) -> Iterator[Table]:
    what = f"{len(found.names)} runs on {config_of(found.runs[0])['task']} ({counted(found.n_problems)})"
    called = _Called(found.names)
    short = dict(zip(found.names, called.names, strict=True))
    heads = (*((escape(name), 2) for name in called.names),)
    for label, head, rows, words in (
        ("compare", "accuracy", found.accuracies, f"accuracy in %; best-of-n, vote and oracle are of {found.n}"),
        ("compare_quantities", "quantity", found.quantities, "lengths and spread; shares in %"),
    ):
        if rows:
            caption = f"{what}: {words}, with 95 % intervals over {found.units[1]}s.{called.explained}"
            by_arm: dict[str, list[str]] = {}
            for row in rows:
                values = _value(row.value, *_form(row.unit, row.name))
                by_arm.setdefault(escape(row.label), []).extend(values)
            cells = [[name, *values] for name, values in by_arm.items()]
            yield Table(label, escape(caption), ((head, 1), *heads), [cells])
    caption = (
        f"{what}: differences in accuracy in percentage points, paired by problem, with 95 % intervals. p: Holm-"
        f"adjusted over all {len(found.pairs)} differences.{called.explained}"
    )
    groups: dict[str, list[list[str]]] = {}
    for pair in found.pairs:
        cells_ = [escape(pair.label), f"{escape(short[pair.second])} $-$ {escape(short[pair.first])}"]
        cells_ += [*_difference(pair.difference, 100.0, 1), _p(pair.shown_p)]
        groups.setdefault(pair.name, []).append(cells_)
    heads = (("accuracy", 1), ("runs", 1), ("difference", 2), ("$p$", 1))
    yield Table("compare_pairs", escape(caption), heads, tuple(groups.values()), left=2)


def _value(value: Interval, scale: float, digits: int) -> list[str]:
    mark = _DAGGER if value.marked else ""
    limits = interval(value.low, value.high, f".{digits}f", scale)
    return [number(scale * value.estimate, f".{digits}f") + (mark if not limits else ""), limits and limits + mark]


def _difference(test: PairedTest, scale: float, digits: int) -> list[str]:
    form = f"+z.{digits}f"
    limits = interval(test.low, test.high, form, scale)
    return [number(scale * test.difference, form), limits and limits + (_DAGGER if test.marked else "")]


def _p(p: float | None) -> str:
    return "--" if p is None else "$<0.001$" if p < 0.001 else number(p, ".3f")
