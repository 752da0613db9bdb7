"""Types of a dataclass's fields, with their ranges: what columns take theirs from."""

from __future__ import annotations

import functools
import types
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


@functools.cache
def _hints(cls: Any) -> dict[str, object]:
    return get_type_hints(cls, include_extras=True)


def field_type(cls: Any, path: str) -> object:
    """The type of a dataclass's field or property, with its ranges."""
    name, _, rest = path.partition(".")
    member = getattr(cls, name, None)
    found = _hints(member.fget)["return"] if isinstance(member, property) else _hints(cls)[name]
    return field_type(found, rest) if rest else found


def alternatives(kind: object) -> tuple[object, ...]:
    """The members of a union, one for any other type."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def is_optional(kind: object) -> bool:
    return type(None) in alternatives(kind)


def parts_of(kind: object) -> tuple[object, tuple[object, ...]]:
    """An annotated type without its rules and None, and the rules."""
    [bare] = [k for k in alternatives(kind) if k is not type(None)]
    if get_origin(bare) is Annotated:
        first, *rules = get_args(bare)
        return first, tuple(rules)
    return bare, ()
