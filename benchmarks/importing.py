"""Seconds and memory of an import: 1,000 problems with 64 responses each, written here as a source.

    python benchmarks/importing.py [--problems 1000] [--n 64] [--tokens 150] [--format texts|full]

`texts`: JSON Lines with ids and texts; `full`: token ids, token log-probs and finish reasons besides. The import grades
every response. Prints the size of the source, the seconds and the highest memory of the process that imports, and
compares with reading the same source by `json` alone.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_TASK = """\
name: sums
description: sums of two numbers
source: made here
licence: none
dataset: {files: {test: data.jsonl}}
columns: {id: id, question: question, answer: answer}
prompt: "{question}"
answer_format: "#### {gold}"
grader: gsm8k
max_tokens: 512
"""


def write_source(folder: Path, problems: int, n: int, tokens: int, full: bool) -> Path:
    """The task and the source."""
    rng = random.Random(0)
    (folder / "sums.yaml").write_text(_TASK, encoding="utf-8")
    words = ["so", "then", "we", "add", "both", "numbers", "and", "carry", "one", "over"]
    source = folder / "source.jsonl"
    with (folder / "data.jsonl").open("w") as data, source.open("w") as out:
        for p in range(problems):
            a, b = rng.randrange(1000), rng.randrange(1000)
            row = {"id": str(p), "question": f"What is {a} + {b}? ({p})", "answer": str(a + b)}
            data.write(json.dumps(row) + "\n")
            for k in range(n):
                text = " ".join(rng.choices(words, k=tokens)) + f"\n#### {a + b + (k % 3 == 0)}"
                stated: dict[str, object] = {"id": str(p), "sample_index": k, "text": text}
                if full:
                    stated["token_ids"] = rng.choices(range(50_000), k=tokens)
                    stated["token_logprobs"] = [-round(rng.expovariate(2.0), 5) for _ in range(tokens)]
                    stated["finish_reason"] = "stop"
                out.write(json.dumps(stated) + "\n")
    return source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=150)
    parser.add_argument("--format", choices=["texts", "full"], default="texts")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = write_source(folder, args.problems, args.n, args.tokens, args.format == "full")
        start = time.perf_counter()
        with source.open("rb") as file:
            for line in file:
                json.loads(line)
        parse = time.perf_counter() - start
        command = [sys.executable, "-m", "bon_eval.cli", "import", str(source), "--task", str(folder / "sums.yaml")]
        start = time.perf_counter()
        subprocess.run([*command, "--out", str(folder / "run"), "--quiet"], check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        size = source.stat().st_size / 1e6
    print(
        f"{args.problems:,} x {args.n} responses ({args.format}, {size:,.0f} MB): {seconds:.1f} s "
        f"({used.ru_utime + used.ru_stime:.1f} s of processor time), {peak:,.0f} MiB at most; "
        f"{seconds / parse:.1f} times what json alone takes to parse the source ({parse:.1f} s)"
    )


if __name__ == "__main__":
    main()
