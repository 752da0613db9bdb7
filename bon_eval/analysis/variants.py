"""The arms table again under another rule: same stored responses, same seed, same definitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bon_eval.analysis import tables
from bon_eval.analysis.arms import compute_cells, compute_data
from bon_eval.analysis.draws.arms import draw_facts
from bon_eval.analysis.draws.values import draw_values
from bon_eval.analysis.responses import Responses
from bon_eval.analysis.results import Variant, VariantName
from bon_eval.analysis.settings import Settings
from bon_eval.draws import DrawSpec
from bon_eval.errors import counted

WITHOUT_TRUNCATED: VariantName = "without truncated"
STRICT_FORMAT: VariantName = "strict format"

_NONE_TRUNCATED = "no response was truncated: the table would be the same"
_LEFT_OUT_ALREADY = "the analysis itself leaves out the problems with truncated responses"
_ALL_TRUNCATED = "every problem has a truncated response: none is left"
_NO_STRICT = "the grades hold no verdicts under a strict format"
_SAME_VERDICTS = "every verdict is the same under the strict format: the table would be the same"


def variants(
    responses: Responses, settings: Settings, specs: Sequence[DrawSpec] = ()
) -> tuple[tuple[Variant, ...], dict[str, str]]:
    """The variants that differ from the main table, and for each of the others (by name) why it is not there.

    `specs`: how the draws besides greedy and the pool were drawn.
    """
    found: list[Variant] = []
    reasons: dict[str, str] = {}
    for name, result in (
        (WITHOUT_TRUNCATED, _without_truncated(responses, settings, specs)),
        (STRICT_FORMAT, _strict_format(responses, settings, specs)),
    ):
        if isinstance(result, Variant):
            found.append(result)
        else:
            reasons[name] = result
    return tuple(found), reasons


def _without_truncated(responses: Responses, settings: Settings, specs: Sequence[DrawSpec]) -> Variant | str:
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
    return _variant(WITHOUT_TRUNCATED, note, responses.take(rows), settings, specs)


def _strict_format(responses: Responses, settings: Settings, specs: Sequence[DrawSpec]) -> Variant | str:
    if any(pool.correct_strict is None for pool in responses.pools):
        return _NO_STRICT
    strict = replace(
        responses,
        greedy=responses.greedy.under_strict_format(),
        pool=responses.pool.under_strict_format(),
        others={
            name: replace(drawn, pool=drawn.pool.under_strict_format()) for name, drawn in responses.others.items()
        },
    )
    same = all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for one, other in zip(responses.pools, strict.pools, strict=True)
        for name in ("correct", "unscored")
    )
    if same:
        return _SAME_VERDICTS
    note = (
        "a response counts as correct only where its answer stands in the format that the task asks for; the vote "
        "still groups answers as the lenient grader reads them"
    )
    return _variant(STRICT_FORMAT, note, strict, settings, specs)


def _variant(
    name: VariantName, note: str, responses: Responses, settings: Settings, specs: Sequence[DrawSpec]
) -> Variant:
    data = compute_data(responses, settings, curves=False)
    rows = tables.arm_rows(data, settings, compute_cells(data, settings))
    return Variant(
        name=name,
        note=note,
        n_problems=len(responses.golds),
        arms=rows,
        draws=draw_facts(data, settings, specs, draw_values(data, settings, curves=False)),
    )
