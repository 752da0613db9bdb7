"""report.json and the CSV files of its tables in a run's directory: all of them or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bon_eval.analysis.results import Analysis
from bon_eval.report.formats.csv_json import document_text, to_csv
from bon_eval.report.run.draw_rows import DRAW_PAIR, draw_cells, draw_problem_cells
from bon_eval.report.run.explain_rows import COMPUTE, REWEIGHTED, SCORER, STOPPING, length_cells
from bon_eval.report.run.levels.rows import level_cells
from bon_eval.report.run.rows import ARM, CURVE, PAIR, document, problem_cells
from bon_eval.store.files import make_directory, replace_all
from bon_eval.store.reader import Run

_OF_DRAWS = frozenset({"draws.csv", "draw_pairs.csv", "draw_curves.csv", "draw_problems.csv"})
"""The tables that only a run with draws has."""


def write_files(
    run: Run, analysis: Analysis, directory: Path, *, html: bool = True, texts: bool = True, name: str | None = None
) -> list[str]:
    """Write a report: its tables, and with `html` the page and the figures.

    Args:
        run: the stored run.
        analysis: of that run.
        directory: made where it is missing.
        html: also the page and the figures.
        texts: as of `bon_eval.report.run.page.write_page`.
        name: of another report than the run's own; report.json states it, so that no summary takes it for that.

    Returns:
        The names of what was written.

    Raises:
        StoreError: a file cannot be written.
    """
    if name is not None:
        analysis = replace(analysis, run={**analysis.run, "report": name})
        make_directory(directory)
    names = list(write_report(analysis, directory))
    if html:
        from bon_eval.report.run.figures import figures, write_figures
        from bon_eval.report.run.page import write_page

        drawn = tuple(figures(analysis))
        names.append(write_page(run, analysis, directory, texts=texts, drawn=drawn).name)
        write_figures(analysis, directory / "figures", drawn)
        names.append("figures/")
    return names


def write_report(analysis: Analysis, directory: Path) -> dict[str, Path]:
    """Write the files; each replaces its predecessor in one step, after all of them are safely on disk.

    Args:
        analysis: what `bon_eval.analysis.analyse.analyse` returned.
        directory: an existing directory, usually that of the run.

    Returns:
        File name -> path.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older files are kept.
    """
    content = document_text(document(analysis), "report")
    texts = {
        "report.csv": to_csv(ARM.cells(row) for row in analysis.arms),
        "curves.csv": to_csv(CURVE.cells(point) for point in analysis.curves),
        "problems.csv": to_csv(problem_cells(row) for row in analysis.problems),
        "scorers.csv": to_csv(SCORER.cells(row) for row in analysis.explanation.scorers),
        "pairs.csv": to_csv(PAIR.cells(pair) for pair in analysis.pairs),
        "sharpening.csv": to_csv(REWEIGHTED.cells(point) for point in analysis.replayed.reweighted),
        "adaptive.csv": to_csv(STOPPING.cells(row) for row in analysis.replayed.stopping),
        "compute.csv": to_csv(COMPUTE.cells(row) for row in analysis.compute),
        "lengths.csv": to_csv(length_cells(row) for row in analysis.explanation.lengths),
        "levels.csv": to_csv(level_cells(row) for row in analysis.levels.rows),
        # Last: a report.json in place means that the tables beside it are of the same analysis.
        "report.json": content,
    }
    if analysis.draws:
        # Before report.json, which comes last.
        texts = {
            "draws.csv": to_csv(cells for facts in analysis.draws for cells in draw_cells(facts)),
            "draw_pairs.csv": to_csv(DRAW_PAIR.cells(pair) for pair in analysis.draw_pairs),
            "draw_curves.csv": to_csv(
                {"draw": draw, **CURVE.cells(point)}
                for draw, points in analysis.draw_curves.items()
                for point in points
            ),
            "draw_problems.csv": to_csv(
                draw_problem_cells([row.problem_id for row in analysis.problems], analysis.draw_problems)
            ),
        } | texts
    replace_all({directory / name: text.encode() for name, text in texts.items()})
    for name in _OF_DRAWS - texts.keys():
        (directory / name).unlink(missing_ok=True)  # of an earlier report, of an extent with draws
    return {name: directory / name for name in texts}
