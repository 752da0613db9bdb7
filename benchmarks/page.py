"""Size of report.html and the time that a browser takes to open it: 1,000 problems x 64 responses.

    python benchmarks/page.py [--problems 1000] [--n 64] [--chars 1200] [--rounds 5]

The run is synthetic and stored as a real one; every response is a different text of about `--chars` characters, so that
the page's budget of texts binds. The page is opened in headless Chromium (CHROMIUM names it, else the one on the path):
from the start of the navigation until the problem list is there, and then until the first problem is unfolded. The
target: under 25 MB, and open in under 2 s.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import sync_playwright
from report import APPENDS_PER_PART, config, grades, responses

from bon_eval.analysis.analyse import analyse
from bon_eval.config import digest
from bon_eval.records import Problem
from bon_eval.report.run.page import write_page
from bon_eval.run import grading
from bon_eval.store import parts
from bon_eval.store.reader import load_run
from bon_eval.store.writer import RunStore

WORDS = np.array(["so", "we", "add", "the", "total", "of", "each", "box", "and", "then", "<", "x = 7", "\\frac{1}{2}"])


def with_texts(rng: np.random.Generator, table: pa.Table, chars: int) -> pa.Table:
    """The same rows with a reasoning of about `chars` characters before each answer."""
    words = rng.choice(WORDS, size=(table.num_rows, max(1, chars // 5)))
    texts = [f"{' '.join(line)}\n{text}" for line, text in zip(words, table["text"].to_pylist(), strict=True)]
    return table.set_column(table.column_names.index("text"), parts.SCHEMA.field("text"), pa.array(texts))


def write_run(directory: Path, n_problems: int, n: int, chars: int) -> None:
    """A finished, graded run directory."""
    rng = np.random.default_rng(n_problems)
    problems = [Problem(f"p{i:05d}", {"question": f"How many are {i}? " * 20}, "yes") for i in range(n_problems)]
    prompts = pa.table({"prompt": ["q"] * n_problems, "prompt_token_ids": [[1]] * n_problems})
    resolved = config(n, 400)
    with RunStore(directory, resolved, problems, prompts) as store:
        store.begin_session("2000-01-01T00:00:00", {"bon_eval": "synthetic"}, {"name": "none"})
        store.finish_sampling()

    with pq.ParquetWriter(directory / "grades.parquet", grading.SCHEMA, compression="zstd") as graded:

        def requests(some: list[Problem]) -> Iterator[pa.Table]:
            for problem in some:
                skill = float(rng.beta(1.0, 1.0))
                for arm, size in (("greedy", 1), ("sample", n)):
                    table = responses(rng, problem.id, arm, size, chars // 4, skill)
                    graded.write_table(grades(rng, table))
                    yield with_texts(rng, table, chars)

        run, step = digest(resolved.identity()), APPENDS_PER_PART // 2
        for start in range(0, n_problems, step):
            some = problems[start : start + step]
            parts.write_part(directory / "responses", 2 * start, 2 * (start + len(some)) - 1, run, requests(some))


def open_page(path: Path, rounds: int) -> Iterator[tuple[float, float]]:
    """Seconds until the problem list is there, and until the first problem is unfolded after that."""
    binary = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if binary is None:
        raise SystemExit("no Chromium found; CHROMIUM names one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(rounds):
            tab = browser.new_page()
            start = time.perf_counter()
            tab.goto(path.as_uri())
            tab.wait_for_selector("#problems > *")
            opened = time.perf_counter()
            tab.click("#problems button >> nth=0")
            tab.wait_for_selector(".response")
            yield opened - start, time.perf_counter() - opened
            tab.close()
        browser.close()


def main() -> None:
    """One run, one page, a few openings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--chars", type=int, default=1200, help="Characters of a response.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--draws", type=int, default=1000, help="Bootstrap draws of the analysis behind the page.")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "run"
        write_run(directory, args.problems, args.n, args.chars)
        stored = sum(path.stat().st_size for path in directory.rglob("*.parquet"))
        run = load_run(directory)
        analysis = analyse(run, draws=args.draws, duplicates=run.duplicates)
        start = time.perf_counter()
        page = write_page(run, analysis, directory)
        seconds = time.perf_counter() - start
        size, peak = page.stat().st_size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{args.problems} problems x {args.n} responses of {args.chars} characters, {stored / 1e6:.0f} MB stored")
        print(f"report.html: {size / 1e6:.1f} MB, written in {seconds:.1f} s, peak of the process {peak:.0f} MiB")
        times = list(open_page(page, args.rounds))
        opening, unfolding = (np.array(column) for column in zip(*times, strict=True))
        print(f"open: median {np.median(opening):.2f} s, slowest {opening.max():.2f} s of {args.rounds}")
        print(f"unfold a problem: median {np.median(unfolding):.2f} s, slowest {unfolding.max():.2f} s")


if __name__ == "__main__":
    main()
