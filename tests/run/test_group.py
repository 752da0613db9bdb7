"""Groups of tasks: what a group file says, what wins, and one loaded model for all of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner
from held_run import HeldRun

from bon_eval.cli import main
from bon_eval.errors import ConfigError, TaskError
from bon_eval.run.group import prepare_group
from bon_eval.run.options import RunOptions
from bon_eval.store.reader import iter_responses
from bon_eval.tasks.groups import GroupSpec, GroupTask, find_group, list_groups
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import load_problems

ROOT = Path(__file__).resolve().parents[2]


def write_group(folder: Path, content: dict[str, Any]) -> Path:
    path = folder / "group.yaml"
    group = {"name": "both", "description": "d", "source": "s", **content}
    path.write_text(
        yaml.safe_dump({k: v for k, v in group.items() if v is not None}, sort_keys=False), encoding="utf-8"
    )
    return path


@pytest.fixture
def two_tasks(tmp_path: Path) -> Path:
    """A folder with two small tasks that the embedded models know, and a group of them."""
    problems = load_problems(load_task("arith"))
    content = yaml.safe_load((ROOT / "tasks" / "arith.yaml").read_text(encoding="utf-8"))
    for k, name in enumerate(("first", "second")):
        rows = "".join(json.dumps(p.fields) + "\n" for p in problems[3 * k : 3 * k + 3])
        (tmp_path / f"{name}.jsonl").write_text(rows, encoding="utf-8")
        task = content | {"name": name, "dataset": {"files": {"test": f"{name}.jsonl"}}, "max_tokens": 40 + 40 * k}
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    tasks = [{"task": "./first.yaml"}, {"task": "./second.yaml", "limit": 2}]
    write_group(tmp_path, {"n": 3, "limit": 3, "tasks": tasks})
    return tmp_path


def test_the_papers_settings() -> None:
    group = find_group("sharpening")
    assert group is not None
    mmlu = [f"mmlu_college_{subject}" for subject in ("biology", "physics", "chemistry")]
    assert [task.task for task in group.tasks] == ["gsm8k", "math_integer", "prontoqa", *mmlu, "gameof24"]
    for task in group.tasks:
        assert (task.n, task.limit, task.max_tokens) == (50, 256, 512)
        assert task.shots == (0 if task.task == "gameof24" else 1)
        assert load_task(task.task).few_shot.response is not None


def test_every_shipped_group_names_tasks_that_exist() -> None:
    assert list_groups() == ["sharpening"]
    for name in list_groups():
        group = find_group(name)
        assert group is not None
        assert group.name == name
        for task in group.tasks:
            load_task(task.task)


def test_what_is_a_task_is_no_group(two_tasks: Path) -> None:
    assert find_group("gsm8k") is None
    assert find_group(str(two_tasks / "first.yaml")) is None
    group = find_group(str(two_tasks / "group.yaml"))
    assert isinstance(group, GroupSpec)
    first = str(two_tasks / "first.yaml")
    assert group.tasks[0] == GroupTask(first, n=3, limit=3, max_tokens=None, shots=None)
    with pytest.raises(TaskError, match=r"unknown task 'nope'; valid: .*gsm8k.*sharpening \(a group\).*; or give"):
        find_group("nope")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"tasks": []}, "group.yaml: tasks is empty; name at least one"),
    ({"tasks": "gsm8k"}, "tasks is 'gsm8k'; it must be a list of mappings"),
    ({"tasks": [3]}, r"tasks\[0\] must be a mapping"),
    ({"tasks": [{"name": "gsm8k"}]}, r"unknown key 'name' in tasks\[0\]; valid: task, n, limit, max_tokens, shots"),
    ({"tasks": [{"task": "gsm8k"}, {"task": "gsm8k"}]}, "tasks names 'gsm8k' twice"),
    ({"tasks": [{"task": "gsm8k", "n": 0}]}, r"tasks\[0\].n is 0; it must be a whole number of at least 1"),
    ({"limit": "all", "tasks": [{"task": "gsm8k"}]}, "limit is 'all'"),
    (
        {"temperature": 1, "tasks": [{"task": "gsm8k"}]},
        "unknown key 'temperature'; valid: name, description, source, n",
    ),
    ({"source": 3, "tasks": ["gsm8k"]}, "source is 3, which is not text"),
]


@pytest.mark.parametrize(("content", "message"), BAD)
def test_bad_group_file(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    path = write_group(tmp_path, content)
    with pytest.raises(TaskError, match=message) as caught:
        find_group(str(path))
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"group file {path}")


def test_what_the_user_gives_wins(two_tasks: Path) -> None:
    group = find_group(str(two_tasks / "group.yaml"))
    assert group is not None
    options = RunOptions(model="arith-mixed", task="group.yaml", engine="transformers")

    def prepared(explicit: tuple[str, ...] = (), **given: Any) -> list[tuple[int, int | None, int, int]]:
        found = prepare_group(group, RunOptions(**{**_as_dict(options), **given}), explicit=explicit)
        return [(r.config.n, r.config.limit, r.config.max_tokens, len(r.problems)) for r in found.runs]

    assert prepared() == [(3, 3, 40, 3), (3, 2, 80, 2)]
    assert prepared(("n", "limit"), n=5, limit=1) == [(5, 1, 40, 1), (5, 1, 80, 1)]
    assert prepared(("max_tokens",), max_tokens=7) == [(3, 3, 7, 3), (3, 2, 7, 2)]
    with pytest.raises(ConfigError, match=r"--data .*first\.jsonl is no folder, and both is a group"):
        prepared(data=two_tasks / "first.jsonl")


def _as_dict(options: RunOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__dataclass_fields__}


def test_a_plan_says_which_task_has_which_draws(two_tasks: Path) -> None:
    second = two_tasks / "second.yaml"
    content = yaml.safe_load(second.read_text(encoding="utf-8")) | {"draws": ["low=temperature:0.25,n:2"]}
    second.write_text(yaml.safe_dump(content), encoding="utf-8")
    asked = ["plan", "--model", "arith-mixed", "--task", str(two_tasks / "group.yaml")]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].endswith("group.yaml, first: n 3; second: n 3, low 2")
    both = CliRunner().invoke(main, [*asked, "--draw", "low=temperature:0.25,n:2"])
    assert both.stdout.splitlines()[0].endswith("group.yaml, n 3, low 2")


def test_two_tasks_of_one_name_are_refused(two_tasks: Path) -> None:
    other = two_tasks / "other"
    other.mkdir()
    text = (two_tasks / "first.yaml").read_text(encoding="utf-8").replace("first.jsonl", "../first.jsonl")
    (other / "first.yaml").write_text(text, encoding="utf-8")
    write_group(two_tasks, {"tasks": [{"task": "./first.yaml"}, {"task": "./other/first.yaml"}]})
    group = find_group(str(two_tasks / "group.yaml"))
    assert group is not None
    with pytest.raises(TaskError, match=r"two tasks of .* have the name 'first'; rename one"):
        prepare_group(group, RunOptions(model="arith-mixed", task="g", engine="transformers"))


def run(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bon_eval.cli", "run", "--engine", "transformers", "--draws", "200", *map(str, args)],
        capture_output=True,
        text=True,
        cwd=cwd,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_one_load_for_all_tasks_and_only_what_is_owed_again(two_tasks: Path) -> None:
    args = ("--model", "arith-mixed", "--task", "group.yaml", "--out", "out")
    done = run(*args, cwd=two_tasks)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("loading arith-mixed") == 1
    out = two_tasks / "out"
    assert {p.name for p in out.iterdir()} == {"first", "second", "summary"}
    for name, rows in (("first", 3 * 4), ("second", 2 * 4)):
        assert pq.read_table(out / name / "grades.parquet").num_rows == rows
        assert (out / name / "report.html").is_file()
    table = (out / "summary" / "summary.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[1] for line in table[1:]] == ["first", "second"]

    again = run(*args, "--ns", "1,3", cwd=two_tasks)
    assert again.returncode == 0, again.stderr
    assert "loading" not in again.stderr
    assert "nothing to sample" in again.stderr

    first = (out / "first" / "run.json").read_bytes()
    shutil.rmtree(out / "second")
    more = run(*args, cwd=two_tasks)
    assert more.returncode == 0, more.stderr
    assert more.stderr.count("loading") == 1
    assert (out / "first" / "run.json").read_bytes() == first, "finished: not sampled again"
    assert pq.read_table(out / "second" / "grades.parquet").num_rows == 2 * 4


@pytest.mark.slow
def test_a_stopped_group_goes_on(two_tasks: Path) -> None:
    args = ["--model", "arith-mixed", "--task", "group.yaml", "--out", "out", "--n", "200", "--engine-arg"]
    out = two_tasks / "out"
    held = HeldRun(out / "second", 1, "run", "--engine", "transformers", *args, "batch_size=8", cwd=two_tasks)
    code, stderr = held.signalled(signal.SIGTERM)
    assert code == 143
    assert "will be finished and stored" in stderr
    assert (out / "first" / "grades.parquet").is_file()
    kept = list(iter_responses(out / "second"))
    assert 0 < len(kept) < 2 * 201
    done = run(*args, "batch_size=64", cwd=two_tasks)
    assert done.returncode == 0, done.stderr
    rows = list(iter_responses(out / "second"))
    assert rows[: len(kept)] == kept
    assert len({(r.problem_id, r.arm, r.index) for r in rows}) == len(rows) == 2 * 201


def test_a_grader_that_there_is_not_is_found_before_sampling(two_tasks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(two_tasks)
    task = two_tasks / "second.yaml"
    task.write_text(task.read_text(encoding="utf-8").replace("grader: gsm8k", "grader: gsm9k"), encoding="utf-8")
    for name in ("second.yaml", "group.yaml"):
        found = CliRunner().invoke(main, ["run", "--model", "arith-mixed", "--task", name, "--engine", "transformers"])
        assert found.exit_code == 2
        assert "unknown grader 'gsm9k'; valid: choice, game24, gsm8k, math, numeric, true_false" in found.stderr
    assert not (two_tasks / "results").exists()


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["--after", "arith-worked"], ["--after", "sharpening is a group"]),
        (["--data", "x.jsonl"], ["--data x.jsonl is no folder"]),
        (["--n", "4", "--ns", "1,8"], ["n = 8 is larger", "4"]),
    ],
)
def test_bad_input_is_one_line(
    args: list[str], parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["run", "--model", "arith-mixed", "--task", "sharpening", "--engine", "transformers", *args]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 2
    [line] = found.stderr.strip().splitlines()
    for part in parts:
        assert part in line
    assert not list(tmp_path.iterdir())


@pytest.mark.data
@pytest.mark.slow
def test_the_papers_seven_on_a_language_model(smollm2: Path, data_dir: Path, tmp_path: Path) -> None:
    """SmolLM2-135M on the real rows, shortened: what a user of the paper's setting types."""
    small = ("--limit", "4", "--n", "4", "--max-tokens", "6", "--dtype", "float32", "--out", "out")
    done = run("--model", smollm2, "--task", "sharpening", "--data", data_dir, *small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("loading") == 1
    group = find_group("sharpening")
    assert group is not None
    for task in group.tasks:
        config = json.loads((tmp_path / "out" / task.task / "run.json").read_text(encoding="utf-8"))["config"]
        assert (config["task"], config["n"], config["shots"], config["prompt_style"]) == (
            task.task,
            4,
            task.shots,
            "chat",
        )
        assert pq.read_table(tmp_path / "out" / task.task / "grades.parquet").num_rows == 4 * 5
        assert f"on {task.task}: best-of-4" in done.stdout
    problems = pq.read_table(tmp_path / "out" / "mmlu_college_physics" / "problems.parquet").to_pylist()
    assert "The answer is (" in problems[0]["prompt"].split("<|im_start|>assistant")[1], "an example that reasons"
    assert (tmp_path / "out" / "summary" / "summary.png").stat().st_size > 10_000
