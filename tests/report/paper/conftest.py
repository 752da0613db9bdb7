"""An analysis of enough problems for every panel, and what reads LaTeX back."""

from __future__ import annotations

from typing import Any

import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis


@pytest.fixture(scope="session")
def made() -> Any:
    """Sixty problems with a pool of 16."""
    return MadeRun()


@pytest.fixture(scope="session")
def found(made: Any) -> Analysis:
    """Its analysis."""
    return analyse(made, draws=300)
