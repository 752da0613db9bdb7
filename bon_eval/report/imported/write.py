"""report.json, the CSV files, the page and the figures of an imported run that lacks something."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bon_eval.analysis.imported.findings import ImportedAnalysis
from bon_eval.report.formats.csv_json import document_text, to_csv
from bon_eval.report.imported.rows import ARM, AUROC, CURVE, document, problem_cells
from bon_eval.report.run.levels.rows import level_cells
from bon_eval.store.files import make_directory, replace_all


def write_imported_files(
    analysis: ImportedAnalysis, directory: Path, *, html: bool = True, name: str | None = None
) -> list[str]:
    """Write the report; the names of what was written.

    Args:
        analysis: of the run.
        directory: made where it is missing.
        html: also the page and the figures.
        name: of another report than the run's own, as of `bon_eval.report.run.write.write_files`.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older files are kept.
    """
    if name is not None:
        analysis = replace(analysis, run={**analysis.run, "report": name})
    make_directory(directory)
    names = list(write_imported(analysis, directory))
    if html:
        from bon_eval.report.formats.figures import save_figure
        from bon_eval.report.imported.figures import imported_figures
        from bon_eval.report.imported.page import write_imported_page

        drawn = tuple(imported_figures(analysis))
        names.append(write_imported_page(analysis, directory, drawn).name)
        make_directory(directory / "figures")
        for stem, figure in drawn:
            save_figure(figure, directory / "figures", stem)
        names.append("figures/")
    return names


def write_imported(analysis: ImportedAnalysis, directory: Path) -> dict[str, Path]:
    """Write report.json and the CSV files, all or none of them; file name -> path.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older files are kept.
    """
    texts = {
        "report.csv": to_csv(ARM.cells(row) for row in analysis.arms),
        "curves.csv": to_csv(CURVE.cells(point) for point in analysis.curves),
        "problems.csv": to_csv(map(problem_cells, analysis.problems)),
        "scorers.csv": to_csv(AUROC.cells(row) for row in analysis.aurocs),
        "levels.csv": to_csv(level_cells(row) for row in analysis.levels.rows),
        # Last: a report.json in place means that the tables beside it are of the same analysis.
        "report.json": document_text(document(analysis), "imported"),
    }
    replace_all({directory / name: text.encode() for name, text in texts.items()})
    return {name: directory / name for name in texts}
