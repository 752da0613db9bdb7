"""A run as the logs of lm-evaluation-harness: ``samples_TASK_DATE.jsonl``, greedy responses in one of their own.

``doc_id`` is the problem's number in the run, and ``doc`` its columns with its id as ``bon_eval_id``;
``filtered_resps`` are the answers that the grader read. Log-likelihoods, tokens and finish reasons have no place there.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

from bon_eval.draws import GREEDY
from bon_eval.exchange.pools import Exported, Pooled, pools
from bon_eval.exchange.staging import staged
from bon_eval.store.reader import load_run

_LEFT_OUT = ("log-likelihoods and token log-probs", "token ids", "finish reasons")


def write_lm_eval(run_dir: Path, out: Path) -> Exported:
    """Write the logs and the results file that names the model into a new folder."""
    run = load_run(run_dir)
    config = run.meta["config"]
    date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
    with staged(out) as folder:
        names = {
            draw: f"samples_{config['task']}{'-greedy' if draw == GREEDY else ''}_{date}.jsonl" for draw in run.draws
        }
        names = {draw: name for draw, name in names.items() if draw in (GREEDY, "sample")}
        files = {draw: (folder / name).open("w", encoding="utf-8") for draw, name in names.items()}
        responses = 0
        try:
            for pool in pools(run):
                files[pool.draw].write(json.dumps(_row(pool, config), ensure_ascii=False) + "\n")
                responses += len(pool.rows)
        finally:
            for file in files.values():
                file.close()
        shown = {"model_name": config["model"], "config": {"model_args": f"pretrained={config['model']}"}}
        results = f"results_{date}.json"
        (folder / results).write_text(json.dumps(shown | {"results": {}}) + "\n", encoding="utf-8")
    return Exported(out, (*names.values(), results), len(run.pool.problem_ids), responses, _LEFT_OUT)


def _row(pool: Pooled, config: Any) -> dict[str, object]:
    greedy = pool.draw == GREEDY
    temperature = 0.0 if greedy else config["temperature"]
    asked = {"until": list(config["stop"] or []), "do_sample": not greedy}
    asked |= {} if temperature is None else {"temperature": temperature}
    asked |= {} if config["max_tokens"] is None else {"max_gen_toks": config["max_tokens"]}
    texts = [row["text"] for row in pool.rows]
    doc = {**pool.problem.fields, "bon_eval_id": pool.problem.id}
    right = [bool(row["correct"]) for row in pool.rows]
    return {
        "doc_id": pool.number,
        "doc": doc,
        "target": pool.problem.gold,
        "arguments": {"gen_args_0": {"arg_0": pool.prompt, "arg_1": asked}},
        "resps": [texts],
        "filtered_resps": [row["answer"] or "" for row in pool.rows],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(pool.prompt),
        "target_hash": _hash(pool.problem.gold),
        "exact_match": sum(right) / len(right),
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
