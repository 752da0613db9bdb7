"""report.json validates against its schema, and a broken one does not."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import jsonschema
import pytest

from bon_eval.analysis.results import Analysis
from bon_eval.config import RunConfig
from bon_eval.errors import StoreError
from bon_eval.report.formats.csv_json import schema, validate
from bon_eval.report.run.rows import document


@pytest.fixture
def content(analysis: Analysis) -> dict[str, Any]:
    return document(analysis)


def nulls(value: object, at: str = "") -> Iterator[tuple[str, dict[str, Any], str]]:
    if isinstance(value, dict):
        for key, cell in value.items():
            if cell is None:
                yield at, value, key
            yield from nulls(cell, f"{at}.{key}")
    if isinstance(value, list):
        for index, cell in enumerate(value):
            yield from nulls(cell, f"{at}[{index}]")


def test_schema_is_a_valid_draft_2020_12_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_report_fits_its_schema_and_survives_json(content: dict[str, Any]) -> None:
    validate(content)
    assert json.loads(json.dumps(content, allow_nan=False)) == content


def test_schema_knows_every_field_of_the_configuration() -> None:
    loaded: dict[str, Any] = schema()
    known = set(loaded["properties"]["run"]["properties"]["config"]["properties"])
    assert known == {f.name for f in fields(RunConfig) if not f.name.endswith("_hash")}


def test_report_carries_config_versions_engine_hashes_and_grader(content: dict[str, Any]) -> None:
    run = content["run"]
    assert run["config"]["model"] == "arith-mixed"
    assert run["versions"] == {"bon_eval": "0.1.0"}
    assert run["engine"]["device"] == "cpu"
    assert run["hashes"] == {"task": "t0", "model": "m0", "adapter": None, "prompts": "p0"}
    assert run["grader"] == {"name": "gsm8k", "version": "1"}
    assert (run["state"], run["sessions"]) == ("sampled", 1)


def test_arms_in_points_and_percent(content: dict[str, Any]) -> None:
    greedy, sample, _, best, *_ = content["arms"]
    assert (greedy["arm"], greedy["lift_points"], greedy["p_holm"]) == ("greedy", None, None)
    assert sample["lift_points"] == pytest.approx(0.0, abs=1e-9)
    assert (best["arm"], best["n"], best["scorer"]) == ("best-of-n", 4, "log_likelihood")
    assert best["lift_points"] == pytest.approx(100 / 3)
    assert best["lift_percent"] == pytest.approx(100.0)
    assert best["contested"] == 1


def test_every_null_of_a_row_has_its_reason(content: dict[str, Any]) -> None:
    found = list(nulls({key: content[key] for key in ("arms", "curves", "facts", "explanation", "variants")}))
    assert found
    for place, row, key in found:
        assert row["null_reasons"].get(key), f"{place}.{key} is null without a reason"


def test_explanation_that_does_not_exist_is_null_with_its_reason(analysis: Analysis) -> None:
    explanation = analysis.explanation
    scorer = replace(explanation.scorers[0], auroc=None, auroc_problems=0, saturation_n=None)
    power = replace(explanation.power[0], detectable=None, problems=dict.fromkeys((1, 2, 5)))
    bare = replace(explanation, scorers=(scorer,), power=(power, explanation.power[1]))
    content: dict[str, Any] = document(replace(analysis, explanation=bare))
    validate(content)
    found = list(nulls(content["explanation"]))
    assert {key for _, _, key in found} >= {"auroc", "saturation_n", "detectable_points", "problems_for_5_points"}
    for place, row, key in found:
        assert row["null_reasons"].get(key), f"{place}.{key} is null without a reason"


def test_variants_and_their_reasons(content: dict[str, Any]) -> None:
    [variant] = content["variants"]
    assert (variant["name"], variant["problems"]) == ("without truncated", 2)
    assert [row["arm"] for row in variant["arms"]] == [row["arm"] for row in content["arms"]]
    assert content["variant_reasons"] == {"strict format": "the grades hold no verdicts under a strict format"}


def test_numbers_that_are_not_finite_become_null_with_a_reason(analysis: Analysis) -> None:
    best = analysis.arms[3]
    undefined = replace(best, accuracy=replace(best.accuracy, low=math.nan, high=math.inf))
    content: dict[str, Any] = document(replace(analysis, arms=(*analysis.arms[:3], undefined, *analysis.arms[4:])))
    validate(content)
    row = content["arms"][3]
    assert (row["accuracy_low"], row["accuracy_high"]) == (None, None)
    assert "no finite number" in row["null_reasons"]["accuracy_low"]


def test_curves_of_the_document_are_at_one_and_the_n_of_the_table(content: dict[str, Any]) -> None:
    assert {point["n"] for point in content["curves"]} == {1, 2, 4}
    assert {point["scorer"] for point in content["curves"]} >= {"log_likelihood", "vote", "oracle"}


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("arms", 0, "accuracy"), 1.5, "arms[0].accuracy"),
        (("arms", 0, "accuracy"), None, "arms[0].accuracy"),
        (("arms", 1, "log_likelihood"), 0.5, "arms[1].log_likelihood"),
        (("arms", 0, "arm"), "beam", "arms[0].arm"),
        (("run", "config", "n"), 0, "run.config.n"),
        (("run", "config", "temperature"), "hot", "run.config.temperature"),
        (("analysis", "surprise"), 1, "analysis"),
        (("facts", "comparisons", 0, "verdict"), "maybe", "facts.comparisons[0].verdict"),
        (("format_version",), 4, "format_version"),
        (("curves",), [], "curves"),
    ],
)
def test_a_broken_report_is_refused_at_its_place(
    content: dict[str, Any], path: tuple[str | int, ...], value: object, place: str
) -> None:
    broken: Any = copy.deepcopy(content)
    parent = broken
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    with pytest.raises(StoreError, match="nothing was written") as caught:
        validate(broken)
    assert f"at {place}:" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["run", "analysis", "arms", "facts"])
def test_a_missing_section_is_refused(content: dict[str, Any], section: str) -> None:
    del content[section]
    with pytest.raises(StoreError, match=f"'{section}' is a required property"):
        validate(content)
