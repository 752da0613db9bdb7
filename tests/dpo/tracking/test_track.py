"""`bon-eval track` on models whose every probability is known: numbers worked out by hand, resume, bad checkpoints."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from bigram import BASE, LN2, LN3, TUNED, run_track, write_bigram
from click.testing import CliRunner

from bon_eval.cli import main

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def rows(tracked: Path) -> dict[int, dict[str, str]]:
    """Step -> its row of trajectory.csv."""
    with (tracked / "trajectory.csv").open() as file:
        return {int(row["step"]): row for row in csv.DictReader(file)}


# Pair 1 after "1": chosen (2, end) has 1/4 * 1/2 = 1/8 at base and 1/2 * 3/4 = 3/8 tuned; rejected (1, end) has
# 1/2 * 1/4 = 1/8 and 1/4 * 1/4 = 1/16. Pair 2 after "2": chosen (2, 2, end) has 1/4 * 1/4 * 1/2 = 1/32 and
# 1/8 * 1/8 * 3/4 = 3/256; rejected (1, end) has 1/4 * 1/4 = 1/16 and 1/8 * 1/4 = 1/32.
CHOSEN = {0: (-3 * LN2, -5 * LN2), 4: (LN3 - 3 * LN2, LN3 - 8 * LN2)}
REJECTED = {0: (-3 * LN2, -4 * LN2), 4: (-4 * LN2, -5 * LN2)}
# Largest probability at each position of chosen: base 1/2, 1/2 and 1/2, 1/2, 1/2; tuned 1/2, 3/4 and 3/4, 3/4, 3/4.
ARGMAX = {0: (-2 * LN2, -3 * LN2), 4: (LN3 - 3 * LN2, 3 * (LN3 - 2 * LN2))}
OUTSIDE = {0: (0.5, 0.5), 4: (0.375, 0.25)}
LOG_OUTSIDE = {0: (-LN2, -LN2), 4: (-1.5 * LN2, -2 * LN2)}


def mean(values: tuple[float, float]) -> float:
    return sum(values) / 2


@pytest.mark.parametrize("step", [0, 4])
def test_pair_likelihoods_and_argmax(rows: dict[int, dict[str, str]], step: int) -> None:
    row = rows[step]
    for name, expected in (
        ("log_likelihood.chosen", CHOSEN),
        ("log_likelihood.rejected", REJECTED),
        ("argmax_along_chosen", ARGMAX),
        ("mass_outside_argmax", OUTSIDE),
        ("log_mass_outside_argmax", LOG_OUTSIDE),
    ):
        assert float(row[f"mine.{name}"]) == pytest.approx(mean(expected[step]), abs=1e-5), name


def test_rankings_margins_and_loss(rows: dict[int, dict[str, str]]) -> None:
    # Base: pair 1 ties (right), pair 2 is wrong (1/32 < 1/16). Tuned: pair 1 right, pair 2 wrong (3/256 < 8/256).
    # Per token, base: pair 1 ties; pair 2 5/3 ln 2 < 2 ln 2 nats lost, right. Tuned: pair 2 loses
    # (8 ln 2 - ln 3) / 3 = 1.482 a token against 5 ln 2 / 2 = 1.733: right.
    expected = {
        "ranking_accuracy": (0.5, 0.5),
        "ranking_accuracy_per_token": (1.0, 1.0),
        "flips.right_right": (0.5, 0.5),
        "flips.right_wrong": (0.0, 0.0),
        "flips.wrong_right": (0.0, 0.0),
        "flips.wrong_wrong": (0.5, 0.5),
        # Margins: pair 1 (ln 3) - (-ln 2) = ln 6 > 0; pair 2 (ln 3 - 3 ln 2) - (-ln 2) = ln(3/4) < 0.
        "reward_accuracy": (0.0, 0.5),
        "reward_margin": (0.0, (math.log(6) + math.log(0.75)) / 2),
        # Pair 1 chosen rises; pair 2: both fall.
        "both_fall": (0.0, 0.5),
        "dpo_loss": (LN2, (math.log(1 + 6**-0.1) + math.log(1 + 0.75**-0.1)) / 2),
    }
    for name, (base, tuned) in expected.items():
        assert float(rows[0][f"mine.{name}"]) == pytest.approx(base, abs=1e-5), name
        assert float(rows[4][f"mine.{name}"]) == pytest.approx(tuned, abs=1e-5), name


def test_ches_at_the_base_model(tracked: Path) -> None:
    # The state before a token is twice the unit vector of the token before it. Pair 1: chosen (2,0)+(0,2) = (2,2),
    # rejected (2,0)+(2,0) = (4,0): 8 - 8 = 0. Pair 2: chosen (0,2)*3 = (0,6), rejected (0,2)+(2,0) = (2,2):
    # 12 - 36 = -24. Length-normalised: (1,1).(2,0) - 2 = 0 and (0,2).(1,1) - 4 = -2.
    ches = json.loads((tracked / "trajectory.json").read_text())["ches"]["mine"]
    assert ches["ches"]["estimate"] == pytest.approx(-12.0, abs=1e-4)
    assert ches["length_normalised"]["estimate"] == pytest.approx(-1.0, abs=1e-4)


def test_base_responses_and_probe_under_the_checkpoint(rows: dict[int, dict[str, str]]) -> None:
    # After "1" the likeliest response is the end token alone (1/4), after "2" too (1/2); greedy after "1" says 1, 1, 1
    # until it is cut (1/8), after "2" it ends. Tuned: 1/4 and 3/4; 1/64 and 3/4. Probe (1, end) after "2": 1/16, 1/32.
    expected = {
        "log_likelihood.base_best": (mean((-2 * LN2, -LN2)), mean((-2 * LN2, LN3 - 2 * LN2))),
        "log_likelihood.base_greedy": (mean((-3 * LN2, -LN2)), mean((-6 * LN2, LN3 - 2 * LN2))),
        "probe.log_likelihood": (-4 * LN2, -5 * LN2),
    }
    for name, (base, tuned) in expected.items():
        assert float(rows[0][name]) == pytest.approx(base, abs=1e-5), name
        assert float(rows[4][name]) == pytest.approx(tuned, abs=1e-5), name
        assert float(rows[4][f"{name}.change"]) == pytest.approx(tuned - base, abs=1e-5), name


def test_the_checkpoints_own_responses_under_itself_and_base(rows: dict[int, dict[str, str]]) -> None:
    # Tuned best after "1": (2, end) 3/8 under itself and 1/8 under base; after "2": end, 3/4 and 1/2. Tuned greedy is
    # the same two responses.
    for arm in ("best", "greedy"):
        own, base = rows[4][f"log_likelihood_self.{arm}"], rows[4][f"log_likelihood_base.{arm}"]
        assert float(own) == pytest.approx(mean((LN3 - 3 * LN2, LN3 - 2 * LN2)), abs=1e-5)
        assert float(base) == pytest.approx(mean((-3 * LN2, -LN2)), abs=1e-5)


def test_step_0_is_the_base_models_run(place: Path, tracked: Path, rows: dict[int, dict[str, str]]) -> None:
    from bon_eval.analysis.analyse import analyse
    from bon_eval.store.reader import load_run

    out = place / "plain-run"
    arguments = ["run", "--model", str(place / "base"), "--task", str(place / "bigram.yaml"), "--n", "64"]
    arguments += ["--engine", "transformers", "--dtype", "float32", "--out", str(out), "--draws", "200", "--quiet"]
    arguments += ["--no-html"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    arms = {(a.arm, a.n, a.scorer): a for a in analyse(load_run(out), draws=200).arms}
    for name, key in (
        ("greedy", ("greedy", 1, None)),
        ("sample", ("sample", 1, None)),
        ("best", ("best-of-n", 64, "log_likelihood")),
    ):
        arm, column = arms[key], "best_own" if name == "best" else name
        assert float(rows[0][f"accuracy.{column}"]) == pytest.approx(arm.accuracy.estimate, abs=1e-12)
        likelihood = arm.log_likelihood
        assert likelihood is not None
        assert float(rows[0][f"log_likelihood_self.{name}"]) == pytest.approx(likelihood.estimate, abs=1e-9)
    # ... and a stored run serves as the tracking's base run.
    done = run_track(place, place / "track-2", "--base-run", str(out), "--no-html")
    assert done.exit_code == 0, done.output
    assert (place / "track-2/trajectory.csv").read_bytes() == (tracked / "trajectory.csv").read_bytes()


def test_resumes_per_checkpoint(place: Path, tracked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bon_eval.dpo.tracking.forced import ForcedLog

    out = place / "track-3"
    real = ForcedLog.force

    def stops(log: ForcedLog, *args: Any, **kwargs: Any) -> None:
        if log.place.name != "base":
            raise KeyboardInterrupt
        real(log, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(ForcedLog, "force", stops)
        assert run_track(place, out).exit_code == 130
    kept = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert [path for path in kept if path.is_relative_to(out / "forced/base")]
    done = run_track(place, out, "--no-html")
    assert done.exit_code == 0, done.output
    again = {p: p.stat().st_mtime_ns for p in kept if p.name != "grades.parquet"}
    assert again == {p: t for p, t in kept.items() if p.name != "grades.parquet"}
    assert (out / "trajectory.csv").read_bytes() == (tracked / "trajectory.csv").read_bytes()


def test_a_half_written_checkpoint_is_skipped_and_named(place: Path) -> None:
    training = place / "broken"
    shutil.copytree(place / "training", training)
    shutil.copytree(training / "checkpoint-4", training / "checkpoint-8")
    weights = training / "checkpoint-8/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    done = run_track(place, place / "track-4", "--no-html", trainings=("broken",))
    assert done.exit_code == 0, done.output
    assert "checkpoint-8 is skipped: half-written" in " ".join(done.output.split())
    with (place / "track-4/trajectory.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["0", "4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--base", "{place}/training/checkpoint-4"], "is not the base model"),
        (["--checkpoints", "{place}/base"], "holds no whole checkpoint"),
        (["--checkpoints", "{place}/training"], "gives one directory twice"),
        (["--pairs", "mine={place}/probe.jsonl"], "gives 'mine' twice"),
        (["--pairs", "base={place}/pairs.jsonl"], "cannot name a set"),
        (["--pairs", "accuracy={place}/pairs.jsonl"], "what the model says is measured as accuracy; use another name"),
        (["--pairs", "log_likelihood={place}/pairs.jsonl"], "'log_likelihood' cannot name a set of pairs or probes"),
        (["--probe", "tokens.mine={place}/probe.jsonl"], "what the model says is measured as tokens; use another name"),
        (["--probe", "mine={place}/probe.jsonl"], "'mine' names a pair set and a probe; use two names"),
        (["--beta", "0"], "--beta must be above 0"),
        (["--out", "{place}/base"], "exists and is no tracking"),
        (["--out", "{place}/track", "--max-tokens", "9"], "holds another tracking"),
        (["--base-run", "{place}/track/runs/step-000004"], "is another run"),
    ],
)
def test_bad_input_is_one_line(place: Path, tracked: Path, change: list[str], message: str) -> None:
    done = run_track(place, place / "nowhere", *(text.format(place=place) for text in change))
    assert done.exit_code == 2
    [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not (place / "nowhere").exists()


@pytest.mark.parametrize("longer", ["base", "checkpoint"])
def test_a_checkpoint_that_ends_at_other_tokens_is_refused(place: Path, tmp_path: Path, longer: str) -> None:
    training = Path(shutil.copytree(place / "training", tmp_path / "training"))
    base = Path(shutil.copytree(place / "base", tmp_path / "base"))
    for folder in (training / "checkpoint-4",) if longer == "checkpoint" else (base, training / "checkpoint-0"):
        path = folder / "generation_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [2, 1]}))
    out, given = tmp_path / "track", ("--no-html", "--base", str(base))
    done = run_track(place, out, *given, trainings=(str(training),))
    assert done.exit_code == 2
    [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
    one, both = "2 '<end>'", "1 '2' 2 '<end>'"
    own, of_base = (both, one) if longer == "checkpoint" else (one, both)
    assert f"checkpoint-4 ends its responses at other tokens ({own}) than the base model ({of_base})" in line
    assert line.endswith("give --stop-token 1, so that both end alike")
    assert not out.exists()
    done = run_track(place, out, *given, "--stop-token", "1", trainings=(str(training),))
    assert done.exit_code == 0, done.output
    for run in (out / "runs").iterdir():
        assert json.loads((run / "run.json").read_text())["config"]["stop_token_ids"] == [1, 2]


def test_a_chain_of_trainings(place: Path, rows: dict[int, dict[str, str]]) -> None:
    """The second starts at the first one's checkpoint-4 and ends, after 3 steps, where the base model was."""
    for step, table in ((0, TUNED), (3, BASE)):
        write_bigram(place / "second" / f"checkpoint-{step}", table)
        (place / "second" / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    settings = {"method": "dpo", "steps": 3, "loss": "sigmoid,sft"}
    content = {"format": 1, "settings": settings, "identity": {}}
    (place / "second/training.json").write_text(json.dumps(content))
    out = place / "track-chain"
    done = run_track(place, out, trainings=("training", "second"))
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert f"stage 1, steps 0 to 4: {place}/training; stage 2, steps 4 to 7: {place}/second (dpo, sigmoid,sft)." in text
    assert "from the base model in every stage" in text
    with (out / "trajectory.csv").open() as file:
        found = {int(row["step"]): row for row in csv.DictReader(file)}
    assert {step: row["stage"] for step, row in found.items()} == {0: "1", 4: "1", 7: "2"}
    for name in ("mine.log_likelihood.chosen", "mine.reward_margin", "probe.log_likelihood"):
        assert [found[step][name] for step in (0, 4)] == [rows[step][name] for step in (0, 4)]
        assert float(found[7][name]) == pytest.approx(float(found[0][name]), abs=1e-6)
    stages = json.loads((out / "trajectory.json").read_text())["stages"]
    assert [
        (stage["directory"], stage["method"], stage["loss"], stage["first"], stage["last"]) for stage in stages
    ] == [
        (str(place / "training"), None, None, 0, 4),
        (str(place / "second"), "dpo", "sigmoid,sft", 4, 7),
    ]
    page = (out / "trajectory.html").read_text()
    assert "where a stage begins" in page


def test_one_training_has_no_stages(tracked: Path, rows: dict[int, dict[str, str]]) -> None:
    assert "stage" not in rows[0]
    assert "stages" not in json.loads((tracked / "trajectory.json").read_text())
    assert "stages" not in json.loads((tracked / "track.json").read_text())
    assert "where a stage begins" not in (tracked / "trajectory.html").read_text()


def test_below_float32_models_force_their_own_responses_too(place: Path) -> None:
    """So that a change from step 0, and an implicit reward, is of forced log-probs on both sides."""
    import numpy as np

    from bon_eval.dpo.tracking.trajectory import load_trajectory
    from bon_eval.estimators import chosen_index
    from bon_eval.store.forced import own_likelihoods
    from bon_eval.store.reader import load_run

    out = place / "track-bfloat16"
    done = run_track(place, out, "--dtype", "bfloat16", "--no-html")
    assert done.exit_code == 0, done.output
    assert "forced log-probs on both sides" in " ".join(done.output.split())
    assert json.loads((out / "trajectory.json").read_text())["base_source"] == "forced"
    base = load_run(out / "runs/base")
    own, source = own_likelihoods(base)
    assert source == "forced"
    assert own_likelihoods(load_run(out / "runs/step-000004"))[1] == "forced"
    columns = load_trajectory(out, intervals=False).columns[0]
    best = own["sample"][np.arange(2), chosen_index(base.pool.log_likelihood)]
    assert columns["log_likelihood.base_best"].values.tolist() == best.tolist()
    assert columns["log_likelihood_base.sample"].values.tolist() == own["sample"].mean(axis=1).tolist()
    stamps = {p: p.stat().st_mtime_ns for p in out.rglob("part-*.parquet")}
    assert run_track(place, out, "--dtype", "bfloat16", "--no-html").exit_code == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("part-*.parquet")} == stamps


