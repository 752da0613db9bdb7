"""What a tracking has paid for: other sets, other beta, without sampling, at some checkpoints, after a kill."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bigram import LN2, LN3, TUNED, run_track, write_bigram

from bon_eval.dpo.tracking import forced as forced_module
from bon_eval.dpo.tracking import work
from bon_eval.dpo.tracking.forced import ForcedLog
from bon_eval.dpo.tracking.trajectory import load_trajectory
from bon_eval.errors import StoreError

Counts = dict[str, int]


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Responses that were forced under each model since the start of the test."""
    counts: Counts = {}
    real = ForcedLog.force

    def counting(log: ForcedLog, engine: Any, by: Any, responses: Any, **kwargs: Any) -> None:
        counts[log.place.name] = counts.get(log.place.name, 0) + len(responses)
        real(log, engine, by, responses, **kwargs)

    monkeypatch.setattr(ForcedLog, "force", counting)
    return counts


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Once called, a model that is loaded fails the test."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was loaded")

    def start() -> None:
        for name in ("open_engine", "open_model", "force_run"):
            monkeypatch.setattr(work, name, refuse)

    return start


@pytest.fixture
def copy(tracked: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tracked, tmp_path / "track"))


def good(place: Path, out: Path, *more: str, training: str = "training") -> str:
    done = run_track(place, out, "--no-html", *more, trainings=(training,))
    assert done.exit_code == 0, done.output
    return str(done.output)


def table(out: Path) -> dict[int, dict[str, str]]:
    with (out / "trajectory.csv").open() as file:
        return {int(row["step"]): row for row in csv.DictReader(file)}


def stamps(out: Path) -> dict[Path, int]:
    return {path.relative_to(out): path.stat().st_mtime_ns for path in out.rglob("part-*.parquet")}


def write_probe(path: Path, response: str) -> Path:
    path.write_text(json.dumps({"prompt": "1", "response": response}) + "\n")
    return path


def test_another_probe_costs_itself_alone(place: Path, copy: Path, tmp_path: Path, forced: Counts) -> None:
    before, runs = table(copy), stamps(copy / "runs")
    probe = write_probe(tmp_path / "new.jsonl", "2 2 2 2")
    good(place, copy, "--probe", f"new={probe}", "--pairs", f"again={place / 'pairs.jsonl'}")
    assert forced == {"base": 1, "step-000004": 1}
    assert stamps(copy / "runs") == runs
    after = table(copy)
    # (2, 2, 2, 2, end) after "1", longer than any sample: 1/4^4 * 1/2 = 1/512, tuned 1/2 * 1/8^3 * 3/4 = 3/4096.
    assert float(after[0]["new.log_likelihood"]) == pytest.approx(-9 * LN2, abs=1e-5)
    assert float(after[4]["new.log_likelihood"]) == pytest.approx(LN3 - 12 * LN2, abs=1e-5)
    for step, row in before.items():
        estimates = {name: value for name, value in row.items() if not name.rpartition(".")[2].startswith("change_p")}
        assert {name: after[step][name] for name in estimates if "verdict" not in name} == {
            name: value for name, value in estimates.items() if "verdict" not in name
        }
        assert after[step]["again.dpo_loss"] == row["mine.dpo_loss"]
    assert "again" in json.loads((copy / "trajectory.json").read_text())["ches"]


def test_what_is_dropped_or_weighed_otherwise_loads_no_model(
    place: Path, copy: Path, no_engine: Callable[[], None]
) -> None:
    before = table(copy)
    no_engine()
    arguments = ["track", "--base", str(place / "base"), "--checkpoints", str(place / "training"), "--beta", "2"]
    arguments += ["--task", str(place / "bigram.yaml"), "--pairs", f"other-name={place / 'pairs.jsonl'}", "--n", "64"]
    arguments += ["--engine", "transformers", "--out", str(copy), "--draws", "200", "--quiet", "--no-html"]
    from click.testing import CliRunner

    from bon_eval.cli import main

    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    after = table(copy)
    assert not [name for name in after[0] if name.startswith(("mine.", "probe."))]
    assert after[4]["other-name.reward_margin"] == before[4]["mine.reward_margin"]
    assert float(after[0]["other-name.dpo_loss"]) == pytest.approx(float(before[0]["mine.dpo_loss"]))
    assert float(after[4]["other-name.dpo_loss"]) != pytest.approx(float(before[4]["mine.dpo_loss"]))
    assert json.loads((copy / "trajectory.json").read_text())["beta"] == 2.0


