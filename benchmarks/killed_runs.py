"""How much a run's numbers are off where it was killed: what is in flight is lost, and more of it is long.

    python benchmarks/killed_runs.py [--pool 64] [--slots 256] [--runs 200] [--cv 1.0] [--correlation -0.4]

A simulation of a scheduler: `slots` sequences at once, responses in task order, lengths log-normal with the given
coefficient of variation within a pool, correctness by a threshold on what correlates with the log-length (so a long
response is less often correct). Kills are spread evenly over the run. What a kill loses is drawn again, as new draws.
Three ways to keep are compared:

    finished   what has finished, as bon-eval does it
    pools      whole pools alone: one response that is not finished loses its pool
    orderly    a first signal: what is begun comes to its end, so that nothing is chosen by its length

The formula is that of a scheduler that is always full: a kill swaps as many responses as there are slots, on which
length is biased (E[L^2]/E[L] in place of E[L]), for new ones. So the mean length falls by slots / responses * cv^2, and
the accuracy rises by slots / responses * -Cov(correct, L)/E[L], for each kill.
"""

from __future__ import annotations

import argparse
import heapq

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KEEP = ("finished", "pools", "orderly")


def drawn(rng: np.random.Generator, count: int, cv: float, correlation: float) -> tuple[Array, Array]:
    """Lengths of mean 1 and whether each response is correct, half of them on average."""
    sigma = np.sqrt(np.log1p(cv**2))
    z = rng.standard_normal(count)
    skill = correlation * z + np.sqrt(1 - correlation**2) * rng.standard_normal(count)
    return np.exp(sigma * z - sigma**2 / 2), (skill > 0).astype(float)


def schedule(lengths: Array, slots: int) -> tuple[Array, Array]:
    """When each response begins and ends, in the order in which they are asked for."""
    free = [0.0] * slots
    begins = np.empty(len(lengths))
    for k, length in enumerate(lengths):
        begins[k] = free[0]
        heapq.heapreplace(free, free[0] + length)
    return begins, begins + lengths


def one_run(
    rng: np.random.Generator, pools: int, args: argparse.Namespace, kills: int, keep: str
) -> tuple[float, float]:
    """Mean length and accuracy of what a run holds in the end."""
    total = pools * args.pool
    lengths, correct = np.empty(total), np.empty(total)
    owed = np.arange(total)
    session = total / min(args.slots, total) / (kills + 1)
    for k in range(kills + 1):
        new, right = drawn(rng, len(owed), args.cv, args.correlation)
        begins, ends = schedule(new, args.slots)
        kept = np.ones(len(owed), dtype=bool)
        if k < kills:
            kept = begins < session if keep == "orderly" else ends <= session
        if keep == "pools":
            kept &= (np.bincount(owed[kept] // args.pool, minlength=pools) == args.pool)[owed // args.pool]
        lengths[owed[kept]], correct[owed[kept]] = new[kept], right[kept]
        owed = owed[~kept]
    return float(lengths.mean()), float(correct.mean())


def main() -> None:
    """A row for each size of run and number of kills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=64)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--cv", type=float, default=1.0)
    parser.add_argument("--correlation", type=float, default=-0.4)
    args = parser.parse_args()
    lengths, correct = drawn(np.random.default_rng(1), 2_000_000, args.cv, args.correlation)
    covariance = float(np.cov(lengths, correct)[0, 1] / lengths.mean())
    print(f"correlation of length and correctness {np.corrcoef(lengths, correct)[0, 1]:.2f}")
    columns = [f"{name:>9}: length  points" for name in (*KEEP, "formula")]
    print("in flight  kills  " + "  ".join(columns))
    for share in (0.01, 0.05, 0.25, 1.0):
        pools = max(1, round(args.slots / share / args.pool))
        for kills in (1, 4):
            cells = []
            for keep in KEEP:
                rng = np.random.default_rng([7, pools, kills])
                found = np.array([one_run(rng, pools, args, kills, keep) for _ in range(args.runs)])
                length, accuracy = found.mean(axis=0)
                cells.append(f"{100 * (length - 1):+16.1f} % {100 * (accuracy - 0.5):+7.2f}")
            told = f"{-100 * kills * share * args.cv**2:+16.1f} % {-100 * kills * share * covariance:+7.2f}"
            print(f"{100 * share:8.0f} % {kills:6d}  " + "  ".join([*cells, told]), flush=True)


if __name__ == "__main__":
    main()
