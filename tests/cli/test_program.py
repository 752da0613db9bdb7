"""The command line as a user meets it: the job end to end, resume after kill -9, and one clear line for bad input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from example_run import FAST, LIMIT, RUN, N
from held_run import HeldRun

from bon_eval.cli import main
from bon_eval.cli.options import chat_of, engine_args
from bon_eval.engines.models import ASSETS
from bon_eval.errors import ConfigError
from bon_eval.estimators import best_of_n
from bon_eval.graders import grade_gsm8k
from bon_eval.store.reader import iter_responses, load_run

Check = Callable[..., None]
Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]


def test_the_files_of_a_run(finished: Path) -> None:
    names = {p.name for p in finished.iterdir()}
    assert {"run.json", "problems.parquet", "responses", "grades.parquet"} <= names
    assert {"report.json", "report.csv", "curves.csv", "problems.csv"} <= names
    meta = json.loads((finished / "run.json").read_text())
    assert meta["state"] == "sampled"
    assert meta["engine"]["name"] == "transformers"
    assert "torch" in meta["versions"]


def test_reported_numbers_are_those_of_the_stored_responses(finished: Path) -> None:
    """Recompute the arms from the responses alone, by the plainest route."""
    run = load_run(finished)
    golds = {p.id: p.gold for p in run.problems}
    table = pd.DataFrame(
        [
            (r.problem_id, r.arm, r.index, r.log_likelihood, bool(grade_gsm8k(r.text, golds[r.problem_id]).correct))
            for r in iter_responses(finished)
        ],
        columns=["problem", "arm", "index", "ll", "correct"],
    )
    assert len(table) == LIMIT * (N + 1)
    report = json.loads((finished / "report.json").read_text())
    arms = {(row["arm"], row.get("n")): row for row in report["arms"]}
    accuracy = {key: row["accuracy"] for key, row in arms.items()}
    pool = table[table.arm == "sample"]
    greedy = table[table.arm == "greedy"].correct.mean()
    found = {name: value for (name, _), value in accuracy.items()}
    assert found["greedy"] == pytest.approx(greedy)
    assert found["sample"] == pytest.approx(pool.correct.mean())
    best = pool.loc[pool.groupby("problem").ll.idxmax()]
    scores = pool.pivot_table(index="problem", columns="index", values="ll").to_numpy()
    values = pool.pivot_table(index="problem", columns="index", values="correct", aggfunc="first").to_numpy(dtype=float)
    exact = best_of_n(scores, values, [N]).mean()
    ties = (np.sort(scores, axis=1)[:, -1] == np.sort(scores, axis=1)[:, -2]).sum()
    assert abs(exact - best.correct.mean()) <= ties / LIMIT + 1e-9
    shown = [row["accuracy"] for row in report["arms"] if row["n"] == N and row["scorer"] == "log_likelihood"]
    assert exact in [pytest.approx(x) for x in shown]


def test_the_same_command_again_samples_nothing(bon_eval_here: Command, finished: Path, copy: Path) -> None:
    before = sorted((p.name, p.read_bytes()) for p in (copy / "responses").iterdir())
    done = bon_eval_here(*RUN, *FAST, "--no-html", "--out", copy)
    assert done.returncode == 0, done.stderr
    assert "nothing to sample" in done.stderr
    assert sorted((p.name, p.read_bytes()) for p in (copy / "responses").iterdir()) == before
    same = json.loads((copy / "report.json").read_text())
    assert same["arms"] == json.loads((finished / "report.json").read_text())["arms"]


@pytest.mark.slow
def test_kill_and_resume_equals_an_uninterrupted_store(bon_eval: Command, tmp_path: Path) -> None:
    out = tmp_path / "run"
    HeldRun(out, 8, *RUN, *FAST, "--n", "48", "--limit", "40", "--out", str(out)).killed()
    stored = {(r.problem_id, r.arm, r.index): r for r in iter_responses(out)}
    assert 0 < len(stored) < 40 * 49
    done = bon_eval(*RUN, *FAST, "--n", "48", "--limit", "40", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stderr
    final = [(r.problem_id, r.arm, r.index) for r in iter_responses(out)]
    assert len(final) == len(set(final)) == 40 * 49
    kept = {(r.problem_id, r.arm, r.index): r for r in iter_responses(out)}
    assert all(kept[key] == response for key, response in stored.items())
    meta = json.loads((out / "run.json").read_text())
    assert len(meta["sessions"]) == 2
    assert meta["sessions"][0]["seed"] != meta["sessions"][1]["seed"]


def test_fresh_sets_the_old_run_aside(bon_eval_here: Command, copy: Path) -> None:
    done = bon_eval_here(*RUN, *FAST, "--no-html", "--out", copy, "--fresh")
    assert done.returncode == 0, done.stderr
    old = copy.with_name("copy.old-1")
    assert len(list(iter_responses(old))) == len(list(iter_responses(copy))) == LIMIT * (N + 1)
    # Neither page nor figures were asked for; the old run keeps its own.
    assert [(path / "report.html").is_file() for path in (old, copy)] == [True, False]
    assert [(path / "figures").is_dir() for path in (old, copy)] == [True, False]


def test_default_directory_names_task_model_and_run(by_default: Path) -> None:
    [directory] = (by_default / "results" / "arith" / "arith-mixed").iterdir()
    assert len(directory.name) == 12
    stdout, stderr = json.loads((by_default / "printed.json").read_text(encoding="utf-8"))
    assert "best-of-6" in stdout
    assert stderr == ""


def test_a_changed_parameter_is_refused_by_name(bon_eval_here: Command, one_line_error: Check, copy: Path) -> None:
    one_line_error(bon_eval_here(*RUN, "--out", copy, "--temperature", "0.5"), "temperature: 1.0 -> 0.5")


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["run", "--model", "arith-mixed", "--task", "nope"], ["unknown task 'nope'", "arith", "gsm8k", "math500"]),
        ([*RUN, "--engine", "nope"], ["unknown engine 'nope'", "transformers", "vllm"]),
        ([*RUN, "--scorer", "nope"], ["unknown scorer 'nope'", "log_likelihood"]),
        ([*RUN, "--n", "0"], ["n", "0"]),
        ([*RUN, "--ns", "7"], ["n = 7 is larger", "6"]),
        ([*RUN, "--ns", "a"], ["--ns 'a'"]),
        ([*RUN, "--temperature", "0"], ["temperature"]),
        ([*RUN, "--max-tokens", "0"], ["max tokens"]),
        ([*RUN, "--max-tokens", "100000"], ["context"]),
        ([*RUN, "--limit", "0"], ["limit"]),
        ([*RUN, "--prompt-style", "chat"], ["chat template"]),
        ([*RUN, "--adapter", "nowhere"], ["nowhere", "adapter_config.json"]),
        ([*RUN, "--revision", "main"], ["--revision"]),
        ([*RUN, "--engine-arg", "batch_size"], ["KEY=VALUE"]),
        ([*RUN, "--engine-arg", "no_such_argument=1"], ["no_such_argument"]),
        ([*RUN, "--data", "nowhere.jsonl"], ["nowhere.jsonl"]),
        ([*RUN, "--shots", "2", "--train-data", "nowhere.jsonl"], ["nowhere.jsonl"]),
        (["run", "--model", "./nowhere", "--task", "arith"], ["./nowhere", "does not exist"]),
        (["report", "nowhere"], ["nowhere is not a run directory"]),
        (["grade", "nowhere"], ["nowhere is not a run directory"]),
        (["tasks", "show", "nope"], ["unknown task"]),
    ],
)
def test_bad_input_is_one_line_and_nothing_written(
    one_line_error: Check, args: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one_line_error(CliRunner().invoke(main, args), *parts)
    assert not list(tmp_path.rglob("*.parquet"))
    assert not list(tmp_path.rglob("*.json"))


def test_a_model_directory_without_config(one_line_error: Check, tmp_path: Path) -> None:
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    result = CliRunner().invoke(main, ["run", "--model", str(tmp_path), "--task", "arith"])
    one_line_error(result, "no config.json")


def test_a_directory_that_is_no_run_is_left_alone(one_line_error: Check, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    one_line_error(CliRunner().invoke(main, [*RUN, "--out", str(tmp_path)]), "not a run")
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("rows", "parts"),
    [
        (['{"question": "1?"}'], ["answer"]),
        (['{"question": "1?", "answer": "#### "}'], ["empty"]),
        ([], ["no rows"]),
    ],
)
def test_bad_data_files(one_line_error: Check, rows: list[str], parts: list[str], tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("\n".join(rows))
    one_line_error(CliRunner().invoke(main, [*RUN, "--data", str(data)]), "data.jsonl", *parts)


def test_few_shot_examples_come_from_the_train_file(one_line_error: Check, tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    rows = [{"question": f"Ada has {i} pears. She buys 1. How many?", "answer": f"#### {i + 1}"} for i in (3, 8, 20)]
    train.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = [*RUN, *FAST, "--no-html", "--n", "1", "--limit", "2", "--shots", "2", "--train-data", str(train)]
    out = tmp_path / "run"
    done = CliRunner().invoke(main, [*command, "--out", str(out)])
    assert done.exit_code == 0, done.output
    config = json.loads((out / "run.json").read_text(encoding="utf-8"))["config"]
    assert (config["shots"], config["train_data"]) == (2, str(train))
    shown = CliRunner().invoke(
        main, ["tasks", "show", "arith", "--model", "arith-mixed", "--shots", "2", "--train-data", str(train)]
    )
    assert shown.output.count("Ada has") == 2
    # Another train file gives other prompts, and so another run.
    train.write_text("".join(json.dumps(row | {"answer": "#### 1"}) + "\n" for row in rows), encoding="utf-8")
    one_line_error(CliRunner().invoke(main, [*command, "--out", str(out)]), "prompts: problem")


def test_an_adapter_that_changes_nothing(bon_eval_here: Command, one_line_error: Check, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    base = transformers.AutoModelForCausalLM.from_pretrained(ASSETS / "arith-mixed")
    peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path / "zero")
    out = tmp_path / "run"
    one_line_error(bon_eval_here(*RUN, "--adapter", tmp_path / "zero", "--out", out), "changes nothing")
    assert not (out / "run.json").exists()


def test_an_adapter_makes_another_run(bon_eval_here: Command, lora_adapter: Path, tmp_path: Path) -> None:
    done = bon_eval_here(*RUN, *FAST, "--no-html", "--limit", "2", "--n", "2", "--adapter", lora_adapter, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [model] = (tmp_path / "results" / "arith").iterdir()
    assert model.name.startswith("arith-mixed+")


def test_doctor_on_the_transformers_engine(bon_eval_here: Command, one_line_error: Check) -> None:
    asked = ["doctor", "--model", "arith-mixed", "--engine", "transformers"]
    done = bon_eval_here(*asked, "--engine-arg", "batch_size=16")
    assert done.returncode == 0, done.stderr
    assert "given: batch_size=16" in done.stdout
    assert done.stdout.count("  agrees\n") == 2
    one_line_error(bon_eval_here(*asked, "--engine-arg", "batch_sizes=16"), "batch_sizes", "attn_implementation")


def test_help_starts_fast_because_it_imports_little() -> None:
    code = "import sys; from bon_eval.cli import main; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    unwanted = ("torch", "vllm", "transformers", "datasets", "pandas", "numpy", "scipy", "sympy", "pyarrow", "jinja2")
    for heavy in unwanted:
        assert f"'{heavy}'" not in loaded


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize("model", ["arith-mixed", "arith-worked"])
def test_the_job_on_vllm(bon_eval: Command, model: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    args = ["run", "--model", model, "--task", "arith", "--n", "16", "--limit", "100", *FAST, "--out", str(out)]
    done = bon_eval(*args)
    assert done.returncode == 0, done.stderr
    assert "vllm; auto: vLLM imports" in done.stderr
    keys = [(r.problem_id, r.arm, r.index) for r in iter_responses(out)]
    assert len(keys) == len(set(keys)) == 100 * 17
    meta = json.loads((out / "run.json").read_text())
    assert meta["engine"]["name"] == "vllm"
    assert meta["engine"]["logprobs_mode"] == "raw_logprobs"
    # One model on which the harness must say yes, and one on which it must not.
    against_greedy = json.loads((out / "report.json").read_text())["facts"]["comparisons"][0]
    if model == "arith-mixed":
        assert against_greedy["verdict"] == "higher"
        assert against_greedy["lift_points"] > 20
    else:
        assert against_greedy["verdict"] != "higher"
        assert abs(against_greedy["lift_points"]) < 10


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "largest"), [("float32", 1e-3), ("bfloat16", 2.0)])
def test_doctor_scores_every_engine_by_every_engine(bon_eval: Command, dtype: str, largest: float) -> None:
    done = bon_eval("doctor", "--model", "arith-mixed", "--dtype", dtype, "--engine-arg", "max_num_seqs=32")
    assert done.returncode == 0, done.stderr
    number = r"([\d.e+-]+)"
    lines = re.findall(
        rf"^(\w+) +(\w+) +pool +([\d,]+) +{number} +{number} +{number} .* agrees$", done.stdout, re.MULTILINE
    )
    assert {line[:2] for line in lines} == {(a, b) for a in ("vllm", "transformers") for b in ("vllm", "transformers")}
    assert all(int(tokens.replace(",", "")) > 500 and float(most) < largest for _, _, tokens, *_, most in lines)
    assert re.search(rf"^vllm .*cpu, {dtype}, model runner V1, attention backend automatic", done.stdout, re.MULTILINE)
    assert "given: max_num_seqs=32" in done.stdout
    assert re.search(rf"^transformers .*cpu, {dtype}, .*given: nothing$", done.stdout, re.MULTILINE)


def test_values_of_keys_are_what_was_written() -> None:
    pairs = ("today=2026-11-29", "at=2026-11-29 10:00:00", "empty=", "none=null", "flag=false", "size=2", "list=[1, x]")
    assert chat_of({"chat_template": None, "chat_template_arg": pairs, "date": None})["chat"].arguments == {
        "today": "2026-11-29",
        "at": "2026-11-29 10:00:00",
        "empty": "",
        "none": None,
        "flag": False,
        "size": 2,
        "list": [1, "x"],
    }
    for bad, named in ((("a=1", "a=2"), "a is given twice, as 1 and 2"), (("a={",), "cannot be read")):
        with pytest.raises(ConfigError, match=named):
            engine_args(bad)
