"""A trajectory for the terminal, as trajectory.csv (one row for each checkpoint) and as trajectory.json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bon_eval.dpo.tracking.base_pool import TOP
from bon_eval.dpo.tracking.points import Point
from bon_eval.dpo.tracking.trajectory import Trajectory
from bon_eval.errors import counted
from bon_eval.report.formats.csv_json import document_text, to_csv
from bon_eval.report.formats.text import clusters_text, config_of, ends, text_table, wrapped
from bon_eval.report.trajectory.leftovers import remove_page
from bon_eval.report.trajectory.rows import document
from bon_eval.stats import Interval
from bon_eval.store.files import write_text

_LISTED = 3
_ARMS = (
    ("greedy", "accuracy.greedy", 3),
    ("sample", "accuracy.sample", 3),
    ("best-of-{n}", "accuracy.best_own", 3),
    ("by base log-lik", "accuracy.best_base", 3),
    ("by reward", "accuracy.best_reward", 3),
    ("oracle", "accuracy.oracle", 3),
)
_SAID = (
    ("greedy, own", "log_likelihood_self.greedy", 2),
    ("greedy, base", "log_likelihood_base.greedy", 2),
    ("best, own", "log_likelihood_self.best", 2),
    ("best, base", "log_likelihood_base.best", 2),
    ("sample, base", "log_likelihood_base.sample", 2),
    ("sample's rank", "base_rank.sample", 3),
)
_PER_TOKEN = (
    ("greedy, own", "log_likelihood_self_per_token.greedy", 3),
    ("greedy, base", "log_likelihood_base_per_token.greedy", 3),
    ("best, own", "log_likelihood_self_per_token.best", 3),
    ("best, base", "log_likelihood_base_per_token.best", 3),
    ("sample, base", "log_likelihood_base_per_token.sample", 3),
    ("sample's tokens", "tokens.sample", 1),
)
_UNDER = (
    ("base best-of-{n}", "log_likelihood.base_best", 2),
    ("base greedy", "log_likelihood.base_greedy", 2),
    ("p(likeliest)", "base_mass.1", 3),
    *((f"p({k} likeliest)", f"base_mass.{k}", 3) for k in TOP[1:]),
)
_PAIRS = (
    ("chosen", "log_likelihood.chosen", 2),
    ("rejected", "log_likelihood.rejected", 2),
    ("both fall", "both_fall", 3),
    ("ranking", "ranking_accuracy", 3),
    ("per token", "ranking_accuracy_per_token", 3),
    ("reward", "reward_accuracy", 3),
    ("argmax", "argmax_along_chosen", 2),
    ("loss", "dpo_loss", 4),
)


def render(found: Trajectory) -> str:
    """Tables by checkpoint as lines of text, ending in a newline."""
    config = config_of(found.base)
    lines = [
        f"{config['model']} on {config['task']}: {counted(len(found.steps) - 1, 'checkpoint')} after step 0",
        f"{extent_text(found)}; 95 % intervals over {found.word}s in trajectory.csv",
        *cluster_notes(found),
        *wrapped(stage_notes(found)),
    ]
    for title, arms in (
        ("accuracy of what each checkpoint says", _ARMS),
        ("log-likelihood of what each checkpoint says, under itself and under the base model", _SAID),
        ("the same per token", _PER_TOKEN),
        ("the base model's responses under each checkpoint: log-likelihood, probability", _UNDER),
    ):
        there = {point.name for point in found.points}
        if columns := [column for column in arms if column[1] in there]:
            lines += ["", *_table(found, title, columns)]
    for name, count in found.pair_counts.items():
        columns = [(title, f"{name}.{measure}", digits) for title, measure, digits in _PAIRS]
        lines += ["", *_table(found, f"{count:,} pairs, {name}", columns)]
    if found.probe_counts:
        probes = [(name, f"{name}.log_likelihood", 2) for name in found.probe_counts]
        lines += ["", *_table(found, "log-likelihood of probes", probes)]
    return "\n".join([*lines, "", *wrapped(_notes(found))]) + "\n"


def _table(found: Trajectory, title: str, columns: Sequence[tuple[str, str, int]]) -> list[str]:
    points = found.by_place
    rows = [("step", *(heading.format(n=found.n) for heading, _, _ in columns))]
    for step in found.steps:
        cells = []
        for _, name, digits in columns:
            point = points.get((step, name))
            cells.append("-" if point is None else f"{point.value.estimate:.{digits}f}{mark(point) or ' '}")
        rows.append((str(step), *cells))
    return [title, *text_table(rows, left=0)]


def arrow(point: Point) -> str:
    """Up or down where the change from the base model is shown, all changes taken together, else nothing."""
    return {"higher": "↑", "lower": "↓"}.get(point.verdict, "")


def mark(point: Point) -> str:
    """The arrow, with a dagger where the changes are too skewed for their mean: it goes by the problems' signs."""
    skewed = point.change is not None and point.change.by_signs
    return arrow(point) + ("†" if skewed else "")


def without_intervals(found: Trajectory) -> Mapping[str, list[str]]:
    """Why measures and changes have no interval, and which; with the steps, where others have one."""
    lacking: dict[tuple[str, str], list[int]] = {}
    there: dict[str, int] = {}
    for point in found.points:
        changed = () if point.change is None else ((f"change of {point.label}", point.change),)
        for label, value in ((point.label, point.value), *changed):
            there[label] = there.get(label, 0) + 1
            if value.reason is not None:
                lacking.setdefault((value.reason, label), []).append(point.step)
    out: dict[str, list[str]] = {}
    for (why, label), steps in lacking.items():
        at = "" if len(steps) == there[label] else f" at step {', '.join(map(str, steps))}"
        out.setdefault(why, []).append(label + at)
    return out


