"""Fill the numbers of README and docs from committed results; with `--check` nothing is written.

A number stands between ``<!--=NAME-->`` and ``<!---->``, a block between the lines ``<!-- begin NAME -->`` and
``<!-- end NAME -->``. What each is made of stands below.
"""

from __future__ import annotations

import csv
import functools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_NUMBER = re.compile(r"(<!--=([\w. ,@+-]+)-->)(.*?)(<!---->)", re.DOTALL)
_BLOCK = re.compile(r"(<!-- begin ([\w-]+) -->\n)(.*?)(<!-- end \2 -->)", re.DOTALL)


@functools.cache
def report(name: str) -> Any:
    """A report.json of results/."""
    return json.loads((RESULTS / name / "report.json").read_text(encoding="utf-8"))


@functools.cache
def table(name: str) -> list[dict[str, str]]:
    """A CSV file of results/."""
    with (RESULTS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(name: str) -> str:
    """``FOLDER ARM FIELD``: of an arm of a report (``best-of-32``, ``greedy``), or of a training of the DPO study.

    Fields are ``accuracy``, ``interval``, ``lift`` and ``lift_interval`` (points). Of the study, ``dpo CONDITION STEP
    MEASURE`` is the mean over seeds on arith-mixed.

    Raises:
        KeyError: there is no such number.
    """
    first, *rest = name.split()
    if first == "dpo":
        *words, step, measure = rest
        return f"{_over_seeds(' '.join(words), int(step), measure):.3f}"
    folder = {"demo": "demo", "smollm2": "squeeze/smollm2/base"}[first]
    arm, field = rest
    row = _arm(folder, arm)
    if field == "accuracy":
        return f"{row['accuracy']:.3f}"
    if field == "interval":
        return f"[{row['accuracy_low']:.3f}, {row['accuracy_high']:.3f}]"
    low, high = row["lift_points_low"], row["lift_points_high"]
    return {"lift": f"{row['lift_points']:+.1f}", "lift_interval": f"[{low:+.1f}, {high:+.1f}]"}[field]


def _arm(folder: str, name: str) -> dict[str, Any]:
    content = report(folder)
    primary = content["analysis"]["primary_scorer"]
    for arm in content["arms"]:
        by = primary if arm["arm"] == "best-of-n" else None
        stem = arm["arm"].removesuffix("-of-n").removesuffix("-n")
        called = arm["arm"] if arm["arm"] in ("greedy", "sample") else f"{stem}-of-{arm['n']}"
        if called == name and arm["scorer"] == by:
            return dict(arm)
    raise KeyError(name)


def _over_seeds(condition: str, step: int, measure: str) -> float:
    found = [
        float(row[measure])
        for row in table("squeeze/trajectories.csv")
        if (row["model"], row["condition"], row["step"]) == ("arith-mixed", condition, str(step)) and row[measure]
    ]
    if not found:
        raise KeyError(f"{condition} {step} {measure}")
    return sum(found) / len(found)


def _benchmarks() -> str:
    rows = table("benchmarks.csv")
    lines = [f"| {row['what']} | {row['command']} | {row['result']} |" for row in rows]
    return "\n".join(["| what | how | result |", "| --- | --- | --- |", *lines]) + "\n"


def _demo() -> str:
    return f"```text\n{(RESULTS / 'demo' / 'output.txt').read_text(encoding='utf-8').rstrip()}\n```\n"


BLOCKS: dict[str, Callable[[], str]] = {"benchmarks": _benchmarks, "demo": _demo}


def filled(text: str) -> str:
    """A page with its numbers; a name that is not known is a KeyError."""
    text = _NUMBER.sub(lambda m: f"{m[1]}{number(m[2])}{m[4]}", text)
    return _BLOCK.sub(lambda m: f"{m[1]}{BLOCKS[m[2]]()}{m[4]}", text)


def main() -> None:
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        made = filled(text)
        if made != text:
            stale.append(str(page.relative_to(ROOT)))
            if "--check" not in sys.argv[1:]:
                page.write_text(made, encoding="utf-8")
    if "--check" in sys.argv[1:] and stale:
        sys.exit(f"{', '.join(stale)}: numbers are not those of results/; run: python scripts/fill_docs.py")
    print(f"{len(PAGES)} pages, {len(stale)} filled" if stale else f"{len(PAGES)} pages hold what results/ hold")


if __name__ == "__main__":
    main()
