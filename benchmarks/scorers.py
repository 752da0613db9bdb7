"""Time and peak memory of every scorer and every vote on one pool, beside one scorer response by response.

    python benchmarks/scorers.py [--problems 1000] [--n 64] [--tokens 400]

The pool is synthetic and lies in memory as a loaded run's does: token log-probs, the three statistics of each token,
answer classes. Each public scorer scores it all; each vote decides at n = N and, by random subsets, at N/2; the power
distribution and the stopping rules follow. The work runs in a fresh process, whose peak memory is its own, pool
included. The loop scores the first responses one by one, and its time is scaled. The target at 1,000 x 64 x 400: under
20 s and 2 GB on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time

import numpy as np

from bon_eval.analysis.vote_rules import ALL_VOTES, get_vote
from bon_eval.estimators.reweighting import ALPHAS, power_weights
from bon_eval.estimators.stopping import likelihood_stopping, patience_stopping
from bon_eval.estimators.weighted_votes import weighted_vote
from bon_eval.records import Pool, Response
from bon_eval.scorers import SCORERS, STATS, get_scorer

LOOP_RESPONSES = 400
VOTE_DRAWS = 100


def synthetic_pool(problems: int, n: int, tokens: int, seed: int) -> Pool:
    """Lengths from half to one and a half times `tokens`; correct responses have somewhat likelier tokens."""
    rng = np.random.default_rng(seed)
    shape = (problems, n)
    n_tokens = rng.integers(tokens // 2, tokens + tokens // 2 + 1, size=shape).astype(np.int32)
    correct = rng.random(shape) < rng.beta(1.0, 1.0, size=(problems, 1))
    offsets = np.concatenate([[0], n_tokens.ravel().cumsum(dtype=np.int64)])
    logprobs = -rng.standard_exponential(offsets[-1], dtype=np.float32)
    logprobs *= np.repeat((0.2 - 0.05 * correct).astype(np.float32).ravel(), n_tokens.ravel())
    no = np.zeros(shape, dtype=np.bool_)
    return Pool(
        problem_ids=tuple(str(i) for i in range(problems)),
        log_likelihood=np.add.reduceat(logprobs, offsets[:-1], dtype=np.float64).reshape(shape),
        n_tokens=n_tokens,
        truncated=no,
        correct=correct,
        unscored=no,
        answer_class=np.where(correct, 0, rng.integers(1, 9, size=shape)).astype(np.int32),
        token_logprobs=logprobs,
        token_offsets=offsets,
        n_bytes=4 * n_tokens,
        token_stats={name: k + logprobs for k, name in enumerate(STATS, start=3)},
    )


def measure(problems: int, n: int, tokens: int, seed: int) -> dict[str, object]:
    """Seconds of each scorer, each vote and the rest; of the loop, scaled; and the largest gap between the two."""
    pool = synthetic_pool(problems, n, tokens, seed)
    before = peak_mib()
    seconds: dict[str, float] = {}
    scores = {}
    for name, scorer in SCORERS.items():
        start = time.perf_counter()
        scores[name] = scorer.over(pool)
        seconds[name] = time.perf_counter() - start
    rng = np.random.default_rng(seed)
    sizes = sorted({max(1, n // 2), n})
    for name in ("majority", *ALL_VOTES):
        rule = get_vote(name)
        start = time.perf_counter()
        weighted_vote(
            pool.answer_class, scores[rule.scorer], pool.correct, sizes, rule.weights, rng=rng, draws=VOTE_DRAWS
        )
        seconds[f"vote {name}"] = time.perf_counter() - start
    start = time.perf_counter()
    for alpha in ALPHAS:
        power_weights(pool.log_likelihood, alpha)
    seconds["power distribution"] = time.perf_counter() - start
    start = time.perf_counter()
    likelihood_stopping(pool.log_likelihood, pool.correct, 0.1)
    patience_stopping(pool.log_likelihood, pool.correct, 8)
    seconds["stopping rules"] = time.perf_counter() - start
    peak = peak_mib()
    loop, gap = one_by_one(pool, scores)
    return {"seconds": seconds, "peak_mib": peak, "peak_before_mib": before, "loop_seconds": loop, "gap": gap}


def one_by_one(pool: Pool, scores: dict[str, np.ndarray]) -> tuple[float, float]:
    """Seconds of all scorers over all responses, scaled from the first ones, and the largest relative gap."""
    assert pool.token_logprobs is not None
    assert pool.token_offsets is not None
    some = min(LOOP_RESPONSES, pool.n_tokens.size)
    responses = []
    for k in range(some):
        own = slice(int(pool.token_offsets[k]), int(pool.token_offsets[k + 1]))
        logprobs = tuple(pool.token_logprobs[own].tolist())
        stats = [tuple(pool.token_stats[name][own].tolist()) for name in STATS]
        row, index = divmod(k, pool.n)
        ids = tuple(range(len(logprobs)))
        text = "x" * (4 * len(ids))
        responses.append(Response(pool.problem_ids[row], "sample", index, text, ids, logprobs, "stop", *stats))
    gap, start = 0.0, time.perf_counter()
    for name in SCORERS:
        scorer = get_scorer(name)
        found = np.array([scorer(response) for response in responses])
        expected = scores[name].ravel()[:some]
        gap = max(gap, float((np.abs(found - expected) / np.maximum(1.0, np.abs(expected))).max()))
    return (time.perf_counter() - start) * pool.n_tokens.size / some, gap


def peak_mib() -> float:
    """Peak resident memory of this process so far (kilobytes on Linux, bytes on macOS)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(measure(args.problems, args.n, args.tokens, args.seed)))
        return
    options = [f"--{name}={getattr(args, name)}" for name in ("problems", "n", "tokens", "seed")]
    worker = subprocess.run([sys.executable, __file__, "--worker", *options], check=True, stdout=subprocess.PIPE)
    got = json.loads(worker.stdout)
    total = math.fsum(got["seconds"].values())
    scoring = math.fsum(seconds for name, seconds in got["seconds"].items() if name in SCORERS)
    size = f"{args.problems} problems x {args.n} x {args.tokens} tokens"
    print(f"{len(SCORERS)} scorers, {1 + len(ALL_VOTES)} votes, {size}")
    for name, seconds in got["seconds"].items():
        print(f"  {name:40} {seconds:7.3f} s")
    print(f"  {'all':40} {total:7.3f} s, scorers alone {scoring:.2f} s")
    print(f"  peak memory  {got['peak_mib']:.0f} MiB ({got['peak_before_mib']:.0f} MiB before, the pool included)")
    print(f"  one by one   {got['loop_seconds']:.1f} s for the scorers, scaled from {LOOP_RESPONSES} responses")
    print(f"  ratio        {got['loop_seconds'] / scoring:.1f} times faster than one by one")
    print(f"  largest gap  {got['gap']:.1e} between the two, relative")


if __name__ == "__main__":
    main()
