"""A comparison of two runs for the terminal, as compare.json and as compare.csv."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from bon_eval.analysis.two_runs.comparison import Comparison
from bon_eval.analysis.two_runs.findings import Change, share_text
from bon_eval.analysis.two_runs.names import STORY, Names
from bon_eval.draws import specs
from bon_eval.errors import counted
from bon_eval.estimators.equivalent_n import EquivalentN
from bon_eval.estimators.majority_votes import DRAWS
from bon_eval.report.comparison.added import added_lines, added_text, curve_rows
from bon_eval.report.comparison.change_rows import CHANGE
from bon_eval.report.comparison.rows import document
from bon_eval.report.comparison.tables import changes_table, interval_text
from bon_eval.report.formats.columns import CsvRow
from bon_eval.report.formats.csv_json import document_text, to_csv
from bon_eval.report.formats.text import (
    clusters_text,
    config_of,
    ends,
    model_name,
    sampled_with,
    shortened,
    wrapped,
)
from bon_eval.stats import Interval
from bon_eval.stats.heavy_tails import LEAST_PROBLEMS
from bon_eval.store.files import write_text
from bon_eval.store.forced import is_inexact

EQUIVALENT_BY = {"log_likelihood": "base log-likelihood", "accuracy": "accuracy"}
"""Curve of the sharpening-equivalent N -> its name in words."""
_NAME_WIDTH = 27
"""Of a draw, as wide as the other labels are at most."""
_FEW = 4
"""So many quantities are named, more are counted."""


def render(found: Comparison) -> str:
    """Header, tables, derived numbers and verdicts as lines of text, ending in a newline."""
    width = max(map(len, found.names.sides)) + 1
    header = [
        *(
            f"{f'{side}:'.ljust(width)} {_model(facts)} ({facts['path']})"
            for side, facts in zip(found.names.sides, (found.before, found.after), strict=True)
        ),
        f"{samples_text(found)}, paired by problem; intervals 95 % over {found.units[1]}s",
    ]
    if found.n_clusters is not None:
        header.append(clusters_text(found.n_clusters, found.cluster))
    sides = found.names.sides
    lines = [*header, "", *changes_table("accuracy", [(c.label, c) for c in found.accuracies], sides), ""]
    if found.draw_accuracies:
        lines += [*changes_table("accuracy of draws", [(_in_a_draw(c), c) for c in found.draw_accuracies], sides), ""]
    lines += [*changes_table("quantity", [(c.label, c) for c in found.quantities], sides), ""]
    lines += [*added_lines(found), *wrapped(_notes(found))]
    if found.owed:
        lines += ["", f"{more_by_scoring(found)}:", *(f"  {command}" for command in found.owed)]
    return "\n".join(lines) + "\n"


def samples_text(found: Comparison) -> str:
    """Problems and samples of both sides, with what has a common n where they differ."""
    problems = counted(found.n_problems)
    before, after = found.sizes
    if before == after:
        return f"{problems} x {counted(before, 'sample')}"
    sizes = f"{counted(before, 'sample')} {found.names.places[0]} and {after} {found.names.places[1]}"
    return (
        f"{problems} x {sizes} (best-of-n, vote, oracle and answers: of {found.n}; the larger pool's vote is a mean "
        f"over {DRAWS} random subsets)"
    )


def more_by_scoring(found: Comparison) -> str:
    """What the commands of `Comparison.owed` would give."""
    run = "run both, then compare again" if len(found.owed) > 1 else "run this, then compare again"
    return f"For likelihoods under both models, divergences and what sharpening explains {run}"


def not_the_same(found: Comparison) -> list[str]:
    """Sentences on what the two runs differ in besides the model, and on whose likelihoods are compared."""
    lines = [f"The runs differ in {name}: {how}." for name, how in found.differences.items()]
    if found.sources is None:
        return lines
    sides = zip(found.names.places, (found.before, found.after), found.sources, strict=True)
    sampled = {name: facts for name, facts, source in sides if source == "sampled"}
    if not sampled:
        return [*lines, "Differences between the models' likelihoods are of forced log-probs on both sides."]
    text = (
        f"Differences between the models' likelihoods: of the responses {' and '.join(sampled)} sampled log-probs "
        "under the own model and forced ones under the other."
    )
    inexact = [facts["path"] for facts in sampled.values() if is_inexact(facts)]
    if inexact:
        text += " In less than float32 the two differ by rounding; run: "
        text += " and ".join(f"bon-eval score {path} --by {path}" for path in inexact)
    return [*lines, text]


def _draw_of(change: Change) -> str:
    """The draw of an accuracy that is of one, named ``accuracy.DRAW.ARM``."""
    return change.name.removeprefix("accuracy.").rpartition(".")[0]


def _in_a_draw(change: Change) -> str:
    """What an accuracy of a draw is called below the draw's own line."""
    draw = _draw_of(change)
    return shortened(draw, _NAME_WIDTH) if change.label == draw else f"  {change.label.removeprefix(draw).lstrip()}"


