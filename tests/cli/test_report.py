"""The run's own report and others: only its own settings, or an explicit word, change what lies in a run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from example_run import FAST, RUN

from bon_eval.cli import main
from bon_eval.errors import StoreError
from bon_eval.report.stored.own import Asked, own_settings
from bon_eval.report.summary.rows import summarise

Check = Callable[..., None]
Command = Callable[..., subprocess.CompletedProcess[str]]


def report(run: Path, *options: str) -> Result:
    return CliRunner().invoke(main, ["report", str(run), "--no-html", *options])


def files(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}


def arms(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "report.json").read_text(encoding="utf-8"))["arms"])


def best(folder: Path) -> set[tuple[int, str]]:
    return {(row["n"], row["scorer"]) for row in arms(folder) if row["arm"] == "best-of-n"}


def test_the_runs_own_settings_make_its_report_again(copy: Path) -> None:
    # The run was given 500 draws; the command's default would be 10,000.
    before = (copy / "report.json").read_bytes()
    (copy / "report.csv").unlink()
    done = report(copy)
    assert f"written to {copy}: report.csv" in done.output
    assert (copy / "report.json").read_bytes() == before
    assert (copy / "report.csv").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ns", "1,3"], "--ns 1,3 (its own: 2,4,6)"),
        (["--scorer", "shortest"], "--scorer shortest (its own: log_likelihood,mean_log_likelihood,shortest,random)"),
        (["--draws", "200", "--margin", "5"], "--draws 200 (its own: 500); --margin 5 (its own: 2)"),
        (["--exclude-truncated"], "--exclude-truncated on (its own: off)"),
        (["--looks", "2", "--seed", "7"], "--seed 7 (its own: 0); --looks 2 (its own: 1)"),
        (["--vote", "borda"], "--vote borda (its own: none)"),
    ],
)
def test_other_settings_are_printed_and_change_no_file(copy: Path, options: list[str], said: str) -> None:
    before = files(copy)
    done = report(copy, *options)
    assert done.exit_code == 0, done.output
    assert "best-of-" in done.output
    assert done.output.splitlines()[-1].startswith("no file was written, since these settings are not the run's own: ")
    assert f": {said}. For files of them add --name NAME or --out DIR" in done.output
    assert files(copy) == before


def test_settings_that_say_the_same_in_other_words_are_the_runs_own(copy: Path) -> None:
    done = report(copy, "--ns", "6,2,4,2", "--vote", "majority", "--arms", "default", *FAST)
    assert "written to" in done.output


def test_a_named_report_lies_beside_the_runs_own(bon_eval_here: Command, copy: Path) -> None:
    before = files(copy)
    done = bon_eval_here("report", copy, "--ns", "3", "--scorer", "mean_log_likelihood", "--name", "third", *FAST)
    assert done.returncode == 0, done.stderr
    there = copy / "reports" / "third"
    assert f"written to {there}: report.csv" in done.stdout
    assert best(there) == {(3, "mean_log_likelihood")}
    assert {p.name for p in there.iterdir()} >= {"report.json", "report.html", "figures", "curves.csv"}
    assert "on arith: report third</h1>" in (there / "report.html").read_text(encoding="utf-8")
    assert {name: data for name, data in files(copy).items() if not name.startswith("reports")} == before
    # What was made under a name leaves the run's own settings as they were.
    assert report(copy).output.splitlines()[-1].startswith(f"written to {copy}: ")
    assert best(copy) >= {(2, "log_likelihood"), (6, "random")}


def test_a_report_in_a_directory_of_its_own(copy: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "paper"
    assert report(copy, "--ns", "2", "--out", str(out)).exit_code == 0
    assert {n for n, _ in best(out)} == {2}
    assert json.loads((out / "report.json").read_text())["run"]["report"] == "paper"
    # A report there may be made again, also with the run's own settings.
    assert report(copy, "--out", str(out), "--name", "second").exit_code == 0
    assert json.loads((out / "report.json").read_text())["run"]["report"] == "second"
    assert best(out) == best(copy)
    assert "report" not in json.loads((copy / "report.json").read_text())["run"]


def test_settings_become_the_runs_own_by_an_explicit_word(copy: Path) -> None:
    assert report(copy, "--ns", "3", "--looks", "2", "--own").exit_code == 0
    assert {n for n, _ in best(copy)} == {3}
    assert own_settings(copy, {})[0] == Asked(ns=(3,), draws=500, looks=2)
    assert "written to" in report(copy).output
    assert {n for n, _ in best(copy)} == {3}
    assert "--ns 2 (its own: 3)" in report(copy, "--ns", "2").output
    assert report(copy, "--exclude-truncated", "--own").exit_code == 0
    assert own_settings(copy, {})[0].exclude_truncated
    assert "--exclude-truncated off (its own: on)" in report(copy, "--include-truncated").output


def test_the_command_of_the_run_says_again_what_is_its_own(bon_eval_here: Command, copy: Path) -> None:
    done = bon_eval_here(*RUN, "--ns", "3", "--looks", "2", *FAST, "--no-html", "--quiet", "--out", copy)
    assert done.returncode == 0, done.stderr
    assert own_settings(copy, {})[0] == Asked(ns=(3,), draws=500, looks=2)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--name", "a/b"], ["'a/b' is no plain name"]),
        (["--name", ".."], ["'..' is no plain name"]),
        (["--name", ""], ["'' is no plain name"]),
        (["--own", "--name", "x"], ["--own", "drop it"]),
        (["--out", "RUN"], ["is a run's directory", "--own"]),
        (["--out", "FULL"], ["holds files that are no report"]),
        (["--out", "FULL/notes.txt"], ["cannot write"]),
    ],
)
def test_places_where_no_report_goes(
    one_line_error: Check, copy: Path, tmp_path: Path, options: list[str], parts: list[str]
) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "notes.txt").write_text("mine")
    before = files(tmp_path)
    given = [option.replace("RUN", str(copy)).replace("FULL", str(full)) for option in options]
    one_line_error(report(copy, *given), *parts)
    assert files(tmp_path) == before


def test_a_damaged_report_is_made_again_and_what_is_not_known_is_said(copy: Path) -> None:
    for damage, why in (
        ("{", "Expecting"),
        ('{"format_version": 4}', "format 4"),
        ("{}", "'format_version' is missing"),
    ):
        (copy / "report.json").write_text(damage, encoding="utf-8")
        asked, caution = own_settings(copy, {"seed": 3})
        assert asked == Asked(seed=3)
        assert caution is not None
        assert why in caution
    done = report(copy)
    assert "cannot tell the run's own settings" in done.stderr
    assert json.loads((copy / "report.json").read_text())["analysis"]["draws"] == 10_000


def test_a_summary_reads_the_runs_own_reports_alone(one_line_error: Check, copy: Path, tmp_path: Path) -> None:
    before = summarise([copy]).cells
    assert report(copy, "--ns", "2", "--name", "two").exit_code == 0
    assert report(copy, "--ns", "2").exit_code == 0
    assert summarise([copy]).cells == before
    done = CliRunner().invoke(main, ["summary", str(copy / "reports" / "two"), "--out", str(tmp_path / "s")])
    one_line_error(done, "is the report 'two' of a run", "give the run's directory")
    assert not (tmp_path / "s").exists()


def test_a_summary_at_a_stated_scorer_and_n(one_line_error: Check, copy: Path, tmp_path: Path) -> None:
    def told(*options: str) -> Result:
        return CliRunner().invoke(main, ["summary", str(copy), "--out", str(tmp_path / "s"), *options])

    rows = {(row["n"], row["scorer"]): row for row in arms(copy) if row["arm"] == "best-of-n"}
    for options, key, label in (
        ([], (6, "log_likelihood"), "best-of-6 by log-likelihood"),
        (["--n", "2"], (2, "log_likelihood"), "best-of-2 by log-likelihood"),
        (["--scorer", "shortest"], (6, "shortest"), "best-of-6 by shortest"),
    ):
        [cell] = summarise([copy], n=key[0], scorer=key[1]).cells
        assert cell.accuracy == rows[key]["accuracy"]
        assert cell.p_run == (rows[key]["p_joint"] if key[1] == "shortest" else rows[key]["p_holm"])
        done = told(*options)
        assert f"{label} {cell.accuracy:.3f}" in done.output
        assert f"n = {key[0]} by" in (tmp_path / "s" / "summary.html").read_text(encoding="utf-8")
    one_line_error(
        told("--scorer", "shortest", "--n", "4"),
        "has no best-of-4 by shortest",
        "log_likelihood at n = 2, 4, 6; mean_log_likelihood at n = 6",
        f"bon-eval report {copy} --scorer shortest --ns 4 --own",
    )
    with pytest.raises(StoreError, match="no best-of-3 by log_likelihood"):
        summarise([copy], n=3)
