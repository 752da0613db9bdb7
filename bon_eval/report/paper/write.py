"""The files of a run, or of a comparison, for a paper or slides: figures, the paragraph on methods, tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.report.formats.figures import drawing
from bon_eval.report.paper.arms import arms_table
from bon_eval.report.paper.changes import comparison_tables
from bon_eval.report.paper.compared import Compared, comparison_drawn
from bon_eval.report.paper.figures import Drawn, run_figures, write_figures
from bon_eval.report.paper.latex import Table, escape, render_table
from bon_eval.report.paper.media import Medium
from bon_eval.report.paper.methods import Meta, methods, of_run
from bon_eval.report.paper.methods_statistics import of_comparison, versions
from bon_eval.store.files import make_directory, write_text

_OURS = re.compile(r"(compare_)?\w[\w@.+-]*\.(pdf|svg|png|tex)|(compare_)?methods\.txt")


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a directory."""

    names: tuple[str, ...]
    older: tuple[str, ...]
    """Files there that an earlier call wrote, and this one did not."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for."""

    medium: Medium
    columns: str
    """Of the medium's widths."""
    latex: bool

    @property
    def width(self) -> float:
        """In inches."""
        return self.medium.widths[self.columns]


def write_run(meta: Meta, analysis: AnyAnalysis, directory: Path, wanted: Wanted) -> Written:
    """Write the files of a run into a directory, made where it is missing.

    Args:
        meta: the run's run.json.
        analysis: of its own report.
        directory: where they go.
        wanted: for what, how wide, with LaTeX or without.

    Raises:
        StoreError: a file cannot be written.
    """
    with drawing(**wanted.medium.settings):
        drawn = run_figures(analysis, wanted.medium, wanted.width)
        paragraphs = [methods(meta, analysis)]
        return _write(
            drawn, "methods", paragraphs, [arms_table(analysis, narrow=wanted.columns == "single")], directory, wanted
        )


def write_compared(shown: Compared, directory: Path, wanted: Wanted) -> Written:
    """Write the files of a comparison; arguments and errors as of `write_run`."""
    with drawing(**wanted.medium.settings):
        return _write(
            comparison_drawn(shown),
            "compare_methods",
            [list(sentences) for sentences in _paragraphs(shown)],
            list(comparison_tables(shown.found)),
            directory,
            wanted,
        )


def _paragraphs(shown: Compared) -> Iterator[Iterable[str]]:
    for name, run, analysis in zip(shown.names, shown.runs, shown.analyses, strict=True):
        first, *others = [*of_run(run.meta, analysis), versions(run.meta)]
        yield [f"{name}: {first}", *others]
    yield of_comparison(shown.found, shown.names)


def _write(
    drawn: Drawn,
    stem: str,
    paragraphs: Sequence[Sequence[str]],
    tables: Sequence[Table],
    directory: Path,
    wanted: Wanted,
) -> Written:
    make_directory(directory)
    prefix = "compare_" if stem.startswith("compare_") else ""
    written = write_figures(drawn, directory, wanted.medium, wanted.width)
    texts = {f"{stem}.txt": "\n\n".join(" ".join(map(_printable, sentences)) for sentences in paragraphs) + "\n"}
    if wanted.latex:
        # What compares runs has no room in one of two columns.
        wide = wanted.columns == "double" or bool(prefix)
        texts |= {f"{table.label}.tex": render_table(table, wide=wide) for table in tables}
        texts[f"{stem}.tex"] = "\n\n".join("\n".join(map(escape, sentences)) for sentences in paragraphs) + "\n"
    for name, text in texts.items():
        write_text(directory / name, text)
    names = (*written, *texts)
    return Written(names, tuple(_older(directory, names, prefix)))


def _older(directory: Path, written: Sequence[str], prefix: str) -> Iterator[str]:
    """What lies there and looks as if this command had written it before, of a run or of a comparison."""
    for name in sorted(path.name for path in directory.iterdir()):
        of_comparison = name.startswith("compare_") or name == "compare.tex"
        if name not in written and _OURS.fullmatch(name) and of_comparison == bool(prefix):
            yield name


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
