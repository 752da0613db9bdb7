"""What `compare` holds side by side: likelihoods of one kind, unequal pools, runs that differ in more, one problem."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from bon_eval.analysis.two_runs.comparison import Comparison, compare_runs
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.cli import main
from bon_eval.engines.models import ASSETS
from bon_eval.errors import ConfigError
from bon_eval.estimators import pass_at_n
from bon_eval.report.comparison.rows import document
from bon_eval.report.comparison.terminal import not_the_same, render
from bon_eval.report.formats.text import WIDTH
from bon_eval.store.forced import ForcedBy, forced_responses, load_forced_by, own_likelihoods
from bon_eval.store.reader import Run, load_run

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

LIMIT = 12
RUN = ["run", "--task", "arith", "--limit", str(LIMIT), "--draws", "240", "--quiet", "--no-html"]
RUN += ["--engine", "transformers"]


def call(*args: str | Path) -> Result:
    done = CliRunner().invoke(main, [*map(str, args)])
    assert done.exit_code == 0, done.output
    return done


def stored(place: Path, *args: str | Path) -> Path:
    call(*RUN, "--out", place, *args)
    return place


def by_name(found: Comparison) -> dict[str, Any]:
    return {c.name: c for c in (*found.accuracies, *found.quantities)}


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """arith-mixed under another hash: the same numbers, to the last bit."""
    folder = tmp_path_factory.mktemp("models") / "twin"
    shutil.copytree(ASSETS / "arith-mixed", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"note": "twin"}))
    return folder


@pytest.fixture(scope="module")
def unequal(twin: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Ten responses before, four after, in bfloat16, scored by `bon-eval score` both ways."""
    place = tmp_path_factory.mktemp("unequal")
    before = stored(place / "before", "--model", "arith-mixed", "--n", "10", "--dtype", "bfloat16")
    after = stored(place / "after", "--model", twin, "--n", "4", "--dtype", "bfloat16", "--seed", "5")
    call("score", after, "--by", before, "--quiet")
    call("score", before, "--by", after, "--quiet")
    return load_run(before), load_run(after)


# --- likelihoods of two models


def test_a_model_below_float32_scores_its_own_responses_as_well(unequal: tuple[Run, Run]) -> None:
    for run, other in (unequal, unequal[::-1]):
        for by in (run, other):
            assert len(set(forced_responses(run.path, ForcedBy.of(by.meta["config"])))) == 2 * LIMIT
        own, source = own_likelihoods(run)
        assert source == "forced"
        assert own["sample"].shape == run.pool.log_likelihood.shape


def test_the_same_model_under_two_names_has_no_divergence_in_bfloat16(unequal: tuple[Run, Run]) -> None:
    """Known truth: 0. Sampled log-probs on one side and forced ones on the other would say otherwise."""
    before, after = unequal
    found = compare_runs(before, after, draws=240)
    assert found.sources == ("forced", "forced")
    for kl in found.divergences.values():
        assert kl.estimate == pytest.approx(0.0, abs=1e-6)
    mixed = before.pool.log_likelihood - load_forced_by(before, after)["sample"]
    assert np.abs(mixed).mean() > 1e-3, "rounding that the comparison must not show"
    assert "forced log-probs on both sides" in " ".join(render(found).split())
    assert document(found)["likelihoods"] == {"before": "forced", "after": "forced"}


def test_a_model_that_learnt_nothing_has_no_reward(unequal: tuple[Run, Run]) -> None:
    """0 everywhere from forced log-probs on both sides, so best-of-n by it is one sample."""
    before, after = unequal
    found = compare_runs(before, after, draws=240)
    assert found.reward is not None
    own, other = own_likelihoods(after)[0]["sample"], load_forced_by(after, before)["sample"]
    np.testing.assert_array_equal(own, other)
    assert found.reward.reward.estimate == pytest.approx(after.pool.correct.mean())
    assert found.reward.likelihood.estimate == by_name(found)["accuracy.best_own"].after.estimate
    content: Any = document(found)["reward"]
    assert content["difference"] == found.reward.difference.difference
    assert "best-of-4 after, by reward: accuracy" in " ".join(render(found).split())


