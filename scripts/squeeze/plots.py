"""The panels of the reproduction: one measure of one model a figure, axes for a group of conditions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.report.formats.figures import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    VERMILLION,
    drawing,
    load_matplotlib,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Runs = Mapping[str, Mapping[str, Sequence[Trajectory]]]
"""Model -> condition -> a trajectory for each seed."""

_COLUMNS = 2
_STYLES = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (GREEN, "^", "-."),
    (PURPLE, "D", ":"),
    (ORANGE, "v", "-"),
    (INK, "P", "--"),
)
_PANELS = (
    ("accuracy_sample", "accuracy.sample", "Accuracy of one sample", "%", 100.0, "accuracy.best_own"),
    ("accuracy_greedy", "accuracy.greedy", "Accuracy of greedy", "%", 100.0, "accuracy.best_own"),
    ("accuracy_best", "accuracy.best_own", "Accuracy of best-of-{n} by own likelihood", "%", 100.0, None),
    ("accuracy_reward", "accuracy.best_reward", "Accuracy of best-of-{n} by implicit reward", "%", 100.0, None),
    ("oracle", "accuracy.oracle", "Coverage: oracle of {n}", "%", 100.0, None),
    ("base_mass", "base_mass.4", "Probability of the base's 4 likeliest responses", "%", 100.0, None),
    ("base_rank", "base_rank.sample", "Rank of one sample in the base pool", "%", 100.0, None),
    ("base_per_token", "log_likelihood_base_per_token.sample", "One sample, under base", "nats per token", 1.0, None),
    ("self_greedy", "log_likelihood_self.greedy", "Greedy, under the checkpoint itself", "nats", 1.0, None),
    ("best_self", "log_likelihood_self.best", "Best-of-{n}, under the checkpoint itself", "nats", 1.0, None),
    ("base_best", "log_likelihood.base_best", "Base's best-of-{n}, under the checkpoint", "nats", 1.0, None),
    ("outside_chosen", "outside.log_likelihood.chosen", "Chosen sentences outside the support", "nats", 1.0, None),
    ("said_chosen", "paraphrased.log_likelihood.chosen", "Correct responses in other words", "nats", 1.0, None),
    ("said_rejected", "paraphrased.log_likelihood.rejected", "Wrong responses in other words", "nats", 1.0, None),
    ("other_chosen", "other.log_likelihood.chosen", "Correct responses of the other model", "nats", 1.0, None),
    ("other_rejected", "other.log_likelihood.rejected", "Wrong responses of the other model", "nats", 1.0, None),
    ("policy_chosen", "policy.log_likelihood.chosen", "Correct responses of the base model", "nats", 1.0, None),
    ("policy_rejected", "policy.log_likelihood.rejected", "Wrong responses of the base model", "nats", 1.0, None),
    ("other_ranking", "other.ranking_accuracy", "Ranking accuracy, other model's responses", "%", 100.0, None),
    ("auroc", "auroc", "AUROC of correctness within problems", "", 1.0, None),
    ("tokens", "tokens.sample", "Length of one sample", "tokens", 1.0, None),
)
"""File stem, measure, title, unit, scale, and the base model's measure that is drawn as a target."""


def panel_figures(runs: Runs, groups: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, Figure]]:
    """(file stem, title, figure) of each panel: a measure of one model, axes for each group of conditions."""
    for model, conditions in runs.items():
        n = next(iter(conditions.values()))[0].n
        columns = {group: [c for c in named if c in conditions] for group, named in groups.items()}
        columns = {group: named for group, named in columns.items() if named}
        for stem, measure, title, unit, scale, target in _PANELS:
            if not all(
                measure in t.columns[t.steps[-1]] and measure in t.columns[0] for ts in conditions.values() for t in ts
            ):
                continue  # no problem of a checkpoint has both correct and wrong responses, say
            text = f"{model}: {title.format(n=n)}"
            with drawing():
                figure, every = new_figure(_COLUMNS, rows=math.ceil(len(columns) / _COLUMNS))
                axes, spare = every[: len(columns)], every[len(columns) :]
                for ax in spare:
                    ax.remove()
                for ax, (group, named) in zip(axes, columns.items(), strict=True):
                    for condition, (colour, marker, dash) in zip(named, _STYLES[: len(named)], strict=True):
                        _draw(ax, conditions[condition], measure, scale, condition, colour, marker, dash)
                    base = next(iter(conditions.values()))[0].columns[0]
                    level = scale * float(base[measure].values.mean())
                    ax.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
                    if target is not None:
                        best = scale * float(base[target].values.mean())
                        ax.axhline(best, color=INK, linewidth=0.9, linestyle=(0, (6, 3)))
                    ax.set_xlabel("optimizer steps")
                    ax.set_ylabel(unit)
                    ax.xaxis.set_major_locator(load_matplotlib().ticker.MaxNLocator(4, integer=True))
                    _legend(ax, group, len(named))
                figure.suptitle(text, x=0.01, ha="left", fontsize=11)
                ends = [ax.get_ylim() for ax in axes]
                for ax in axes:
                    ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
            yield f"{model}-{stem}", text, figure


def _legend(ax: Axes, title: str, lines: int) -> None:
    """Title and legend above the axes; the title's empty lines make the room, so that the legend takes no width."""
    ax.set_title(title + "\n" * math.ceil(lines / 2), loc="left", fontsize=10, linespacing=1.4)
    where = {"loc": "lower left", "bbox_to_anchor": (-0.02, 1.0), "borderaxespad": 0.0, "frameon": False}
    legend = ax.legend(fontsize=7.5, handlelength=2.2, columnspacing=1.0, ncols=2, **where)
    legend.set_in_layout(False)


def _draw(
    ax: Axes, seeds: Sequence[Trajectory], measure: str, scale: float, label: str, colour: str, marker: str, dash: str
) -> None:
    """One condition: a thin line for each seed, and their mean."""
    steps = [step for step in seeds[0].steps if all(measure in t.columns[step] for t in seeds)]
    lines = np.array([[scale * float(t.columns[s][measure].values.mean()) for s in steps] for t in seeds])
    for line in lines if len(lines) > 1 else ():
        ax.plot(steps, line, color=colour, linewidth=0.6, alpha=0.5)
    ax.plot(
        steps,
        lines.mean(axis=0),
        color=colour,
        marker=marker,
        linestyle=dash,
        markersize=4.5,
        linewidth=1.6,
        label=label,
    )
