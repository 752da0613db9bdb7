"""A table of texts as HTML for a notebook; every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape


def html_table(caption: str, rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row are headings and whose first column names the row.

    >>> html_table("<b>", [("arm", "x"), ("  a & b", "1")])[:72]
    '<table><caption style="text-align:left">&lt;b&gt;</caption><thead><tr><t'
    """
    head, *body = rows
    cells = "".join(f"<th>{escape(text)}</th>" for text in head)
    lines = "".join(
        f'<tr><th style="text-align:left;white-space:pre">{escape(name)}</th>'
        + "".join(f"<td>{escape(text.strip())}</td>" for text in texts)
        + "</tr>"
        for name, *texts in body
    )
    return (
        f'<table><caption style="text-align:left">{escape(caption)}</caption>'
        f"<thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>"
    )
