"""How long the commands that need no model take to start, over a bare interpreter.

    python benchmarks/startup.py [--rounds 7]

Each command is a fresh process; the two take turns with `python -c pass`, and medians are compared. `bon-eval --help`
should take under 0.5 s; so should the imports behind `bon-eval report`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "bon-eval --help": ["-m", "bon_eval.cli", "--help"],
    "imports of bon-eval report": [
        "-c",
        "import bon_eval.analysis, bon_eval.store.reader, bon_eval.report.run.terminal",
    ],
}


def main() -> None:
    """Take turns and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(args.rounds + 1):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
            if turn:  # the first turn warms the disk cache
                seconds[name].append(time.perf_counter() - began)
    bare = statistics.median(seconds["python -c pass"])
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:28} {median:6.3f} s (median of {args.rounds}; {median / bare:5.1f} x a bare interpreter)")


if __name__ == "__main__":
    main()
