"""Before and after on real engines: two checkpoints, an adapter, resume, and the errors of `compare`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from held_run import HeldRun

from bon_eval.analysis.settings import check_comparison_draws
from bon_eval.analysis.two_runs.comparison import compare_runs
from bon_eval.cli import main
from bon_eval.engines import open_engine
from bon_eval.engines.base import EngineSpec
from bon_eval.engines.models import ASSETS
from bon_eval.errors import ConfigError, EngineError
from bon_eval.estimators.equivalent_n import EquivalentN
from bon_eval.records import ForcedSequence
from bon_eval.report.comparison.rows import document
from bon_eval.report.comparison.terminal import equivalent_text, render
from bon_eval.run.before_after import prepare_before_after
from bon_eval.run.options import RunOptions
from bon_eval.store.forced import ForcedBy, forced_responses, load_forced
from bon_eval.store.prompts import check_same_prompts, load_prompts
from bon_eval.store.reader import iter_responses, load_run

Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
N, LIMIT = 8, 16
RUN = ["run", "--model", "arith-mixed", "--task", "arith", "--n", str(N), "--limit", str(LIMIT), "--draws", "500"]
RUN += ["--dtype", "float32", "--quiet"]
ON_TRANSFORMERS = ["--engine", "transformers"]


@pytest.fixture(scope="session")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """arith-mixed at temperature 1/2 as a checkpoint: its last norm doubled doubles every logit, exactly."""
    safetensors = pytest.importorskip("safetensors.torch")
    folder = tmp_path_factory.mktemp("models") / "cold"
    shutil.copytree(ASSETS / "arith-mixed", folder)
    weights = safetensors.load_file(folder / "model.safetensors")
    weights["model.norm.weight"] = weights["model.norm.weight"] * 2
    safetensors.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="session")
def pair(bon_eval_here: Command, cold: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Both runs, sampled, graded, scored by each other and compared by one command."""
    place = tmp_path_factory.mktemp("pair")
    done = bon_eval_here(*RUN, *ON_TRANSFORMERS, "--after", cold, cwd=place)
    assert done.returncode == 0, done.stderr
    assert "The tuned model is sharper than the base model" in done.stdout
    return directories(place)


def directories(place: Path) -> tuple[Path, Path]:
    base, tuned = sorted((place / "results/arith").iterdir(), key=lambda p: (p.name == "cold", "+" in p.name))
    [before], [after] = base.iterdir(), tuned.iterdir()
    return before, after


def assert_scored(run: Path, by_run: Path, spec: EngineSpec, *, use_adapter: bool = True) -> None:
    """The stored scores are what the engine gives for those tokens."""
    by = ForcedBy.of(json.loads((by_run / "run.json").read_text())["config"])
    prompts = load_prompts(run)
    responses = [r for r in iter_responses(run) if r.arm == "greedy" or r.index < 2]
    sequences = [
        ForcedSequence(f"{r.problem_id}/{r.arm}/{r.index}", prompts[r.problem_id], r.token_ids) for r in responses
    ]
    ids = sorted(prompts)
    stored = {arm: load_forced(run, by, ids, arm, n, source=by_run) for arm, n in (("greedy", 1), ("sample", N))}
    with open_engine(by.engine, spec) as engine:
        for key, logprobs in engine.score(sequences, use_adapter=use_adapter):
            problem, arm, index = key.rsplit("/", 2)
            assert stored[arm][ids.index(problem), int(index)] == pytest.approx(sum(logprobs), abs=1e-3 * len(logprobs))


def test_each_run_is_scored_by_the_other_model(pair: tuple[Path, Path], cold: Path) -> None:
    before, after = pair
    base = EngineSpec(str(ASSETS / "arith-mixed"), dtype="float32", max_length=256)
    tuned = EngineSpec(str(cold), dtype="float32", max_length=256)
    assert_scored(after, before, base)
    assert_scored(before, after, tuned)


