"""Whether a run's report.json still states what its analysis gives."""

from __future__ import annotations

import json
from pathlib import Path

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.analysis.results import Analysis
from bon_eval.report.imported.rows import ARM as IMPORTED_ARM
from bon_eval.report.run.rows import ARM


def outdated(directory: Path, analysis: AnyAnalysis) -> str | None:
    """A caution where the report in a run's directory has other arms than its analysis now; None where it has not, or
    where there is no report.

    Args:
        directory: of the run.
        analysis: with the run's own settings.
    """
    path = directory / "report.json"
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["arms"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whoever asked for the run's own settings was told
    if isinstance(analysis, Analysis):
        now = [ARM.json(row) for row in analysis.arms]
    else:
        now = [IMPORTED_ARM.json(row) for row in analysis.arms]
    if json.loads(json.dumps(now)) == stored:
        return None
    return (
        f"{path} states other numbers than the run has now, which go into these files; run: bon-eval report {directory}"
    )
