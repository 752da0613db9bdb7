"""The JSON of a page: inert inside a script element, and written a problem at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any


def pieces(head: Mapping[str, Any], problems: Iterable[str]) -> Iterator[str]:
    """The page's JSON a problem at a time: the members of `head`, and ``problems``, each JSON of its own."""
    yield f'{{{members(head)},"problems":['
    for k, problem in enumerate(problems):
        yield f",{problem}" if k else problem
    yield "]}"


def left_out(head: Mapping[str, Any]) -> str:
    """What the browser leaves to the Parquet files; empty where it holds everything."""
    notes = []
    if head["rows"] != head["responses"]:
        notes.append(f"{head['rows']:,} of the {head['responses']:,} responses have a row here")
    if head["texts_left_out"]:
        notes.append(f"{head['texts_left_out']:,} of them without their text")
    if head["texts_cut"]:
        notes.append(f"{head['texts_cut']:,} texts are cut after {head['text_chars']:,} characters")
    return f"{'; '.join(notes)}. The run’s Parquet files hold everything." if notes else ""


def as_json(content: object) -> str:
    """JSON that is inert inside a script element: no <, > or & and no line separators, lone surrogates replaced."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.encode("utf-8", "replace").decode("utf-8")
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def members(content: Mapping[str, object]) -> str:
    """The members of a JSON object, without its braces."""
    return as_json(content)[1:-1]
