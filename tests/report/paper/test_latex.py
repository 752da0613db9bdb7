"""LaTeX that compiles whatever a name holds: by a reader of the few words that it may use, and by pdflatex itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from pathlib import Path

import pytest

from bon_eval.report.paper import latex
from bon_eval.report.paper.latex import Table, escape, interval, number, render_table

_WORDS = sorted({*latex._SPECIAL.values(), *latex._LETTERS.values(), "\\ ", "{}"}, key=len, reverse=True)
_TOKEN = re.compile(
    "|".join(
        [
            r"\{\[\}U\+([0-9A-F]{4,6})\{\]\}",
            r"\\([`'^~=u.\"rHvdcb])\{([A-Za-z])\}",
            f"({'|'.join(map(re.escape, _WORDS))})",
            r"([^\\{}$&#%_~^<>|\"`\[\]*\n\x00-\x1f\x7f-\U0010ffff])",
        ]
    )
)
_BACK = {word: char for char, word in (latex._SPECIAL | latex._LETTERS).items()} | {"\\ ": " ", "{}": ""}
_MARKS = {sign: mark for mark, sign in latex._ACCENTS.items()}


def read(text: str) -> str:
    """What LaTeX shows of an escaped text; nothing else may stand in it."""
    out, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None, text[at : at + 20]
        point, sign, base, word, plain = found.groups()
        if point:
            out.append(chr(int(point, 16)))
        elif sign:
            out.append(unicodedata.normalize("NFC", base + _MARKS[sign]))
        else:
            out.append(_BACK[word] if word else plain)
        at = found.end()
    return "".join(out)


@pytest.mark.parametrize("first", [chr(k) for k in range(32, 127)])
def test_every_pair_of_signs_reads_back(first: str) -> None:
    for second in map(chr, range(32, 127)):
        text = f"x{first}{second}{first}y"
        assert read(escape(text)) == text
        # No two signs that LaTeX joins stand side by side.
        assert not re.search(r"--|''|,,|``", escape(text))


def test_every_character_reads_back() -> None:
    breaks = {0x2028, 0x2029}
    for k in ({*range(0xA1, 0x3000)} - breaks) | {0x4E2D, 0x1F600, 0xDC80, 0xFFFD}:
        # Some have two numbers and one shape: the micro sign is a mu.
        assert unicodedata.normalize("NFKC", read(escape(chr(k)))) == unicodedata.normalize("NFKC", chr(k)), hex(k)


def test_control_characters_and_breaks_end_no_line() -> None:
    assert escape("a\n\n% b\r\tc") == r"a \% b c"
    assert escape("\x00\x1b") == "{[}U+0000{]}{[}U+001B{]}"
    assert read(escape("  two  blanks ")) == "  two  blanks "


def test_rows_begin_with_nothing_that_belongs_to_the_row_before() -> None:
    table = Table("x", "c", (("a", 1), ("b", 2)), [[[escape(name), "1", "2"] for name in ("[x]", "*", "y")]])
    rows = render_table(table, wide=False).splitlines()
    assert not [row for row in rows if re.match(r"\s*[\[*]", row)]
    assert rows[0].startswith("%")
    assert "\\begin{table}[t]" in rows
    assert "table*" in render_table(table, wide=True)
    assert not re.search("siunitx|threeparttable|multirow|makecell", render_table(table, wide=True))


def test_numbers() -> None:
    assert number(float("nan"), ".1f") == number(None, ".1f") == "--"
    assert number(-0.04, "+z.1f") == "$+0.0$"
    assert interval(0.1, 0.25, ".1f", 100.0) == "$[10.0, 25.0]$"
    assert interval(float("-inf"), 1.0, ".0f") == r"$(-\infty, 1]$"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_pdflatex_takes_every_sign_in_a_table_and_in_a_paragraph(tmp_path: Path) -> None:
    signs = [chr(k) for k in (*range(32, 127), *range(0xA1, 0x180), *range(0x391, 0x3CA), 0x2013, 0x2026, 0x4E2D)]
    names = ["".join(signs[k : k + 12]) + sign for k, sign in enumerate(signs) if k % 12 == 0]
    names += [f"{a}{b}" for a in "[*-'`\",?!<>" for b in "[*-'`\",?!<>"]
    table = Table("x", escape(" ".join(names[:12])), (("name", 1), ("", 1)), [[[escape(n), "$1$"] for n in names[:40]]])
    (tmp_path / "table.tex").write_text(render_table(table, wide=True), encoding="utf-8")
    body = "\n\n".join(map(escape, names))
    document = (
        rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}\input{{table}}{body}\end{{document}}"
    )
    (tmp_path / "x.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "x.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
