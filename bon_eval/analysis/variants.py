"""The arms table again under another rule: same stored responses, same seed, same definitions."""

from __future__ import annotations

import numpy as np

from bon_eval.analysis import tables
from bon_eval.analysis.arms import compute_cells, compute_data
from bon_eval.analysis.responses import Responses
from bon_eval.analysis.results import Variant, VariantName
from bon_eval.analysis.settings import Settings
from bon_eval.errors import counted

WITHOUT_TRUNCATED: VariantName = "without truncated"
STRICT_FORMAT: VariantName = "strict format"

_NONE_TRUNCATED = "no response was truncated: the table would be the same"
_LEFT_OUT_ALREADY = "the analysis itself leaves out the problems with truncated responses"
_ALL_TRUNCATED = "every problem has a truncated response: none is left"
_NO_STRICT = "the grades hold no verdicts under a strict format"
_SAME_VERDICTS = "every verdict is the same under the strict format: the table would be the same"


def variants(responses: Responses, settings: Settings) -> tuple[tuple[Variant, ...], dict[str, str]]:
    """The variants that differ from the main table, and for each of the others (by name) why it is not there."""
    found: list[Variant] = []
    reasons: dict[str, str] = {}
    for name, result in (
        (WITHOUT_TRUNCATED, _without_truncated(responses, settings)),
        (STRICT_FORMAT, _strict_format(responses, settings)),
    ):
        if isinstance(result, Variant):
            found.append(result)
        else:
            reasons[name] = result
    return tuple(found), reasons


def _without_truncated(responses: Responses, settings: Settings) -> Variant | str:
    """Whole problems are left out, for the reasons that `analyse.analyse` gives under `exclude_truncated`."""
    if settings.exclude_truncated:
        return _LEFT_OUT_ALREADY
    rows, total = responses.untruncated(), len(responses.golds)
    if len(rows) == total:
        return _NONE_TRUNCATED
    if not len(rows):
        return _ALL_TRUNCATED
    note = (
        f"only the {len(rows)} of {counted(total)} of which no response, greedy or sampled, was truncated; those left "
        "out tend to have long answers, so compare arms within this table"
    )
    return _variant(WITHOUT_TRUNCATED, note, responses.take(rows), settings)


def _strict_format(responses: Responses, settings: Settings) -> Variant | str:
    pool, greedy = responses.pool, responses.greedy
    if pool.correct_strict is None or greedy.correct_strict is None:
        return _NO_STRICT
    strict = Responses(
        golds=responses.golds,
        greedy=greedy.under_strict_format(),
        pool=pool.under_strict_format(),
        scores=responses.scores,
        duplicates=responses.duplicates,
        clusters=responses.clusters,
        vote_scores=responses.vote_scores,
    )
    same = all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for one, other in ((pool, strict.pool), (greedy, strict.greedy))
        for name in ("correct", "unscored")
    )
    if same:
        return _SAME_VERDICTS
    note = (
        "a response counts as correct only where its answer stands in the format that the task asks for; the vote "
        "still groups answers as the lenient grader reads them"
    )
    return _variant(STRICT_FORMAT, note, strict, settings)


def _variant(name: VariantName, note: str, responses: Responses, settings: Settings) -> Variant:
    data = compute_data(responses, settings, curves=False)
    rows = tables.arm_rows(data, settings, compute_cells(data, settings))
    return Variant(
        name=name,
        note=note,
        n_problems=len(responses.golds),
        arms=rows,
    )
