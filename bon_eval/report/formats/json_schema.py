"""JSON Schema (draft 2020-12) of declared rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from bon_eval.report.formats.columns import Column, Keyed, Many, Maybe, Row, Stored
from bon_eval.report.formats.field_types import alternatives
from bon_eval.stats.units import Limits

Schema = dict[str, Any]

_SCALARS: Mapping[object, Schema] = {
    float: {"type": "number"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    str: {"type": "string", "minLength": 1},
    object: {},
}


def schema_text(document: Row[Any], title: str) -> str:
    """The schema of one document as the text of its file."""
    definitions: Schema = {}
    body = _object(document, definitions)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps(head | body | {"$defs": dict(sorted(definitions.items()))}, indent=2) + "\n"


def _object(row: Row[Any], definitions: Schema) -> Schema:
    properties = {column.name: _column(column, definitions) for column in row.columns}
    return _described(row.description) | {
        "type": "object",
        "additionalProperties": False,
        "required": [column.name for column in row.columns if not column.later],
        "properties": properties,
    }


def _column(column: Column[Any], definitions: Schema) -> Schema:
    return _schema(column.type, definitions) | _described(column.description)


def _described(text: str) -> Schema:
    return {"description": text} if text else {}


def _schema(kind: object, definitions: Schema) -> Schema:
    match kind:
        case Row():
            return _reference(kind, definitions) if kind.name else _object(kind, definitions)
        case Many():
            bounds = Limits(min_items=kind.least, max_items=kind.most).keywords()
            return {"type": "array", "items": _schema(kind.row, definitions)} | bounds
        case Maybe():
            return {"anyOf": [{"type": "null"}, _schema(kind.row, definitions)]}
        case Keyed():
            return _mapping(kind.key, kind.row, definitions)
        case Stored():
            return _stored(kind, definitions)
    return _python(kind, definitions)


def _reference(row: Row[Any], definitions: Schema) -> Schema:
    found = _object(row, definitions)
    if definitions.setdefault(row.name, found) != found:
        raise ValueError(f"two kinds of row are named {row.name}")
    return {"$ref": f"#/$defs/{row.name}"}


def _stored(kind: Stored, definitions: Schema) -> Schema:
    out = _described(kind.description) | {"type": ["object", "null"] if kind.nullable else "object"}
    out |= {"additionalProperties": False} if kind.closed else {}
    out |= {"required": list(kind.required)} if kind.required else {}
    properties = {name: _schema(of, definitions) for name, of in kind.keys.items()}
    return out | ({"properties": properties} if properties else {})


def _mapping(key: object, of: object, definitions: Schema) -> Schema:
    names = {} if key is str else {"propertyNames": _schema(key, definitions)}
    return {"type": "object"} | names | {"additionalProperties": _schema(of, definitions)}


def _python(kind: object, definitions: Schema) -> Schema:
    if len(alternatives(kind)) > 1:
        return _union(kind, definitions)
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        rules = {name: v for rule in inner[1:] if isinstance(rule, Limits) for name, v in rule.keywords().items()}
        # The words of an enum say all that their type would.
        return rules if "enum" in rules else _schema(inner[0], definitions) | rules
    if origin is Literal:
        return {"const": inner[0]} if len(inner) == 1 else {"enum": list(inner)}
    if origin is tuple:
        return {"type": "array", "items": _schema(inner[0], definitions)}
    if origin in (dict, Mapping):
        return _mapping(inner[0], inner[1], definitions)
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    raise TypeError(f"{kind!r} has no JSON schema here")


def _union(kind: object, definitions: Schema) -> Schema:
    members = [_schema(member, definitions) for member in alternatives(kind) if member is not type(None)]
    optional = type(None) in alternatives(kind)
    if len(members) == 1 and optional and isinstance(members[0].get("type"), str):
        return {name: [value, "null"] if name == "type" else value for name, value in members[0].items()}
    return {"anyOf": [*members, *([{"type": "null"}] if optional else [])]}
