"""Time and peak memory of `bon-eval compare` on two stored runs, over a `bon-eval report` on one of them.

    python benchmarks/compare.py [--problems 1319] [--n 64] [--tokens 100]

The runs are synthetic and stored as real ones, each scored by the other's model. The target at 1,319 x 64: under 60 s
on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from report import write_run

from bon_eval.config import digest
from bon_eval.store import parts
from bon_eval.store.forced import SCHEMA, ForcedBy
from bon_eval.store.writer import read_meta


def rename_model(run: Path, name: str) -> None:
    """Make the synthetic run one of another model."""
    meta = read_meta(run)
    old = digest(meta["identity"])
    for side in ("config", "identity"):
        meta[side]["model_hash"] = name
    meta["config"]["model"] = name
    (run / "run.json").write_text(json.dumps(meta))
    for part in parts.list_parts(run / "responses", old):
        parts.write_part(run / "responses", part.first, part.last, digest(meta["identity"]), parts.read_parts([part]))


def write_scores(run: Path, by_run: Path, shift: float) -> None:
    """Forced log-probs that differ from the sampled ones by noise and a shift."""
    meta = read_meta(run)
    by = ForcedBy.of(read_meta(by_run)["config"])
    directory = run / "scores" / by.id
    directory.mkdir(parents=True)
    rng = np.random.default_rng(1)
    log = parts.PartLog(directory, digest({"run": meta["identity"], "by": by.id}), SCHEMA)
    for table in parts.read_parts(parts.list_parts(run / "responses", digest(meta["identity"]))):
        lists = table["token_logprobs"].combine_chunks()
        flat = lists.flatten().to_numpy() * (1 + shift) - rng.exponential(0.01, len(lists.flatten()))
        sums = np.add.reduceat(flat.astype(np.float64), lists.offsets.to_numpy()[:-1] - lists.offsets[0].as_py())
        columns = [table["problem_id"], table["arm"], table["index"]]
        columns += [pa.ListArray.from_arrays(lists.offsets, pa.array(flat.astype(np.float32))), pa.array(sums)]
        log.append(pa.table(columns, schema=SCHEMA))
    log.merge()


def measure(command: list[str]) -> tuple[float, float]:
    """Seconds and peak MiB of one fresh process."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "bon_eval.cli", *command], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"bon-eval {' '.join(command)} failed")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main() -> None:
    """Write two runs, compare them, print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1319)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "before", Path(folder) / "after"
        for run in runs:
            write_run(run, args.problems, args.n, args.tokens)
            rename_model(run, run.name)
        write_scores(runs[1], runs[0], 0.1)
        write_scores(runs[0], runs[1], 0.2)
        seconds, peak = measure(["compare", str(runs[0]), str(runs[1])])
        report_seconds, report_peak = measure(["report", str(runs[0])])
    print(f"compare, {args.problems} x {args.n}: {seconds:.1f} s, {peak:.0f} MiB (target: under 60 s on 2 cores)")
    print(f"report on one of them: {report_seconds:.1f} s, {report_peak:.0f} MiB; ratio {seconds / report_seconds:.2f}")


if __name__ == "__main__":
    main()
