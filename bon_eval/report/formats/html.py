"""What the pages share: templates in which everything is escaped but what this module marks safe.

Safe are figures that were drawn here, the package's own script and style, and JSON that `browser` made inert. Every
other value of a page, model output above all, is text to its template.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import BaseLoader, ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined
from markupsafe import Markup

from bon_eval.report.formats.figures import inline_svg, scorer_label
from bon_eval.stats import Interval, PairedTest

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
    environment.globals["asset"] = _asset
    environment.filters |= {
        "fixed": lambda value, digits: f"{value:.{digits}f}",
        "general": lambda value: f"{value:g}",
        "plain_json": lambda value: json.dumps(value, ensure_ascii=False),
        "scorer_label": scorer_label,
        "sha256": lambda text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode(),
        "signed": lambda value, digits: f"{value:+.{digits}f}",
        "thousands": lambda value: f"{value:,}",
    }
    return environment


def _asset(name: str) -> Markup:
    return Markup(resources.files("bon_eval").joinpath("assets", name).read_text(encoding="utf-8"))


def document(title: str, body: str, *, style: str = "") -> str:
    """A whole page without a script, with the project's style and more."""
    return "".join(document_pieces(title, body, None, style=style))


def document_pieces(title: str, body: str, data: Iterable[str] | None, *, style: str = "") -> Iterator[str]:
    """A whole page; `data` is JSON from `browser.pieces` for the page's script."""
    script = _asset("report_page/page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"'sha256-{digest}'" if data is not None else "'none'"
    # Styles are inline in the figures; they can load nothing, since every source is closed.
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )
    text = f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{_asset("report_page/page.css")}{style}</style>
</head>
<body>
{body}
"""
    yield text.encode("utf-8", "replace").decode("utf-8")
    if data is not None:
        yield '<script type="application/json" id="data">'
        yield from data
        yield f"</script>\n<script>{script}</script>\n"
    yield "</body>\n</html>\n"


def browser_section(head: Mapping[str, Any], filters: Sequence[tuple[str, str]]) -> str:
    """The problem browser's controls, and what it leaves to the Parquet files."""
    options = "".join(f'<option value="{value}">{label}</option>' for value, label in filters)
    notes = []
    if head["rows"] != head["responses"]:
        notes.append(f"{head['rows']:,} of the {head['responses']:,} responses have a row here")
    if head["texts_left_out"]:
        notes.append(f"{head['texts_left_out']:,} of them without their text")
    if head["texts_cut"]:
        notes.append(f"{head['texts_cut']:,} texts are cut after {head['text_chars']:,} characters")
    note = f"{'; '.join(notes)}. The run’s Parquet files hold everything." if notes else ""
    return f"""<section id="browser">
<h2>Problems</h2>
<p class="soft">Open a problem to read its responses: greedy first, then the best-of-N pick, then by log-likelihood.
{note}</p>
<noscript><p class="warning">The problem browser needs the page’s own script.</p></noscript>
<div class="controls">
<label>show <select id="filter">{options}</select></label>
<label>id <input id="search" type="search" size="12"></label>
<button id="previous">previous</button><button id="next">next</button>
<span id="status" class="soft" role="status"></span>
</div>
<div id="problems"></div>
</section>"""


_NONE = "–"


_SIGNIFICANT = 0.05


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "", main: Sequence[int] = (), kind: str = ""
) -> str:
    """A table from cells that are HTML already; the first column holds row headings."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    lines = []
    for k, row in enumerate(rows):
        cells = f'<th scope="row">{row[0]}</th>' + "".join(f"<td>{c}</td>" for c in row[1:])
        lines.append(f'<tr class="main">{cells}</tr>' if k in main else f"<tr>{cells}</tr>")
    title = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    header = f"<thead><tr>{head}</tr></thead>" if heads else ""
    content = f'<div class="scroll"><table class="{kind}">{header}<tbody>{"".join(lines)}</tbody></table></div>'
    return f'<figure class="table">{title}{content}</figure>'


def interval(value: Interval | None, scale: float = 1.0, digits: int = 3) -> str:
    """``0.680 [0.613, 0.742]``; the limits in a softer colour."""
    if value is None:
        return _NONE
    low, high = (f"{scale * x:.{digits}f}" for x in (value.low, value.high))
    return f'{scale * value.estimate:.{digits}f} <span class="range">[{low}, {high}]</span>'


def difference(test: PairedTest | None, p_holm: float | None = None) -> str:
    """A paired difference in points with its interval; a star where Holm's p is below 5 %."""
    if test is None:
        return _NONE
    star = "*" if p_holm is not None and p_holm < _SIGNIFICANT else ""
    low, high = 100 * test.low, 100 * test.high
    return f'{100 * test.difference:+.1f}{star} <span class="range">[{low:+.1f}, {high:+.1f}]</span>'


def number(value: float | None, digits: int = 2, scale: float = 1.0) -> str:
    """A number, or a dash where there is none."""
    return _NONE if value is None else f"{scale * value:.{digits}f}"


def configuration(run: Mapping[str, object]) -> Iterator[str]:
    """Everything resolved, by section."""
    for title in ("config", "engine", "versions", "grader", "hashes"):
        values = run.get(title)
        if isinstance(values, Mapping):
            rows = [(escape(str(name)), f"<pre>{escape(_plain(value))}</pre>") for name, value in values.items()]
            yield f"<h3>{title}</h3>{table((), rows, kind='config')}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
