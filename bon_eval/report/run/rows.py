"""An analysis as flat rows (one dict of cells for CSV and JSON alike) and as the document of report.json.

Every null in a row of the document has its reason in the row's ``null_reasons``; NaN and infinity never appear.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from bon_eval.analysis.explain import Explanation, Power, ScorerRow
from bon_eval.analysis.results import Analysis, ArmPair, ArmRow, CurvePoint, Headline, ProblemRow
from bon_eval.analysis.shapes import LengthRow
from bon_eval.analysis.unrun_arms import Replayed, ReweightedPoint, StoppingRow
from bon_eval.stats import Interval, PairedTest

FORMAT_VERSION = 3
"""Of report.json; grows when a reader of the older one would misread it."""

CsvRow = dict[str, object]

_NOT_FINITE = "not defined for these values: the interval or test gave no finite number"
_INTERVAL_ELSEWHERE = "intervals are computed at n = 1 and at the n of the arms table"
_PICKS_AN_ANSWER = "the arm picks an answer, not one response"
_ONE_KIND = "no pool holds both correct and incorrect responses"
_NOTHING_AT_N = "best-of-n's accuracy at n = N is 0"
_NO_SPREAD = "the differences between problems have no spread to go by"
_PRIMARY = "the primary scorer is what the others are compared with"
_EXACT = "exact: no subsets were drawn"


def arm_cells(row: ArmRow) -> tuple[CsvRow, dict[str, str]]:
    """The cells of one row of the arms table, in the order of the columns, and why its nulls are null."""
    reasons = dict(row.null_reasons)
    cells: CsvRow = {"arm": row.arm, "n": row.n, "scorer": row.scorer}
    cells |= _interval_cells("accuracy", row.accuracy)
    cells |= _lift_cells(row.lift) | {"lift_percent": row.lift_percent, "p_holm": row.p_holm}
    cells |= _interval_cells("log_likelihood", row.log_likelihood)
    cells |= {"n_tokens": row.n_tokens, "truncated": row.truncated, "unscored": row.unscored}
    cells |= {"monte_carlo_error": row.monte_carlo_error}
    reasons["scorer"] = "only best-of-n and weighted votes go by a scorer"
    _spread(reasons, "lift", _lift_cells(None))
    _spread(reasons, "log_likelihood", _interval_cells("log_likelihood", None))
    return _finite(cells, reasons)


def curve_cells(point: CurvePoint) -> tuple[CsvRow, dict[str, str]]:
    """The cells of one point of the curves, in the order of the columns, and why its nulls are null."""
    cells: CsvRow = {"scorer": point.scorer, "n": point.n}
    cells |= _interval_cells("accuracy", point.interval) | {"accuracy": point.accuracy}
    cells |= _lift_cells(point.lift) | {"lift_points": 100.0 * point.difference}
    cells |= {"log_likelihood": point.log_likelihood, "n_tokens": point.n_tokens}
    cells |= {"truncated": point.truncated, "unscored": point.unscored, "monte_carlo_error": point.monte_carlo_error}
    reasons = dict.fromkeys([*_interval_cells("accuracy", None), *_lift_cells(None)], _INTERVAL_ELSEWHERE)
    reasons |= dict.fromkeys(("log_likelihood", "n_tokens", "truncated", "unscored"), _PICKS_AN_ANSWER)
    reasons["monte_carlo_error"] = _EXACT
    return _finite(cells, reasons)


def pair_cells(pair: ArmPair) -> CsvRow:
    """The cells of one pair of arms, in the order of the columns."""
    test = pair.test
    return {
        "arm": pair.arm,
        "other": pair.other,
        "difference_points": 100.0 * test.difference,
        "difference_points_low": 100.0 * test.low,
        "difference_points_high": 100.0 * test.high,
        "method": test.method,
        "contested": test.n_contested,
        "p_value": test.p_value,
        "family": pair.family,
        "p_holm": pair.p_holm,
    }


def problem_cells(row: ProblemRow) -> CsvRow:
    """The cells of one problem, in the order of the columns."""
    cells: CsvRow = {
        "problem_id": row.problem_id,
        "gold": row.gold,
        "greedy_correct": row.greedy_correct,
        "greedy_unscored": row.greedy_unscored,
        "greedy_truncated": row.greedy_truncated,
        "greedy_log_likelihood": row.greedy_log_likelihood,
        "pool_accuracy": row.pool_accuracy,
    }
    cells |= {f"best_of_n_{scorer}": value for scorer, value in row.best_of_n.items()}
    return cells | {
        "vote": row.vote,
        "oracle": row.oracle,
        "best_log_likelihood": row.best_log_likelihood,
        "above_greedy": row.above_greedy,
        "pool_truncated": row.pool_truncated,
        "pool_unscored": row.pool_unscored,
    }


def scorer_cells(row: ScorerRow) -> tuple[CsvRow, dict[str, str]]:
    """The cells of what explains one scorer, in the order of the columns, and why its nulls are null."""
    cells: CsvRow = {"scorer": row.scorer} | _interval_cells("auroc", row.auroc)
    cells |= {"auroc_problems": row.auroc_problems, "auroc_rank": row.auroc_rank}
    cells |= _difference_cells("auroc_difference", row.auroc_difference, 1.0)
    cells |= _interval_cells("accuracy", row.accuracy) | {"accuracy_rank": row.accuracy_rank}
    cells |= _difference_cells("accuracy_difference_points", row.accuracy_difference, 100.0)
    cells |= {"n_tokens": row.n_tokens, "saturation_n": row.saturation_n}
    reasons = dict.fromkeys([*_interval_cells("auroc", None), "auroc_rank"], _ONE_KIND)
    reasons |= dict.fromkeys(
        _difference_cells("auroc_difference", None, 1.0), _PRIMARY if row.auroc is not None else _ONE_KIND
    )
    reasons |= dict.fromkeys(_difference_cells("accuracy_difference_points", None, 1.0), _PRIMARY)
    return _finite(cells, reasons | {"saturation_n": _NOTHING_AT_N})


def length_cells(row: LengthRow) -> CsvRow:
    """The cells of one tenth of the lengths, in the order of the columns."""
    cells: CsvRow = {
        "decile": row.decile,
        "tokens_low": row.tokens_low,
        "tokens_high": row.tokens_high,
        "responses": row.responses,
    }
    cells |= _interval_cells("accuracy", row.accuracy) | {"log_likelihood": row.log_likelihood}
    return cells | {f"picked_{scorer}": share for scorer, share in row.picked.items()}


def document(analysis: Analysis) -> dict[str, object]:
    """The content of report.json: JSON-ready, not yet validated."""
    settings = analysis.settings
    facts = analysis.facts
    shown = {1, *settings.ns}
    sharper = _interval_cells("share", facts.sharper_than_greedy)
    fact_cells, fact_reasons = _finite(
        {"duplicate_share": facts.duplicate_share, "above_greedy": facts.above_greedy},
        {"duplicate_share": "the texts were not read"},
    )
    return {
        "format": "bon-eval report",
        "format_version": FORMAT_VERSION,
        "run": dict(analysis.run),
        "analysis": {
            "scorers": list(settings.scorers),
            "votes": list(settings.votes),
            "primary_scorer": settings.primary_scorer,
            "ns": list(settings.ns),
            "seed": settings.seed,
            "draws": settings.draws,
            "vote_draws": settings.vote_draws,
            "confidence": settings.confidence,
            "exclude_truncated": settings.exclude_truncated,
            "pool_size": analysis.pool_size,
            "problems": analysis.n_problems,
            "problems_excluded": analysis.n_excluded,
            "problems_missing": analysis.n_missing,
        },
        "arms": [_row(*arm_cells(row)) for row in analysis.arms],
        "pairs": [_row(*_finite(pair_cells(pair), {})) for pair in analysis.pairs],
        "curves": [_row(*curve_cells(point)) for point in analysis.curves if point.n in shown],
        "facts": {
            "verdict": facts.verdict,
            "comparisons": [_comparison(comparison) for comparison in facts.comparisons],
            "sharper_than_greedy": _row(*_finite(sharper, {})) | {"tolerance_nats_per_token": facts.sharper_tolerance},
            **fact_cells,
            "null_reasons": fact_reasons,
        },
        "explanation": _explanation(analysis.explanation),
        "replayed": _replayed(analysis.replayed),
        "variants": [
            {
                "name": variant.name,
                "note": variant.note,
                "problems": variant.n_problems,
                "arms": [_row(*arm_cells(row)) for row in variant.arms],
            }
            for variant in analysis.variants
        ],
        "variant_reasons": dict(analysis.variant_reasons),
    }


def _explanation(explanation: Explanation) -> dict[str, object]:
    rank = explanation.greedy_rank
    rank_cells = _interval_cells("mean", rank.mean)
    rank_cells |= {"median": rank.median, "quartile_low": rank.quartile_low, "quartile_high": rank.quartile_high}
    return {
        "scorers": [_row(*scorer_cells(row)) for row in explanation.scorers],
        "lengths": [_length(row) for row in explanation.lengths],
        "greedy_rank": _row(*_finite(rank_cells, {})),
        "power": [_power(power) for power in explanation.power],
        "histograms": [
            {
                "quantity": histogram.quantity,
                "edges": list(histogram.edges),
                "correct": list(histogram.correct),
                "incorrect": list(histogram.incorrect),
            }
            for histogram in explanation.histograms
        ],
    }


def power_cells(point: ReweightedPoint) -> CsvRow:
    """The cells of one point of the curve over alpha, in the order of the columns; infinity is a word."""
    cells: CsvRow = {"alpha": "infinity" if math.isinf(point.alpha) else point.alpha}
    cells |= _interval_cells("accuracy", point.accuracy) | {"log_likelihood": point.log_likelihood}
    cells |= {"ess_median": point.ess_median, "ess_quartile_low": point.ess_low, "ess_quartile_high": point.ess_high}
    return cells | {"believable": point.believable}


def stopping_cells(row: StoppingRow) -> CsvRow:
    """The cells of one stopping rule, in the order of the columns."""
    cells: CsvRow = {"rule": row.rule, "parameter": row.parameter, "samples": row.samples, "exhausted": row.exhausted}
    cells |= _interval_cells("accuracy", row.accuracy) | {"fixed_accuracy": row.fixed_accuracy}
    return cells | _difference_cells("difference_points", row.difference, 100.0)


def _replayed(found: Replayed) -> dict[str, object]:
    coverage = found.coverage
    return {
        "power": [_row(*_finite(power_cells(point), {})) for point in found.power],
        "stopping": [_row(*_finite(stopping_cells(row), {})) for row in found.stopping],
        "coverage": None
        if coverage is None
        else {
            "problems": coverage.problems,
            "problems_left_out": coverage.left_out,
            "log_coverage_bound": coverage.log_coverage,
            "median_surprisal": coverage.median,
            "heaviest_share": coverage.heaviest,
            "sharp": [
                _row(*_finite({"delta": row.delta} | _interval_cells("share", row.share), {})) for row in coverage.sharp
            ],
        },
        "null_reasons": dict(found.reasons),
    }


def _length(row: LengthRow) -> dict[str, object]:
    flat = {name: cell for name, cell in length_cells(row).items() if not name.startswith("picked_")}
    return _row(*_finite(flat, {})) | {"picked": dict(row.picked)}


def _power(power: Power) -> dict[str, object]:
    points = None if power.detectable is None else 100.0 * power.detectable
    cells: CsvRow = {"against": power.against, "detectable_points": points}
    cells |= {f"problems_for_{points}_points": needed for points, needed in power.problems.items()}
    return _row(*_finite(cells, dict.fromkeys(cells, _NO_SPREAD)))


def _comparison(comparison: Headline) -> dict[str, object]:
    cells: CsvRow = {"against": comparison.against, "verdict": comparison.verdict, "sentence": comparison.sentence}
    return _row(*_finite(cells | _lift_cells(comparison.test), {}))


def _interval_cells(name: str, interval: Interval | None) -> CsvRow:
    return {
        name: None if interval is None else interval.estimate,
        f"{name}_low": None if interval is None else interval.low,
        f"{name}_high": None if interval is None else interval.high,
        f"{name}_method": None if interval is None else interval.method,
    }


def _lift_cells(test: PairedTest | None) -> CsvRow:
    return {
        "lift_points": None if test is None else 100.0 * test.difference,
        "lift_points_low": None if test is None else 100.0 * test.low,
        "lift_points_high": None if test is None else 100.0 * test.high,
        "lift_method": None if test is None else test.method,
        "p_value": None if test is None else test.p_value,
        "contested": None if test is None else test.n_contested,
    }


def _difference_cells(name: str, test: PairedTest | None, scale: float) -> CsvRow:
    return {
        name: None if test is None else scale * test.difference,
        f"{name}_low": None if test is None else scale * test.low,
        f"{name}_high": None if test is None else scale * test.high,
        f"{name}_method": None if test is None else test.method,
        f"{name}_p_value": None if test is None else test.p_value,
    }


def _spread(reasons: dict[str, str], group: str, cells: CsvRow) -> None:
    if group in reasons:
        reasons |= dict.fromkeys(cells, reasons[group])


def _finite(cells: CsvRow, reasons: Mapping[str, str]) -> tuple[CsvRow, dict[str, str]]:
    """Cells without NaN and infinity, and the reason of each null; a null without a reason is a bug (KeyError)."""
    undefined = [name for name, cell in cells.items() if isinstance(cell, float) and not math.isfinite(cell)]
    cells = cells | dict.fromkeys(undefined)
    reasons = dict(reasons) | dict.fromkeys(undefined, _NOT_FINITE)
    return cells, {name: reasons[name] for name, cell in cells.items() if cell is None}


def _row(cells: CsvRow, reasons: dict[str, str]) -> dict[str, object]:
    return {**cells, "null_reasons": reasons}
