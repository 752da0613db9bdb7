"""Write the JSON schemas of report.json, compare.json (of two runs, of several) and trajectory.json from their rows.

`python scripts/write_schemas.py`, or `make schemas`; tests/report/test_schemas.py says when it is due.
"""

from __future__ import annotations

from pathlib import Path

from bon_eval.report.comparison.rows import DOCUMENT as COMPARISON
from bon_eval.report.comparison.several import DOCUMENT as SEVERAL
from bon_eval.report.formats.json_schema import schema_text
from bon_eval.report.imported.rows import DOCUMENT as IMPORTED
from bon_eval.report.run.rows import DOCUMENT as REPORT
from bon_eval.report.trajectory.rows import DOCUMENT as TRAJECTORY

ASSETS = Path(__file__).resolve().parent.parent / "bon_eval" / "assets"


def schema_texts() -> dict[str, str]:
    """File name in the package's assets -> content."""
    return {
        "report.schema.json": schema_text(REPORT, "bon-eval report"),
        "imported.schema.json": schema_text(IMPORTED, "bon-eval report of an imported run"),
        "compare.schema.json": schema_text(COMPARISON, "bon-eval comparison"),
        "compare_several.schema.json": schema_text(SEVERAL, "bon-eval comparison of several runs"),
        "trajectory.schema.json": schema_text(TRAJECTORY, "bon-eval trajectory"),
    }


if __name__ == "__main__":
    for name, text in schema_texts().items():
        (ASSETS / name).write_text(text, encoding="utf-8")
        print(f"wrote {ASSETS / name}")
