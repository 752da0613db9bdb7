"""Coverage of the intervals and rates of error of the verdicts, by simulation with known truth, for the present code.

    python benchmarks/coverage.py [--only TEXT] [--sizes 20 50] [--repetitions R] [--scenarios]

One row for each quantity, one column for each number of problems; nominal are 95 % and 5 %. Each row has one or more
scenarios; a cell shows the worst of them (the lowest coverage, the highest rate of error, the largest bias), which a
row of many scenarios makes worse by chance. After ± stands the Monte Carlo error, one standard error. "none" where no
interval or verdict is given; where only some samples have none, their share. Problems are drawn anew each time, because
they are the sampling unit. Every scenario and number of problems has its own fixed seed: a part of the table has the
numbers of the whole. Rows are printed as they are made; whatever lies outside its bounds is named at the end.
"""

from __future__ import annotations

import argparse
import sys
import time

from simulations import arms, clusters, families, levels, nats, pairs, ratios, runs
from simulations.base import HIGHEST_ERROR, LOWEST_COVERAGE, Experiment, cells, is_outside, worst

SIZES = (3, 5, 10, 20, 50, 150)
EXPERIMENTS: tuple[Experiment, ...] = tuple(
    experiment
    for module in (arms, ratios, nats, clusters, pairs, levels, families, runs)
    for experiment in module.EXPERIMENTS
)


def measure(
    experiment: Experiment, sizes: tuple[int, ...], repetitions: int, only: str, each_scenario: bool
) -> list[str]:
    """Print the rows of one experiment; what lies outside its bounds."""
    repetitions = max(2, repetitions // experiment.one_in)
    names = [row.name for row in experiment.rows]
    found = {
        (name, n): cells(draw, len(names), f"{names[0]}: {name}", n, repetitions)
        for name, draw in experiment.scenarios.items()
        for n in sizes
    }
    outside = []
    for k, row in enumerate(experiment.rows):
        if only not in row.name:
            continue
        if each_scenario:
            for name in experiment.scenarios:
                texts = [found[name, n][k].text(row.kind) for n in sizes]
                print(f"| {row.name}: {name} | {' | '.join(texts)} | {repetitions} |", flush=True)
            continue
        lowest = [worst(row.kind, [found[name, n][k] for name in experiment.scenarios]) for n in sizes]
        texts = [cell.text(row.kind) for cell in lowest]
        counts = f"{len(experiment.scenarios)} x {repetitions}"
        print(f"| {row.name} | {' | '.join(texts)} | {counts} |", flush=True)
        outside += [
            f"{row.name}, P = {n}: {text}"
            for n, cell, text in zip(sizes, lowest, texts, strict=True)
            if is_outside(row, n, cell)
        ]
    return outside


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000, help="A half to a tenth of them for dear rows.")
    parser.add_argument("--only", default="", help="Rows whose name holds this.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="Numbers of problems.")
    parser.add_argument("--scenarios", action="store_true", help="A row for each scenario in place of the worst.")
    given = parser.parse_args()
    sizes = tuple(given.sizes)
    print(f"| quantity | {' | '.join(f'P = {n}' for n in sizes)} | scenarios x repetitions |")
    print("| --- " * (len(sizes) + 2) + "|", flush=True)
    outside: list[str] = []
    for experiment in EXPERIMENTS:
        if any(given.only in row.name for row in experiment.rows):
            began = time.monotonic()
            outside += measure(experiment, sizes, given.repetitions, given.only, given.scenarios)
            print(f"{time.monotonic() - began:.0f} s: {experiment.rows[0].name}", file=sys.stderr, flush=True)
    if not given.scenarios:
        bounds = f"coverage below {LOWEST_COVERAGE}, errors above {HIGHEST_ERROR}, a bias of more than two errors"
        print(f"\nOutside the bounds ({bounds}):", *(outside or ["nothing"]), sep="\n- ")


if __name__ == "__main__":
    main()
