"""Where figures go: the sizes, the fonts and the kinds of file that a place takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BLACK = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "legend.labelcolor")


@dataclass(frozen=True, slots=True)
class Medium:
    """One of the `MEDIA`."""

    widths: Mapping[str, float]
    """Inches by what ``--columns`` calls them, the default last."""
    height: float
    """Of a figure with one row of panels, in inches."""
    font: float
    """Points of labels and ticks."""
    legend: float
    """Points of legends."""
    together: bool
    """Whether the panels of a run are drawn as one figure, too."""
    dots: int | None
    """Per inch of a PNG beside PDF and SVG; None: no PNG."""

    @property
    def settings(self) -> dict[str, Any]:
        """Of matplotlib: text stays text, in black and in these sizes."""
        return {
            "svg.fonttype": "none",
            "pdf.fonttype": 42,
            "font.size": self.font,
            "legend.fontsize": self.legend,
            "lines.markersize": 0.5 * self.font,
            **dict.fromkeys(_BLACK, "black"),
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """Endings of the files of one figure."""
        return ("pdf", "svg") if self.dots is None else ("pdf", "svg", "png")


MEDIA: Mapping[str, Medium] = {
    "paper": Medium({"single": 3.25, "double": 6.75}, 2.7, 8.0, 7.0, together=True, dots=None),
    # A quarter of the area of a slide's 13.3 inches, shown as large: 10 points are 20 there.
    "slides": Medium({"full": 6.66}, 3.75, 10.0, 9.0, together=False, dots=300),
}
"""By what ``--for`` calls them."""
