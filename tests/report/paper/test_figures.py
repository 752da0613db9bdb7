"""Figures for a paper: their width, fonts and text, and that they are the same each time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bon_eval.analysis.results import Analysis
from bon_eval.report.paper.figures import WIDTHS, write_paper_figures


@pytest.mark.parametrize("columns", WIDTHS)
def test_files_have_the_width_real_text_embedded_fonts_and_no_date(
    analysis: Analysis, tmp_path: Path, columns: str
) -> None:
    first = write_paper_figures(analysis, tmp_path / "a", columns)
    again = write_paper_figures(analysis, tmp_path / "b", columns)
    assert first == again
    assert {"panels.pdf", "panels.svg", "lift.pdf", "accuracy.svg"} <= set(first)
    for name in first:
        content = (tmp_path / "a" / name).read_bytes()
        assert content == (tmp_path / "b" / name).read_bytes(), name
        if name.endswith(".pdf"):
            [box] = re.findall(rb"/MediaBox \[ 0 0 ([0-9.]+) ", content)
            assert float(box) == pytest.approx(72 * WIDTHS[columns])
            assert b"/FontFile2" in content
            assert b"/Subtype /Type3" not in content
            assert b"CreationDate" not in content
        else:
            text = content.decode()
            assert re.search(r"<text [^>]*>[^<]*accuracy|<text [^>]*>[^<]*lift|<text [^>]*>[^<]*nats", text), name
            assert "<dc:date>" not in text
            assert not re.search("Best-of-n minus greedy|Accuracy of best-of-n|Log-likelihood of correct", text), name