def test_base_likelihoods_before_are_the_forced_ones(unequal: tuple[Run, Run]) -> None:
    before, after = unequal
    changes = by_name(compare_runs(before, after, draws=240))
    own = load_forced_by(before, before)
    assert changes["log_likelihood_base.sample"].before.estimate == pytest.approx(own["sample"].mean())
    assert changes["log_likelihood_base.greedy"].before.estimate == pytest.approx(own["greedy"].mean())
    # What a model gives its own responses is compared as it was sampled, on both sides.
    for side, run in (("before", before), ("after", after)):
        change = getattr(changes["log_likelihood_self.sample"], side)
        assert change.estimate == pytest.approx(run.pool.log_likelihood.mean(axis=1).mean())


def test_without_own_scores_the_report_says_what_was_taken(unequal: tuple[Run, Run], tmp_path: Path) -> None:
    runs = [Path(shutil.copytree(run.path, tmp_path / run.path.name)) for run in unequal]
    own = ForcedBy.of(unequal[0].meta["config"]).id
    shutil.rmtree(runs[0] / "scores" / own)
    found = compare_runs(load_run(runs[0]), load_run(runs[1]), draws=240)
    assert found.sources == ("sampled", "forced")
    [text] = not_the_same(found)
    assert "of the responses before sampled log-probs under the own model and forced ones under the other. In" in text
    assert text.endswith(f"run: bon-eval score {runs[0]} --by {runs[0]}")
    call("score", runs[0], "--by", runs[0], "--quiet")
    assert compare_runs(load_run(runs[0]), load_run(runs[1]), draws=240).sources == ("forced", "forced")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_before_and_after_forces_own_responses_where_rounding_counts(
    dtype: str, twin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = call(*RUN, "--model", "arith-mixed", "--n", "3", "--limit", "4", "--dtype", dtype, "--after", twin)
    runs = sorted(tmp_path.glob("results/arith/*/*"))
    assert len(runs) == 2
    sizes = {len(list((run / "scores").iterdir())) for run in runs}
    assert sizes == {2 if dtype == "bfloat16" else 1}
    text = " ".join(done.output.split())
    assert ("forced log-probs on both sides" in text) == (dtype == "bfloat16")
    assert ("In less than float32" in text) is False
    stamps = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("part-*.parquet")}
    call(*RUN, "--model", "arith-mixed", "--n", "3", "--limit", "4", "--dtype", dtype, "--after", twin)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("part-*.parquet")} == stamps


# --- pools of unequal size


def test_all_responses_count_where_no_common_n_is_needed(unequal: tuple[Run, Run]) -> None:
    before, after = unequal
    found = compare_runs(before, after, draws=240)
    assert (found.n, found.sizes) == (4, (10, 4))
    changes = by_name(found)
    for side, run in (("before", before), ("after", after)):
        pool = run.pool
        length = pool.n_tokens.astype(float)
        expected = {
            "accuracy.sample": pool.correct.mean(),
            "log_likelihood_self.sample": pool.log_likelihood.mean(),
            "tokens.sample": length.mean(),
            "entropy_per_token": (-pool.log_likelihood.sum(axis=1) / length.sum(axis=1)).mean(),
            "truncated": pool.truncated.mean(),
            "accuracy.oracle": pass_at_n(pool.correct, [4]).mean(),
            "distinct_answers": np.mean([distinct(row, 4) for row in pool.answer_class]),
        }
        for name, value in expected.items():
            assert getattr(changes[name], side).estimate == pytest.approx(value), (name, side)
    assert changes["log_likelihood_base.sample"].after.estimate == pytest.approx(
        load_forced_by(after, before)["sample"].mean()
    )
    assert found.equivalent_n["log_likelihood"].largest == 10
    assert "duplicates" not in changes
    assert "10 and 4 responses" in found.reasons["duplicates"]
    first = render(found).splitlines()[2]
    assert first.startswith("12 problems x 10 samples before and 4 after (best-of-n, vote, oracle and answers: of 4; ")
    analysis = document(found)["analysis"]
    assert isinstance(analysis, dict)
    assert (analysis["n"], analysis["n_before"], analysis["n_after"]) == (4, 10, 4)


