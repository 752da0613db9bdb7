"""`bon-eval pairs` on a real run: the files are what its pool and grades say, and what TRL reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.dpo.pairs.files import Pair, read_pairs
from bon_eval.engines.models import ASSETS
from bon_eval.records import Response
from bon_eval.store.prompts import load_prompts
from bon_eval.store.reader import iter_responses, load_run, stored_problems
from bon_eval.tasks.load import load_task

N, LIMIT = 8, 12
# Longer worked solutions are truncated at 30 tokens.
SAMPLE = ["run", "--task", "arith", "--n", str(N), "--limit", str(LIMIT), "--engine", "transformers", "--quiet"]
SAMPLE += ["--dtype", "float32", "--draws", "100", "--no-html", "--max-tokens", "30"]
CHAT = "{% for m in messages %}{{ m.content }}\n{% endfor %}"


def bon_eval(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    out = tmp_path_factory.mktemp("plain") / "run"
    done = bon_eval(*SAMPLE, "--model", "arith-mixed", "--out", out)
    assert done.exit_code == 0, done.output
    return out


@pytest.fixture(scope="module")
def chat_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model with a chat template that writes the same prompts."""
    folder = tmp_path_factory.mktemp("models") / "chat"
    shutil.copytree(ASSETS / "arith-mixed", folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"chat_template": CHAT}))
    return folder