def test_an_older_page_does_not_stand_beside_newer_numbers(place: Path, copy: Path) -> None:
    """What track wrote is removed, and nothing else."""
    page, figures = copy / "trajectory.html", copy / "figures"
    own = figures / "mine.png"
    own.write_bytes(b"of the user")
    assert (figures / "trajectory_likelihood_mine.svg").is_file()
    good(place, copy)
    assert not page.exists()
    assert list(figures.iterdir()) == [own]
    # Of a set that is no longer named nothing is left, beside a page of those that are.
    assert run_track(place, copy, "--pairs", f"a%20b={place / 'pairs.jsonl'}").exit_code == 0
    before = {path.name for path in figures.iterdir()}
    assert "trajectory_ranking_a~2520b.png" in before
    assert run_track(place, copy).exit_code == 0
    assert before - {path.name for path in figures.iterdir()} == {
        f"trajectory_{kind}_a~2520b.{ending}" for kind in ("likelihood", "ranking") for ending in ("png", "svg")
    }
    assert page.is_file()
    own.unlink()
    good(place, copy)
    assert not figures.exists()


def test_a_kill_within_a_set_loses_little(
    place: Path, tmp_path: Path, forced: Counts, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bon_eval.engines.transformers import TransformersEngine

    monkeypatch.setattr(forced_module, "_TOGETHER", 1)
    real = TransformersEngine.score_argmax

    def stops(engine: Any, sequences: Any, **kwargs: Any) -> Iterator[Any]:
        for k, found in enumerate(real(engine, sequences, **kwargs)):
            if k == 3:
                raise KeyboardInterrupt
            yield found

    out = tmp_path / "track"
    with monkeypatch.context() as patched:
        patched.setattr(TransformersEngine, "score_argmax", stops)
        assert run_track(place, out, "--forced-only", "--no-html").exit_code == 130
    with pytest.raises(StoreError, match="is unfinished; run the same"):
        load_trajectory(out)
    # Four sides of pairs; the probe is the rejected side of the second one.
    assert forced.pop("base") == 4
    good(place, out, "--forced-only")
    assert forced == {"base": 1, "step-000004": 4}


def test_without_sampling_and_then_with_it(place: Path, tracked: Path, tmp_path: Path, forced: Counts) -> None:
    out = tmp_path / "track"
    text = good(place, out, "--forced-only")
    assert "nothing was sampled: pairs and probes alone" in text
    assert "what each checkpoint says" not in text
    assert "None" not in text
    assert not (out / "runs").exists()
    whole, alone = table(tracked), table(out)
    assert {name.partition(".")[0] for name in alone[0]} == {"step", "mine", "probe"}
    for step, row in alone.items():
        assert {name: value for name, value in row.items() if "p_family" not in name and "verdict" not in name} == {
            name: whole[step][name] for name in row if "p_family" not in name and "verdict" not in name
        }
    content = json.loads((out / "trajectory.json").read_text())
    assert (content["n"], content["problems"], content["sampled"]) == (None, None, [])
    assert content["ches"] == json.loads((tracked / "trajectory.json").read_text())["ches"]
    assert forced == {"base": 4, "step-000004": 4}
    kept = stamps(out)
    good(place, out)
    # Of the base model's responses those are new that no pair holds: (end) and (1, 1, end), say, but not (2, end).
    assert (
        0
        < forced["step-000004"] - 4
        < len(json.loads((out / "track.json").read_text())["base_sets"]["base/top"]["keys"])
    )
    assert forced["base"] == 4
    assert {path: stamp for path, stamp in stamps(out).items() if path in kept and "base" in path.parts} == {
        path: stamp for path, stamp in kept.items() if "base" in path.parts
    }
    assert (out / "trajectory.csv").read_bytes() == (tracked / "trajectory.csv").read_bytes()


def test_the_responses_of_a_base_run_are_forced_without_sampling(place: Path, tracked: Path, tmp_path: Path) -> None:
    out = tmp_path / "track"
    text = good(place, out, "--forced-only", "--base-run", str(tracked / "runs/base"), "--n", "8")
    assert "2 problems x 64 samples each, not sampled at step 4" in text
    whole, alone = table(tracked), table(out)
    for name in ("log_likelihood.base_best", "log_likelihood.base_greedy", "base_mass.1", "base_mass.16"):
        for step in (0, 4):
            assert alone[step][name] == whole[step][name], (name, step)
    assert alone[0]["accuracy.greedy"] == whole[0]["accuracy.greedy"]
    assert alone[4]["accuracy.greedy"] == ""
    assert [path.name for path in (out / "runs").iterdir()] == ["base"]
    good(place, out, "--forced-only", "--cluster", "question")


def test_a_page_without_sampling(place: Path, tmp_path: Path) -> None:
    done = run_track(place, tmp_path / "track", "--forced-only", "--cluster", "question")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "track/trajectory.html").read_text()
    assert "nothing was sampled" in page
    assert "None" not in page
    assert not (tmp_path / "track/figures/trajectory_accuracy.png").exists()
    assert json.loads((tmp_path / "track/trajectory.json").read_text())["n_clusters"] == 2