def distinct(classes: np.ndarray, n: int) -> float:
    """By the formula, class by class."""
    size = len(classes)
    counts = np.unique(classes[classes >= 0], return_counts=True)[1]
    return sum(1 - comb(size - int(c), n) / comb(size, n) for c in counts)


# --- runs that differ in more than the model


def changed(run: Run, **how: Any) -> Run:
    meta = dict(run.meta, config=run.meta["config"] | how.get("config", {}), engine=run.meta["engine"] | how["engine"])
    return replace(run, meta=meta)


def test_another_grader_is_refused_or_named(unequal: tuple[Run, Run]) -> None:
    before, after = unequal
    old = replace(before, grader=before.grader | {"version": "0"})
    with pytest.raises(ConfigError, match=r"grader \S+ version 0 before, \S+ version .* bon-eval grade .*--allow-diff"):
        compare_runs(old, after)
    found = compare_runs(old, after, draws=240, allow_different=["grader"])
    assert list(found.differences) == ["grader"]
    assert "The runs differ in grader:" in render(found)
    assert document(found)["differences"] == dict(found.differences)


def test_another_dtype_is_refused_or_named_whatever_auto_came_to(unequal: tuple[Run, Run]) -> None:
    before, after = unequal
    exact = changed(before, engine={"dtype": "float32"})
    with pytest.raises(ConfigError, match=r"dtype float32 before, bfloat16 after.*--allow-different dtype"):
        compare_runs(exact, after)
    # The same in effect, however it was asked for. Another version of one engine is named and not refused.
    newer = changed(before, engine={"version": "99"})
    assert list(compare_runs(newer, after, draws=240).differences) == ["engine version"]
    with pytest.raises(ConfigError, match="unknown difference 'dtpye'"):
        compare_runs(exact, after, allow_different=["dtpye"])


def test_another_engine_or_dtype_from_the_command_line(unequal: tuple[Run, Run], twin: Path, tmp_path: Path) -> None:
    before = unequal[0].path
    other = stored(tmp_path / "other", "--model", twin, "--n", "4", "--dtype", "float32")
    call("score", other, "--by", before, "--quiet")
    call("score", before, "--by", other, "--quiet")
    out = ["--out", str(tmp_path / "out"), "--draws", "240"]
    refused = CliRunner().invoke(main, ["compare", str(before), str(other), "--as", "before,after", *out])
    assert refused.exit_code == 2
    assert "dtype bfloat16 before, float32 after" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert CliRunner().invoke(main, ["compare", str(before), str(other), "--allow-different", "typo"]).exit_code == 2
    call(
        "compare",
        before,
        other,
        "--as",
        "before,after",
        *out,
        "--allow-different",
        "grader,dtype",
        "--allow-different-prompts",
    )
    content = json.loads((tmp_path / "out/compare.json").read_text())
    assert content["differences"] == {"dtype": "bfloat16 before, float32 after"}
    assert content["likelihoods"] == {"before": "forced", "after": "sampled"}
    page = (tmp_path / "out/compare.html").read_text()
    assert "The runs differ in dtype: bfloat16 before, float32 after." in page


def test_another_engine(unequal: tuple[Run, Run]) -> None:
    before, after = unequal
    vllm = changed(before, config={"engine": "vllm"}, engine={"name": "vllm", "version": "0.1"})
    with pytest.raises(ConfigError, match=r"engine vllm before, transformers after.*--allow-different engine"):
        compare_runs(vllm, after)


