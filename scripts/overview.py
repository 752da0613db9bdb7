"""Draw results/overview.png, the README's figure, from committed results: `python scripts/overview.py`."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

from bon_eval.report.formats.figures import BLUE, GREEN, GRID, PURPLE, VERMILLION, drawing, load_matplotlib

RESULTS = Path(__file__).resolve().parents[1] / "results"
MODEL = "arith-mixed"
LAST = 60
CONDITIONS = {
    "on-policy": ("DPO, own samples", BLUE, "o"),
    "outside": ("DPO, foreign sentences", VERMILLION, "s"),
    "paraphrased": ("DPO, paraphrases", PURPLE, "D"),
    "SFT sharpening": ("SFT on best-of-16", GREEN, "^"),
}
"""Condition -> label, colour, marker."""


def rows(path: str) -> list[dict[str, str]]:
    """A CSV file of results/."""
    with (RESULTS / path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def over_seeds(measure: str) -> dict[tuple[str, int], float]:
    """Condition and step -> the mean over seeds."""
    found: dict[tuple[str, int], list[float]] = defaultdict(list)
    for row in rows("squeeze/trajectories.csv"):
        if row["model"] == MODEL and row[measure]:
            found[row["condition"], int(row["step"])].append(float(row[measure]))
    return {key: sum(values) / len(values) for key, values in found.items()}


def best_of_n(axes: Any) -> None:
    """SmolLM2: accuracy against n, with greedy and one sample."""
    points = rows("squeeze/smollm2/base/curves.csv")
    arms = {(row["arm"], row["scorer"]): row for row in rows("squeeze/smollm2/base/report.csv")}
    for scorer, label, colour, marker, line in (
        ("log_likelihood", "best-of-n by log-likelihood", BLUE, "o", "-"),
        ("vote", "majority vote", GREEN, "^", "--"),
    ):
        curve = [(int(p["n"]), float(p["accuracy"]), p) for p in points if p["scorer"] == scorer]
        curve = [point for point in curve if point[0] & (point[0] - 1) == 0]
        axes.plot(
            *zip(*((n, y) for n, y, _ in curve), strict=True), line, color=colour, marker=marker, label=label, ms=4
        )
        if scorer == "log_likelihood":
            low, high = ([float(p[f"accuracy_{end}"]) for _, _, p in curve] for end in ("low", "high"))
            axes.fill_between([n for n, _, _ in curve], low, high, color=colour, alpha=0.15, lw=0)
    greedy = float(arms["greedy", ""]["accuracy"])
    axes.axhline(greedy, color=VERMILLION, ls=":", label="greedy")
    axes.set_xscale("log", base=2)
    axes.set_xticks([1, 2, 4, 8, 16, 32], ["1", "2", "4", "8", "16", "32"])
    axes.set_xlabel("n")
    axes.set_ylabel("accuracy")
    axes.set_title("SmolLM2-135M after SFT (150 problems):\nbest-of-n comes to where greedy is")
    axes.legend(fontsize=8, loc="lower right")


def squeezing(axes: Any) -> None:
    """arith-mixed: where trainings go, from the base model (cross) to their last checkpoint."""
    greedy, share = over_seeds("accuracy.greedy"), over_seeds("base_mass.4")
    start = share["on-policy", 0], greedy["on-policy", 0]
    for name, (label, colour, marker) in CONDITIONS.items():
        end = share[name, LAST], greedy[name, LAST]
        axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": colour, "lw": 1.2, "alpha": 0.7})
        axes.plot(*end, marker, color=colour, label=label, ms=6)
    axes.plot(*start, "x", color=GRID, label="before", ms=7)
    axes.set_xlim(0.37, 0.62)
    axes.set_ylim(0.25, 0.72)
    axes.set_xlabel("probability on the base model's 4 likeliest responses")
    axes.set_ylabel("accuracy of greedy")
    axes.set_title("Embedded model, 60 steps, means of 3 seeds:\nDPO lifts greedy without squeezing")
    axes.legend(fontsize=8, loc="lower right")


def main() -> None:
    with drawing():
        matplotlib = load_matplotlib()
        figure = matplotlib.figure.Figure(figsize=(9.6, 3.7), layout="constrained")
        left, right = figure.subplots(1, 2)
        best_of_n(left)
        squeezing(right)
        figure.savefig(RESULTS / "overview.png", dpi=160, facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main()
