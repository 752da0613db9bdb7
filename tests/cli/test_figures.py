"""`bon-eval figures`: what it writes of a run and of a comparison, what it refuses, and that it says what is old."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main

Check = Callable[..., None]
HOSTILE = '_a$b_{50%} & <script>\\x,"`--[*]\n\N{CJK UNIFIED IDEOGRAPH-4E2D}'


def figures(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["figures", *map(str, arguments)])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def compared(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Two runs of one content under hostile names of models, and the directory of their comparison."""
    folder = tmp_path_factory.mktemp("compared")
    for name in ("first", "second"):
        shutil.copytree(finished, folder / name)
    path = folder / "second" / "run.json"
    meta = json.loads(path.read_text())
    meta["config"]["model"] = "org/" + HOSTILE
    path.write_text(json.dumps(meta))
    runs = folder / "first", folder / "second"
    command = [
        "compare",
        *map(str, runs),
        "--as",
        HOSTILE,
        "--draws",
        "500",
        "--out",
        str(folder / "both"),
        "--no-html",
    ]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return *runs, folder / "both"


def test_help_says_what_for_and_how_wide() -> None:
    text = " ".join(figures("--help").output.split())
    assert "--for [paper|slides]" in text
    assert "--columns [single|double]" in text
    assert "3.25 or 6.75 inches" in text
    assert "--latex" in text


def test_a_run_for_a_paper_has_the_numbers_of_its_report(copy: Path) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    done = figures(copy, "--latex", "--columns", "single")
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    folder = copy / "paper"
    assert done.stdout.startswith(f"written to {folder}: panels.pdf, panels.svg, ")
    assert {"panels.pdf", "lift.svg", "arms.tex", "methods.txt", "methods.tex"} <= names(folder)
    assert {path: path.read_bytes() for path in before} == before
    report = json.loads((copy / "report.json").read_text())
    table = (folder / "arms.tex").read_text()
    for arm in report["arms"]:
        assert f"${100 * arm['accuracy']:.1f}$ & $[{100 * arm['accuracy_low']:.1f}, " in table
        if arm["lift_points"] is not None:
            assert f"${arm['lift_points']:+z.1f}$" in table
    said = (folder / "methods.txt").read_text()
    assert f"{report['analysis']['problems']} problems" in said
    assert f"{report['analysis']['draws']:,} draws, seed {report['analysis']['seed']}." in said
    assert said.count("\n") == 1
    content = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert figures(copy, "--latex", "--columns", "single").exit_code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == content


def test_slides_have_pictures_and_no_columns(copy: Path, one_line_error: Check) -> None:
    done = figures(copy, "--for", "slides")
    assert done.exit_code == 0, done.output
    assert {"lift.png", "lift.pdf", "lift.svg", "methods.txt"} <= names(copy / "slides")
    assert "panels.pdf" not in names(copy / "slides")
    one_line_error(figures(copy, "--for", "slides", "--columns", "single"), "--columns single", "drop it")


def test_what_is_old_is_said_and_kept(copy: Path) -> None:
    assert figures(copy, "--latex").exit_code == 0
    (copy / "paper" / "draw_old.pdf").write_bytes(b"x")
    (copy / "paper" / "notes.md").write_text("mine")
    done = figures(copy)
    assert "perhaps of other numbers: arms.tex, draw_old.pdf, methods.tex in" in done.stderr
    assert {"arms.tex", "notes.md"} <= names(copy / "paper")


def test_a_report_that_states_other_numbers_is_said(copy: Path) -> None:
    path = copy / "report.json"
    report = json.loads(path.read_text())
    report["arms"][0]["accuracy"] += 0.125
    path.write_text(json.dumps(report))
    done = figures(copy)
    assert done.exit_code == 0
    assert f"note: {path} states other numbers than the run has now" in done.stderr


def test_a_comparison_with_hostile_names(compared: tuple[Path, Path, Path]) -> None:
    *_, both = compared
    done = figures(both, "--latex")
    assert done.exit_code == 0, done.output
    # Neither a warning of a font's nor a name in a file's name.
    assert done.stderr == ""
    found = names(both / "paper")
    assert {"compare_lift.pdf", "compare_solved.svg", "compare.tex", "compare_methods.txt"} <= found
    assert all(re.fullmatch(r"[a-z_]+\.(pdf|svg|tex|txt|html)", name) for name in found)
    svg = (both / "paper" / "compare_lift.svg").read_text()
    assert "<script" not in svg
    assert "_a$b_{50%}" in svg
    assert "[U+4E2D]" in svg
    for name in ("compare.tex", "compare_methods.tex"):
        text = (both / "paper" / name).read_text()
        assert text.isascii()
        assert r"\$b\_" in text
    stored = json.loads((both / "compare.json").read_text())
    table = (both / "paper" / "compare.tex").read_text()
    for change in stored["accuracies"]:
        assert f"${100 * change['before']:.1f}$" in table
    said = (both / "paper" / "compare_methods.txt").read_text()
    assert said.count("\n\n") == 2
    assert "Holm-adjusted over the accuracies." in said


def test_a_comparison_in_the_directory_of_a_run_is_named_by_its_file(
    compared: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    first, second, both = compared
    shutil.copy(both / "compare.json", second / "compare.json")
    done = figures(second, "--out", tmp_path / "run")
    assert f"there is a comparison, too: bon-eval figures {second / 'compare.json'}" in done.stdout
    assert "lift.pdf" in names(tmp_path / "run")
    done = figures(second / "compare.json", "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    assert {"lift.pdf", "compare_lift.pdf"} <= names(tmp_path / "run")
    # What is of the run is not taken for an older comparison's.
    assert done.stderr == ""
    assert first.is_dir()


def test_a_comparison_whose_runs_have_changed_or_gone_is_refused(
    compared: tuple[Path, Path, Path], tmp_path: Path, one_line_error: Check
) -> None:
    *_, both = compared
    stored: dict[str, Any] = json.loads((both / "compare.json").read_text())
    (tmp_path / "c").mkdir()
    path = tmp_path / "c" / "compare.json"
    changed = json.loads(json.dumps(stored))
    changed["accuracies"][0]["before"] += 0.5
    path.write_text(json.dumps(changed))
    one_line_error(figures(tmp_path / "c"), "states other accuracies than its runs have now")
    changed = stored | {"before": stored["before"] | {"path": "gone"}}
    path.write_text(json.dumps(changed))
    one_line_error(figures(tmp_path / "c"), "compares the run gone, which is not there")
    for text in ("{", "[]", '{"format": "other"}'):
        path.write_text(text)
        one_line_error(figures(tmp_path / "c"), str(path), "compar")
    assert names(tmp_path / "c") == {"compare.json"}


def test_what_is_no_run_and_what_cannot_be_written(copy: Path, tmp_path: Path, one_line_error: Check) -> None:
    one_line_error(figures(tmp_path), "is not a run directory")
    (tmp_path / "file").write_text("x")
    one_line_error(figures(copy, "--out", tmp_path / "file"), "cannot write", str(tmp_path / "file"))
    assert figures(copy, "--for", "poster").exit_code == 2


def test_a_closed_pipe_leaves_whole_files(
    bon_eval: Callable[..., subprocess.CompletedProcess[str]], copy: Path
) -> None:
    done = bon_eval("figures", copy, "--latex")
    assert done.returncode == 0, done.stderr
    assert not [name for name in names(copy / "paper") if name.startswith(".")]