# --- few problems


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 2])
def test_one_problem_and_two(limit: int, twin: Path, tmp_path: Path) -> None:
    for name, model in (("before", "arith-mixed"), ("after", str(twin))):
        stored(tmp_path / name, "--model", model, "--n", "3", "--limit", str(limit), "--seed", str(len(name)))
    call("score", tmp_path / "after", "--by", tmp_path / "before", "--quiet")
    call("score", tmp_path / "before", "--by", tmp_path / "after", "--quiet")
    done = call("compare", tmp_path / "before", tmp_path / "after", "--as", "before,after", "--draws", "240")
    assert "nan" not in done.output.lower()
    content = json.loads((tmp_path / "after/compare.json").read_text())
    assert content["analysis"]["problems"] == limit
    assert {f["verdict"] for f in content["findings"]} == {"not shown"}
    page = (tmp_path / "after/compare.html").read_text()
    assert ">nan" not in page
    assert "[nan" not in page


# --- clusters


def sourced(run: Run, sources: list[str], **config: object) -> Run:
    """The run with a column of the task that says where each problem comes from."""
    problems = tuple(replace(p, fields={**p.fields, "source": s}) for p, s in zip(run.problems, sources, strict=True))
    return replace(changed(run, config=config, engine={}), problems=problems)


def in_words(content: object) -> str:
    return json.dumps(content).replace("cluster", "problem")


def test_a_cluster_for_each_problem_compares_as_without(unequal: tuple[Run, Run]) -> None:
    plain = document(compare_runs(*unequal, draws=240))
    own = document(compare_runs(*unequal, draws=240, cluster="question"))
    assert own["analysis"] == {**plain["analysis"], "cluster": "question", "n_clusters": LIMIT}  # type: ignore[dict-item]
    for part in plain:
        if part not in ("analysis", "null_reasons"):
            assert in_words(own[part]) == in_words(plain[part]), part


