"""Time and peak memory of exact best-of-n for every n, and its ratio to a plain loop over problems.

    python benchmarks/analysis.py [--problems 5000] [--n 256]

Two scorers (log-likelihood and mean log-likelihood) pick from the same pools, for all n = 1..N. The vectorised
computation runs in a fresh process, whose peak memory is its own. The loop runs over the first problems of the same
pools in the same run, with weights computed beforehand, and its time is scaled to all problems. The target at
5,000 x 256: under 5 s and 1 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from math import comb

import numpy as np

from bon_eval.estimators import best_of_n
from bon_eval.records import Pool
from bon_eval.scorers import get_scorer

SCORERS = ("log_likelihood", "mean_log_likelihood")
LOOP_PROBLEMS = 100


def synthetic_pool(problems: int, n: int, seed: int) -> Pool:
    """Pools whose log-likelihood falls with length and is higher where the answer is correct."""
    rng = np.random.default_rng(seed)
    n_tokens = rng.integers(5, 400, size=(problems, n), dtype=np.int32)
    correct = rng.random((problems, n)) < rng.beta(1.0, 1.0, size=(problems, 1))
    log_likelihood = -n_tokens * rng.gamma(4.0, 0.1, size=(problems, n)) + 2.0 * correct
    return Pool(
        problem_ids=tuple(str(i) for i in range(problems)),
        log_likelihood=np.minimum(log_likelihood, -1e-6),
        n_tokens=n_tokens,
        truncated=np.zeros((problems, n), dtype=np.bool_),
        correct=correct,
        unscored=np.zeros((problems, n), dtype=np.bool_),
        answer_class=np.where(correct, 0, rng.integers(1, 9, size=(problems, n))).astype(np.int32),
    )


def measure(problems: int, n: int, seed: int) -> dict[str, float]:
    """Seconds of both scorers for all n, of the plain loop on a few problems, and the largest gap between the two."""
    pool = synthetic_pool(problems, n, seed)
    before = peak_mib()
    start = time.perf_counter()
    curves = {name: best_of_n(get_scorer(name).over(pool), pool.correct, range(1, n + 1)) for name in SCORERS}
    seconds, peak = time.perf_counter() - start, peak_mib()
    some, weights = min(LOOP_PROBLEMS, problems), exact_weights(n)
    start = time.perf_counter()
    loops = {}
    for name in SCORERS:
        scores = get_scorer(name).over(pool)
        loops[name] = [loop(scores[i], pool.correct[i], weights) for i in range(some)]
    loop_seconds = time.perf_counter() - start
    gap = max(float(np.abs(curves[name][:, :some].T - loops[name]).max()) for name in SCORERS)
    return {
        "seconds": seconds,
        "peak_mib": peak,
        "peak_before_mib": before,
        "loop_seconds": loop_seconds * problems / some,
        "gap": gap,
    }


def exact_weights(n: int) -> list[list[float]]:
    """Row size - 1: the probability that rank r is the pick of a random subset of that size, from exact integers."""
    return [[comb(n - 1 - r, size - 1) / comb(n, size) for r in range(n - size + 1)] for size in range(1, n + 1)]


def loop(scores: np.ndarray, values: np.ndarray, weights: list[list[float]]) -> list[float]:
    """Best-of-n for every n of one pool, rank by rank (no ties)."""
    ranked = [float(v) for _, v in sorted(zip(scores, values, strict=True), key=lambda pair: -pair[0])]
    return [sum(w * v for w, v in zip(row, ranked, strict=False)) for row in weights]


def peak_mib() -> float:
    """Peak resident memory of this process so far (kilobytes on Linux, bytes on macOS)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=5000)
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(measure(args.problems, args.n, args.seed)))
        return
    options = ["--problems", str(args.problems), "--n", str(args.n), "--seed", str(args.seed)]
    worker = subprocess.run([sys.executable, __file__, "--worker", *options], check=True, stdout=subprocess.PIPE)
    got = json.loads(worker.stdout)
    print(f"best-of-n for all n, {args.problems} problems x {args.n} samples, {len(SCORERS)} scorers")
    print(f"  wall time    {got['seconds']:.2f} s")
    print(f"  peak memory  {got['peak_mib']:.0f} MiB ({got['peak_before_mib']:.0f} MiB before, pools included)")
    print(f"  plain loop   {got['loop_seconds']:.1f} s, scaled from {min(LOOP_PROBLEMS, args.problems)} problems")
    print(f"  ratio        {got['loop_seconds'] / got['seconds']:.0f} times faster than the loop")
    print(f"  largest gap  {got['gap']:.1e} between the two")


if __name__ == "__main__":
    main()
