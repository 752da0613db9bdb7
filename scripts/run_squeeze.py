"""Runs results/squeeze/conditions.yaml through the bon-eval commands, two at a time, and writes its page.

python scripts/run_squeeze.py            # all models and seeds; goes on where it stopped
python scripts/run_squeeze.py --fast     # the first model and seed alone
python scripts/run_squeeze.py --page     # only the page, from what is stored
python scripts/run_squeeze.py --print    # the commands, and runs none
python scripts/run_squeeze.py --conditions results/squeeze/smollm2/conditions.yaml --work .squeeze-smollm2
"""

from __future__ import annotations

import argparse
import contextlib
import io
import multiprocessing
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from squeeze.page import write_page
from squeeze.plan import Command, Plan, read_plan
from squeeze.pretrained import sft_command, write_checkpoint, write_merged

ROOT = Path(__file__).resolve().parents[1]
CONDITIONS = ROOT / "results" / "squeeze" / "conditions.yaml"
WORKERS = 2
Task = tuple[str, Sequence[Command]]
"""A label, and commands that are run one after another."""


def run_commands(label: str, commands: Sequence[Command]) -> str:
    """Run commands in this process, which has the libraries loaded already; returns the line that says so.

    Raises:
        RuntimeError: a command ended with an error, which is in the message.
    """
    from bon_eval.cli import main

    began = time.monotonic()
    for command in commands:
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main.main(args=list(command), prog_name="bon-eval", standalone_mode=False)
        if code:
            raise RuntimeError(f"{label}: bon-eval {shlex.join(command)}\n{said.getvalue()[-2000:]}")
    return f"{label}: {time.monotonic() - began:.0f} s"


def run_all(executor: ProcessPoolExecutor, tasks: Sequence[Task]) -> None:
    """Run independent tasks; raises `SystemExit` with a command's own error."""
    began = [executor.submit(run_commands, *task) for task in tasks]
    try:
        for task in began:
            print(task.result(), file=sys.stderr, flush=True)
    except RuntimeError as error:
        executor.shutdown(cancel_futures=True)
        raise SystemExit(str(error)) from error


def phases(plan: Plan) -> list[list[Task]]:
    """Base models that are made, pools, pairs, trainings; the tasks of one phase are independent."""
    made = [(f"base {model}", [sft_command(plan, model)]) for model in pretrained(plan)]
    return [made, plan.pools(), plan.pairs(), [(cell.name, plan.commands(cell)) for cell in plan.cells()]]


def pretrained(plan: Plan) -> list[str]:
    """The models that are made of a pretrained one."""
    return [model for model in plan.models if "made_of" in plan.content["models"][model]]


def main() -> None:
    """Parse the command line, run, write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fast", action="store_true", help="the first model and seed alone")
    parser.add_argument("--page", action="store_true", help="only the page, from what is stored")
    parser.add_argument("--print", action="store_true", help="print the commands, and run none")
    parser.add_argument("--fresh", action="store_true", help="begin again")
    parser.add_argument("--conditions", type=Path, default=CONDITIONS, help="another conditions file")
    parser.add_argument("--work", type=Path, help="where the runs go")
    parser.add_argument("--out", type=Path, help="where the page goes")
    given = parser.parse_args()
    ending = "-fast" if given.fast else ""
    work = given.work or ROOT / f".squeeze{ending}"
    out = given.out or (given.conditions.parent if not given.fast else ROOT / "results" / f"squeeze{ending}")
    if given.fresh and work.exists():
        shutil.rmtree(work)
    plan = read_plan(given.conditions, work, fast=given.fast)
    if given.print:
        print("\n".join(f"bon-eval {shlex.join(c)}" for tasks in phases(plan) for _, chain in tasks for c in chain))
        return
    began = time.monotonic()
    if not given.page:
        plan.write_data()
        made, pools, pairs, trainings = phases(plan)
        for model, task in zip(pretrained(plan), made, strict=True):
            write_checkpoint(plan, model)
            print(run_commands(*task), file=sys.stderr, flush=True)
            write_merged(plan, model)
        # A thread for each worker: two models of this size share no work, and waiting threads spin.
        os.environ["OMP_NUM_THREADS"] = "1"
        with ProcessPoolExecutor(WORKERS, mp_context=multiprocessing.get_context("spawn")) as executor:
            run_all(executor, pools)
            run_all(executor, pairs)
            plan.write_said()
            run_all(executor, trainings)
    print(write_page(plan, out, seconds=None if given.page else time.monotonic() - began))


if __name__ == "__main__":
    main()