def test_clusters_of_the_runs_own_tasks_are_compared_together(unequal: tuple[Run, Run]) -> None:
    pairs = [f"s{i // 2}" for i in range(LIMIT)]
    runs = [sourced(run, pairs, cluster="source") for run in unequal]
    found = compare_runs(*runs, draws=240)
    assert (found.n_clusters, found.cluster) == (LIMIT // 2, "source")
    asked = compare_runs(*(sourced(run, pairs) for run in unequal), draws=240, cluster="source")
    assert document(asked)["accuracies"] == document(found)["accuracies"]
    text = " ".join(render(found).split())
    assert "intervals 95 % over clusters" in text
    assert "Resampled are 6 clusters of problems with one source." in text
    assert "not said of 6 clusters; from 10 on" in text
    assert {f.verdict for f in found.findings} == {"not shown"}
    nats = by_name(found)["log_likelihood_base.sample"]
    assert nats.difference.method == "none: 6 clusters; from 10 on"
    assert {kl.method for kl in found.divergences.values()} == {"none: 6 clusters; from 10 on"}
    # Sums over clusters by hand: the standard error of a mean of six numbers.
    change = unequal[1].pool.correct.mean(axis=1) - unequal[0].pool.correct.mean(axis=1)
    assert by_name(found)["accuracy.sample"].difference.difference == pytest.approx(change.mean())
    means = (unequal[0].pool.log_likelihood - load_forced_by(unequal[0], unequal[1])["sample"]).mean(axis=1)
    assert found.divergences["KL(before || after)"].standard_error < 10 * (abs(means).max() + 1e-6)


def test_one_cluster_compares_without_intervals(unequal: tuple[Run, Run]) -> None:
    found = compare_runs(*(sourced(run, ["s"] * LIMIT, cluster="source") for run in unequal), draws=240)
    assert {c.difference.method for c in (*found.accuracies, *found.quantities)} == {"none: 1 cluster; from 2 on"}
    assert "not said of 1 cluster; from 10 on" in render(found)
    document(found)


def test_runs_must_agree_on_their_clusters(unequal: tuple[Run, Run]) -> None:
    pairs, others = [f"s{i // 2}" for i in range(LIMIT)], [f"s{i // 3}" for i in range(LIMIT)]
    before, after = unequal
    with pytest.raises(ConfigError, match=r"different clusters, column 'source' before and none after; give --cluster"):
        compare_runs(sourced(before, pairs, cluster="source"), after)
    with pytest.raises(ConfigError, match="has no column 'source' to cluster by"):
        compare_runs(sourced(before, pairs), after, cluster="source")
    with pytest.raises(ConfigError, match=r"problem '\w+' is in another cluster by column 'source' in the run after"):
        compare_runs(sourced(before, pairs, cluster="source"), sourced(after, others, cluster="source"))


def test_clusters_from_the_command_line(unequal: tuple[Run, Run], tmp_path: Path) -> None:
    runs = [str(run.path) for run in unequal]
    refused = CliRunner().invoke(main, ["compare", *runs, "--cluster", "page", "--out", str(tmp_path)])
    assert refused.exit_code == 2
    assert "has no column 'page' to cluster by; the run stored: answer, question" in refused.stderr
    assert refused.stderr.count("\n") == 1
    call("compare", *runs, "--cluster", "question", "--out", tmp_path, "--draws", "240")
    content = json.loads((tmp_path / "compare.json").read_text())
    assert (content["analysis"]["cluster"], content["analysis"]["n_clusters"]) == ("question", LIMIT)
    page = (tmp_path / "compare.html").read_text()
    assert "Resampled are 12 clusters of problems with one question." in page
    assert "intervals are 95 % over clusters" in page


# --- draws


@pytest.fixture(scope="module")
def drawn(twin: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    """Draws that both runs have, at two n; that differ in a parameter; that one alone has."""
    place = tmp_path_factory.mktemp("drawn")
    both = ["--n", "3", "--dtype", "float32", "--draw"]
    low, one = "low=temperature:0.25,n:4", ["--draw", "one=top_k:2,n:1"]
    before = stored(place / "before", "--model", "arith-mixed", *both, low, *one, "--draw", "cut=top_k:5,n:2")
    gone = ["--draw", "cut=top_k:6,n:2", "--draw", "new=top_p:0.5,n:2"]
    after = stored(place / "after", "--model", twin, "--seed", "5", *both, low.replace(":4", ":2"), *one, *gone)
    call("score", after, "--by", before, "--quiet")
    call("score", before, "--by", after, "--quiet")
    return load_run(before), load_run(after)


def best_of_two(run: Run, scores: Any) -> float:
    """Accuracy of best-of-2 of the draw `low` by every pair of responses."""
    values = [
        right[list(pair)][score[list(pair)] == score[list(pair)].max()].mean()
        for right, score in zip(run.others["low"].correct, scores, strict=True)
        for pair in combinations(range(score.size), 2)
    ]
    return float(np.mean(values))


def test_draws_that_both_runs_have_are_a_family_of_their_own(drawn: tuple[Run, Run], tmp_path: Path) -> None:
    before, after = drawn
    found = compare_runs(before, after, draws=500)
    changes = {change.name: change for change in found.draw_accuracies}
    arms = ("mean", "best_own", "best_base", "vote")
    assert list(changes) == [*(f"accuracy.low.{arm}" for arm in arms), "accuracy.one.mean"]
    for name in ("low", "one"):
        first, second = (run.others[name].correct.mean() for run in drawn)
        mean = changes[f"accuracy.{name}.mean"]
        assert (mean.before.estimate, mean.after.estimate) == (pytest.approx(first), pytest.approx(second))
        assert mean.difference.difference == pytest.approx(second - first)
    best = changes["accuracy.low.best_own"]
    assert best.label == "low best-of-2, own likelihood"
    for run, interval in ((before, best.before), (after, best.after)):
        assert interval.estimate == pytest.approx(best_of_two(run, run.others["low"].log_likelihood))
    of_base = load_forced_by(after, before)["low"]
    assert changes["accuracy.low.best_base"].after.estimate == pytest.approx(best_of_two(after, of_base))
    for change in changes.values():
        assert change.p_holm is None
        assert change.p_joint is not None
        assert change.p_joint >= change.difference.p_value - 1e-12
        assert change.shown_p in (change.p_joint, None)
    assert found.reasons["draw cut"] == "it has other parameters after than before"
    assert found.reasons["draw new"] == "only the run after has it"
    plain = compare_runs(*(replace(run, others={}) for run in drawn), draws=500)
    assert plain.draw_accuracies == ()
    assert (str(plain.accuracies), str(plain.quantities)) == (str(found.accuracies), str(found.quantities))


def test_a_comparison_of_draws_is_written_and_printed(drawn: tuple[Run, Run], tmp_path: Path) -> None:
    done = call("compare", *(run.path for run in drawn), "--draws", "500", "--out", tmp_path)
    assert "accuracy of draws" in done.output
    assert "not compared: draw new; only the run after has it." in done.output
    text = " ".join(done.output.split())
    assert "those of draws over all of theirs (max-t)" in text
    assert "draws: low is temperature 0.25; one is temperature 1, top_k 2." in text
    lines = done.output[done.output.index("accuracy of draws") :].splitlines()[2:7]
    rows = json.loads((tmp_path / "compare.json").read_text())["draw_accuracies"]
    frame = pd.read_csv(tmp_path / "compare.csv").set_index("name")
    labels = ["low", "  best-of-2, own log-lik", "  best-of-2, base log-lik", "  vote-of-2", "one"]
    for label, line, row in zip(labels, lines, rows, strict=True):
        assert frame.loc[row["name"], "table"] == "accuracy of draws"
        assert frame.loc[row["name"], "difference"] == pytest.approx(row["difference"])
        assert line.startswith(f"{label}  ")
        assert f"  {row['after']:.3f} [{row['after_low']:.2f}, {row['after_high']:.2f}]  " in line
    text = (tmp_path / "compare.html").read_text(encoding="utf-8")
    assert "Draws that both runs have." in text
    assert '"draws":[[{"name":"low","how":"temperature 0.25","n":4}' in text


def test_long_names_of_draws_keep_the_table_within_its_width(drawn: tuple[Run, Run]) -> None:
    found = compare_runs(*drawn, draws=500)
    long = "a-name-of-a-draw-of-32-character@0.25@0.95"

    def renamed(change: Change) -> Change:
        name, label = (text.replace("low", long) for text in (change.name, change.label))
        return replace(change, name=name, label=label.replace("best-of-2", "best-of-256"))

    before: Any = dict(found.before)
    stored_draws = [draw | {"name": draw["name"].replace("low", long)} for draw in before["config"]["draws"]]
    before["config"] = before["config"] | {"draws": stored_draws}
    accuracies = tuple(map(renamed, found.draw_accuracies))
    assert max(len(change.label) for change in accuracies) > 60
    lines = render(replace(found, before=before, draw_accuracies=accuracies)).splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("accuracy of draws"))) :][:7]
    assert max(map(len, table)) <= WIDTH
    assert [line.split("  ")[0] or line.split("  ")[1] for line in table[2:]] == [
        "a-name-of-a…acter@0.25@0.95",
        "best-of-256, own log-lik",
        "best-of-256, base log-lik",
        "vote-of-2",
        "one",
    ]
    assert f"draws: {long} is temperature 0.25;" in " ".join(" ".join(lines).split())