@pytest.fixture(scope="module")
def chat_run(chat_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    out = tmp_path_factory.mktemp("chat") / "run"
    done = bon_eval(*SAMPLE, "--model", chat_model, "--prompt-style", "chat", "--shots", "1", "--out", out)
    assert done.exit_code == 0, done.output
    return out


def build(run: Path, recipe: str, out: Path, *options: str) -> tuple[tuple[Pair, ...], list[str]]:
    done = bon_eval("pairs", run, "--recipe", recipe, "--out", out, *options)
    assert done.exit_code == 0, done.output
    return read_pairs(out), done.output.splitlines()


def samples(run: Path) -> dict[str, list[Response]]:
    pools: dict[str, list[Response]] = {}
    for response in iter_responses(run):
        if response.arm == "sample":
            pools.setdefault(response.problem_id, []).append(response)
    return {problem: sorted(pool, key=lambda r: r.index) for problem, pool in pools.items()}


def test_correct_wrong_is_what_the_grades_say(run: Path, tmp_path: Path) -> None:
    pairs, lines = build(run, "correct-wrong", tmp_path / "pairs.jsonl", "--per-problem", "2")
    loaded, prompts, pools = load_run(run), load_prompts(run), samples(run)
    verdicts = {
        (problem, i): bool(loaded.pool.correct[row, i])
        for row, problem in enumerate(loaded.pool.problem_ids)
        for i in range(N)
    }
    for pair in pairs:
        for text, ids, verdict in (
            (pair.chosen, pair.chosen_token_ids, True),
            (pair.rejected, pair.rejected_token_ids, False),
        ):
            [found] = {
                (verdicts[pair.problem_id, r.index], r.truncated)
                for r in pools[pair.problem_id]
                if (r.text, r.token_ids) == (text, ids)
            }
            assert found == (verdict, False)
        assert pair.prompt_token_ids == prompts[pair.problem_id]
    order = [p.id for p in stored_problems(run)]
    places = [order.index(pair.problem_id) for pair in pairs]
    assert places == sorted(places)
    # What is missing is said, by reason, and adds up.
    used = {pair.problem_id for pair in pairs}
    assert lines[0] == f"correct-wrong: {len(pairs)} pairs from {len(used)} of {LIMIT} problems, seed 0"
    counts = {p: sum(pair.problem_id == p for pair in pairs) for p in order}
    short = [line for line in lines if " problems (" in line]
    assert sum(int(line.split(": ")[1].split(" of ")[0]) for line in short) == sum(c < 2 for c in counts.values())
    truncated = int(loaded.pool.truncated.sum())
    assert truncated, "the run is meant to have truncated responses"
    assert f"  truncated, so not used: {truncated} of {LIMIT * N} responses" in lines


def test_best_random_chooses_the_likeliest_whole_response(run: Path, tmp_path: Path) -> None:
    pairs, _ = build(run, "best-random", tmp_path / "pairs.jsonl")
    pools = samples(run)
    for pair in pairs:
        whole = [r for r in pools[pair.problem_id] if not r.truncated]
        best = max(whole, key=lambda r: r.log_likelihood)
        assert (pair.chosen, pair.chosen_token_ids) == (best.text, best.token_ids)
    assert len(pairs) > LIMIT / 2


def test_gold_sample_continues_the_prompt_as_a_few_shot_example_does(run: Path, chat_run: Path, tmp_path: Path) -> None:
    answers = {p.id: p.fields["answer"] for p in stored_problems(run)}
    pairs, _ = build(run, "gold-sample", tmp_path / "a.jsonl")
    assert len(pairs) == LIMIT
    assert all(pair.chosen == answers[pair.problem_id] and pair.chosen_token_ids is None for pair in pairs)
    # A user's own task, whose template parts question and solution by blanks: they belong to plain style.
    own = tmp_path / "own.yaml"
    text = load_task("arith").path.read_text(encoding="utf-8")
    own.write_text(text.replace('response: "{answer}"', 'response: "\\n{answer}"'), encoding="utf-8")
    task = ["--task", str(own)]
    plain, _ = build(run, "gold-sample", tmp_path / "b.jsonl", *task)
    assert [pair.chosen for pair in plain] == ["\n" + str(pair.chosen) for pair in pairs]
    for form, source in (("plain", chat_run), ("conversational", chat_run), ("conversational", run)):
        made, _ = build(source, "gold-sample", tmp_path / "c.jsonl", "--format", form, *task)
        said = [p.chosen if isinstance(p.chosen, str) else p.chosen[0]["content"] for p in made]
        assert said == [answers[pair.problem_id] for pair in made]


def test_conversational_pairs_of_a_chat_style_run(chat_model: Path, chat_run: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(chat_model)
    talk, _ = build(chat_run, "best-random", tmp_path / "talk.jsonl", "--format", "conversational")
    plain, _ = build(chat_run, "best-random", tmp_path / "plain.jsonl")
    for said, text in zip(talk, plain, strict=True):
        assert not isinstance(said.prompt, str)
        assert [m["role"] for m in said.prompt] == ["user", "assistant", "user"]
        ids = tokenizer.apply_chat_template(list(said.prompt), add_generation_prompt=True, return_dict=False)
        assert tuple(ids) == said.prompt_token_ids == text.prompt_token_ids
        assert said.chosen == ({"role": "assistant", "content": text.chosen},)
        assert said.rejected == ({"role": "assistant", "content": text.rejected},)
        assert (said.chosen_token_ids, said.rejected_token_ids) == (text.chosen_token_ids, text.rejected_token_ids)


def test_conversational_pairs_of_a_plain_style_run(run: Path, tmp_path: Path) -> None:
    questions = {p.id: p.fields["question"] for p in stored_problems(run)}
    for pair in build(run, "best-random", tmp_path / "pairs.jsonl", "--format", "conversational")[0]:
        assert pair.prompt == ({"role": "user", "content": questions[pair.problem_id]},)
        assert pair.prompt_token_ids is None, "a chat template makes other tokens of it"
        assert pair.chosen_token_ids is not None


@pytest.mark.parametrize("form", ["plain", "conversational"])
@pytest.mark.parametrize("recipe", ["best-random", "gold-sample"])
def test_datasets_and_trl_read_the_file(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, recipe: str
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    out = tmp_path / "pairs.jsonl"
    pairs, _ = build(run, recipe, out, "--format", form)
    rows: list[dict[str, Any]] = list(datasets.load_dataset("json", data_files=str(out), split="train"))
    assert [row["id"] for row in rows] == [pair.id for pair in pairs]
    data_utils = pytest.importorskip("trl.data_utils")
    for row, pair in zip(rows, pairs, strict=True):
        assert data_utils.is_conversational(row) == (form == "conversational")
        assert data_utils.maybe_extract_prompt(row) == row, "the prompt is explicit"
        text = row["chosen"] if form == "plain" else row["chosen"][0]["content"]
        assert text == (pair.chosen if isinstance(pair.chosen, str) else pair.chosen[0]["content"])


def refused(out: Path, *args: str | Path) -> str:
    done = bon_eval("pairs", *args, "--out", out)
    assert done.exit_code == 2
    assert not out.exists()
    [line] = done.output.splitlines()
    return line


def test_bad_input_is_one_line_and_writes_nothing(run: Path, chat_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    assert "is not a run directory" in refused(out, tmp_path, "--recipe", "shuffled")
    assert "unknown recipe 'best'; valid:" in refused(out, run, "--recipe", "best")
    assert "orders nothing" in refused(out, run, "--recipe", "shuffled", "--margin", "1")
    line = refused(out, run, "--recipe", "best-random", "--margin", "1000")
    assert f"best-random builds no pair from {run}: fewer than 1 pair with a gap of at least 1000 (nats)" in line
    gold = [run, "--recipe", "gold-sample", "--task"]
    assert "prontoqa has no worked solutions" in refused(out, *gold, "prontoqa")
    assert "the prompt of problem '0' is not what" in refused(out, *gold, "gsm8k")
    assert "only gold-sample reads the task" in refused(out, run, "--recipe", "shuffled", "--task", "arith")
    old = tmp_path / "old"
    shutil.copytree(chat_run, old)
    table = pq.read_table(old / "problems.parquet").drop_columns("messages")
    pq.write_table(table, old / "problems.parquet")
    line = refused(out, old, "--recipe", "best-random", "--format", "conversational")
    assert "before runs kept their messages; use --format plain" in line
    meta = json.loads((old / "run.json").read_text())
    meta["config"]["task_hash"] = "another"
    (old / "run.json").write_text(json.dumps(meta))
    assert "give its YAML file with --task" in refused(out, old, "--recipe", "gold-sample")