def test_sampling_at_some_checkpoints(place: Path, tracked: Path, tmp_path: Path) -> None:
    training = Path(shutil.copytree(place / "training", tmp_path / "training"))
    folder = write_bigram(training / "checkpoint-8", TUNED)
    (folder / "trainer_state.json").write_text("{}")
    out = tmp_path / "track"
    text = good(place, out, "--sample-at", "8", training=str(training))
    assert "2 problems x 64 samples each, not sampled at step 4" in text
    rows = table(out)
    assert (rows[4]["accuracy.greedy"], rows[4]["base_rank.sample"]) == ("", "")
    assert rows[8]["accuracy.greedy"] == table(tracked)[4]["accuracy.greedy"]
    assert rows[4]["mine.dpo_loss"] == rows[8]["mine.dpo_loss"]
    assert rows[4]["log_likelihood.base_best"] == rows[8]["log_likelihood.base_best"]
    sampled = stamps(out / "runs/step-000008")
    good(place, out, training=str(training))
    assert stamps(out / "runs/step-000008") == sampled
    assert table(out)[4]["accuracy.greedy"] == rows[8]["accuracy.greedy"]
    # What was sampled for another extent is not put beside the base model's.
    text = good(place, out, "--sample-at", "8", "--n", "32", training=str(training))
    assert "the samples of step-000004 are of another n" in " ".join(text.split())
    assert json.loads((out / "trajectory.json").read_text())["sampled"] == [0, 8]


def test_a_tracking_of_the_first_format_is_gone_on_with(
    place: Path, copy: Path, forced: Counts, no_engine: Callable[[], None]
) -> None:
    before, runs = (copy / "trajectory.csv").read_bytes(), stamps(copy / "runs")
    stored = json.loads((copy / "track.json").read_text())
    old = {"format": 1, "identity": {"base": stored["identity"], "pairs": {}, "probes": {}, "beta": 0.1}}
    (copy / "track.json").write_text(json.dumps(old | {"complete": True}))
    shutil.rmtree(copy / "forced")
    (copy / "forced").mkdir()
    (copy / "forced/ches.json").write_text('{"mine": [[0.0, 0.0], [0.0, 0.0]]}')
    (copy / "forced/base.parquet").write_bytes(b"of another format")
    with pytest.raises(StoreError, match=r"is not of tracking format 2; run the same `bon-eval track` command, which"):
        load_trajectory(copy)
    good(place, copy)
    assert forced["base"] == 4
    assert (copy / "trajectory.csv").read_bytes() == before
    assert stamps(copy / "runs") == runs


def test_another_training_is_measured_beside_the_first(place: Path, copy: Path, tmp_path: Path, forced: Counts) -> None:
    """What is stored names the model behind it, so that no number is taken for another's."""
    training = tmp_path / "training"
    shutil.copytree(place / "training/checkpoint-0", training / "checkpoint-0")
    folder = write_bigram(training / "checkpoint-4", {0: (0.25, 0.25, 0.5), 1: (0.5, 0.25, 0.25)})
    (folder / "trainer_state.json").write_text("{}")
    good(place, copy, "--forced-only", training=str(training))
    assert list(forced) == ["step-000004"]
    row = table(copy)[4]
    assert row["accuracy.greedy"] == "", "the samples there are the first training's"
    assert float(row["probe.log_likelihood"]) == pytest.approx(-1.3862944, abs=1e-5)  # 1/2 * 1/2
    done = run_track(place, copy, trainings=(str(training),))
    assert done.exit_code == 2
    assert "holds another run" in done.output
    good(place, copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--sample-at", "3"], "--sample-at names step 3, and {place}/training has checkpoints at 4"),
        (["--sample-at", "0"], "'0' is no list of steps after step 0"),
        (["--sample-at", "4;8"], "'4;8' is no list of steps"),
        (["--sample-at", "4", "--forced-only"], "give one of them"),
    ],
)
def test_bad_input_is_one_line(place: Path, tmp_path: Path, change: list[str], message: str) -> None:
    done = run_track(place, tmp_path / "nowhere", *change)
    assert done.exit_code == 2
    [line] = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert message.format(place=place) in line
    assert not (tmp_path / "nowhere").exists()


def test_nothing_to_measure(place: Path, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from bon_eval.cli import main

    arguments = ["track", "--base", str(place / "base"), "--checkpoints", str(place / "training"), "--forced-only"]
    arguments += ["--task", str(place / "bigram.yaml"), "--engine", "transformers", "--out", str(tmp_path / "nowhere")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "error: without sampling nothing is left to measure; give --pairs, --probe or --base-run" in done.output
    assert not (tmp_path / "nowhere").exists()
