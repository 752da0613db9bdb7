"""What the pages share: templates in which everything is escaped but what this module marks safe.

Safe are figures that were drawn here, the package's own script and style, and JSON that `browser` made inert. Every
other value of a page, model output above all, is text to its template.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from bon_eval.analysis.settings import half_of
from bon_eval.errors import counted
from bon_eval.report.formats.figures import inline_svg, scorer_label
from bon_eval.report.formats.text import sampled_with
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Panel:
    """A figure within a page."""

    svg: Markup
    label: str
    """Said in place of the figure."""
    caption: str = ""


def panel(figure: Figure, stem: str, label: str, caption: str = "") -> Panel:
    """A figure that was drawn here; `stem` makes its ids its own within the page."""
    return Panel(Markup(inline_svg(figure, stem)), label, caption)


def render(template: str, values: dict[str, Any], *, folder: Path | None = None) -> str:
    """A whole page without a script; `folder` holds templates besides the package's."""
    return "".join(render_pieces(template, values, None, folder=folder))


def render_pieces(
    template: str, values: dict[str, Any], data: Iterable[str] | None, *, folder: Path | None = None
) -> Iterator[str]:
    """A whole page in pieces; `data` is JSON from `browser.pieces` for the page's script, and is never held as one."""
    inert = None if data is None else map(Markup, data)
    for piece in _environment(folder).get_template(template).generate(values, data=inert):
        yield piece.encode("utf-8", "replace").decode("utf-8")


@functools.cache
def _environment(folder: Path | None) -> Environment:
    package = PackageLoader("bon_eval.report")
    loader: BaseLoader = package if folder is None else ChoiceLoader([package, FileSystemLoader(folder)])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals |= {"asset": _asset, "least_problems": LEAST_PROBLEMS}
    environment.filters |= {
        "counted": counted,
        "half": half_of,
        "fixed": lambda value, digits: f"{value:.{digits}f}",
        "p": lambda value: "<0.001" if value < 0.001 else f"{value:.3f}",
        "general": lambda value: f"{value:g}",
        "plain_json": lambda value: json.dumps(value, ensure_ascii=False),
        "scorer_label": scorer_label,
        "sampled_with": sampled_with,
        "sha256": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
        "signed": lambda value, digits: f"{value:+.{digits}f}",
        "thousands": lambda value: f"{value:,}",
    }
    return environment


def _asset(name: str) -> Markup:
    return Markup(resources.files("bon_eval").joinpath("assets", name).read_text(encoding="utf-8"))
