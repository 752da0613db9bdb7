"""Runs as files of other programs, one file for each format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from bon_eval.draws import GREEDY, SAMPLE
from bon_eval.errors import SourceError, counted, unknown_name
from bon_eval.exchange.pools import Exported
from bon_eval.exchange.writers.dataset_folder import write_dataset
from bon_eval.exchange.writers.every_eval_ever import write_every_eval_ever
from bon_eval.exchange.writers.lm_eval import write_lm_eval
from bon_eval.store import parts
from bon_eval.store.reader import stored_parts
from bon_eval.store.writer import read_meta

WRITERS: Mapping[str, Callable[[Path, Path], Exported]] = {
    "lm-eval": write_lm_eval,
    "every-eval-ever": write_every_eval_ever,
    "dataset": write_dataset,
}
"""(run, folder) -> what was written, by the format's name."""


def export_run(run: Path, name: str, out: Path) -> Exported:
    """Write a graded run in another program's format into a folder.

    Raises:
        SourceError: an unknown format, or `out` is there already; nothing is left behind then.
        StoreError: the run is damaged, unfinished or not graded.
    """
    if name not in WRITERS:
        raise SourceError(unknown_name("format", name, list(WRITERS)))
    found = WRITERS[name](run, out)
    return replace(found, left_out=(*found.left_out, *_not_exported(run, found.responses)))


def _not_exported(run: Path, responses: int) -> list[str]:
    """What of a run's responses no format writes: other draws, and what lies beyond the extent that is analysed."""
    meta = read_meta(run)
    held = Counter[str]()
    for table in parts.read_parts(stored_parts(run, meta), ["arm"]):
        held.update(table["arm"].to_pylist())
    beyond = held.pop(GREEDY, 0) + held.pop(SAMPLE, 0) - responses
    lines = [f"draw {name} ({counted(n, 'response')})" for name, n in sorted(held.items())]
    if beyond:
        n = meta["config"]["n"]
        lines.append(f"{counted(beyond, 'response')} beyond n = {n} and the problems that are analysed")
    return lines
