"""The pages of the index and of one directory, in the style of report.html."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import IO

from bon_eval.report.formats.html import render
from bon_eval.report.live.entries import Entry
from bon_eval.report.live.files import shown_files
from bon_eval.report.live.index import Found, Index
from bon_eval.report.live.texts import address, time_of, visible
from bon_eval.report.live.tree import MOST, Look, Place

PER_PAGE = 200
"""Runs on one page of the index."""
_EVERY_S = (2, 10)
"""Seconds between two looks of a page: while something goes on, and else."""
_SECTIONS = (
    ("Comparisons", ("comparison",)),
    ("Trainings", ("training", "tracking")),
    ("Summaries", ("summary",)),
)
_LISTED = 5
_CLOSED = "default-src 'none'; img-src data:; base-uri 'none'; frame-ancestors 'none'"
_SCRIPT = re.compile(rb"script-src\s+'(none|sha256-[A-Za-z0-9+/]{43}=)'")
_HEAD = 4096
"""Bytes of a report's page that hold its policy."""


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as its row shows it."""

    key: str
    name: str
    note: str
    place: str
    link: str
    """To the page that shows it, or to that of its directory."""
    files: str
    """Link to the page of its directory."""
    task: str
    word: str
    tone: str
    detail: str
    counts: tuple[int, int] | None
    verdict: str
    verdict_note: str
    changed: tuple[str, str, str]


def line_of(entry: Entry) -> Line:
    """The row of an entry; all its texts are on one line, and show what is hidden in them."""
    heading, state = entry.heading, entry.state
    page = address(entry.place) if entry.page is None else address(entry.place, entry.page)
    own = f"{address(entry.place)}/".replace("//", "/")
    note = heading.note or ("report" if heading.kind == "report" else "")
    return Line(
        key=visible(entry.key),
        name=visible(heading.model) or heading.kind,
        note=visible(note),
        place=visible(entry.place or "."),
        link=own if entry.page is None else page,
        files=own,
        task=visible(heading.task) or "–",
        word=visible(state.word),
        tone="no" if state.bad else "going" if state.going else "yes" if state.word == "reported" else "",
        detail=visible(state.detail),
        counts=None if state.stored is None else (state.stored, state.owed),
        verdict=visible(entry.verdict),
        verdict_note=visible(entry.verdict_note),
        changed=time_of(entry.changed),
    )


def index_page(index: Index, words: str = "", number: int = 1) -> str:
    """The page of all that there is.

    Args:
        index: of the directory.
        words: of which each must stand in the names of what is shown.
        number: of the page, from 1; the runs are parted into pages.
    """
    look = index.look()
    found = index.found(words)
    runs = [line for line in found if line.is_run]
    pages = max(1, -(-len(runs) // PER_PAGE))
    number = min(max(1, number), pages)
    shown = index.entries(runs[(number - 1) * PER_PAGE : number * PER_PAGE])
    others = [(title, *_section(index, [f for f in found if f.heading.kind in kinds])) for title, kinds in _SECTIONS]
    every = [*shown, *(entry for _, entries, _ in others for entry in entries)]
    going = sum(entry.state.going for entry in every)
    sections = [("Runs", len(runs), [line_of(e) for e in shown], 0)]
    sections += [(title, len(entries) + left, [line_of(e) for e in entries], left) for title, entries, left in others]
    root = visible(str(index.root))
    values = {
        "title": f"{f'{going} going on: ' if going else ''}runs below {root}",
        "root": root,
        "every": _EVERY_S[0] if going else _EVERY_S[1],
        "words": words,
        "sections": sections,
        "empty": not found,
        "number": number,
        "pages": pages,
        "zone": time_of(time.time())[0][19:],
        "notes": _notes(look),
    }
    return render("live_index.html.jinja", values)


def _section(index: Index, lines: list[Found]) -> tuple[list[Entry], int]:
    """The first entries, and how many more there are."""
    return index.entries(lines[:PER_PAGE]), max(0, len(lines) - PER_PAGE)


def _notes(look: Look) -> list[str]:
    """What was passed over."""
    notes = []
    if look.links:
        notes.append(f"links to directories are not followed; passed over: {look.links}")
    if look.unreadable:
        names = ", ".join(visible(name or ".") for name in look.unreadable[:_LISTED])
        more = f" and {len(look.unreadable) - _LISTED} more" if len(look.unreadable) > _LISTED else ""
        notes.append(f"cannot be read: {names}{more}")
    if look.cut:
        notes.append(f"more than {MOST:,} directories, of which the others were passed over; view one further down")
    return notes


def place_page(index: Index, place: Place) -> str:
    """The page of one directory: what is there, how far it is, and its files."""
    entries, inner = index.of(place), index.below(place)
    below = index.entries(inner[:PER_PAGE])
    name = visible(place.name or ".")
    values = {
        "title": f"{name} below {visible(str(index.root))}",
        "name": name,
        "every": _EVERY_S[0] if any(entry.state.going for entry in (*entries, *below)) else _EVERY_S[1],
        "rows": [line_of(entry) for entry in entries],
        "below": [line_of(entry) for entry in below],
        "left": len(inner) - len(below),
        "facts": [(label, visible(value)) for label, value in index.facts(place)],
        "files": [(visible(file), address(place.name, file), _size(size)) for file, size in shown_files(place.path)],
    }
    return render("live_place.html.jinja", values)


def message_page(title: str, text: str, *, to: str | None = None) -> str:
    """A page that says one thing; `to`: where a browser goes on from it."""
    return render("live_message.html.jinja", {"title": title, "text": text, "to": to})


def _size(size: int) -> str:
    """
    >>> _size(999), _size(123_456), _size(17_600_000)
    ('999 B', '123.5 kB', '17.6 MB')
    """
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"


def own_policy() -> str:
    """The Content-Security-Policy of the pages above: as a report's, but that they ask their own server again."""
    script, styles = (
        _hash(_asset("live_page/live.js")),
        _hash(_asset("report_page/page.css") + _asset("live_page/live.css")),
    )
    return f"{_CLOSED}; script-src '{script}'; style-src '{styles}'; connect-src 'self'; form-action 'self'"


def file_policy(name: str, file: IO[bytes]) -> str:
    """The Content-Security-Policy of a file that is served; the file stands at its beginning again.

    That of a page is what report pages have. One with a script that is not of this version's pages is an old page or
    somebody else's: its script runs in an origin of its own, from which nothing here can be read.
    """
    styles = f"{_CLOSED}; style-src 'unsafe-inline'; form-action 'none'"
    if not name.endswith(".html"):
        return f"{styles}; sandbox"
    head = file.read(_HEAD)
    file.seek(0)
    found = _SCRIPT.search(head)
    script = "none" if found is None else found[1].decode()
    own = script in ("none", _hash(_asset("report_page/page.js")))
    return f"{styles}; script-src '{script}'" + ("" if own else "; sandbox allow-scripts")


def _asset(name: str) -> str:
    return resources.files("bon_eval").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer."""
