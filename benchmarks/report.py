"""Time and peak memory of `bon-eval report` on stored runs of three sizes: is its cost linear in the responses?

    python benchmarks/report.py [--problems 1250 2500 5000] [--n 256] [--tokens 100] [--scorer NAME ...]

Each run directory is synthetic and stored as a real one: append-only parts with token ids and token log-probs, a row
group for each request, problems, grades. `bon-eval report --no-texts` then runs on it in a fresh process with all
arms, all n, 10,000 bootstrap draws, the page and the figures. The target at 5,000 x 256 (1.28 million responses):
under 30 s and 3 GB on 2 cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.config import RunConfig, digest
from bon_eval.records import Problem
from bon_eval.run import grading
from bon_eval.store import parts
from bon_eval.store.writer import RunStore

APPENDS_PER_PART = 64


def config(n: int, max_tokens: int) -> RunConfig:
    """Of the synthetic run; hashes are made up."""
    return RunConfig(
        task="synthetic",
        model="synthetic",
        revision=None,
        adapter=None,
        engine="none",
        dtype="float32",
        n=n,
        limit=None,
        temperature=1.0,
        max_tokens=max_tokens,
        stop=(),
        stop_token_ids=(2,),
        prompt_style="plain",
        shots=0,
        seed=0,
        grader="gsm8k",
        data=None,
        train_data=None,
        spec_hash="0",
        model_hash="0",
        adapter_hash=None,
        first_prompt="0",
        task_hash="0",
        prompts_hash="0",
    )


def responses(rng: np.random.Generator, problem: str, arm: str, n: int, tokens: int, skill: float) -> pa.Table:
    """Rows of one request; correct responses end in `yes` and have somewhat likelier tokens."""
    lengths = rng.integers(tokens // 2, tokens + tokens // 2 + 1, size=n)
    correct = rng.random(n) < skill
    logprobs = -rng.exponential(np.repeat(0.2 - 0.05 * correct, lengths)).astype(np.float32)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    ids = rng.integers(0, 50_000, size=len(logprobs), dtype=np.int32)
    texts = [f"{problem} {i % 200} {'yes' if right else 'no'}" for i, right in enumerate(correct)]
    cut = lengths == tokens + tokens // 2
    columns = [
        pa.array([problem] * n),
        pa.array([arm] * n),
        pa.array(np.arange(n, dtype=np.int32)),
        pa.array(texts),
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(ids)),
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(logprobs)),
        pa.array(np.add.reduceat(logprobs.astype(np.float64), offsets[:-1])),
        pa.array(lengths.astype(np.int32)),
        pa.array(np.where(cut, "length", "stop")),
    ]
    return pa.table(columns, schema=parts.SCHEMA)


def grades(rng: np.random.Generator, table: pa.Table) -> pa.Table:
    """Verdicts of one request: correct is class 0; a few are unscored, and a few miss the strict format."""
    n = table.num_rows
    correct = np.array([text.endswith("yes") for text in table["text"].to_pylist()])
    classes = np.where(correct, 0, rng.integers(1, 30, size=n)).astype(np.int32)
    columns = [
        table["problem_id"],
        table["arm"],
        table["index"],
        pa.array(correct, mask=rng.random(n) < 0.001),
        pa.array(correct & (rng.random(n) < 0.95)),
        pa.array([str(c) for c in classes]),
        pa.array(classes),
        pa.array(["synthetic"] * n),
        pa.nulls(n, pa.int32()),
        pa.array([len(text) for text in table["text"].to_pylist()], pa.int32()),
        pa.array([False] * n),
        *(pa.array([word] * n) for word in ("gsm8k", "1")),
    ]
    return pa.table(columns, schema=grading.SCHEMA)


def write_run(directory: Path, n_problems: int, n: int, tokens: int) -> None:
    """A finished, graded run directory."""
    rng = np.random.default_rng(n_problems)
    problems = [Problem(f"p{i:05d}", {"question": "q"}, "yes") for i in range(n_problems)]
    prompts = pa.table({"prompt": ["q"] * n_problems, "prompt_token_ids": [[1]] * n_problems})
    resolved = config(n, 2 * tokens)
    run = digest(resolved.identity())
    with RunStore(directory, resolved, problems, prompts) as store:
        store.begin_session("2000-01-01T00:00:00", {"bon_eval": "synthetic"}, {"name": "none"})
        store.finish_sampling()

    with pq.ParquetWriter(directory / "grades.parquet", grading.SCHEMA, compression="zstd") as graded:

        def requests(some: list[Problem]) -> Iterator[pa.Table]:
            verdicts = []
            for problem in some:
                skill = float(rng.beta(1.0, 1.0))
                for arm, size in (("greedy", 1), ("sample", n)):
                    table = responses(rng, problem.id, arm, size, tokens, skill)
                    verdicts.append(grades(rng, table))
                    yield table
            graded.write_table(pa.concat_tables(verdicts))

        step = APPENDS_PER_PART // 2
        for start in range(0, n_problems, step):
            some = problems[start : start + step]
            first = 2 * start
            parts.write_part(directory / "responses", first, first + 2 * len(some) - 1, run, requests(some))


def measure(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident memory in MiB of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return seconds, usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Three sizes and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, nargs="+", default=[1250, 2500, 5000])
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=100, help="Mean length of a response.")
    parser.add_argument("--scorer", action="append", default=[], help="Scorers to ask for; repeatable.")
    args = parser.parse_args()
    options = [word for name in args.scorer for word in ("--scorer", name)]
    found: list[tuple[int, float, float]] = []
    for count in args.problems:
        with tempfile.TemporaryDirectory() as folder:
            directory = Path(folder) / "run"
            write_run(directory, count, args.n, args.tokens)
            size = sum(path.stat().st_size for path in directory.rglob("*.parquet")) / 2**20
            seconds, peak = measure(
                [sys.executable, "-m", "bon_eval.cli", "report", str(directory), "--own", "--no-texts", *options]
            )
        found.append((count, seconds, peak))
        line = f"{count:6d} problems x {args.n} x {args.tokens} tokens ({size:6.0f} MiB stored): "
        line += f"{seconds:6.1f} s, peak {peak:6.0f} MiB"
        if len(found) > 1:
            before = found[-2]
            line += f"; {seconds / before[1]:.2f} x the time and {peak / before[2]:.2f} x the memory"
            line += f" for {count / before[0]:.2f} x the responses"
        print(line, flush=True)


if __name__ == "__main__":
    main()
