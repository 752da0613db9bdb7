"""Text templates with named columns: ``{question}`` is replaced, ``{{`` and ``}}`` are literal braces.

Only names are allowed between braces. Python's own ``str.format`` would also read attributes and items
(``{question.__class__}``), which a task file that comes from elsewhere must not be able to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from bon_eval.errors import TaskError

_NOT_IN_A_NAME = frozenset(".[]")


def parse_template(template: str, where: str) -> tuple[tuple[str, str | None], ...]:
    """The template as ``(literal text, column name or None)`` pairs, in order.

    `where` names the template in messages (file and key). Raises `TaskError` for unbalanced braces and for anything
    but a bare name between braces.
    """
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise TaskError(f"{where}: {error}; write literal braces as {{{{ and }}}}") from error
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if not name.strip() or spec or conversion or _NOT_IN_A_NAME.intersection(name):
            given = name + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            raise TaskError(
                f"{where}: {{{given}}} is not a column name; write {{column}}, and literal braces as {{{{ and }}}}"
            )
    return tuple((literal, name) for literal, name, _, _ in parts)


def template_names(template: str, where: str) -> tuple[str, ...]:
    """The column names that the template uses, each once, in order of first use."""
    return tuple(dict.fromkeys(name for _, name in parse_template(template, where) if name is not None))


def render_template(template: str, fields: Mapping[str, str], where: str) -> str:
    """The template with every ``{name}`` replaced by ``fields[name]``; the values are never read as templates.

    Raises `TaskError` when a name is not among the fields.

    >>> render_template("{a} and \\\\boxed{{{b}}}", {"a": "{b}", "b": "7"}, "doctest")
    '{b} and \\\\boxed{7}'
    """
    pieces: list[str] = []
    for literal, name in parse_template(template, where):
        pieces.append(literal)
        if name is None:
            continue
        if name not in fields:
            raise TaskError(f"{where}: the template names the column {name!r}; columns: {', '.join(fields)}")
        pieces.append(fields[name])
    return "".join(pieces)
