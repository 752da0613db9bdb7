"""A run as a Hugging Face data set in a folder: ``data/sample-*.parquet``, greedy responses as a split of their own.

A row for each problem, with a list column for each thing that a response has; ``load_dataset(FOLDER)`` reads it, and
`bon-eval import` finds its columns by their names, and the model in the files' metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.exchange.pools import Exported, Pooled, pools
from bon_eval.exchange.staging import staged
from bon_eval.store.reader import load_run

_ROWS = 64
_SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string()),
        pa.field("gold", pa.string()),
        pa.field("prompt", pa.string()),
        pa.field("draw", pa.string()),
        pa.field("responses", pa.list_(pa.string())),
        pa.field("answers", pa.list_(pa.string())),
        pa.field("correct", pa.list_(pa.bool_())),
        pa.field("log_likelihoods", pa.list_(pa.float64())),
        pa.field("token_ids", pa.list_(pa.list_(pa.int32()))),
        pa.field("token_logprobs", pa.list_(pa.list_(pa.float32()))),
        pa.field("n_tokens", pa.list_(pa.int32())),
        pa.field("finish_reasons", pa.list_(pa.string())),
    ]
)
FACTS = b"bon_eval"
"""Key of the Parquet schema's metadata, whose value says as JSON of the whole run what `_facts` gives."""
_OF = {
    "log_likelihoods": "log_likelihood",
    "token_ids": "token_ids",
    "token_logprobs": "token_logprobs",
    "n_tokens": "n_tokens",
    "finish_reasons": "truncated",
}
"""Column -> what a run may lack of it (`bon_eval.records.Pool.absent`): a null then."""


def write_dataset(run_dir: Path, out: Path) -> Exported:
    """Write the data set into a new folder."""
    run = load_run(run_dir)
    doc = pa.struct([(name, pa.string()) for name in dict.fromkeys(n for p in run.problems for n in p.fields)])
    schema = _SCHEMA.append(pa.field("doc", doc)) if doc.num_fields else _SCHEMA
    schema = schema.with_metadata({FACTS: json.dumps(_facts(run.meta["config"])).encode()})
    names = {draw: f"data/{draw}-00000-of-00001.parquet" for draw in run.draws if draw in ("greedy", "sample")}
    responses = 0
    with staged(out) as folder:
        (folder / "data").mkdir()
        writers = {draw: pq.ParquetWriter(folder / name, schema, compression="zstd") for draw, name in names.items()}
        try:
            held: dict[str, list[Pooled]] = {draw: [] for draw in names}
            for pool in pools(run):
                responses += len(pool.rows)
                held[pool.draw].append(pool)
                if len(held[pool.draw]) == _ROWS:
                    writers[pool.draw].write_table(_table(held[pool.draw], run.pool.absent, schema))
                    held[pool.draw] = []
            for draw, left in held.items():
                if left:
                    writers[draw].write_table(_table(left, run.pool.absent, schema))
        finally:
            for writer in writers.values():
                writer.close()
        (folder / "README.md").write_text(_card(names, run.meta["config"]), encoding="utf-8")
    return Exported(out, (*names.values(), "README.md"), len(run.pool.problem_ids), responses, ())


def _table(pooled: Iterable[Pooled], lacking: Mapping[str, str], schema: pa.Schema) -> pa.Table:
    rows = []
    for pool in pooled:
        own: dict[str, list[object] | None] = {
            "responses": [row["text"] for row in pool.rows],
            "answers": [row["answer"] for row in pool.rows],
            "correct": [row["correct"] for row in pool.rows],
            "log_likelihoods": [row["log_likelihood"] for row in pool.rows],
            "token_ids": [row["token_ids"] for row in pool.rows],
            "token_logprobs": [row["token_logprobs"] for row in pool.rows],
            "n_tokens": [row["n_tokens"] for row in pool.rows],
            "finish_reasons": [row["finish_reason"] for row in pool.rows],
        }
        own |= {column: None for column, name in _OF.items() if name in lacking}
        problem = pool.problem
        whole = {"problem_id": problem.id, "doc": dict(problem.fields), "gold": problem.gold}
        rows.append(whole | {"prompt": pool.prompt, "draw": pool.draw} | own)
    return pa.Table.from_pylist(rows, schema=schema)


def _facts(config: Mapping[str, object]) -> dict[str, object]:
    return {name: config.get(name) for name in ("model", "temperature", "max_tokens")}


def _card(names: Mapping[str, str], config: Mapping[str, object]) -> str:
    splits = "".join(f"  - split: {draw}\n    path: {name}\n" for draw, name in names.items())
    return (
        f"---\nconfigs:\n- config_name: default\n  data_files:\n{splits}---\n\n"
        f"Responses of {config['model']} to {config['task']}, written by `bon-eval export`: a row for each problem, a "
        "list for each thing that a response has. Log-likelihoods are in nats.\n"
    )