def test_the_comparison_of_a_colder_model(pair: tuple[Path, Path]) -> None:
    """Temperature 1/2 is known truth: greedy is the same, KL is positive both ways, samples are likelier."""
    before, after = (load_run(p) for p in pair)
    found = compare_runs(before, after, draws=500)
    changes = {c.name: c for c in (*found.accuracies, *found.quantities)}
    assert changes["accuracy.greedy"].difference.difference == 0.0
    assert changes["log_likelihood_base.greedy"].difference.difference == pytest.approx(0.0, abs=1e-4)
    assert changes["log_likelihood_base.sample"].difference.low > 0
    assert changes["log_likelihood_self.sample"].difference.low > 0  # lower entropy of responses
    assert {f.name: f.verdict for f in found.findings}["sharper"] == "yes"
    assert all(kl.low > 0 for kl in found.divergences.values())
    assert found.log_coverage["after"].estimate < found.log_coverage["before"].estimate
    assert changes["sharp_base.50"].difference.difference >= 0.0
    assert changes["log_likelihood_best"].difference.low > 0
    assert 1.0 < found.equivalent_n["log_likelihood"].estimate < N
    # By hand, from the stored responses alone.
    own = np.array([[r.log_likelihood for r in pool_of(pair[1], p)] for p in after.pool.problem_ids])
    by = ForcedBy.of(before.meta["config"])
    base = load_forced(pair[1], by, after.pool.problem_ids, "sample", N, source=pair[0])
    assert found.divergences["KL(after || before)"].estimate == pytest.approx((own - base).mean(axis=1).mean())
    assert changes["log_likelihood_base.sample"].after.estimate == pytest.approx(base.mean())
    assert changes["accuracy.sample"].after.estimate == pytest.approx(after.pool.correct.mean())


def pool_of(run: Path, problem: str) -> list:
    found = [r for r in iter_responses(run) if r.problem_id == problem and r.arm == "sample"]
    return sorted(found, key=lambda r: r.index)


def test_compare_again_gives_the_same_document(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = pair
    stored = json.loads((after / "compare.json").read_text())
    again = CliRunner().invoke(
        main, ["compare", str(before), str(after), "--as", "before,after", "--draws", "500", "--out", str(tmp_path)]
    )
    assert again.exit_code == 0, again.output
    fresh = json.loads((tmp_path / "compare.json").read_text())
    for side in ("before", "after"):
        assert Path(fresh[side].pop("path")).name == Path(stored[side].pop("path")).name
    assert fresh == stored
    assert (tmp_path / "compare.csv").read_text().count("\n") == 1 + len(fresh["accuracies"]) + len(fresh["quantities"])
    assert max(map(len, again.output.splitlines()[3:-2])) <= 110


def test_the_order_of_the_problems_in_the_store_does_not_matter(pair: tuple[Path, Path]) -> None:
    before, after = (load_run(p) for p in pair)
    ids = after.pool.problem_ids
    assert document(compare_runs(before, after, draws=240)) == document(compare_runs(before, after, draws=240))
    assert set(ids) == set(before.pool.problem_ids)


def test_the_same_command_again_samples_and_scores_nothing(
    bon_eval_here: Command, pair: tuple[Path, Path], cold: Path, tmp_path: Path
) -> None:
    place = pair[0].parents[3]
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    stamps = {p: p.stat().st_mtime_ns for p in copy.rglob("part-*.parquet")}
    done = bon_eval_here(*RUN, *ON_TRANSFORMERS, "--after", cold, "--no-html", cwd=copy)
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("part-*.parquet")} == stamps


