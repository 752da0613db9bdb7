"""What the reports' tests share: the analysis of the run that tests/analysis/test_analyse.py works out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis
from bon_eval.store.reader import Run


@pytest.fixture
def run(make_hand_run: Callable[[], Run]) -> Run:
    """Three problems with a pool of four."""
    return make_hand_run()


@pytest.fixture
def analysis(run: Run) -> Analysis:
    return analyse(run)
