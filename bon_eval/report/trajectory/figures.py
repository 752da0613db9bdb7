"""The panels of a trajectory: accuracies, likelihoods and rankings against optimizer steps."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from bon_eval.dpo.tracking.base_pool import TOP
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.report.formats.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    drawing,
    legend_below,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE, FOLDER = "trajectory.html", "figures"
"""Where a tracking's page is, and where its figures are."""
_STYLES = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (GREEN, "^", "-."),
    (PURPLE, "D", ":"),
    (ORANGE, "v", "-"),
    (SKY, "P", "--"),
)
Line = tuple[str, str]
"""Measure and its label in the legend."""


def trajectory_figures(found: Trajectory) -> Iterator[tuple[str, str, Figure]]:
    """(file stem, alternative text, figure) of each panel."""
    n = found.n
    panels: list[tuple[str, str, str, Sequence[Line], float]] = [
        (
            "trajectory_accuracy",
            "Accuracy at each checkpoint",
            "accuracy (%)",
            [
                ("accuracy.greedy", "greedy"),
                ("accuracy.sample", "one sample"),
                ("accuracy.best_own", f"best-of-{n}"),
                ("accuracy.best_reward", f"best-of-{n} by implicit reward"),
                ("accuracy.oracle", f"oracle of {n}"),
            ],
            100.0,
        ),
        (
            "trajectory_best_of_n",
            "Best-of-N log-likelihood through training",
            "log-likelihood (nats per response)",
            [
                ("log_likelihood_self.best", f"best-of-{n}, under itself"),
                ("log_likelihood_base.best", f"best-of-{n}, under base"),
                ("log_likelihood_base.sample", "one sample, under base"),
                ("log_likelihood.base_best", f"base's best-of-{n}, under checkpoint"),
                ("log_likelihood.base_greedy", "base's greedy, under checkpoint"),
            ],
            1.0,
        ),
        (
            "trajectory_greedy",
            "The greedy response of each checkpoint",
            "log-likelihood (nats per response)",
            [
                ("log_likelihood_self.greedy", "its greedy response, under itself"),
                ("log_likelihood_base.greedy", "its greedy response, under base"),
                ("log_likelihood.base_greedy", "base's greedy, under checkpoint"),
            ],
            1.0,
        ),
        (
            "trajectory_mass",
            "Where the probability goes",
            "share (%)",
            [
                *((f"base_mass.{k}", f"on base's {k} likeliest" if k > 1 else "on base's likeliest") for k in TOP),
                ("base_rank.sample", "rank of a sample in the base pool"),
            ],
            100.0,
        ),
    ]
    for name in found.pair_counts:
        stem = _stem(name)
        panels += [
            (
                f"trajectory_likelihood_{stem}",
                f"Likelihood of the pairs ({name})",
                "log-likelihood (nats per response)",
                [
                    (f"{name}.log_likelihood.chosen", "chosen"),
                    (f"{name}.log_likelihood.rejected", "rejected"),
                    (f"{name}.argmax_along_chosen", "argmax along the chosen prefix"),
                ],
                1.0,
            ),
            (
                f"trajectory_ranking_{stem}",
                f"Ranking of the pairs ({name})",
                "share of pairs (%)",
                [
                    (f"{name}.ranking_accuracy", "ranking accuracy"),
                    (f"{name}.ranking_accuracy_per_token", "per token"),
                    (f"{name}.reward_accuracy", "reward accuracy"),
                    (f"{name}.both_fall", "both sides fall"),
                ],
                100.0,
            ),
        ]
    if found.probe_counts:
        probes = [(f"{name}.log_likelihood", name) for name in found.probe_counts]
        panels.append(
            ("trajectory_probes", "Likelihood of the probes", "log-likelihood (nats per response)", probes, 1.0)
        )
    panels.append(
        (
            "trajectory_spread",
            "Spread of the pool",
            "entropy per token (nats); duplicate share",
            [("entropy_per_token", "entropy estimate per token"), ("duplicates", "duplicate share of the pool")],
            1.0,
        )
    )
    # Names of pairs and probes are the user's: a dollar sign in one is no formula.
    names = {point.name for point in found.points}
    for stem, title, axis, lines, scale in panels:
        if not any(name in names for name, _ in lines):
            continue  # without sampling
        lines = [line for line in lines if line[0] in names]
        with drawing(**{"text.parse_math": False}):
            figure, [ax] = new_figure()
            draw_lines(ax, found, lines, scale)
            if stem == "trajectory_accuracy" and (0, "accuracy.best_own") in found.by_place:
                best = scale * found.at(0, "accuracy.best_own").value.estimate
                ax.axhline(best, color=INK, linewidth=0.9, linestyle=(0, (1, 2)), label=f"base's best-of-{n}")
            ax.set_ylabel(axis)
            ax.set_title(f"{title} (bands: 95 %)", loc="left")
            legend_below(figure)
            yield stem, title, figure


def _stem(name: str) -> str:
    """A name as part of a file's name and of ids in a page: percent-encoded with ~, different for different names.

    >>> _stem("held-out"), _stem('<b>"')
    ('held-out', '~3Cb~3E~22')
    """
    return quote(name, safe="").replace("~", "%7E").replace("%", "~")


def draw_lines(ax: Axes, found: Trajectory, lines: Sequence[Line], scale: float) -> None:
    """One measure a line, with the interval over problems as a band."""
    from matplotlib.ticker import MaxNLocator

    for (name, label), (colour, marker, dash) in zip(lines, itertools.cycle(_STYLES), strict=False):
        points = found.series(name)
        steps = [p.step for p in points]
        ax.plot(
            steps,
            [scale * p.value.estimate for p in points],
            color=colour,
            marker=marker,
            linestyle=dash,
            markersize=4.5,
            linewidth=1.5,
            label=label,
        )
        low, high = [scale * p.value.low for p in points], [scale * p.value.high for p in points]
        ax.fill_between(steps, low, high, color=colour, alpha=0.15, linewidth=0)
    for stage in found.stages[1:]:
        ax.axvline(stage.first, color=INK, linewidth=0.8, linestyle=":")
    ax.set_xlabel("optimizer steps")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