@pytest.mark.slow
def test_stopped_in_the_tuned_run_and_killed_in_the_base_run_it_resumes(
    bon_eval: Command, cold: Path, tmp_path: Path
) -> None:
    def held(model: str, *more: str) -> HeldRun:
        command = [*RUN, *ON_TRANSFORMERS, "--after", str(cold), *more]
        return HeldRun(tmp_path / "results/arith" / model, 1, *command, cwd=tmp_path)

    code, stderr = held("cold", "--engine-arg", "batch_size=9").signalled(signal.SIGINT)
    assert code == 130
    assert "will be finished and stored" in stderr
    assert "Traceback" not in stderr
    [tuned] = tmp_path.glob("results/arith/cold/*")
    assert 0 < len(list(iter_responses(tuned))) < LIMIT * (N + 1)
    assert not list(tmp_path.glob("results/arith/arith-mixed/*/responses/part-*")), "the base run is not begun"
    held("arith-mixed").killed()
    kept = {p: {(r.problem_id, r.arm, r.index): r for r in iter_responses(p)} for p in directories(tmp_path)}
    done = bon_eval(*RUN, *ON_TRANSFORMERS, "--after", cold, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for path, stored in kept.items():
        now = [((r.problem_id, r.arm, r.index), r) for r in iter_responses(path)]
        assert len(now) == len(dict(now)) == LIMIT * (N + 1)
        assert all(dict(now)[key] == response for key, response in stored.items())
    before, after = directories(tmp_path)
    for run, by in ((before, after), (after, before)):
        model = ForcedBy.of(json.loads((by / "run.json").read_text())["config"])
        assert len(set(forced_responses(run, model))) == 2 * LIMIT


@pytest.mark.slow
def test_an_adapter_shares_one_engine(bon_eval: Command, lora_adapter: Path, tmp_path: Path) -> None:
    done = bon_eval(*RUN, *ON_TRANSFORMERS, "--n", "4", "--limit", "6", "--after", lora_adapter, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_adapter_pair(tmp_path, lora_adapter)


@pytest.mark.vllm
@pytest.mark.slow
def test_an_adapter_on_vllm(bon_eval: Command, lora_adapter: Path, tmp_path: Path) -> None:
    done = bon_eval(*RUN, "--engine", "vllm", "--n", "4", "--limit", "6", "--after", lora_adapter, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_adapter_pair(tmp_path, lora_adapter)


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_pretrained_model_and_its_adapter(
    bon_eval: Command, engine: str, smollm2: Path, smollm2_lora: Path, tmp_path: Path
) -> None:
    command = ["run", "--model", smollm2, "--task", "arith", "--n", "4", "--limit", "3", "--max-tokens", "24"]
    command += ["--draws", "240", "--dtype", "float32", "--quiet", "--engine", engine, "--after", smollm2_lora]
    done = bon_eval(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    check_adapter_pair(tmp_path, smollm2_lora, smollm2)


def check_adapter_pair(place: Path, adapter: Path, model_dir: Path = ASSETS / "arith-mixed") -> None:
    """Scores by both models of one engine are those of the transformers engine loaded for each alone."""
    before, after = directories(place)
    meta = [json.loads((p / "run.json").read_text()) for p in (before, after)]
    assert [m["config"]["adapter"] for m in meta] == [None, str(adapter)]
    assert meta[0]["sessions"][0]["seed"] == meta[1]["sessions"][0]["seed"]
    for run, by, adapter_dir in ((after, before, None), (before, after, str(adapter))):
        model = ForcedBy.of(json.loads((by / "run.json").read_text())["config"])
        spec = EngineSpec(str(model_dir), dtype="float32", max_length=256, adapter_dir=adapter_dir, adapter_hash="x")
        prompts, ids = load_prompts(run), sorted(load_prompts(run))
        stored = load_forced(run, model, ids, "sample", 4, source=by)
        sequences = [
            ForcedSequence(f"{r.problem_id}/{r.index}", prompts[r.problem_id], r.token_ids)
            for r in iter_responses(run)
            if r.arm == "sample"
        ]
        with open_engine("transformers", spec) as engine:
            for key, logprobs in engine.score(sequences):
                problem, index = key.split("/")
                assert stored[ids.index(problem), int(index)] == pytest.approx(sum(logprobs), abs=1e-3 * len(logprobs))
    compared = json.loads((after / "compare.json").read_text())
    # From so few responses the estimate may fall below 0, but not its upper limit, and two models are not one.
    for kl in compared["divergences"].values():
        assert kl["estimate"] != 0
        assert kl["high"] is None or kl["high"] > 0  # of fewer than ten problems there is none


def test_the_page_shows_both_runs_side_by_side(pair: tuple[Path, Path], open_page: Any) -> None:
    before, after = (load_run(p) for p in pair)
    tab, trouble = open_page(pair[1].resolve() / "compare.html", viewport={"width": 1280, "height": 900})
    assert tab.text_content("#status") == f"1 to {LIMIT} of {LIMIT} problems"
    up = (after.pool.correct.mean(axis=1) > before.pool.correct.mean(axis=1)).sum()
    tab.select_option("#filter", "sample_up")
    assert tab.text_content("#status").endswith(f"of {up} problems")
    tab.select_option("#filter", "all")
    tab.click(".problem > button >> nth=0")
    sides = tab.query_selector_all(".sides > section")
    assert [side.query_selector("h3").text_content() for side in sides] == ["before", "after"]
    for side, run, path in zip(sides, (before, after), pair, strict=True):
        problem = before.problems[0].id
        stored = next(r for r in iter_responses(path) if (r.problem_id, r.arm) == (problem, "greedy"))
        greedy = side.query_selector(".response")
        assert greedy.query_selector(":scope > .text").text_content() == stored.text
        assert f"{stored.log_likelihood:.2f} nats" in greedy.text_content()
        assert run.greedy.n == 1
    assert len(tab.query_selector_all("figure svg")) == 3 + 4
    section = tab.query_selector("#added")
    assert section.query_selector("h2").text_content() == "Did training add, or only sharpen?"
    assert len(section.query_selector_all("figure svg")) == 4
    for width in (1400, 390):
        tab.set_viewport_size({"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert trouble == []
    tab.close()


# --- what cannot be compared


def test_runs_that_are_not_comparable(pair: tuple[Path, Path], tmp_path: Path) -> None:
    before, after = (load_run(p) for p in pair)
    hotter = dict(after.meta, config=after.meta["config"] | {"temperature": 0.7})
    with pytest.raises(ConfigError, match=r"temperature is 1.0 before and 0.7 after"):
        compare_runs(before, replace_meta(after, hotter))
    other = dict(before.meta, config=before.meta["config"] | {"model_hash": "0" * 64})
    found = compare_runs(replace_meta(before, other), after, draws=240)
    assert found.owed == (f"bon-eval score {pair[1]} --by {pair[0]}",)
    assert "only one run was scored by the other's model" in found.reasons["divergences"]
    result = CliRunner().invoke(main, [*RUN, "--after", "arith-mixed"])
    assert result.exit_code == 2
    assert "is the base model itself" in result.stderr
    result = CliRunner().invoke(main, [*RUN, "--after", "arith-worked", "--out", str(tmp_path / "x")])
    assert result.exit_code == 2
    assert "--out names one run directory" in result.stderr
    assert not list(tmp_path.iterdir())


def replace_meta(run: object, meta: dict) -> object:
    from dataclasses import replace

    return replace(run, meta=meta)  # type: ignore[type-var]


def test_a_tuned_model_that_ends_elsewhere_is_refused_before_anything_is_sampled(cold: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(cold, tmp_path / "other"))
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"eos_token_id": [0, 7]}))
    options = RunOptions("arith-mixed", "arith", n=2, limit=2, engine="transformers")
    with pytest.raises(ConfigError, match=r"ends its responses at other tokens .*; give --stop-token 7, so that both"):
        prepare_before_after(options, str(other))
    pair = prepare_before_after(replace(options, stop_tokens=("7",)), str(other))
    assert pair.before.config.stop_token_ids == pair.after.config.stop_token_ids == (0, 7)


def test_different_prompts_name_the_first_difference() -> None:
    check_same_prompts({"a": (1, 2)}, {"a": [1, 2]})
    with pytest.raises(ConfigError, match=r"token 1 of problem 'b': 5 6 before, 9 after.*--allow-different-prompts"):
        check_same_prompts({"a": (1,), "b": (1, 5, 6)}, {"a": (1,), "b": (1, 9)})
    with pytest.raises(ConfigError, match=r"token 2 of problem 'a': end of prompt before, 3 after"):
        check_same_prompts({"a": (1, 2)}, {"a": (1, 2, 3)})
    with pytest.raises(ConfigError, match="'b' is missing in the run after"):
        check_same_prompts({"a": (1,), "b": (1,)}, {"a": (1,)})


def test_scoring_by_a_run_of_other_problems_names_one(pair: tuple[Path, Path], tmp_path: Path) -> None:
    small = [*RUN, *ON_TRANSFORMERS, "--n", "1", "--limit", "2", "--no-html", "--out", str(tmp_path / "small")]
    assert CliRunner().invoke(main, small).exit_code == 0
    result = CliRunner().invoke(main, ["score", str(pair[0]), "--by", str(tmp_path / "small")])
    assert result.exit_code == 2
    assert "problem '2' is missing in the run before" in result.stderr
    assert not list((tmp_path / "small").glob("scores"))


def test_the_same_problems_in_another_order_are_scored_and_compared_as_in_the_same_one(
    pair: tuple[Path, Path], cold: Path, tmp_path: Path
) -> None:
    """Ids are row numbers here, so that every id is another problem in the reversed data."""

    def call(*args: object) -> str:
        done = CliRunner().invoke(main, [str(arg) for arg in args])
        assert done.exit_code == 0, done.output
        return done.output

    rows = (ASSETS / "arith/test.jsonl").read_text().splitlines()[:LIMIT]
    data = tmp_path / "reversed.jsonl"
    data.write_text("\n".join(reversed(rows)) + "\n")
    before, moved = tmp_path / "before", tmp_path / "moved"
    shutil.copytree(pair[0], before)
    shutil.rmtree(before / "scores")
    call(*RUN, *ON_TRANSFORMERS, "--model", cold, "--data", data, "--no-html", "--out", moved)
    assert load_prompts(before) != load_prompts(moved)
    call("score", before, "--by", moved)
    call("score", moved, "--by", before)
    assert_scored(moved, before, EngineSpec(str(ASSETS / "arith-mixed"), dtype="float32", max_length=256))
    assert_scored(before, moved, EngineSpec(str(cold), dtype="float32", max_length=256))
    call("compare", before, moved, "--as", "before,after", "--draws", "240", "--out", tmp_path / "story")
    plain = compare_runs(*(load_run(p) for p in pair), draws=240)
    again = compare_runs(load_run(before), load_run(moved), draws=240)
    assert "prompts" not in again.differences
    assert set(again.reasons) == set(plain.reasons)
    assert again.findings
    assert [f.name for f in again.findings] == [f.name for f in plain.findings]
    for name in ("log_likelihood_base.greedy", "log_likelihood_self.greedy"):
        [one], [other] = ([c for c in found.quantities if c.name == name] for found in (plain, again))
        assert other.after.estimate == pytest.approx(one.after.estimate, abs=1e-3)
        assert other.difference.difference == pytest.approx(one.difference.difference, abs=1e-3)
    [one], [other] = ([c for c in f.accuracies if c.name == "accuracy.greedy"] for f in (plain, again))
    assert other.after.estimate == one.after.estimate


def test_other_prompts_of_the_same_problems_in_another_order_are_still_told(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    rows = (ASSETS / "arith/test.jsonl").read_text().splitlines()[:LIMIT]
    data = tmp_path / "reversed.jsonl"
    data.write_text("\n".join(reversed(rows)) + "\n")
    other = tmp_path / "other"
    command = [*RUN, *ON_TRANSFORMERS, "--shots", "1", "--data", str(data), "--no-html", "--out", str(other)]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    found = compare_runs(load_run(pair[0]), load_run(other), draws=240, tuning=False)
    assert found.differences["prompts"] == "not the same tokens"
    refused = CliRunner().invoke(main, ["score", str(pair[0]), "--by", str(other)])
    assert refused.exit_code == 2
    assert "the prompts differ" in refused.stderr


def test_different_prompts_compare_accuracies_only(pair: tuple[Path, Path]) -> None:
    before, after = (load_run(p) for p in pair)
    other = replace_meta(after, dict(after.meta, config=after.meta["config"] | {"prompts_hash": "0" * 64}))
    found = compare_runs(before, other, draws=240, allow_different=["prompts"])  # type: ignore[arg-type]
    names = {c.name for c in (*found.accuracies, *found.quantities)}
    assert "accuracy.best_base" not in names
    assert not any(name.startswith("log_likelihood_base") for name in names)
    assert found.explained is None
    assert not found.equivalent_n
    assert "the prompts differ" in " ".join(render(found).split())
    assert document(found)["null_reasons"]["divergences"].startswith("the prompts differ")  # type: ignore[index]


def test_equivalent_n_in_words() -> None:
    inf, nan = float("inf"), float("nan")
    for found, text in (
        (EquivalentN(3.25, 2.0, 5.0, 16), "3.2 [2.0, 5.0]"),
        (EquivalentN(3.25, 2.0, inf, 16), "3.2 [2.0, more than 16]"),
        (EquivalentN(inf, 12.0, inf, 16), "more than 16 [12.0, more than 16]"),
        (EquivalentN(inf, inf, inf, 16), "more than 16"),
        (EquivalentN(3.25, 1.0, 5.0, 16), "3.2 [at most 1, 5.0]"),
        (EquivalentN(1.0, 1.0, 5.0, 16), "at most 1 [at most 1, 5.0]"),
        (EquivalentN(1.0, 1.0, 1.0, 16), "at most 1"),
        (EquivalentN(3.25, 1.0, inf, 16), "3.2 [at most 1, more than 16]"),
        (EquivalentN(3.25, nan, nan, 16, reason="9 problems; from 10 on"), "none; 9 problems; from 10 on"),
    ):
        assert equivalent_text(found) == text


def test_forced_log_probs_that_cannot_be_true_are_refused(pair: tuple[Path, Path], tmp_path: Path) -> None:
    from bon_eval.run.forcing import force_run

    class Broken:
        facts = {"name": "broken"}  # noqa: RUF012

        def score(self, sequences, *, use_adapter=True):  # type: ignore[no-untyped-def]
            for s in sequences:
                yield s.key, (0.5,) * len(s.response_token_ids)

    run = Path(shutil.copytree(pair[0], tmp_path / "run"))
    by = ForcedBy("other", "h", None, None, "transformers", "float32", "p", {})
    with pytest.raises(EngineError, match="above 0"):
        force_run(run, Broken(), by, load_prompts(run), quiet=True)  # type: ignore[arg-type]
    assert not forced_responses(run, by)


def test_too_few_draws_are_refused_before_anything_is_sampled(cold: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"100 bootstrap draws are too few.*give --draws 240 or more"):
        check_comparison_draws(100)
    command = [*RUN, *ON_TRANSFORMERS, "--after", str(cold), "--draws", "200"]
    done = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "none")])
    assert done.exit_code == 2
    assert "give --draws 240 or more" in done.stderr
    assert not list(tmp_path.iterdir())
