"""Which columns of the data a task reads, by what names."""

from __future__ import annotations

from collections.abc import Sequence

from bon_eval.errors import TaskError, listed
from bon_eval.tasks.spec import TaskSpec


def needed_columns(spec: TaskSpec, there: Sequence[str], where: str) -> list[str]:
    """The columns to read, in the order of the data; `TaskError` names all that the data lacks."""
    named: dict[str, str | None] = {
        f"columns.{key}": getattr(spec.columns, key) for key in ("question", "answer", "id", "options")
    }
    if spec.gold.boxed_in is not None and spec.columns.answer not in there:
        del named["columns.answer"]
        named["gold.boxed_in"] = spec.gold.boxed_in
    named |= {f"rows.{name}": name for name, _ in spec.rows} | {"cluster": spec.cluster}
    lacking = [
        f"no column {name!r} ({key} of task {spec.name})"
        for key, name in named.items()
        if name is not None and name not in there
    ]
    aliases, templates = template_aliases(spec, there), spec.template_columns()
    lacking += [
        f"no column {name!r}, which {key} of task {spec.name} names"
        for key, names in templates.items()
        for name in names
        if name not in there and name not in aliases
    ]
    if lacking:
        raise TaskError(f"{where} has {' and '.join(lacking)}; it has: {listed(there)}")
    needed = {*named.values(), spec.columns.solution, *aliases.values(), *(n for ns in templates.values() for n in ns)}
    return [name for name in there if name in needed]


def template_aliases(spec: TaskSpec, there: Sequence[str]) -> dict[str, str]:
    """Names in templates that say what a column is -> its own name; a column that is called so is meant first."""
    names = {name for names in spec.template_columns().values() for name in names}
    return {r: c for r, c in spec.columns.roles().items() if r in names and r not in there and c in there}


def text_columns(spec: TaskSpec) -> set[str]:
    """The columns whose cells must be texts or numbers: all that the task reads but the list of options."""
    named = {*asked_columns(spec), spec.cluster} - {None, spec.columns.options}
    return {name for name in named if name is not None}


def asked_columns(spec: TaskSpec) -> set[str | None]:
    """The columns that the task names for anything but its clusters."""
    columns = (spec.columns.question, spec.columns.answer, spec.columns.id, spec.columns.options, spec.columns.solution)
    templates = (name for names in spec.template_columns().values() for name in names)
    return {*columns, spec.gold.boxed_in, *(name for name, _ in spec.rows), *templates}
