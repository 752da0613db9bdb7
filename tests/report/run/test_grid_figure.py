"""The figure of a grid: what is a grid, and that it shows the numbers of the table at their parameter."""

from __future__ import annotations

import numpy as np
import pytest
from made_run import MadeRun

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis
from bon_eval.draws import as_stored, parse_draws
from bon_eval.report.formats.figures import drawing
from bon_eval.report.run.grid_figure import grid_figure, grids

SPECS = parse_draws(
    [
        "hot=temperature:1.5,n:2",
        "heat=temperature:1/0.2/0.6,n:4",
        "cut=top_p:0.9/0.5,n:3",
        "both=top_k:3/5,min_p:0/0.1,n:2",
    ]
)


class GridRun(MadeRun):
    """With a draw and three grids more."""

    def __init__(self) -> None:
        super().__init__(problems=30, n=4)
        rng = np.random.default_rng(3)
        self.meta["config"] |= {"n": 4, "draws": [as_stored(spec) for spec in SPECS]}
        self.others = {spec.name: self._pool(rng, self.pool.problem_ids, spec.n) for spec in SPECS}
        self.other_duplicates = {spec.name: np.full(30, k / 20) for k, spec in enumerate(SPECS)}


@pytest.fixture(scope="module")
def found() -> Analysis:
    return analyse(GridRun(), draws=200)


def test_a_grid_that_is_given_in_two_texts_is_one(found: Analysis) -> None:
    hot, *others = found.draws
    heat = [draw for draw in others if draw.draw.startswith("heat")]
    cut = [draw for draw in others if draw.draw.startswith("cut")]
    apart = grids([heat[0], *cut, hot, *heat[1:]])
    assert [(grid.name, len(grid.draws)) for grid in apart] == [("heat", 3), ("cut", 2)]


def test_a_grid_varies_in_one_parameter(found: Analysis) -> None:
    heat, cut = grids(found.draws)
    assert (heat.name, heat.parameter, [d.draw for d in heat.draws]) == (
        "heat",
        "temperature",
        ["heat@0.2", "heat@0.6", "heat@1"],
    )
    assert (cut.name, cut.parameter, [d.top_p for d in cut.draws]) == ("cut", "top_p", [0.5, 0.9])


def test_it_shows_the_numbers_of_the_table(found: Analysis) -> None:
    heat = grids(found.draws)[0]
    with drawing():
        figure = grid_figure(heat, found.settings.primary_scorer)
    accuracy, likelihood, entropy, duplicates = figure.axes
    shown = [list(bars.lines[0].get_ydata()) for bars in accuracy.containers]
    for kind, values in zip(("mean", "best-of-n", "vote"), shown, strict=True):
        expected = [
            next(
                arm.accuracy.estimate
                for arm in draw.arms
                if arm.arm == kind and arm.n in (1, 4)[kind != "mean" :] and arm.scorer in (None, "log_likelihood")
            )
            for draw in heat.draws
        ]
        assert values == pytest.approx([100 * value for value in expected])
    means = [draw.arms[0].log_likelihood for draw in heat.draws]
    assert list(likelihood.containers[0].lines[0].get_ydata()) == [m.estimate for m in means if m is not None]
    assert list(entropy.lines[0].get_xdata()) == [0.2, 0.6, 1.0]
    assert list(entropy.lines[0].get_ydata()) == [draw.answer_entropy for draw in heat.draws]
    assert list(duplicates.lines[0].get_ydata()) == [100 * (draw.duplicate_share or 0.0) for draw in heat.draws]
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert labels == ["one response", "best-of-4", "vote-of-4"]
