"""A before-and-after comparison for the terminal, as compare.json and as compare.csv."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from bon_eval.analysis.comparison import Comparison
from bon_eval.analysis.findings import Change
from bon_eval.estimators.equivalent_n import EquivalentN
from bon_eval.report.comparison.rows import CHANGE, document
from bon_eval.report.formats.csv_json import document_text, to_csv
from bon_eval.report.formats.text import config_of, model_name, text_table, wrapped
from bon_eval.stats import Interval
from bon_eval.store.files import write_text

EQUIVALENT_BY = {"log_likelihood": "base log-likelihood", "accuracy": "accuracy"}
"""Curve of the sharpening-equivalent N -> its name in words."""


def render(found: Comparison) -> str:
    """Header, tables, derived numbers and verdicts as lines of text, ending in a newline."""
    header = [
        f"before: {_model(found.before)} ({found.before['path']})",
        f"after:  {_model(found.after)} ({found.after['path']})",
        f"{found.n_problems} problems x {found.n} samples, paired by problem; intervals 95 % over problems",
    ]
    lines = [*header, "", *_table("accuracy", found.accuracies), "", *_table("quantity", found.quantities), ""]
    return "\n".join([*lines, *wrapped(_notes(found))]) + "\n"


def _table(title: str, changes: tuple[Change, ...]) -> list[str]:
    rows = [(title, "before", "after", "difference", "p")]
    for change in changes:
        digits = 3 if change.unit == "share" or change.name == "entropy_per_token" else 2
        test = change.difference
        p = test.p_value if change.p_holm is None else change.p_holm
        rows.append(
            (
                change.label,
                _interval(change.before, digits),
                _interval(change.after, digits),
                f"{test.difference:+.{digits}f} [{test.low:+.{digits}f}, {test.high:+.{digits}f}]",
                "<0.001" if p < 0.001 else f"{p:.3f}",
            )
        )
    return text_table(rows)


def _interval(interval: Interval, digits: int) -> str:
    return f"{interval.estimate:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def _notes(found: Comparison) -> Iterator[str]:
    for name, kl in found.divergences.items():
        limits = f"[{kl.low:.3f}, {kl.high:.3f}], standard error {kl.standard_error:.3f}"
        yield f"{name} = {kl.estimate:.3f} {limits}; nats per response."
    for name, equivalent in found.equivalent_n.items():
        yield f"sharpening-equivalent N by {EQUIVALENT_BY[name]}: {equivalent_text(equivalent)}."
    if found.log_coverage:
        bounds = ", ".join(f"{value:.2f} {name}" for name, value in found.log_coverage.items())
        yield f"ln C_cov at most: {bounds}; nats, of the best finished response seen in either run."
    a = found.amortised
    if a.share is None:
        yield f"amortised share: none; {a.reason}."
    else:
        yield (
            f"amortised share: one tuned sample has {100 * a.share:.0f} % [{100 * a.low:.0f}, {100 * a.high:.0f}] of "
            f"base best-of-{found.n}'s gain in accuracy over one base sample."
        )
    yield from (f"not compared: {name}; {reason}." for name, reason in found.reasons.items())
    yield "p: paired by problem; Holm-adjusted over the accuracies, unadjusted for the other quantities."
    yield from (finding.sentence for finding in found.findings)


def equivalent_text(found: EquivalentN) -> str:
    """The number with its interval, in words where the pool does not reach it."""

    def end(value: float) -> str:
        return f"{value:.1f}" if math.isfinite(value) else f"more than {found.largest}"

    estimate = end(found.estimate) if found.reached else f"not reached by best-of-{found.largest}"
    return f"{estimate} [{end(found.low)}, {end(found.high)}]"


def _model(facts: Mapping[str, object]) -> str:
    return model_name(config_of(facts), " + adapter ")


def write_comparison(found: Comparison, directory: Path) -> dict[str, Path]:
    """Write compare.csv and compare.json into an existing directory.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older ones are kept.
    """
    content = document_text(document(found), "compare")
    rows = [{"table": t, **CHANGE.cells(c)} for t, c in _all_changes(found)]
    texts = {"compare.csv": to_csv(rows), "compare.json": content}
    for name, text in texts.items():
        write_text(directory / name, text)
    return {name: directory / name for name in texts}


def _all_changes(found: Comparison) -> Iterator[tuple[str, Change]]:
    yield from (("accuracy", c) for c in found.accuracies)
    yield from (("quantity", c) for c in found.quantities)
