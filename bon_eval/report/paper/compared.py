"""A stored comparison made again from its runs, with the very numbers that its compare.json states."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bon_eval.analysis.imported.either import AnyAnalysis, analyse_any
from bon_eval.analysis.several_runs.comparison import compare_several
from bon_eval.analysis.two_runs.comparison import Comparison, compare_runs
from bon_eval.analysis.two_runs.names import STORY
from bon_eval.errors import StoreError, reason
from bon_eval.report.comparison.panels import OF_ADDED, ON_PAGE, draw_panels, shown_of
from bon_eval.report.comparison.rows import document
from bon_eval.report.comparison.several import document as document_of_several
from bon_eval.report.formats.figures import SETTINGS
from bon_eval.report.paper.changes import AnyComparison
from bon_eval.store.comparable import DIFFERENCES
from bon_eval.store.reader import Run, load_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "compare.json"
_FORMATS = ("bon-eval comparison", "bon-eval comparison of several runs")
_NUMBERS = ("accuracies", "quantities", "draw_accuracies", "pairs")


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs, their comparison, and the analysis of each that the comparison's figures show."""

    runs: tuple[Run, ...]
    found: AnyComparison
    analyses: tuple[AnyAnalysis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the runs are called."""
        return self.found.names.sides if isinstance(self.found, Comparison) else self.found.names


def compared(path: Path) -> Compared:
    """The comparison of a compare.json.

    Raises:
        StoreError: it is none, its runs are not where it says, or they have changed since.
        ConfigError: the runs can no longer be compared.
    """
    stored = _read(path)
    several = stored["format"] == _FORMATS[1]
    try:
        directories, names, settings = _asked(stored, several=several)
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} is damaged ({reason(error)}); compare the runs again with bon-eval compare"
        ) from error
    runs = tuple(_run(path, directory) for directory in directories)
    found: AnyComparison
    if several:
        found = compare_several(runs, names=names, **settings)
        again = document_of_several(found)
    else:
        story = names == STORY
        found = compare_runs(*runs, tuning=story, names=() if story else names, **settings)
        again = document(found)
    for part in _NUMBERS:
        if json.loads(json.dumps(again.get(part))) != stored.get(part, again.get(part)):
            raise StoreError(
                f"{path} states other {part.replace('_', ' ')} than its runs have now: they were graded or sampled "
                "again since; compare them again with bon-eval compare"
            )
    of_runs = {"seed": found.seed, "draws": found.draws, "cluster": found.cluster}
    return Compared(runs, found, tuple(analyse_any(run, **of_runs) for run in runs))


def _read(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read ({error}); compare the runs again with bon-eval compare") from error
    if not isinstance(stored, dict) or stored.get("format") not in _FORMATS:
        raise StoreError(f"{path} is no comparison of bon-eval; give the directory of one, or of a run")
    return stored


def _asked(stored: dict[str, Any], *, several: bool) -> tuple[list[str], tuple[str, ...], dict[str, Any]]:
    """Directories and names of the runs, and the settings of their comparison."""
    facts, differences = stored["runs"] if several else (stored["before"], stored["after"]), stored["differences"]
    differing = {name for of in differences.values() for name in of} if several else set(differences)
    analysis = stored if several else stored["analysis"]
    settings = {name: analysis[name] for name in ("seed", "draws", "cluster")}
    settings["allow_different"] = [name for name in DIFFERENCES if name in differing]
    return [str(run["path"]) for run in facts], tuple(stored.get("names", STORY)), settings


def _run(path: Path, directory: str) -> Run:
    if not (Path(directory) / "run.json").is_file():
        raise StoreError(
            f"{path} compares the run {directory}, which is not there; run this from the directory in which the runs "
            "were compared, or compare them again with bon-eval compare"
        )
    return load_run(Path(directory))


def comparison_drawn(shown: Compared) -> Iterator[tuple[str, Figure]]:
    """(file stem, figure) of the panels of the comparison's page."""
    found = shown.found
    plain = tuple(map(legend_name, shown.names))
    if not isinstance(found, Comparison):
        yield from draw_panels(shown_of(shown.runs, replace(found, names=plain)), ON_PAGE)
        return
    names = found.names
    if not names.tuning:
        both = (plain[0], plain[1])
        names = replace(names, sides=both, models=both, adjectives=both)
    yield from draw_panels(shown_of(shown.runs, replace(found, names=names)), (*ON_PAGE, *OF_ADDED))


def legend_name(name: str) -> str:
    """A name as a legend has it: on one line, with what the font lacks as its number, and kept where it begins with an
    underscore, which matplotlib drops.

    >>> legend_name("_a\\nb"), legend_name("\N{CJK UNIFIED IDEOGRAPH-4E2D}")
    (' _a b', '[U+4E2D]')
    """
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont(SETTINGS["font.family"]))
    shown = (c if c.isprintable() else " " for c in name)
    text = "".join(c if font.get_char_index(ord(c)) else f"[U+{ord(c):04X}]" for c in shown)
    return f" {text}" if text.startswith("_") else text