def _notes(found: Comparison) -> Iterator[str]:
    for label, text in {**added_text(found), **derived(found)}.items():
        yield f"{label}: {text}."
    yield from (f"not compared: {', '.join(names)}; {reason}." for reason, names in by_reason(found.reasons).items())
    if not found.names.tuning:
        first, second = found.names.sides
        yield f"differences: {second} minus {first}."
    yield from not_the_same(found)
    if names := dict.fromkeys(map(_draw_of, found.draw_accuracies)):
        sampled = {draw.name: sampled_with(draw) for draw in specs(config_of(found.before))}
        yield f"draws: {'; '.join(f'{name} is {sampled[name]}' for name in names)}."
    of_draws = ", those of draws over all of theirs (max-t)" if found.draw_accuracies else ""
    yield f"p: paired by problem; Holm-adjusted over the accuracies{of_draws}, unadjusted for the other quantities."
    if (mark := marked_text(found)) is not None:
        yield f"†: {mark}"
    without: dict[str, list[str]] = {}
    for change in (*found.accuracies, *found.draw_accuracies, *found.quantities):
        if change.difference.reason is not None:
            without.setdefault(change.difference.reason, []).append(change.label)
    for why, labels in without.items():
        what = "; ".join(labels) if len(labels) <= _FEW else f"{len(labels)} quantities"
        yield f"difference without an interval ({why}): {what}."
    yield from (finding.sentence for finding in found.findings)


def by_reason(reasons: Mapping[str, str]) -> dict[str, list[str]]:
    """What is not there by why it is not.

    >>> by_reason({"kl": "no scores", "draw low": "one run has it", "reward": "no scores"})
    {'no scores': ['kl', 'reward'], 'one run has it': ['draw low']}
    """
    out: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        out.setdefault(reason, []).append(name)
    return out


def marked_text(found: Comparison) -> str | None:
    """What a dagger means, from its second word on; None where nothing has one."""
    changes = (*found.accuracies, *found.draw_accuracies, *found.quantities)
    marks = [c.difference.marked or c.before.marked or c.after.marked for c in changes]
    if found.units[0] >= LEAST_PROBLEMS:
        marks += [kl.marked for kl in found.divergences.values()]
    if not any(marks):
        return None
    word = found.units[1]
    return f"too skewed for interval and p to be relied on; a verdict goes by on how many {word}s it rose."


