"""Whether likelihood predicts correctness, in sentences: which levels hold in this run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from bon_eval.analysis.levels.facts import LevelName, LevelRow, Levels, Predicts
from bon_eval.analysis.settings import Settings
from bon_eval.draws import GREEDY
from bon_eval.report.formats.text import ends

AtLength = Literal["predicts", "predicts_at_length"]
_LEVELS: tuple[LevelName, ...] = ("pairs", "responses", "settings", "methods")
_CLAUSES: dict[Predicts, str] = {
    "yes": "likelihood predicts correctness",
    "reversed": "the likelier is the less correct",
    "not shown": "no relation is shown",
}


def level_name(level: LevelName, of: str) -> str:
    """What a row is across.

    >>> level_name("pairs", "greedy"), level_name("settings", "temperature")
    ("greedy's prompt-answer pairs", 'the settings of temperature')
    """
    if level == "methods":
        return "decoding methods"
    if level == "settings":
        return f"the settings of {of}"
    if level == "responses":
        return "repeated responses to one prompt"
    return f"{'greedy' if of == GREEDY else 'one sample'}'s prompt-answer pairs"


def level_text(levels: Levels, settings: Settings, *, numbers: bool = False) -> list[str]:
    """A sentence on the levels as they are, and one with length held fixed; `numbers`: with those of each row."""
    if levels.reason is not None:
        return [f"whether likelihood predicts correctness is not asked: {levels.reason}."]
    if settings.alpha == 0.0:
        return ["whether likelihood predicts correctness is not decided before the run is finished."]
    plain, held = (_sentence(levels, form, numbers) for form in ("predicts", "predicts_at_length"))
    return [f"{plain}.", f"with length held fixed {held}."]


def _sentence(levels: Levels, form: AtLength, numbers: bool) -> str:
    ordered = [row for level in _LEVELS for row in levels.at(level)]
    parts = []
    for predicts, clause in _CLAUSES.items():
        rows = [row for row in ordered if getattr(row, form) == predicts]
        if rows:
            parts.append(f"{clause} across {_listed([_named(row, form, numbers) for row in rows])}")
    if parts and parts[0].startswith(_CLAUSES["not shown"]):
        parts[0] = parts[0].replace("relation", "relation of likelihood and correctness", 1)
    none = [level for level in _LEVELS if all(getattr(row, form) == "not asked" for row in levels.at(level))]
    key = "summed" if form == "predicts" else "summed_at_length"
    asked = [
        f"{level_name(level, levels.at(level)[0].of)} ({levels.at(level)[0].reasons[key]})"
        for level in none
        if levels.at(level)
    ]
    if asked:
        whether = "" if parts else "whether likelihood predicts correctness "
        parts.append(f"it is not asked {whether}across {_listed(asked)}")
    return "; ".join(parts)


def _named(row: LevelRow, form: AtLength, numbers: bool) -> str:
    name = level_name(row.level, row.of)
    found = row.summed if form == "predicts" else row.summed_at_length
    if not numbers or found is None:
        return name
    if row.statistic == "auroc":
        return f"{name} (AUROC {found.estimate:.2f}{ends(found.low, found.high, '.2f')})"
    return f"{name} ({found.estimate:+z.1f} points{ends(found.low, found.high, '+z.1f')})"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
