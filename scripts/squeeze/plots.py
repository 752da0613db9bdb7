"""The panels of the reproduction: one measure a figure, one setting a column, one condition a line."""

from __future__ import annotations

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
    from matplotlib.figure import Figure

Runs = Mapping[str, Mapping[str, Sequence[Trajectory]]]
"""Setting -> condition -> a trajectory for each seed."""

_STYLES = ((BLUE, "o", "-"), (VERMILLION, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":"), (ORANGE, "v", "-"))
_BASE_SAMPLE = "log_likelihood_base.sample"
_PANELS = (
    ("accuracy_sample", "accuracy.sample", "Accuracy of one sample", "%", 100.0, "accuracy.best_own"),
    ("accuracy_greedy", "accuracy.greedy", "Accuracy of greedy", "%", 100.0, None),
    ("accuracy_best", "accuracy.best_own", "Accuracy of best-of-{n} by own likelihood", "%", 100.0, None),
    ("oracle", "accuracy.oracle", "Coverage: oracle of {n}", "%", 100.0, None),
    (
        "base_sample",
        "log_likelihood_base.sample",
        "One sample, under the base model",
        "nats",
        1.0,
        "log_likelihood_base.best",
    ),
    ("best_self", "log_likelihood_self.best", "Best-of-{n}, under the checkpoint itself", "nats", 1.0, None),
    ("best_base", "log_likelihood_base.best", "Best-of-{n}, under the base model", "nats", 1.0, None),
    ("base_best", "log_likelihood.base_best", "Base's best-of-{n}, under the checkpoint", "nats", 1.0, None),
    ("base_greedy", "log_likelihood.base_greedy", "Base's greedy, under the checkpoint", "nats", 1.0, None),
    ("gold_chosen", "gold.log_likelihood.chosen", "Gold solutions", "nats", 1.0, None),
    ("gold_rejected", "gold.log_likelihood.rejected", "Sampled responses opposite them", "nats", 1.0, None),
    ("gold_argmax", "gold.argmax_along_chosen", "Argmax along the gold solutions", "nats", 1.0, None),
    ("policy_chosen", "policy.log_likelihood.chosen", "Correct responses of the base model", "nats", 1.0, None),
    ("policy_rejected", "policy.log_likelihood.rejected", "Wrong responses of the base model", "nats", 1.0, None),
    ("gold_ranking", "gold.ranking_accuracy", "Ranking accuracy, gold over sampled", "%", 100.0, None),
    ("policy_ranking", "policy.ranking_accuracy", "Ranking accuracy, correct over wrong", "%", 100.0, None),
    ("auroc", "auroc", "AUROC of correctness within problems", "", 1.0, None),
    ("entropy", "entropy_per_token", "Entropy estimate per token", "nats", 1.0, None),
)
"""File stem, measure, title, unit, scale, and the base model's measure that is drawn as a target."""


def panel_figures(runs: Runs) -> Iterator[tuple[str, str, Figure]]:
    """(file stem, title, figure) of each panel."""
    locator = load_matplotlib().ticker.MaxNLocator
    n = next(iter(next(iter(runs.values())).values()))[0].n
    for stem, measure, title, unit, scale, target in _PANELS:
        text = title.format(n=n)
        if not all(
            measure in c for found in runs.values() for ts in found.values() for t in ts for c in t.columns.values()
        ):
            continue  # no problem of a checkpoint has both correct and wrong responses, say
        with drawing():
            figure, axes = new_figure(len(runs))
            for ax, (setting, conditions) in zip(axes, runs.items(), strict=True):
                for (condition, trajectories), (colour, marker, dash) in zip(conditions.items(), _STYLES, strict=False):
                    steps = trajectories[0].steps
                    lines = np.array(
                        [[scale * float(t.columns[s][measure].values.mean()) for s in steps] for t in trajectories]
                    )
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
                        label=condition if ax is axes[0] else None,
                    )
                base = next(iter(conditions.values()))[0].columns[0]
                ax.axhline(scale * float(base[measure].values.mean()), color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
                if target is not None:
                    label = f"base's best-of-{n}" if ax is axes[0] else None
                    level = scale * float(base[target].values.mean())
                    ax.axhline(level, color=INK, linewidth=0.9, linestyle=(0, (6, 3)), label=label)
                ax.set_xlabel("optimizer steps")
                ax.xaxis.set_major_locator(locator(integer=True))
                ax.set_title(setting, loc="left")
            figure.suptitle(text, x=0.01, ha="left", fontsize=11)
            axes[0].set_ylabel(unit)
            low = min(ax.get_ylim()[0] for ax in axes)
            high = max(ax.get_ylim()[1] for ax in axes)
            for ax in axes:
                ax.set_ylim(low, high)
            figure.legend(loc="outside lower center", ncols=3, fontsize=9, handlelength=2.6)
        yield stem, text, figure
