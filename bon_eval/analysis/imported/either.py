"""The analysis that a run can have: the full one, or of an imported run that lacks something as far as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.imported.absent import ESSENTIAL
from bon_eval.analysis.imported.analyse import analyse_imported
from bon_eval.analysis.imported.findings import ImportedAnalysis
from bon_eval.analysis.results import Analysis
from bon_eval.store.reader import Run

AnyAnalysis = Analysis | ImportedAnalysis


def is_whole(lacking: Mapping[str, str]) -> bool:
    """Whether a run has all that a full report needs.

    Args:
        lacking: as `bon_eval.store.imported.source.absent`.
    """
    return not any(name in lacking for name in ESSENTIAL)


def analyse_any(run: Run, **settings: Any) -> AnyAnalysis:
    """One analysis of a stored run; arguments and errors as of `bon_eval.analysis.analyse.analyse`."""
    if is_whole(run.pool.absent):
        return analyse(run, **settings, duplicates=run.duplicates)
    return analyse_imported(run, **settings)