def derived(found: Comparison) -> dict[str, str]:
    """What is derived from the tables, by its label: a text with intervals, or why there is none."""
    if found.units[0] < LEAST_PROBLEMS:
        few = counted(*found.units)
        return {"divergence, sharpening-equivalent N, coverage, shares": f"not said of {few}; from {LEAST_PROBLEMS} on"}
    out = {}
    names = found.names
    for name, kl in found.divergences.items():
        limits = ends(kl.low, kl.high, ".3f", marked=kl.marked)
        none = "" if kl.reason is None else f"; no interval: {kl.reason}"
        text = f"{kl.estimate:.3f}{limits} nats per response, standard error {kl.standard_error:.3f}{none}"
        out[_of_sides(name, names)] = text
    for name, equivalent in found.equivalent_n.items():
        by = EQUIVALENT_BY[name] if names.tuning or name == "accuracy" else f"{names.sides[0]} log-likelihood"
        out[f"sharpening-equivalent N by {by}"] = names.said(equivalent_text(equivalent))
    if found.log_coverage:
        bounds = ", ".join(f"{_bound(value)} {_of_sides(name, names)}" for name, value in found.log_coverage.items())
        why = {value.reason for value in found.log_coverage.values() if value.reason is not None}
        out["ln C_cov at most"] = f"{bounds}; nats, of the best finished response seen in either run" + (
            f"; no interval: {'; '.join(sorted(why))}" if why else ""
        )
    a = found.amortised
    if a.share is None:
        out["amortised share"] = f"none; {names.said(a.reason)}"
    elif a.reason:
        out["amortised share"] = f"no bound; {names.said(a.reason)}"
    elif not (share := share_text(a.share, a.low, a.high)):
        out["amortised share"] = "no bound"
    else:
        gain = f"{names.best(0, found.n)}'s gain" if names.tuning else f"the gain of {names.best(0, found.n)}"
        out["amortised share"] = f"{names.sample(1)} has {share} of {gain} in accuracy over {names.sample(0)}"
    if (r := found.reward) is not None:
        limits = ends(r.difference.low, r.difference.high, "+z.1f", 100.0)
        out[f"best-of-{found.n} {names.places[1]}, by reward"] = (
            f"accuracy {interval_text(r.reward, 3)} by log-lik gained over {names.models[0]}, "
            f"{interval_text(r.likelihood, 3)} by own log-lik: {100 * r.difference.difference:+z.1f} points{limits}"
        )
    return out


def _of_sides(name: str, names: Names) -> str:
    """A key of `Comparison.divergences` or `Comparison.log_coverage` with the runs' names.

    >>> from bon_eval.analysis.two_runs.names import named
    >>> _of_sides("KL(after || before)", named("A", "B")), _of_sides("before", named("A", "B"))
    ('KL(B || A)', 'with A')
    """
    if names.tuning:
        return name
    if name.startswith("KL("):
        sides = names.sides[::-1] if name.startswith("KL(after") else names.sides
        return f"KL({sides[0]} || {sides[1]})"
    side, joint, _ = name.partition(", ")
    return f"{names.places[STORY.index(side)]}" + (f", at {names.sides[0]}'s best" if joint else "")


def _bound(value: Interval) -> str:
    return f"{value.estimate:.2f}{ends(value.low, value.high, '.2f')}"


def equivalent_text(found: EquivalentN) -> str:
    """The number with its interval in words: "at most 1" and "more than N" where the base pool tells no more.

    >>> equivalent_text(EquivalentN(1.0, 1.0, 2.5, 16)), equivalent_text(EquivalentN(1.0, 1.0, 1.0, 16))
    ('at most 1 [at most 1, 2.5]', 'at most 1')
    """

    def end(value: float) -> str:
        return "at most 1" if value == 1.0 else f"{value:.1f}" if math.isfinite(value) else f"more than {found.largest}"

    if found.reason:
        return f"none; {found.reason}"
    # Both ends beyond one end of the base pool's range are no interval.
    limits = "" if found.low == found.high else f" [{end(found.low)}, {end(found.high)}]"
    return end(found.estimate) + limits


def _model(facts: Mapping[str, object]) -> str:
    return model_name(config_of(facts), " + adapter ")


def write_comparison(found: Comparison, directory: Path) -> dict[str, Path]:
    """Write compare.csv, compare.json and compare_curves.csv into an existing directory.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older ones are kept.
    """
    content = document_text(document(found), "compare")
    texts = {"compare.csv": to_csv(change_cells(found)), "compare.json": content}
    if found.added is not None:
        texts["compare_curves.csv"] = to_csv(curve_rows(found.added))
    for name, text in texts.items():
        write_text(directory / name, text)
    return {name: directory / name for name in texts}


def change_cells(found: Comparison) -> Iterator[CsvRow]:
    """The rows of compare.csv; ``table`` is ``accuracy``, ``accuracy of draws`` or ``quantity``."""
    tables = {"accuracy": found.accuracies, "accuracy of draws": found.draw_accuracies, "quantity": found.quantities}
    for table, changes in tables.items():
        yield from ({"table": table, **CHANGE.cells(change)} for change in changes)
