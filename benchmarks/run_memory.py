"""Peak memory of a whole `bon-eval run` at two numbers of problems: it should not depend on what is finished.

    python benchmarks/run_memory.py [--model arith-mixed] [--engine auto] [--problems 500] [--times 4] [--n 8]

Each run is a fresh process on generated problems (the embedded task's, repeated under new ids), sampling, grading and
report included. Read is the process's own resident-set peak (VmHWM) and, beside it, the highest sum over it and its
children, where vLLM's engine lives. The problems themselves, their prompts and the arrays of the final analysis (about
30 bytes per response) do grow; responses, token log-probs and texts must not stay.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

import psutil


def write_problems(path: Path, count: int) -> None:
    """The embedded test problems over and over, each under an id of its own."""
    text = resources.files("bon_eval").joinpath("assets/arith/test.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(rows[i % len(rows)]) + "\n" for i in range(count))


def peaks(command: list[str]) -> tuple[float, float]:
    """Peak of the process and of it with its children, in MiB."""
    own = family = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                own = max(own, *(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM:")), 0)
                children = sum(child.memory_info().rss for child in watched.children(recursive=True))
                family = max(family, watched.memory_info().rss + children)
            except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
                continue  # a process ended between two looks
            time.sleep(0.2)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with exit code {process.returncode}")
    return own / 1024, family / 2**20


def main() -> None:
    """Two runs and the ratio of their peaks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="arith-mixed")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--times", type=int, default=4)
    parser.add_argument("--n", type=int, default=8)
    args = parser.parse_args()
    found = []
    for count in (args.problems, args.problems * args.times):
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "problems.jsonl"
            write_problems(data, count)
            command = [sys.executable, "-m", "bon_eval.cli", "run", "--model", args.model, "--task", "arith"]
            command += ["--engine", args.engine, "--n", str(args.n), "--data", str(data), "--out", f"{folder}/run"]
            found.append(peaks(command))
        print(f"{count:6d} problems x {args.n}: process {found[-1][0]:7.0f} MiB, with children {found[-1][1]:7.0f} MiB")
    (own, family), (more_own, more_family) = found
    extra = args.problems * (args.times - 1) * (args.n + 1)
    print(f"ratio at {args.times} x: process {more_own / own:.3f}, with children {more_family / family:.3f}")
    print(f"growth of the process: {(more_own - own) * 2**20 / extra:.0f} bytes per response")


if __name__ == "__main__":
    main()
