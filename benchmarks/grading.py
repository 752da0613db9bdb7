"""Grading a run against math-verify called one by one on the same rows: speed ratio and every disagreement.

    python benchmarks/grading.py [--cases FILE.jsonl[.gz]] [--problems 1000] [--responses 64] [--processor-time]

The cases are rows with `response` and `gold`; each gold's responses are drawn with replacement, so that a pool repeats
its answers as a model does; every row's text is made its own by its first line. Without a file, the pools are made from
the MATH-500 golds in BON_EVAL_DATA: a gold written in one of several ways, or one of a few other problems' golds, with
falling frequency. `--processor-time` counts this process's own processor time, which other work on the machine disturbs
less; bon-eval's workers, which start meanwhile, are left out then.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from math_verify import parse, verify

from bon_eval.graders import GRADERS
from bon_eval.graders.batch import grade_many

ROOT = Path(__file__).resolve().parent.parent


def rows_of(path: Path) -> dict[str, list[str]]:
    """Responses by gold."""
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    found: dict[str, list[str]] = {}
    for line in data.splitlines():
        row = json.loads(line)
        found.setdefault(row["gold"], []).append(row["response"])
    return found


def made_up(seed: int) -> dict[str, list[str]]:
    """Responses by gold, made from the golds alone."""
    folder = Path(os.environ.get("BON_EVAL_DATA", ROOT.parent / "shared" / "data"))
    lines = (folder / "math500_test.jsonl").read_text(encoding="utf8").splitlines()
    golds = [json.loads(line)["answer"] for line in lines]
    rng = random.Random(seed)
    found = {}
    for gold in golds:
        written = [gold, gold.replace("frac", "dfrac"), f" {gold} ", *rng.sample(golds, 4)]
        pool = [w for k, w in enumerate(written) for _ in range(2 ** (len(written) - k))]
        found[gold] = [f"Step by step we find that the answer is $\\boxed{{{w}}}$." for w in pool]
    return found


def library(response: str, gold: str) -> bool:
    """math-verify as its documentation calls it."""
    return bool(verify(parse(f"\\boxed{{{gold}}}"), parse(response)))


def main() -> None:
    """Print rates, their ratio and the disagreements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path)
    parser.add_argument("--grader", choices=sorted(GRADERS), default="math")
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--responses", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processor-time", action="store_true")
    args = parser.parse_args()
    clock = time.process_time if args.processor_time else time.perf_counter
    source = rows_of(args.cases) if args.cases else made_up(args.seed)
    rng = random.Random(args.seed)
    golds = rng.choices(sorted(source), k=args.problems)
    drawn = [(response, gold) for gold in golds for response in rng.choices(source[gold], k=args.responses)]
    # no two rows are the same text: a model seldom writes the same response twice, only the same answer
    items = [(f"Attempt {k}.\n{response}", gold) for k, (response, gold) in enumerate(drawn)]

    start = clock()
    grades = grade_many(args.grader, items)
    ours = clock() - start

    library(*items[0])
    verdicts: dict[tuple[str, str], bool] = {}
    theirs = 0.0
    for row, times in Counter(drawn).items():  # rows that differ in their first line only take as long
        start = clock()
        verdicts[row] = library(*row)
        theirs += times * (clock() - start)

    decided = {(row, grade.correct) for row, grade in zip(drawn, grades, strict=True) if grade.correct is not None}
    differing = sorted((row, correct) for row, correct in decided if correct is not verdicts[row])
    workers = "processor time without workers" if args.processor_time else "workers and their start included"
    versions = f"math-verify {version('math-verify')}, {args.grader} {GRADERS[args.grader].version}"
    print(f"{versions}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"rows {len(items)}, of {len(verdicts)} different responses to {len(set(golds))} golds")
    print(f"bon-eval     {len(items) / ours:10.0f} rows/s ({ours:.1f} s), {workers}")
    print(f"math-verify  {len(items) / theirs:10.0f} rows/s ({theirs:.1f} s), one by one")
    print(f"ratio        {theirs / ours:10.1f}")
    print(f"unscored     {sum(g.correct is None for g in grades):10d}")
    print(f"responses that both decide, and differently: {len(differing)}")
    for (response, gold), correct in differing[:40]:
        print(f"  ours {correct}, math-verify {verdicts[response, gold]}: gold {gold!r}, response …{response[-80:]!r}")


if __name__ == "__main__":
    main()
