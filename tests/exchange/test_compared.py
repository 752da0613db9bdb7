"""Imported runs beside others: by accuracy alone as far as both go, and what is not there is said."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.records import Problem
from bon_eval.store.reader import iter_responses

Row = dict[str, Any]
Write = Callable[..., Path]
Bring = Callable[..., Result]
FORCED = ("--as-own", "--engine", "transformers", "--dtype", "float32", "--quiet")


def compare(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments), "--draws", "800"])


def words(result: Result) -> str:
    return " ".join(result.output.split())


def content(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def three(rows: list[Row], full_rows: list[Row], write: Write, bring: Bring, tmp_path: Path) -> list[Path]:
    """Texts alone; with log-likelihoods, without greedy responses, lengths and finish reasons; with all of them."""
    kept = ("id", "text", "log_likelihood")
    likely = [{name: row[name] for name in kept} for row in full_rows if row["arm"] == "sample"]
    for name, source in (("bare", rows), ("likely", likely), ("full", full_rows)):
        done = bring(write(source, f"{name}.jsonl"), "--model", f"org/{name}", out=tmp_path / name)
        assert done.exit_code == 0, done.output
    return [tmp_path / name for name in ("bare", "likely", "full")]


def test_two_imported_runs_are_compared_by_accuracy(three: list[Path], tmp_path: Path) -> None:
    bare, likely, _ = three
    done = compare(bare, likely, "--out", tmp_path / "c")
    assert done.exit_code == 0, done.output
    found = content(tmp_path / "c")
    assert found["names"] == ["bare", "likely"]
    names = {row["name"]: row for row in found["accuracies"]}
    assert set(names) == {"accuracy.sample", "accuracy.vote", "accuracy.oracle"}
    assert names["accuracy.sample"]["before"] == names["accuracy.sample"]["after"] == 0.25
    # Of unknown truncation no share is given, and no length of texts alone.
    assert [row["name"] for row in found["quantities"]] == ["distinct_answers", "duplicates"]
    reasons = found["null_reasons"]
    assert reasons["greedy"] == "there are no greedy responses with bare, with likely"
    assert reasons["own likelihood"] == "there are no log-likelihoods with bare"
    assert reasons["lengths"] == "there are no numbers of tokens with bare, with likely"
    assert reasons["truncated"] == "which responses were cut is not known with bare, with likely"
    commands = [f"bon-eval score {run} --by MODEL --as-own" for run in (bare, likely)]
    assert reasons["divergences"].endswith(f"a model's own first: {' and '.join(commands)}")
    assert "differ in prompts: their tokens are not told of both runs" in words(done)
    page = (tmp_path / "c" / "compare.html").read_text(encoding="utf-8")
    assert "The browser of responses is of runs that all have greedy responses" in page
    assert "Best-of-n minus greedy" not in page
    assert (tmp_path / "c" / "compare_curves.csv").is_file()


def test_three_runs_and_what_each_lacks(three: list[Path], tmp_path: Path) -> None:
    done = compare(*three, "--out", tmp_path / "c")
    assert done.exit_code == 0, done.output
    found = content(tmp_path / "c")
    assert {row["name"] for row in found["pairs"]} == {"accuracy.sample", "accuracy.vote", "accuracy.oracle"}
    assert found["reasons"]["own likelihood"] == "there are no log-likelihoods with bare"
    assert found["reasons"]["truncated"] == "which responses were cut is not known with bare, with likely"
    assert (tmp_path / "c" / "compare.html").stat().st_size > 10_000


def test_log_likelihoods_without_lengths_give_best_of_n(three: list[Path], tmp_path: Path) -> None:
    done = compare(*three[1:], "--out", tmp_path / "c", "--no-html")
    assert done.exit_code == 0, done.output
    found = content(tmp_path / "c")
    # The first of each four is right and the likeliest.
    best = next(row for row in found["accuracies"] if row["name"] == "accuracy.best_own")
    assert best["before"] == best["after"] == 1.0
    quantities = {row["name"] for row in found["quantities"]}
    assert {"log_likelihood_self.sample", "log_likelihood_self.best"} <= quantities
    assert not {"tokens.sample", "entropy_per_token", "truncated"} & quantities
    assert "own likelihood" not in found["null_reasons"]


def test_a_story_needs_tokens_and_an_imported_run_tells_no_engine(three: list[Path], tmp_path: Path) -> None:
    bare, likely, _ = three
    refused = compare(bare, likely, "--as", "before,after", "--out", tmp_path / "c")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: --as before,after without --allow-different prompts needs prompts and")
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "c").exists()
    done = compare(bare, likely, "--as", "before,after", "--allow-different", "prompts", "--out", tmp_path / "c")
    assert done.exit_code == 0, done.output
    assert "One tuned sample" in done.output


def test_an_imported_run_beside_a_sampled_one(sampled_float32: Path, three: list[Path], tmp_path: Path) -> None:
    done = compare(sampled_float32, three[0], "--out", tmp_path / "c", "--no-html")
    assert done.exit_code == 0, done.output
    differing = content(tmp_path / "c")["differences"]
    assert differing["temperature"] == "1.0 with arith-mixed and unknown with bare"
    assert differing["max_tokens"] == "128 with arith-mixed and unknown with bare"
    assert differing["stop_token_ids"] == "[0] with arith-mixed and unknown with bare"
    assert differing["engine"] == "transformers with arith-mixed, imported with bare"


def test_texts_that_two_models_took_as_their_own_are_compared_by_likelihoods(
    sampled_float32: Path, write: Write, bring: Bring, problems: Sequence[Problem], tmp_path: Path
) -> None:
    sources: dict[str, list[Row]] = {"a": [], "b": []}
    for response in iter_responses(sampled_float32):
        if response.arm == "sample":
            name = "a" if response.index < 3 else "b"
            sources[name].append({"id": response.problem_id, "text": response.text})
    a, b = (tmp_path / name for name in sources)
    for (name, source), model in zip(sources.items(), ("arith-mixed", "arith-worked"), strict=True):
        run = tmp_path / name
        assert bring(write(source, f"{name}.jsonl"), out=run).exit_code == 0
        done = CliRunner().invoke(main, ["score", str(run), "--by", model, *FORCED])
        assert done.exit_code == 0, done.output
    config = json.loads((a / "run.json").read_text())["config"]
    assert config["max_tokens"] is None, "the longest response is no limit that anything was sampled with"
    owed = compare(a, b, "--out", tmp_path / "c", "--no-html")
    assert f"bon-eval score {a} --by {b}" in owed.output
    for run, by in ((a, b), (b, a)):
        done = CliRunner().invoke(main, ["score", str(run), "--by", str(by), "--quiet"])
        assert done.exit_code == 0, done.output
    done = compare(a, b, "--out", tmp_path / "c")
    assert done.exit_code == 0, done.output
    found = content(tmp_path / "c")
    quantities = {row["name"] for row in found["quantities"]}
    assert {"log_likelihood_base.sample", "log_likelihood_base.best", "log_likelihood_best"} <= quantities
    assert not {name for name in quantities if name.endswith(".greedy")}
    assert found["likelihoods"] == {"before": "forced", "after": "forced"}
    assert found["null_reasons"]["divergences"] == "the temperature of the pools is not known"
    assert len(found["added"]["ranks"]) == 2
    beside = compare(sampled_float32, a, "--out", tmp_path / "d", "--no-html")
    assert beside.exit_code == 0, beside.output
    assert "differ in max_tokens: 128 with arith-mixed (run) and unknown with arith-mixed (a)" in words(beside)
