"""A run as instances of every_eval_ever's schema 0.2.1: ``MODEL_TASK_samples.jsonl``, a row for each response.

What the schema has no place for stands in ``metadata`` as text: draw, index, log-likelihood and finish reason. The
aggregate file that the schema joins instances to is not written.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bon_eval.exchange.pools import Exported, Pooled, pools
from bon_eval.exchange.staging import staged
from bon_eval.store.prompts import load_prompts
from bon_eval.store.reader import load_run

SCHEMA_VERSION = "instance_level_eval_0.2.1"
_LEFT_OUT = (
    "token ids and token log-probs",
    "the aggregate file of the evaluation",
    "temperature and limit of tokens (say them again with import --temperature and --max-tokens)",
)


def write_every_eval_ever(run_dir: Path, out: Path) -> Exported:
    """Write the instances into a new folder."""
    run = load_run(run_dir)
    config, grader = run.meta["config"], run.grader
    slug = re.sub(r"[^\w.-]+", "_", f"{config['model']}_{config['task']}")
    name = f"{slug}_samples.jsonl"
    tokens = {problem: len(ids) for problem, ids in load_prompts(run_dir).items()}
    lacking = run.pool.absent
    responses = 0
    with staged(out) as folder, (folder / name).open("w", encoding="utf-8") as file:
        for pool in pools(run):
            for row in _rows(pool, config, grader, lacking, tokens[pool.problem.id]):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                responses += 1
    return Exported(out, (name,), len(run.pool.problem_ids), responses, _LEFT_OUT)


def _rows(
    pool: Pooled, config: Mapping[str, Any], grader: Mapping[str, str], lacking: Mapping[str, str], prompt_tokens: int
) -> Iterator[dict[str, object]]:
    problem = pool.problem
    raw = problem.fields.get("question") or problem.fields.get("problem") or pool.prompt
    for row in pool.rows:
        right = bool(row["correct"])
        stated = {"draw": pool.draw, "index": str(row["index"])}
        if math.isfinite(row["log_likelihood"]):
            stated["log_likelihood"] = repr(row["log_likelihood"])
        if row["finish_reason"] in ("stop", "length"):
            stated["finish_reason"] = row["finish_reason"]
        size = row["n_tokens"]
        usage = {"input_tokens": prompt_tokens, "output_tokens": size, "total_tokens": prompt_tokens + size}
        yield {
            "schema_version": SCHEMA_VERSION,
            "evaluation_id": f"{config['task']}/{config['model']}/bon-eval",
            "model_id": config["model"],
            "evaluation_name": config["task"],
            "sample_id": problem.id,
            "sample_hash": hashlib.sha256((raw + problem.gold).encode("utf-8", "surrogatepass")).hexdigest(),
            "interaction_type": "single_turn",
            "input": {"raw": raw, "formatted": pool.prompt, "reference": [problem.gold]},
            "output": {"raw": [row["text"]]},
            "messages": None,
            "answer_attribution": [
                {
                    "turn_idx": 0,
                    "source": "output.raw",
                    "extracted_value": row["answer"] or "",
                    "extraction_method": f"bon-eval grader {grader['name']} version {grader['version']}",
                    "is_terminal": True,
                }
            ],
            "evaluation": {"score": float(right), "is_correct": right},
            "token_usage": usage if prompt_tokens and "n_tokens" not in lacking else None,
            "metadata": stated,
        }
