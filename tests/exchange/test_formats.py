"""Each format as its program writes it, by its documented columns: told by its files, read, matched and graded."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.records import Problem
from bon_eval.store.reader import load_run

Problems = Sequence[Problem]
Source = tuple[Path, list[str]]


def _lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _right(problem: Problem) -> list[str]:
    return [f"#### {problem.gold}", "#### -1"]


def batch(folder: Path, problems: Problems) -> Source:
    def row(name: str, choices: list[dict[str, Any]], tokens: int) -> dict[str, Any]:
        body = {"model": "org/m", "choices": choices, "usage": {"completion_tokens": tokens}}
        response = {"status_code": 200, "request_id": "r", "body": body}
        return {"id": "b", "custom_id": name, "response": response, "error": None}

    rows = []
    for p in problems:
        for k, text in enumerate(_right(p)):
            logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -0.25 - k}]}
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}
            rows.append(row(f"{p.id}-{k}", [choice], 2))
    return _lines(folder / "output.jsonl", rows), []


def batch_of_completions(folder: Path, problems: Problems) -> Source:
    rows = [
        {
            "id": "vllm-1",
            "custom_id": p.id,
            "response": {
                "status_code": 200,
                "body": {
                    "model": "org/m",
                    "choices": [
                        {"index": k, "text": text, "finish_reason": "length", "logprobs": None}
                        for k, text in enumerate(_right(p))
                    ],
                },
            },
            "error": None,
        }
        for p in problems
    ]
    return _lines(folder / "vllm.jsonl", rows), []


def nemo_skills(folder: Path, problems: Problems) -> Source:
    for seed in range(2):
        rows = [
            {
                "problem": p.fields["question"],
                "expected_answer": p.gold,
                "generation": _right(p)[seed],
                "num_generated_tokens": 5 + seed,
                "predicted_answer": "x",
                "symbolic_correct": seed == 0,
            }
            for p in problems
        ]
        _lines(folder / "nemo" / f"output-rs{seed}.jsonl", rows)
    return folder / "nemo", []


def monkeys(folder: Path, problems: Problems) -> Source:
    (folder / "monkeys").mkdir()
    for p in problems:
        found = {
            "prompt": f"Question: {p.fields['question']}\nAnswer:",
            "question": p.fields["question"],
            "samples": _right(p),
            "gt_answer": p.fields["answer"],
            "is_corrects": [True, False],
        }
        (folder / "monkeys" / f"{p.id}.yaml").write_text(yaml.dump(found), encoding="utf-8")
    return folder / "monkeys", []


def search_and_learn(folder: Path, problems: Problems) -> Source:
    rows = [
        {
            "problem": p.fields["question"],
            "answer": p.gold,
            "unique_id": f"test/{p.id}.json",
            "completions": _right(p),
            "scores": [[0.5, 0.75], [0.25]],
            "pred": "#### 1",
            "completion_tokens": [7, 8],
        }
        for p in problems
    ]
    return _lines(folder / "best_of_n_completions.jsonl", rows), []


def inspect(folder: Path, problems: Problems) -> Source:
    path = folder / "2026-05-01T10-00-00+00-00_arith_abc.eval"
    with zipfile.ZipFile(path, "w") as archive:
        header = {
            "eval": {"model": "org/m", "task": "arith"},
            "plan": {"config": {"temperature": 0.7, "max_tokens": 64}},
        }
        archive.writestr("header.json", json.dumps(header))
        archive.writestr("summaries.json", "[]")
        for k, p in enumerate(problems):
            for epoch, text in enumerate(_right(p), start=1):
                content = (
                    text if epoch == 1 else [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": text}]
                )
                sample = {
                    "id": 100 + k,
                    "epoch": epoch,
                    "input": [{"role": "user", "content": "attachment://a1"}],
                    "attachments": {"a1": p.fields["question"]},
                    "target": p.gold,
                    "output": {
                        "choices": [{"message": {"role": "assistant", "content": content}, "stop_reason": "stop"}],
                        "usage": {"output_tokens": 4 + epoch},
                    },
                    "scores": {"match": {"value": "C" if epoch == 1 else "I"}},
                }
                archive.writestr(f"samples/{100 + k}_epoch_{epoch}.json", json.dumps(sample))
    return path, []


def lighteval(folder: Path, problems: Problems) -> Source:
    rows = [
        {
            "doc": {"query": f"Q: {p.fields['question']}", "choices": [p.gold], "gold_index": 0, "id": p.id},
            "model_response": {"text": _right(p), "output_tokens": [[4, 5], [6, 7, 8]], "logprobs": []},
            "metric": {"extractive_match": 0.5},
        }
        for p in problems
    ]
    path = folder / "details_arith_2026-05-01T10-00-00.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path, []


def lighteval_older(folder: Path, problems: Problems) -> Source:
    rows = [
        {
            "example": "x",
            "full_prompt": f"Q {p.id}",
            "predictions": str(_right(p)),
            "gold": str([p.gold]),
            "metrics": "{}",
        }
        for p in problems
    ]
    path = folder / "details_old.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path, ["--match", "row"]


def every_eval_ever(folder: Path, problems: Problems) -> Source:
    rows = [
        {
            "schema_version": "instance_level_eval_0.2.1",
            "evaluation_id": "arith/m/1",
            "model_id": "org/m",
            "evaluation_name": "arith",
            "sample_id": f"arith_{p.id}",
            "interaction_type": "single_turn",
            "input": {"raw": p.fields["question"], "formatted": None, "reference": [p.gold]},
            "output": {"raw": [text]},
            "messages": None,
            "answer_attribution": [],
            "evaluation": {"score": float(k == 0), "is_correct": k == 0},
            "token_usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
        }
        for p in problems
        for k, text in enumerate(_right(p))
    ]
    return _lines(folder / "eee" / "uuid_samples.jsonl", rows).parent, []


def dataset(folder: Path, problems: Problems) -> Source:
    (folder / "set" / "data").mkdir(parents=True)
    rows = [{"question": p.fields["question"], "responses": _right(p), "target": p.gold} for p in problems]
    for k, part in enumerate((rows[:5], rows[5:])):
        pq.write_table(pa.Table.from_pylist(part), folder / "set" / "data" / f"train-0000{k}-of-00002.parquet")
    (folder / "set" / "README.md").write_text("---\n---\n")
    return folder / "set", []


def dataset_on_disk(folder: Path, problems: Problems) -> Source:
    from datasets import Dataset

    rows = [{"id": p.id, "responses": _right(p)} for p in problems]
    Dataset.from_list(rows).save_to_disk(str(folder / "disk"))
    return folder / "disk", []


NOTHING = {"greedy", "log_likelihood", "n_tokens", "token_ids", "token_logprobs", "truncated"}
CASES = {
    "batch": (batch, {"greedy"}),
    "batch of completions": (
        batch_of_completions,
        {"greedy", "log_likelihood", "n_tokens", "token_ids", "token_logprobs"},
    ),
    "nemo-skills": (nemo_skills, {"greedy", "log_likelihood", "token_ids", "token_logprobs", "truncated"}),
    "monkeys": (monkeys, NOTHING),
    "search-and-learn": (search_and_learn, {"greedy", "log_likelihood", "token_ids", "token_logprobs", "truncated"}),
    "inspect": (inspect, {"greedy", "log_likelihood", "token_ids", "token_logprobs"}),
    "lighteval": (lighteval, {"greedy", "log_likelihood", "token_logprobs", "truncated"}),
    "lighteval, older": (
        lighteval_older,
        NOTHING,
    ),
    "every-eval-ever": (every_eval_ever, {"greedy", "log_likelihood", "token_ids", "token_logprobs", "truncated"}),
    "dataset": (dataset, NOTHING),
    "dataset on disk": (
        dataset_on_disk,
        NOTHING,
    ),
}
"""Format -> how a source of it is made, and what it does not state. `batch` names token log-probs without ids."""


@pytest.mark.parametrize("name", CASES)
def test_a_format_is_told_read_and_graded(
    name: str, problems: Problems, bring: Callable[..., Result], tmp_path: Path
) -> None:
    make, lacking = CASES[name]
    lacking = lacking | ({"token_ids"} if name == "batch" else set())
    source, options = make(tmp_path, problems)
    done = bring(source, *options)
    assert done.exit_code == 0, done.output
    run = load_run(tmp_path / "run")
    assert run.meta["source"]["format"] == name.partition(",")[0].partition(" o")[0]
    assert set(run.pool.absent) == lacking
    assert run.pool.correct.tolist() == [[True, False]] * 12
    assert [p.gold for p in run.problems] == [p.gold for p in problems]
    if run.meta["source"].get("verdicts") or "verdicts" in done.output:
        assert "the source's own agree on 24 of 24 responses" in done.output
    report = CliRunner().invoke(main, ["report", str(tmp_path / "run"), "--draws", "200", "--no-html"])
    assert report.exit_code == 0, report.output


def test_what_sources_state_besides(problems: Problems, bring: Callable[..., Result], tmp_path: Path) -> None:
    source, _ = batch(tmp_path, problems)
    assert bring(source).exit_code == 0
    run = load_run(tmp_path / "run")
    assert run.meta["config"]["model"] == "org/m"
    assert run.pool.log_likelihood.tolist() == [[-0.75, -1.75]] * 12
    shutil.rmtree(tmp_path / "run")
    source, _ = inspect(tmp_path, problems)
    done = bring(source)
    assert "matched by question" in done.output
    run = load_run(tmp_path / "run")
    assert (run.meta["config"]["temperature"], run.meta["config"]["max_tokens"]) == (0.7, 64)
    assert run.pool.n_tokens.tolist() == [[5, 6]] * 12
    assert not run.pool.truncated.any()
    shutil.rmtree(tmp_path / "run")
    source, _ = nemo_skills(tmp_path, problems)
    _lines(source / "output-greedy.jsonl", [
        {"problem": p.fields["question"], "expected_answer": p.gold, "generation": f"#### {p.gold}"} for p in problems
    ])  # fmt: skip
    assert "output-greedy.jsonl: taken as greedy responses" in bring(source).output
    assert load_run(tmp_path / "run").greedy.correct.all()


def test_damaged_logs_are_refused(
    problems: Problems, refused: Callable[..., str], bring: Callable[..., Result], tmp_path: Path
) -> None:
    whole, _ = inspect(tmp_path, problems)
    data = whole.read_bytes()
    (tmp_path / "half.eval").write_bytes(data[: len(data) // 2])
    assert "half.eval is no whole zip" in refused(tmp_path / "half.eval")
    source, _ = batch(tmp_path, problems)
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    rows[3] |= {"response": {"status_code": 500}, "error": {"message": "overloaded"}}
    line = refused(_lines(tmp_path / "failed.jsonl", rows))
    assert "line 4: request '1-1' failed" in line
    assert "overloaded" in line
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / "0.yaml").write_text("samples: !!python/object/apply:os.system ['true']\ngt_answer: 1\n")
    assert "is not YAML that can be read safely" in refused(tmp_path / "evil")
    several, _ = every_eval_ever(tmp_path, problems)
    _lines(several / "b_samples.jsonl", [
        json.loads(line) | {"model_id": "other"} for line in (several / "uuid_samples.jsonl").read_text().splitlines()
    ])  # fmt: skip
    assert "are two runs: model other and org/m" in refused(several)
