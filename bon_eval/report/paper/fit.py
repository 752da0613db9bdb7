"""A figure of the report made to fit another size: without titles, with legends and labels that have room."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

_ROOM = 0.98
"""Share of its room that a text may take: fonts are measured a little differently in each kind of file."""
_MANY = 6
"""Entries from which a legend is made as wide as there is room."""
_ROWS = 3
"""Of a legend, for which the figure's height has room."""
_WORDS = 0.3
"""Share of the figure's width for what stands beside the rows of an axis; beyond it is broken into lines."""
_LINE = 14
"""Of so many characters."""
_ROW = 1.4
"""Height of one, in font sizes."""
_DIGITS = 6
"""Of where axes stand, in shares of the figure: the solver of layouts differs from call to call behind them."""


def without_titles(figure: Figure) -> None:
    """Take the titles away: what a paper's figure shows, its caption says."""
    for part in _parts(figure):
        if part.get_suptitle():
            part.suptitle("")
    for ax in figure.axes:
        for place in ("left", "center", "right"):
            ax.set_title("", loc=place)


def fit(figure: Figure, points: float) -> None:
    """Give legends and axis labels the room that they need.

    A legend wider than its figure gets fewer columns, one of many entries more where they fit, and the figure grows by
    the rows that are too many; a label longer than its axis is broken before its unit, or where it must be. A layout
    depends on labels and legends, so that they are looked at twice; then it stays.

    Args:
        figure: of the width that it is to have.
        points: font size of its legends.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    for part in _parts(figure):
        for legend in list(part.legends):
            rows = _fit_legend(part, legend, _ROOM * part.bbox.width, renderer)
            figure.set_figheight(figure.get_figheight() + max(0, rows - _ROWS) * _ROW * points / 72.0)
    for _ in range(2):
        figure.draw_without_rendering()
        for ax in figure.axes:
            _fit_labels(ax, renderer)
            _fit_words(ax, _WORDS * figure.bbox.width, renderer)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for part in list(_parts(figure))[1:]:
        part.bbox_relative.set_points(part.bbox_relative.get_points().round(_DIGITS))
    for ax in figure.axes:
        left, bottom, width, height = (round(value, _DIGITS) for value in ax.get_position().bounds)
        ax.set_position((left, bottom, width, height))


def _parts(figure: Any) -> Iterator[Any]:
    """The figure and those within it."""
    yield figure
    for part in figure.subfigs:
        yield from _parts(part)


def _fit_legend(part: Any, legend: Legend, room: float, renderer: Any) -> int:
    """Put one of other columns in its place where that fits better; returns the rows of the one that stands."""
    entries = [text.get_text() for text in legend.get_texts()]
    known = {label: handle for ax in part.axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    columns = max(1, int(legend._ncols))  # type: ignore[attr-defined]
    tried = [2 * columns] if len(entries) >= _MANY else []
    for count in (*tried, *range(columns, 0, -1)):
        legend.remove()
        legend = part.legend(
            [known[label] for label in entries],
            entries,
            loc="outside lower center",
            ncols=count,
            handlelength=legend.handlelength,
        )
        if legend.get_window_extent(renderer).width <= room:
            break
    return len(range(0, len(entries), count))


def _fit_words(ax: Axes, room: float, renderer: Any) -> None:
    """Break what stands beside the rows of an axis where it takes the room of the panel."""
    words = ax.get_yticklabels()
    if any(label.get_window_extent(renderer).width > room for label in words):
        texts = ["\n".join(textwrap.wrap(label.get_text(), _LINE)) for label in words]
        ax.set_yticks(ax.get_yticks(), texts)


def _fit_labels(ax: Axes, renderer: Any) -> None:
    box = ax.get_window_extent(renderer)
    for label, room, side in ((ax.xaxis.label, box.width, "width"), (ax.yaxis.label, box.height, "height")):
        text, length = label.get_text(), getattr(label.get_window_extent(renderer), side)
        if not text or length <= room:
            continue
        head, bracket, unit = text.partition(" (")
        if bracket and "\n" not in text:
            label.set_text(f"{head}\n({unit}")
        else:
            longest = max(map(len, text.splitlines()))
            label.set_text(textwrap.fill(text, max(8, int(_ROOM * longest * room / length))))
