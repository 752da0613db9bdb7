"""The index: every directory that is bon-eval's as a line, read anew where something changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bon_eval.report.live.entries import Entry, Heading, Kind, State
from bon_eval.report.live.memo import Memo, Unreadable, signature_of
from bon_eval.report.live.others import SUMMARY_TABLES, Other, read_comparison, read_summary, tracking, training
from bon_eval.report.live.progress import Counter, Owners
from bon_eval.report.live.runs import RunFacts, Said, earlier, read_run_at, read_said_at, run_state
from bon_eval.report.live.tree import Look, Place, Tree

_FRESH_S = 0.5
"""How long a look at the directories is good for: several windows ask at once."""
_PAGE_OF = {
    "run": "report.html",
    "report": "report.html",
    "comparison": "compare.html",
    "tracking": "trajectory.html",
    "summary": "summary.html",
}
_RUNS = frozenset({"run", "imported run", "shard", "report"})


@dataclass(frozen=True, slots=True)
class Found:
    """A line of the index, as far as it is cheap: enough to choose which are looked at closely."""

    place: Place
    mark: Kind
    """Of the kinds, the one that its files make it: of an imported run and of a shard too ``run``."""
    heading: Heading
    why: str
    """Why the file that marks it cannot be read; empty where it can."""
    of_run: RunFacts | None = None

    @property
    def is_run(self) -> bool:
        """Whether it stands among the runs: it has responses, or the report of some."""
        return self.heading.kind in _RUNS

    def holds(self, words: list[str]) -> bool:
        """Whether each of these words, in small letters, stands in its names."""
        heading = self.heading
        text = " ".join((self.place.name, heading.kind, heading.model, heading.task, heading.note)).casefold()
        return all(word in text for word in words)


class Index:
    """What lies below a directory; any thread may ask."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tree = Tree(root)
        self._memo, self._counter = Memo(), Counter()
        self._lock = threading.Lock()
        self._look: tuple[float, Look] | None = None

    def look(self) -> Look:
        """The directories that are there now, or were half a second ago."""
        with self._lock:
            return self._looked()

    def place(self, name: str) -> Place | None:
        """One of the directories, by its way from the root; None where none of bon-eval's is there."""
        return self.look().places.get(name)

    def found(self, words: str = "") -> list[Found]:
        """Every line whose names hold all the words, the latest first; without words not the runs of trackings."""
        wanted = words.casefold().split()
        with self._lock:
            places = self._looked().places
            lines = [line for place in places.values() for line in self._lines(place)]
        if wanted:
            return _latest(line for line in lines if line.holds(wanted))
        return _latest(line for line in lines if not _is_of_tracking(line.place, places))

    def below(self, place: Place) -> list[Found]:
        """Every line of directories that lie in one, the latest first."""
        start = f"{place.name}/" if place.name else ""
        with self._lock:
            inner = [p for p in self._looked().places.values() if p.name.startswith(start) and p.name != place.name]
            return _latest(line for p in inner for line in self._lines(p))

    def entries(self, lines: list[Found]) -> list[Entry]:
        """The lines with their states and verdicts."""
        with self._lock:
            owners = Owners()
            return [self._entry(line, owners) for line in lines]

    def of(self, place: Place) -> list[Entry]:
        """All that stands in one directory."""
        with self._lock:
            owners = Owners()
            return [self._entry(line, owners) for line in self._lines(place)]

    def facts(self, place: Place) -> tuple[tuple[str, str], ...]:
        """Names and values of a run, for a reader; none of what is no run."""
        with self._lock:
            read = read_run_at(self._memo, place.path)
        return read.facts if isinstance(read, RunFacts) else ()

    def _looked(self) -> Look:
        now = time.monotonic()
        if self._look is None or now - self._look[0] > _FRESH_S:
            before = None if self._look is None else self._look[1].places.keys()
            look = self._tree.look()
            if before is not None and before - look.places.keys():
                paths = {place.path for place in look.places.values()}
                self._memo.forget(paths)
                self._counter.forget(paths)
            self._look = time.monotonic(), look
        return self._look[1]

    def _lines(self, place: Place) -> Iterator[Found]:
        files = place.files
        if "run.json" in files:
            read = read_run_at(self._memo, place.path)
            if isinstance(read, RunFacts):
                yield Found(place, "run", read.heading, "", read)
            elif read is not None:
                yield Found(place, "run", Heading("run", "", ""), read.why)
        elif "report.json" in files:
            said = read_said_at(self._memo, place.path)
            if isinstance(said, Said):
                yield Found(place, "report", said.heading, "")
            elif said is not None:
                yield Found(place, "report", Heading("report", "", ""), said.why)
        if "compare.json" in files:
            yield from _line(place, "comparison", self._memo.of(place.path / "compare.json", "line", read_comparison))
        if "summary.html" in files:
            tables = [signature_of(place.path / name) for name in SUMMARY_TABLES]
            yield from _line(place, "summary", self._memo.of(place.path / "summary.html", f"{tables}", read_summary))
        if "track.json" in files:
            yield from _line(place, "tracking", tracking(place, self._memo, None)[0])
        if "training.json" in files:
            yield from _line(place, "training", training(place, self._memo, None)[0])

    def _entry(self, line: Found, owners: Owners) -> Entry:
        place, changed = line.place, line.place.changed_ns / 1e9
        page = _PAGE_OF.get(line.mark)
        if page not in place.files:
            page = None
        if line.why:
            return Entry(place.name, line.heading, State("unreadable", line.why, bad=True), "", "", changed, page)
        verdict, note = "", ""
        state = State("written")
        if line.of_run is not None:
            said = read_said_at(self._memo, place.path)
            silent = max(0.0, time.time() - changed)
            state = run_state(place.path, line.of_run, said, owners, self._counter, silent)
            if isinstance(said, Said):
                verdict, note = said.verdict, earlier(line.of_run, state)
        elif line.mark == "report":
            said = read_said_at(self._memo, place.path)
            state = State("reported", "" if line.heading.note.startswith("report ") else "its run is not beside it")
            verdict = said.verdict if isinstance(said, Said) else ""
        elif line.mark == "comparison":
            known = self._memo.of(place.path / "compare.json", "line", read_comparison)
            verdict = known.verdict if isinstance(known, Other) else ""
        elif line.mark in ("tracking", "training"):
            known, state = (tracking if line.mark == "tracking" else training)(place, self._memo, owners)
            verdict = known.verdict if isinstance(known, Other) else ""
        return Entry(place.name, line.heading, state, verdict, note, changed, page)


def _latest(lines: Iterable[Found]) -> list[Found]:
    return sorted(lines, key=lambda line: (-line.place.changed_ns, line.place.name, line.mark))


def _is_of_tracking(place: Place, places: Mapping[str, Place]) -> bool:
    """Whether it is one of the runs that a tracking made."""
    above = place.name.split("/")
    tracking_place = places.get("/".join(above[:-2])) if above[-2:-1] == ["runs"] else None
    return tracking_place is not None and "track.json" in tracking_place.files


def _line(place: Place, kind: Kind, known: Other | Unreadable | None) -> Iterator[Found]:
    """The line of what is no run; none where its file has just gone."""
    if isinstance(known, Unreadable):
        yield Found(place, kind, Heading(kind, "", ""), known.why)
    elif known is not None:
        yield Found(place, kind, known.heading, "")
