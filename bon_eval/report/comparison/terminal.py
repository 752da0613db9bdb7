"""A before-and-after comparison for the terminal, as compare.json and as compare.csv."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from bon_eval.analysis.comparison import Change, Comparison
from bon_eval.estimators.equivalent_n import EquivalentN
from bon_eval.report.formats.csv_json import to_csv, validate
from bon_eval.report.formats.text import text_table
from bon_eval.stats import Interval
from bon_eval.store.files import write_text

WIDTH = 100
FORMAT_VERSION = 1
"""Of compare.json."""


def render(found: Comparison) -> str:
    """Header, tables, derived numbers and verdicts as lines of text, ending in a newline."""
    header = [
        f"before: {_model(found.before)} ({found.before['path']})",
        f"after:  {_model(found.after)} ({found.after['path']})",
        f"{found.n_problems} problems x {found.n} samples, paired by problem; intervals 95 % over problems",
    ]
    lines = [*header, "", *_table("accuracy", found.accuracies), "", *_table("quantity", found.quantities), ""]
    lines += [line for note in _notes(found) for line in textwrap.wrap(note, WIDTH, subsequent_indent="  ")]
    return "\n".join(lines) + "\n"


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
    names = {"log_likelihood": "base log-likelihood", "accuracy": "accuracy"}
    for name, equivalent in found.equivalent_n.items():
        yield f"sharpening-equivalent N by {names[name]}: {equivalent_text(equivalent)}."
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
    config = facts["config"]
    assert isinstance(config, dict)
    return f"{config['model']}" + (f" + adapter {config['adapter']}" if config.get("adapter") else "")


def write_comparison(found: Comparison, directory: Path) -> dict[str, Path]:
    """Write compare.csv and compare.json into an existing directory.

    Raises:
        StoreError: the document does not fit its schema, or a file cannot be written; the older ones are kept.
    """
    content = document(found)
    validate(content, "compare")
    rows = [{"table": t, **_cells(c)} for t, c in _all_changes(found)]
    texts = {"compare.csv": to_csv(rows), "compare.json": json.dumps(content, indent=2, allow_nan=False) + "\n"}
    for name, text in texts.items():
        write_text(directory / name, text)
    return {name: directory / name for name in texts}


def document(found: Comparison) -> dict[str, object]:
    """The content of compare.json: JSON-ready; infinity is the text ``not reached``, and nulls have reasons."""
    reasons = dict(found.reasons)
    if found.amortised.reason:
        reasons["amortised_share"] = found.amortised.reason
    if found.explained is not None and found.explained.reason:
        reasons["explained"] = found.explained.reason
    explained = found.explained
    return {
        "format": "bon-eval comparison",
        "format_version": FORMAT_VERSION,
        "before": dict(found.before),
        "after": dict(found.after),
        "analysis": {"problems": found.n_problems, "n": found.n, "draws": found.draws, "seed": found.seed},
        "accuracies": [_cells(c) for c in found.accuracies],
        "quantities": [_cells(c) for c in found.quantities],
        "divergences": {
            name: _limits(kl.estimate, kl.low, kl.high) | {"standard_error": _number(kl.standard_error)}
            for name, kl in found.divergences.items()
        },
        "equivalent_n": {
            name: _limits(e.estimate, e.low, e.high) | {"largest": e.largest} for name, e in found.equivalent_n.items()
        },
        "amortised_share": None
        if found.amortised.share is None
        else _limits(found.amortised.share, found.amortised.low, found.amortised.high),
        "explained": None
        if explained is None
        else {
            "predicted_accuracy": _number(explained.predicted),
            "residual": _limits(explained.residual, explained.residual_low, explained.residual_high),
            "share": _limits(explained.share, explained.share_low, explained.share_high),
        },
        "log_coverage": dict(found.log_coverage),
        "findings": [{"name": f.name, "verdict": f.verdict, "sentence": f.sentence} for f in found.findings],
        "null_reasons": reasons,
    }


def _all_changes(found: Comparison) -> Iterator[tuple[str, Change]]:
    yield from (("accuracy", c) for c in found.accuracies)
    yield from (("quantity", c) for c in found.quantities)


def _cells(change: Change) -> dict[str, object]:
    test = change.difference
    cells: dict[str, object] = {"name": change.name, "label": change.label, "unit": change.unit}
    for side, interval in (("before", change.before), ("after", change.after)):
        cells |= {side: interval.estimate, f"{side}_low": _number(interval.low), f"{side}_high": _number(interval.high)}
        cells[f"{side}_method"] = interval.method
    cells |= {"difference": test.difference, "difference_low": _number(test.low), "difference_high": _number(test.high)}
    return cells | {
        "difference_method": test.method,
        "contested": test.n_contested,
        "p_value": test.p_value,
        "p_holm": change.p_holm,
    }


def _limits(estimate: float, low: float, high: float) -> dict[str, object]:
    return {"estimate": _number(estimate), "low": _number(low), "high": _number(high)}


def _number(value: float) -> float | str | None:
    """NaN becomes null, infinity words: JSON has neither."""
    return None if math.isnan(value) else "not reached" if math.isinf(value) else value
