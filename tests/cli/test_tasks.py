"""`bon-eval tasks`: list, show and check."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from bon_eval.cli import main
from bon_eval.store.prompts import load_prompts

Check = Callable[..., None]
ROOT = Path(__file__).resolve().parents[2]


def test_tasks_list_show_check(one_line_error: Check) -> None:
    listed = CliRunner().invoke(main, ["tasks", "list"])
    assert listed.exit_code == 0
    names = [line.split()[0] for line in listed.output.splitlines()]
    assert names == [*sorted(path.stem for path in (ROOT / "tasks").glob("*.yaml")), "sharpening"]
    shown = CliRunner().invoke(main, ["tasks", "show", "arith", "--model", "arith-mixed"])
    assert shown.exit_code == 0
    assert "token ids" in shown.output
    one_line_error(CliRunner().invoke(main, ["tasks", "show", "sharpening", "--model", "arith-mixed"]), "is a group")
    checked = CliRunner().invoke(main, ["tasks", "check", "arith"])
    assert checked.exit_code == 0
    assert checked.output == (
        "arith: 500 problems; 1000 of 1000 right answers graded correct; 1000 of 1000 near misses graded wrong\n"
    )


def test_the_shown_token_ids_are_those_that_a_run_sends(finished: Path) -> None:
    shown = CliRunner().invoke(main, ["tasks", "show", "arith", "--model", "arith-mixed"])
    ids, _, ends = shown.output.rpartition("--- token ids\n")[2].partition("\n--- what ends a response\n")
    assert [int(token) for token in ids.split()] == list(load_prompts(finished)["0"])
    assert ends == "token 0 '<|end|>' (tokenizer, config.json, generation_config.json)\n"
