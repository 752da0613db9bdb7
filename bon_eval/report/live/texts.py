"""Texts from elsewhere as a page shows them: nothing hidden, nothing endless."""

from __future__ import annotations

import os
import re
from datetime import datetime
from urllib.parse import quote

from bon_eval.report.formats.text import shortened

_HIDDEN = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_LONGEST = 400


def visible(text: str) -> str:
    """A name or a sentence on one line: what could make it read otherwise than it is becomes visible.

    >>> visible("a\\nb\\u202ec")
    'a␊b⟨U+202E⟩c'
    """
    return _HIDDEN.sub(_sign, shortened(text, _LONGEST))


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    return chr(0x2400 + code) if code < 32 else f"⟨U+{code:04X}⟩"


def address(*parts: str) -> str:
    """The path of a URL to a file below the directory, names of any bytes included.

    >>> address("a/b", "report.html"), address("", "c?#%.csv")
    ('/runs/a/b/report.html', '/runs/c%3F%23%25.csv')
    """
    return "/runs/" + quote(os.fsencode("/".join(part for part in parts if part)))


def time_of(seconds: float) -> tuple[str, str, str]:
    """A moment for a machine, and its day and time for a reader, in this machine's time zone."""
    moment = datetime.fromtimestamp(seconds).astimezone()
    return moment.isoformat(timespec="seconds"), f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}"