def test_in_float32_the_base_models_own_responses_are_as_sampled(tracked: Path) -> None:
    assert json.loads((tracked / "trajectory.json").read_text())["base_source"] == "sampled"
    assert not (tracked / "runs/base/scores").exists()


def test_clusters_of_problems_with_their_pairs(place: Path, tracked: Path, tmp_path: Path) -> None:
    out = tmp_path / "track"
    shutil.copytree(tracked, out)
    done = run_track(place, out, "--cluster", "question")
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "intervals over clusters" in text
    assert "Resampled are 2 clusters of problems with one question." in text
    # A file without problem ids is matched by its prompts, which are those of the task's problems.
    assert "stand alone" not in text
    content = json.loads((out / "trajectory.json").read_text())
    assert (content["cluster"], content["n_clusters"]) == ("question", 2)
    plain = json.loads((tracked / "trajectory.json").read_text())
    assert (plain["cluster"], plain["n_clusters"]) == (None, None)
    words = json.dumps(content["points"]).replace("cluster", "problem")
    assert words == json.dumps(plain["points"])
    page = (out / "trajectory.html").read_text()
    assert "Intervals are 95 % over clusters." in page
    assert "Clusters are the sampling unit." in page


def test_pairs_of_other_problems_stand_alone_and_it_is_said(place: Path, tmp_path: Path) -> None:
    """Three pairs of one problem that the task does not hold: one unit more, in CHES as in all measures of pairs."""
    pairs = [{"prompt": "1", "chosen": "2", "rejected": "1"}]
    pairs += [{"prompt": "1 1", "problem_id": "other", "chosen": "2", "rejected": said} for said in ("1", "1 1", "2 2")]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    out = tmp_path / "track"
    more = ["--forced-only", "--no-html", "--cluster", "question", "--pairs", f"far={tmp_path / 'pairs.jsonl'}"]
    done = run_track(place, out, *more)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "pairs or probes that the task does not hold stand alone, in CHES too: 1." in text
    content = json.loads((out / "trajectory.json").read_text())
    assert (content["n_clusters"], content["unclustered"]) == (2, 1)
    [margin] = [p for p in content["points"] if (p["step"], p["name"]) == (4, "far.reward_margin")]
    for method in (content["ches"]["far"]["ches"]["method"], margin["change"]["method"]):
        assert method == "none: 2 clusters; from 10 on", "of four pairs"


def test_the_groups_of_measures_are_those_that_no_set_may_be_named_by(tracked: Path) -> None:
    from bon_eval.dpo.tracking.columns import GROUPS
    from bon_eval.dpo.tracking.trajectory import load_trajectory

    columns = load_trajectory(tracked, intervals=False).columns
    found = {name.partition(".")[0] for by_name in columns.values() for name in by_name}
    assert found - {"mine", "probe"} == GROUPS


def test_a_stored_run_without_the_clusters_column(place: Path, tracked: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) | {"page": 1} for line in (place / "problems.jsonl").read_text().splitlines()]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = ["--data", str(data), "--cluster", "page", "--base-run", str(tracked / "runs/base")]
    done = run_track(place, tmp_path / "other", *more)
    assert done.exit_code == 2
    assert "problem 0 has no column 'page' to cluster by; the run stored: answer, question" in done.stderr
    assert done.stderr.count("\n") == 1
