"""Runs results/squeeze/conditions.yaml through the bon-eval commands, two at a time, and writes its page.

python scripts/run_squeeze.py            # all seeds; goes on where it stopped
python scripts/run_squeeze.py --fast     # the first seed alone
python scripts/run_squeeze.py --page     # only the page, from what is stored
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from squeeze.page import write_page
from squeeze.plan import Cell, Plan, read_plan

ROOT = Path(__file__).resolve().parents[1]
CONDITIONS = ROOT / "results" / "squeeze" / "conditions.yaml"
WORKERS = 2


def run(commands: list[list[str]], label: str) -> None:
    """Run commands in order; raises `SystemExit` with a command's own error."""
    began = time.monotonic()
    # A thread for each worker: two models of this size share no work, and waiting threads spin.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    for command in commands:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{label}: {' '.join(command)}\n{done.stderr[-2000:]}")
    print(f"{label}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def run_cell(plan: Plan, cell: Cell) -> None:
    """Train and track one cell."""
    run(plan.commands(cell), cell.name)


def main() -> None:
    """Parse the command line, run, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="the first seed alone")
    parser.add_argument("--page", action="store_true", help="only the page, from what is stored")
    parser.add_argument("--fresh", action="store_true", help="begin again")
    parser.add_argument("--conditions", type=Path, default=CONDITIONS, help="another conditions file")
    parser.add_argument("--work", type=Path, help="where the runs go")
    parser.add_argument("--out", type=Path, help="where the page goes")
    given = parser.parse_args()
    ending = "-fast" if given.fast else ""
    work = given.work or ROOT / f".squeeze{ending}"
    out = given.out or ROOT / "results" / f"squeeze{ending}"
    if given.fresh and work.exists():
        shutil.rmtree(work)
    plan = read_plan(given.conditions, work, fast=given.fast)
    began = time.monotonic()
    if not given.page:
        plan.write_data()
        with ThreadPoolExecutor(WORKERS) as executor:
            list(executor.map(lambda chain: run(chain, "pool and pairs"), plan.shared()))
            list(executor.map(lambda cell: run_cell(plan, cell), plan.cells()))
    print(write_page(plan, out, seconds=None if given.page else time.monotonic() - began))


if __name__ == "__main__":
    main()
