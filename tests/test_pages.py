"""The site of the docs and the numbers in them: links within the repository, columns, results that pages must hold."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from bon_eval.cli import main

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import fill_docs  # noqa: E402
from pages import columns, hooks  # noqa: E402


def test_pages_hold_the_committed_results() -> None:
    for page in fill_docs.PAGES:
        text = page.read_text(encoding="utf-8")
        assert fill_docs.filled(text) == text, page
        assert text.count("<!--=") == text.count("<!---->"), page
        assert not re.search(r"^<!--=", text, re.MULTILINE), f"{page}: Markdown ends the paragraph there"


def test_numbers_are_those_of_the_results() -> None:
    with (ROOT / "results" / "demo" / "report.csv").open(encoding="utf-8", newline="") as file:
        arms = {(row["arm"], row["n"], row["scorer"]): row for row in csv.DictReader(file)}
    best = arms["best-of-n", "32", "log_likelihood"]
    assert fill_docs.number("demo best-of-32 accuracy") == f"{float(best['accuracy']):.3f}"
    assert fill_docs.number("demo best-of-32 lift") == f"{float(best['lift_points']):+.1f}"
    assert fill_docs.number("demo vote-of-32 accuracy") == f"{float(arms['vote', '32', '']['accuracy']):.3f}"
    stale = "in <!--=demo greedy accuracy-->0.9<!----> of"
    assert (
        fill_docs.filled(stale)
        == f"in <!--=demo greedy accuracy-->{float(arms['greedy', '1', '']['accuracy']):.3f}<!----> of"
    )


@pytest.mark.parametrize(
    "name", ["demo best-of-33 accuracy", "dpo on-policy 21 accuracy.greedy", "nowhere greedy lift"]
)
def test_a_number_that_no_result_holds_is_an_error(name: str) -> None:
    with pytest.raises(KeyError):
        fill_docs.number(name)
    with pytest.raises(KeyError):
        fill_docs.filled(f"<!--={name}-->1<!---->")


def test_a_stale_page_fails_the_check(tmp_path: Path) -> None:
    script = (ROOT / "scripts" / "fill_docs.py").read_text(encoding="utf-8")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "fill_docs.py").write_text(script, encoding="utf-8")
    (tmp_path / "results").symlink_to(ROOT / "results")
    page = tmp_path / "README.md"
    page.write_text("<!--=demo greedy accuracy-->0.9<!---->", encoding="utf-8")
    command = [sys.executable, str(tmp_path / "scripts" / "fill_docs.py")]
    done = subprocess.run([*command, "--check"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "README.md: numbers are not those of results/" in done.stderr
    assert "0.9" in page.read_text(encoding="utf-8")
    assert subprocess.run(command).returncode == 0
    assert subprocess.run([*command, "--check"]).returncode == 0


def test_links_become_those_of_the_site() -> None:
    class Page:
        class file:  # noqa: N801 (as mkdocs has it)
            src_uri = "index.md"

    text = "[a](docs/arms.md#x) [b](results/README.md) `[c](docs/arms.md)` [d](https://e.org/arms.md) [e](docs/no.md)"
    assert hooks.on_page_markdown(text, Page) == (
        "[a](arms.md#x) [b](repository/results/README.md) `[c](docs/arms.md)` [d](https://e.org/arms.md) "
        "[e](docs/no.md)"
    )
    Page.file.src_uri = "reference/cli.md"
    assert hooks.on_page_markdown("[a](../arms.md)", Page) == "[a](../arms.md)"
    Page.file.src_uri = "repository/results/README.md"
    assert hooks.on_page_markdown("[a](../docs/arms.md)", Page) == "[a](../../arms.md)"


@pytest.mark.slow
def test_a_dead_link_fails_the_build(tmp_path: Path) -> None:
    config = yaml.unsafe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# A\n\n[b](none.md)\n", encoding="utf-8")
    small = {"site_name": "x", "theme": "material", "validation": config["validation"], "nav": ["index.md"]}
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(small), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert "none.md" in done.stderr


def test_every_column_of_the_demos_tables_has_its_line() -> None:
    page = columns.columns_page()
    parts = dict(zip(*[iter(re.split(r"^## `?([\w.]+\.csv)`?.*$", page, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert len(parts) >= 10
    for name, part in parts.items():
        path = ROOT / "results" / "demo" / name
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as file:
                header = next(csv.reader(file))
            assert [column for column in header if f"`{column}`" not in part] == [], name


def test_the_citation_names_this_version() -> None:
    from bon_eval import __version__

    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cited["version"] == __version__
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license"} <= cited.keys()


def test_the_readme_is_a_screen_and_a_half() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(re.sub(r"```.*?```|<!--.*?-->", "", text, flags=re.DOTALL).split()) < 1000


def commands() -> list[tuple[str, str]]:
    """Page and command of every line of code that calls the command line."""
    found = []
    for page in fill_docs.PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"^(?: {4,}|\$ )(bon-eval .*)$", text, re.MULTILINE):
            for part in re.split(r" && | \| ", re.sub(r" +# .*", "", line)):
                if part.startswith("bon-eval "):
                    found.append((page.name, part))
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_of_a_page_is_one(page: str, line: str) -> None:
    """Commands and options exist; values are the page's own affair."""
    words = shlex.split(line.removesuffix(" ...").replace(" ... ", " "))[1:]
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"{page}: there is no {words[0]}"
        command = command.commands[words.pop(0)]
    with click.Context(command, info_name="bon-eval") as context:
        command.make_parser(context).parse_args(words)