def _notes(found: Trajectory) -> Iterator[str]:
    yield (
        "↑ ↓: changed from step 0, paired by problem, at 5 % over all changes of the trajectory together (step-down "
        "max-t); log-likelihoods in nats."
    )
    if found.n is not None:
        yield source_text(found)
    if any(point.change is not None and point.change.by_signs for point in found.points):
        yield f"†: {skewed_text(found)}"
    for why, labels in without_intervals(found).items():
        yield f"No interval ({why}): {listed(labels)}."
    for name, (plain, per_token) in found.ches.items():
        yield (
            f"CHES of {name} at the base model: {plain.estimate:.1f}{_ends(plain, '.1f')}; "
            f"length-normalised {per_token.estimate:.2f}{_ends(per_token, '.2f')}."
        )
    yield from (f"{line}." for line in found.skipped)


def extent_text(found: Trajectory) -> str:
    """What was sampled, in words."""
    if found.n is None:
        return "nothing was sampled: pairs and probes alone"
    each = f"{counted(found.n_problems or 0)} x {counted(found.n, 'sample')} each"
    left = [step for step in found.steps if step not in found.sampled]
    return each if not left else f"{each}, not sampled at step {', '.join(map(str, left))}"


def cluster_notes(found: Trajectory) -> list[str]:
    """Sentences on what is resampled in place of problems; none where it is problems."""
    if found.n_clusters is None:
        return []
    lines = [clusters_text(found.n_clusters, found.cluster)]
    if found.unclustered:
        lines.append(
            "Problems behind pairs or probes that the task does not hold stand alone, in CHES too: "
            f"{found.unclustered}."
        )
    return lines


def stage_notes(found: Trajectory) -> list[str]:
    """Sentences on the trainings of a chain; none of one training."""
    if not found.stages:
        return []
    parts = []
    for number, stage in enumerate(found.stages, start=1):
        made = ", ".join(part for part in (stage.method, stage.loss) if part is not None)
        parts.append(
            f"stage {number}, steps {stage.first} to {stage.last}: {stage.directory}{f' ({made})' if made else ''}"
        )
    return [
        f"{'; '.join(parts)}.",
        "Changes, rewards and margins are from the base model in every stage, whatever was a training's own reference.",
    ]


def skewed_text(found: Trajectory) -> str:
    """What a dagger means, from its second word on."""
    return (
        f"the {found.word}s' numbers are too skewed for an interval of their mean to be relied on; an arrow beside it "
        f"goes by the {found.word}s' signs: on how many the measure rose, on how many it fell."
    )


def source_text(found: Trajectory) -> str:
    """A sentence on the likelihoods that changes from step 0 are taken of."""
    if found.base_source == "forced":
        return "Changes of likelihoods between models are of forced log-probs on both sides."
    return (
        "Changes of likelihoods between models: at step 0 the base model's own responses have sampled log-probs, all "
        "others forced ones."
    )


def listed(labels: Sequence[str]) -> str:
    """The first labels, and how many more there are.

    >>> listed(["a", "b", "c", "d", "e"])
    'a; b; c; and 2 more'
    """
    more = len(labels) - _LISTED
    return "; ".join(labels[:_LISTED]) + (f"; and {more} more" if more > 0 else "")


def _ends(found: Interval, form: str) -> str:
    return ends(found.low, found.high, form, marked=found.marked) or f" ({found.method.replace('none', 'no interval')})"


def write_trajectory(found: Trajectory, directory: Path) -> tuple[str, ...]:
    """Write trajectory.csv and trajectory.json into an existing directory; returns their names.

    The page and the figures of an earlier report are removed: `write_trajectory_page` makes those of these numbers.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written.
    """
    content = document_text(document(found), "trajectory")
    remove_page(directory)
    texts = {"trajectory.csv": to_csv(_rows(found)), "trajectory.json": content}
    for name, text in texts.items():
        write_text(directory / name, text)
    return tuple(texts)


def _rows(found: Trajectory) -> Iterator[Mapping[str, object]]:
    names = list(dict.fromkeys(point.name for point in found.points))
    points = found.by_place
    for step in found.steps:
        row: dict[str, object] = {"step": step}
        if found.stages:
            row["stage"] = next(k for k, stage in enumerate(found.stages, start=1) if step <= stage.last)
        for name in names:
            point = points.get((step, name))
            value = None if point is None else point.value
            change = None if point is None else point.change
            row |= {
                name: None if value is None else value.estimate,
                f"{name}.low": None if value is None else _number(value.low),
                f"{name}.high": None if value is None else _number(value.high),
                f"{name}.change": None if change is None else change.difference,
                f"{name}.change_low": None if change is None else _number(change.low),
                f"{name}.change_high": None if change is None else _number(change.high),
                f"{name}.change_p_family": None if point is None or change is None else point.p_family,
                f"{name}.change_marked": None if change is None else change.marked,
                f"{name}.verdict": None if point is None or change is None else point.verdict,
            }
        yield row


def _number(value: float) -> float | None:
    """NaN (too few problems for an interval) becomes null."""
    return None if math.isnan(value) else value
