"""Clusters of problems in a whole report: every interval over them, and with one problem each the numbers of none."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from bon_eval.analysis.analyse import analyse
from bon_eval.analysis.results import Analysis
from bon_eval.errors import ConfigError
from bon_eval.records import Pool, Problem
from bon_eval.report.run.rows import document
from bon_eval.report.run.terminal import render

COPIES, SOURCES, N = 4, 24, 4


@dataclass(frozen=True)
class MadeRun:
    meta: dict[str, Any]
    problems: tuple[Problem, ...]
    greedy: Pool
    pool: Pool
    grader: dict[str, str]


def pool_of(rng: np.random.Generator, ids: tuple[str, ...], n: int, sources: np.ndarray) -> Pool:
    """Problems of one source are one problem, told again: the same responses, verdicts and truncation."""
    shape = (SOURCES, n)
    log_likelihood, tokens = -rng.gamma(2.0, size=shape), rng.integers(3, 40, size=shape)
    correct, truncated = rng.random(shape) < 0.4, rng.random(shape) < 0.02
    return Pool(
        problem_ids=ids,
        log_likelihood=log_likelihood[sources],
        n_tokens=tokens[sources],
        truncated=truncated[sources],
        correct=correct[sources],
        unscored=np.zeros((len(ids), n), dtype=bool),
        answer_class=np.where(correct, 0, rng.integers(1, 4, size=shape))[sources],
        correct_strict=(correct & (rng.random(shape) < 0.8))[sources],
        unscored_strict=np.zeros((len(ids), n), dtype=bool),
    )


@pytest.fixture(scope="module")
def run() -> MadeRun:
    rng = np.random.default_rng(0)
    sources = np.repeat(np.arange(SOURCES), COPIES)
    ids = tuple(f"p{i}" for i in range(len(sources)))
    problems = tuple(Problem(i, {"q": i, "source": f"s{s}"}, "1") for i, s in zip(ids, sources, strict=True))
    meta = {
        "config": {"model": "m", "task": "t", "n": N, "temperature": 1.0, "seed": 0, "max_tokens": 40},
        "versions": {},
        "engine": {},
        "state": "sampled",
    }
    greedy, pool = pool_of(rng, ids, 1, sources), pool_of(rng, ids, N, sources)
    return MadeRun(meta, problems, greedy, pool, {"name": "g", "version": "1"})


def told_once(run: MadeRun) -> MadeRun:
    rows = np.arange(0, len(run.problems), COPIES)
    return replace(run, problems=run.problems[::COPIES], greedy=run.greedy.take(rows), pool=run.pool.take(rows))


def numbers(analysis: Analysis) -> dict[str, Any]:
    """report.json without what it says of clusters, and with one word for what is resampled."""
    content = json.loads(json.dumps(document(analysis)).replace("cluster", "problem"))
    content["analysis"] = {k: v for k, v in content["analysis"].items() if "problem" not in k}
    return content


def test_a_cluster_for_each_problem_is_a_report_without_clusters(run: MadeRun) -> None:
    plain, own = analyse(run, draws=200), analyse(run, draws=200, cluster="q")
    assert own.n_clusters == len(run.problems)
    assert numbers(own)["arms"] == numbers(plain)["arms"]
    for part, value in numbers(plain).items():
        assert numbers(own)[part] == value, part
    assert own.variants == plain.variants != ()
    assert [p.detectable for p in own.explanation.power] == [p.detectable for p in plain.explanation.power]


def differences(one: object, other: object, path: str = "") -> list[str]:
    """Where two trees of numbers differ by more than rounding."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [d for key in one for d in differences(one[key], other.get(key), f"{path}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for k, (a, b) in enumerate(zip(one, other, strict=True)) for d in differences(a, b, f"{path}.{k}")]
    if isinstance(one, float) and isinstance(other, float | int):
        return [] if one == pytest.approx(other, abs=1e-9) else [path]
    return [] if one == other else [path]


def test_problems_told_four_times_are_told_once(run: MadeRun) -> None:
    """Every interval and p-value is that of the run that holds each source once: none counts the copies."""
    once, together = analyse(told_once(run), draws=200), analyse(run, draws=200, cluster="source")
    assert together.n_clusters == SOURCES
    # Counts of problems and responses, what is over responses alone, and votes of random subsets are others.
    left_out = ("problems", "contested", "responses", "fresh", "note", "histograms", "heaviest", "error", "vote")
    one, other = numbers(once), numbers(together)
    for content in (one, other):
        content["curves"] = [point for point in content["curves"] if point["scorer"] != "vote"]
    found = [
        path
        for part in ("arms", "pairs", "curves", "explanation", "replayed", "selected_scorer", "facts", "variants")
        for path in differences(one[part], other[part], part)
    ]
    unexpected = [path for path in found if not any(word in path for word in left_out)]
    assert unexpected == []
    narrow = analyse(run, draws=200)
    assert narrow.arms[1].accuracy.high - narrow.arms[1].accuracy.low < 0.6 * (
        once.arms[1].accuracy.high - once.arms[1].accuracy.low
    )


def test_what_a_report_says_of_clusters(run: MadeRun) -> None:
    found = analyse(run, draws=200, cluster="source")
    text = " ".join(render(found).split())
    assert "intervals (95 %) are over clusters, lifts are paired by problem" in text
    assert "Resampled are 24 clusters of problems with one source." in text
    assert "over clusters and responses" in text
    assert "problems, in clusters as large as here." in text
    power = found.explanation.power[0]
    assert power.problems[5] is not None
    assert power.problems[5] % COPIES == 0


def test_one_cluster_and_few(run: MadeRun) -> None:
    for count, why in ((1, "1 cluster; from 2 on"), (3, "3 clusters; from 5 on"), (9, None)):
        problems = tuple(replace(p, fields={"few": str(i % count)}) for i, p in enumerate(run.problems))
        found = analyse(replace(run, problems=problems), draws=200, cluster="few")
        text = " ".join(render(found).split())
        assert f"is not said of {count} cluster{'s' if count > 1 else ''}" in text
        assert document(found)["analysis"]["n_clusters"] == count
        lift = found.arms[2].lift
        assert lift is not None
        assert lift.method == (f"none: {why}" if why else "pseudo-t ratio")
        assert found.selected is None
        assert all(c.verdict == "not shown" for c in found.facts.comparisons)
        if count == 1:
            rows = [r.accuracy for r in (*found.arms, *found.explanation.lengths, *found.replayed.stopping)]
            assert {row.method for row in rows} == {f"none: {why}"}


def test_a_subset_keeps_its_clusters(run: MadeRun) -> None:
    left = run.pool.truncated.any(axis=1) | run.greedy.truncated[:, 0]
    assert left.any()
    found = analyse(run, draws=200, cluster="source", exclude_truncated=True)
    assert found.n_clusters == SOURCES - left.sum() // COPIES
    [variant] = [v for v in analyse(run, draws=200, cluster="source").variants if v.name == "without truncated"]
    assert variant.arms[1].accuracy == found.arms[1].accuracy


def test_a_column_that_is_not_stored(run: MadeRun) -> None:
    with pytest.raises(ConfigError, match="problem p0 has no column 'page' to cluster by; the run stored: q, source"):
        analyse(run, cluster="page")
