"""What the figures share: colours, sizes, axes; saving as PNG and SVG, and SVG within a page."""

from __future__ import annotations

import io
import os
import re
import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from bon_eval.errors import Boundary, ConfigError
from bon_eval.store.files import write_atomic, write_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"
INK = "#010101"
"""Stands for the page's own text colour in `inline_svg`; nothing else uses it."""
GRID = "#808080"
_WIDTH, _HEIGHT = 5.4, 3.9
SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "bon-eval",
    "svg.fonttype": "path",
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a dollar sign in a name is no formula
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 10,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}

_DRAWN: WeakKeyDictionary[Figure, str] = WeakKeyDictionary()
_BACKGROUND = re.compile(r'(<g id="patch_1">.*?fill: )none', re.DOTALL)
"""The patch of the whole figure, which matplotlib writes first."""


def load_matplotlib() -> Any:
    """matplotlib, imported here alone; where figures are made in a process of ours.

    No figure needs a backend, and the one that a notebook names (MPLBACKEND) may be missing where the harness runs.

    Raises:
        ConfigError: it cannot be imported.
    """
    first = "matplotlib" not in sys.modules
    wanted = os.environ.pop("MPLBACKEND", None) if first else None
    try:
        with Boundary(ConfigError, "matplotlib cannot be imported", "mend it, or go without figures: --no-html"):
            import matplotlib
            import matplotlib.figure
            import matplotlib.ticker
    finally:
        if wanted is not None:
            os.environ["MPLBACKEND"] = wanted
    if wanted is not None:
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = wanted  # as the import would have done, for others in this process
    return matplotlib


def drawing(**more: Any) -> AbstractContextManager[None]:
    """matplotlib with the settings of our figures, and `more`; figures are made and saved within.

    Within another one what that one has holds on: whoever wants figures in another size need not draw them himself.

    Raises:
        ConfigError: it cannot be imported.
    """
    matplotlib = load_matplotlib()
    within = matplotlib.rcParams["svg.hashsalt"] == SETTINGS["svg.hashsalt"]
    settings: AbstractContextManager[None] = matplotlib.rc_context(more if within else {**SETTINGS, **more})
    return settings


def scorer_label(name: str) -> str:
    """A scorer, ``vote`` or ``oracle`` as the figures and tables print it.

    >>> scorer_label("mean_log_likelihood")
    'mean log-likelihood'
    """
    return name.replace("_", " ").replace("log likelihood", "log-likelihood").replace("logprob", "log-prob")


def save_figure(figure: Figure, directory: Path, name: str) -> list[Path]:
    """Write one figure as PNG (200 dots per inch, white) and SVG; raises `StoreError` where it cannot be written."""
    background = _BACKGROUND.sub(r"\g<1>#ffffff", _svg(figure), count=1)

    def save(temporary: Path) -> None:
        figure.savefig(temporary, format="png", facecolor="white", dpi=200)

    svg, png = directory / f"{name}.svg", directory / f"{name}.png"
    write_text(svg, background)
    with drawing():
        write_atomic(png, save)
    return [svg, png]


def inline_svg(figure: Figure, prefix: str) -> str:
    """The figure as an SVG element for a page: transparent, in the page's text colour, with ids of its own."""
    text = _svg(figure)
    svg = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace(INK, "currentColor")
    # Ids such as axes_1 are the same in every figure; within one page they must not be.
    for mark in (' id="', 'href="#', "url(#"):
        svg = svg.replace(mark, f"{mark}{prefix}-")
    return svg


def _svg(figure: Figure) -> str:
    """The figure as transparent SVG, drawn once: for the page and for the file."""
    if figure not in _DRAWN:
        out = io.StringIO()
        with drawing():
            figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
            _keep_layout(figure)
        _DRAWN[figure] = out.getvalue()
    return _DRAWN[figure]


def _keep_layout(figure: Figure) -> None:
    """After its first drawing: what was laid out stays, since to lay out costs more than to draw."""
    figure.set_layout_engine(None)


def new_figure(columns: int = 1, *, rows: int = 1, pyplot: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure of the page's width with axes side by side, row by row; use it within the settings.

    `pyplot`: one that pyplot knows, for a user's notebook.
    """
    from matplotlib.figure import Figure

    height = _HEIGHT if rows == 1 else 0.65 * rows * _HEIGHT
    make: Any = Figure
    if pyplot:
        import matplotlib.pyplot as plt

        make = plt.figure
    figure: Figure = make(figsize=(_WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes:
        ax.grid(visible=True, color=GRID, alpha=0.25, linewidth=0.6)
        ax.set_axisbelow(True)
    return figure, axes


def legend_below(figure: Figure, columns: int = 2, *, of: Axes | None = None, handles: float | None = 2.6) -> None:
    """The legend under the axes, filled by column: of all axes or of one; `handles` is the length of its lines."""
    shown = () if of is None else of.get_legend_handles_labels()
    figure.legend(*shown, loc="outside lower center", ncols=columns, handlelength=handles)


def n_axis(ax: Axes, largest: int) -> None:
    """The log axis of n from 1 to the largest."""
    ticks = [1 << k for k in range(largest.bit_length()) if 1 << k <= largest]
    if largest > 1.4 * ticks[-1]:
        ticks.append(largest)
    ax.set_xscale("log", base=2)
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.minorticks_off()
    ax.set_xlim(0.8, largest * 1.25)
    ax.set_xlabel("n (responses drawn per problem)")
