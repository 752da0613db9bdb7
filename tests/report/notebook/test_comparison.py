"""Runs compared in Python: the command's numbers and files, shown in a notebook, as frames and axes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from made_runs import in_other_order, made_run
from matplotlib.axes import Axes

import bon_eval
from bon_eval.cli import main
from bon_eval.errors import BonEvalError, ConfigError, StoreError
from bon_eval.report.comparison.any_runs import compare_any
from bon_eval.report.comparison.panels import OF_ADDED, ON_PAGE, PANELS, draw_panels
from bon_eval.report.comparison.rows import document
from bon_eval.report.comparison.several import document as several_document
from bon_eval.report.formats.figures import inline_svg
from bon_eval.report.notebook.comparison import Comparison
from bon_eval.store.reader import iter_responses

ROOT = Path(__file__).resolve().parents[3]
HOSTILE = ("<script>alert('1')</script>", "a&b\n$\\frac{$")


def command(*arguments: object) -> str:
    done = CliRunner().invoke(main, [*map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module", autouse=True)
def no_windows() -> Any:
    mpl.use("Agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def runs(sampled_float32: Path, made_once: Callable[..., Path]) -> dict[str, Path]:
    """Two runs that were scored by each other's models, a third one that was not, and imported texts alone."""

    def make(folder: Path) -> None:
        shutil.copytree(sampled_float32, folder / "base")
        options = "--task arith --limit 12 --engine transformers --dtype float32 --no-html --quiet --draws 200"
        for name, n in (("tuned", 8), ("third", 4)):
            more = ("--n", n, "--seed", n, "--out", folder / name)
            command("run", "--model", "arith-worked", *options.split(), *more)
        command("score", folder / "base", "--by", folder / "tuned", "--quiet")
        command("score", folder / "tuned", "--by", folder / "base", "--quiet")
        texts = [
            json.dumps({"id": r.problem_id, "text": r.text})
            for r in iter_responses(folder / "base")
            if r.arm == "sample"
        ]
        (folder / "bare.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
        command("import", folder / "bare.jsonl", "--task", "arith", "--model", "org/bare", "--out", folder / "bare")

    folder = made_once("compared-runs", make)
    return {name: folder / name for name in ("base", "tuned", "third", "bare")}


@pytest.fixture(scope="module")
def two(runs: dict[str, Path]) -> Comparison:
    return bon_eval.compare([runs["base"], runs["tuned"]], as_="before,after", draws=500)


@pytest.fixture(scope="module")
def three(runs: dict[str, Path]) -> Comparison:
    return bon_eval.compare([runs["base"], str(runs["tuned"]), bon_eval.load_run(runs["third"])], draws=800, seed=2)


@pytest.fixture(scope="module")
def imported(runs: dict[str, Path]) -> Comparison:
    return bon_eval.compare((runs["base"], runs["bare"]), draws=500, as_=HOSTILE)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("which", "names", "options"),
    [
        ("two", ("base", "tuned"), ("--as", "before,after", "--draws", 500)),
        ("three", ("base", "tuned", "third"), ("--draws", 800, "--seed", 2)),
        ("imported", ("base", "bare"), ("--as", ",".join(HOSTILE), "--draws", 500)),
    ],
)
def test_the_files_are_the_commands_byte_for_byte(
    which: str,
    names: tuple[str, ...],
    options: tuple[object, ...],
    runs: dict[str, Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    found: Comparison = request.getfixturevalue(which)
    command("compare", *(runs[name] for name in names), *options, "--out", tmp_path / "command")
    assert found.report(out=tmp_path / "python") == tmp_path / "python"
    there = files(tmp_path / "command")
    assert files(tmp_path / "python") == there
    assert set(there) == {
        "compare.html",
        "compare.json",
        "compare.csv",
        *(("compare_curves.csv",) * (which != "three")),
    }
    # Without the page an older one is removed, as the command removes it.
    found.report(out=str(tmp_path / "python"), html=False)
    assert set(files(tmp_path / "python")) == set(there) - {"compare.html"}


def test_numbers_are_those_of_compare_json(two: Comparison, three: Comparison, tmp_path: Path) -> None:
    assert json.loads((two.report(out=tmp_path / "two") / "compare.json").read_text()) == document(two.found)  # type: ignore[arg-type]
    several = json.loads((three.report(out=tmp_path / "three", html=False) / "compare.json").read_text())
    assert several == several_document(three.found)  # type: ignore[arg-type]
    stored = json.loads((tmp_path / "two" / "compare.json").read_text())
    arms = two.to_pandas().set_index("name")
    for row in stored["accuracies"]:
        for name in ("before", "after", "difference", "p_holm"):
            assert arms.loc[row["name"], name] == row[name]
    pairs = three.to_pandas("pairs")
    assert pairs["difference"].tolist() == [pair["difference"] for pair in several["pairs"]]


def test_where_the_files_go(two: Comparison, runs: dict[str, Path], tmp_path: Path) -> None:
    moved = {name: shutil.copytree(runs[name], tmp_path / name) for name in ("base", "third")}
    found = bon_eval.compare(list(moved.values()), draws=500)
    assert not list(tmp_path.rglob("compare.*")), "comparing writes nothing"
    assert found.report(html=False) == moved["third"]
    assert (moved["third"] / "compare.json").is_file()
    assert two.runs[0].path == runs["base"]


def test_it_is_shown_in_one_line_and_as_a_table(two: Comparison, three: Comparison) -> None:
    test = next(c.difference for c in two.found.accuracies if c.name == "accuracy.sample")  # type: ignore[union-attr]
    points = "{:+.1f} [{:+.1f}, {:+.1f}] points>".format(*(100 * v for v in (test.difference, test.low, test.high)))
    assert repr(two) == (
        f"<Comparison of before and after on arith: 12 problems, one sample of after minus one of before {points}"
    )
    assert repr(three).startswith(
        "<Comparison of arith-mixed, arith-worked (tuned) and arith-worked (third) on arith: 12 problems, one sample "
        "of arith-worked (third) minus one of arith-mixed "
    )
    [table] = tables(two)
    assert table[0] == ["accuracy", "before [95 %]", "after [95 %]", "difference", "p"]
    arms = two.to_pandas()
    assert [row[1][:5] for row in table[1:]] == [f"{value:.3f}" for value in arms["before"]]
    assert [row[2][:5] for row in table[1:]] == [f"{value:.3f}" for value in arms["after"]]
    accuracies, pairs = tables(three)
    assert accuracies[0] == ["accuracy", *(f"{name} [95 %]" for name in three.names)]
    values = three.to_pandas().pivot(index="label", columns="run", values="value")
    for label, *texts in accuracies[1:]:
        assert [text[:5] for text in texts] == [f"{values.loc[label, name]:.3f}" for name in three.names]
    assert len(pairs) - 1 == len(three.to_pandas("pairs")) == 15
    assert pairs[1][1] == "arith-worked (tuned) - arith-mixed"


def tables(found: Comparison) -> list[list[list[str]]]:
    whole = ET.fromstring(found._repr_html_())
    return [
        [["".join(cell.itertext()).strip() for cell in row] for row in table.iter("tr")]
        for table in whole.iter("table")
    ]


def test_hostile_names_are_texts(imported: Comparison, tmp_path: Path) -> None:
    assert imported.names == HOSTILE
    assert repr(imported).isprintable(), "one line"
    html = imported._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;") == 3
    [table] = tables(imported)
    assert table[0][1] == f"{HOSTILE[0]} [95 %]"
    page = (imported.report(out=tmp_path) / "compare.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert isinstance(imported.plot.pass_at_k(), Axes), "a dollar sign is no formula"


@pytest.mark.parametrize("which", ["two", "three", "imported"])
def test_frames_are_the_commands_tables(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    found: Comparison = request.getfixturevalue(which)
    folder = found.report(out=tmp_path, html=False)
    stored = pd.read_csv(folder / "compare.csv")
    for name, of in (("arms", ["accuracy", "accuracy of draws"]), ("quantities", ["quantity"]), ("pairs", ["pair"])):
        if name == "pairs" and which != "three":
            continue
        frame = found.to_pandas(name)  # type: ignore[arg-type]
        there = stored[stored["table"].isin(of)].reset_index(drop=True)
        if which == "three":
            there = there[list(frame.columns)]
        assert list(frame.columns) == list(there.columns)
        assert len(frame) == len(there) > 0
        for column in frame.select_dtypes("number"):
            np.testing.assert_array_equal(frame[column].astype(float), there[column].astype(float))
        assert frame["label"].tolist() == there["label"].tolist()
    if which != "three":
        curves, there = found.to_pandas("curves"), pd.read_csv(folder / "compare_curves.csv")
        assert list(curves.columns) == list(there.columns)
        assert len(curves) == 12
        np.testing.assert_array_equal(curves["difference"], there["difference"])


def test_problems_and_responses_of_every_run(two: Comparison, three: Comparison, imported: Comparison) -> None:
    problems, responses = three.to_pandas("problems"), three.to_pandas("responses")
    assert list(problems.columns[:4]) == ["run", "problem_id", "own_id", "gold"]
    assert list(responses.columns[:4]) == ["run", "problem_id", "own_id", "arm"]
    assert len(problems) == 3 * 12
    assert responses.groupby("run").size().to_dict() == dict(
        zip(three.names, (12 * (1 + n) for n in (6, 8, 4)), strict=True)
    )
    for found in (two, three, imported):
        means = found.to_pandas("problems").pivot(index="problem_id", columns="run", values="accuracy.sample").mean()
        for name, run in zip(found.names, found.runs, strict=True):
            assert means[name] == pytest.approx(run.pool.correct.mean())
    assert imported.to_pandas("problems").groupby("run")["accuracy.greedy"].count().to_dict() == {
        HOSTILE[0]: 12,
        HOSTILE[1]: 0,
    }


def test_rows_of_problems_in_another_order_stand_beside_their_own() -> None:
    first = made_run("one", problems=20, n=4)
    order = np.random.default_rng(0).permutation(20).tolist()
    second = in_other_order(made_run("other", problems=20, n=4, seed=3), order, [f"doc-{i}" for i in range(20)])
    found = bon_eval.compare([first, second], draws=300)
    frame = found.to_pandas("problems")
    one, other = (frame[frame["run"] == name].reset_index(drop=True) for name in ("one", "other"))
    assert one["problem_id"].tolist() == other["problem_id"].tolist() == list(first.pool.problem_ids)
    assert one["fields.question"].tolist() == other["fields.question"].tolist()
    assert other["own_id"].tolist() == [f"doc-{order.index(i)}" for i in range(20)]
    right = second.pool.correct.mean(axis=1)
    assert other["accuracy.sample"].tolist() == [right[order.index(i)] for i in range(20)]
    wide = frame.pivot(index="problem_id", columns="run", values="accuracy.sample")
    change = next(c for c in found.found.accuracies if c.name == "accuracy.sample")
    assert (wide["other"] - wide["one"]).mean() == pytest.approx(change.difference.difference)  # type: ignore[union-attr]
    responses = found.to_pandas("responses")
    samples = responses[responses["arm"] == "sample"].groupby("run")["problem_id"].apply(list)
    assert samples["one"] == samples["other"] == [i for i in first.pool.problem_ids for _ in range(4)]


def test_plots_are_the_pages_figures(two: Comparison, three: Comparison, imported: Comparison, tmp_path: Path) -> None:
    plt.close("all")
    assert set(PANELS) == {*ON_PAGE, *OF_ADDED, "tokens"}
    page = (two.report(out=tmp_path) / "compare.html").read_text(encoding="utf-8")
    drawn = dict(draw_panels(two.shown, [*ON_PAGE, *OF_ADDED]))
    assert set(drawn) == {f"compare_{name}" for name in (*ON_PAGE, *OF_ADDED)}
    for name, figure in drawn.items():
        axes = getattr(two.plot, name.removeprefix("compare_"))()
        assert isinstance(axes, Axes)
        [there] = figure.axes
        assert axes.get_title(loc="left") == there.get_title(loc="left")
        for line, same in zip(axes.lines, there.lines, strict=True):
            np.testing.assert_array_equal(line.get_xydata(), same.get_xydata())
        assert inline_svg(figure, name) in page
    assert len(plt.get_fignums()) == len(drawn)  # pyplot shows them; the page's are none of its
    plt.close("all")
    for found, names in ((three, ("lift", "accuracy", "tokens")), (imported, ("accuracy", *OF_ADDED[:3]))):
        assert all(isinstance(getattr(found.plot, name)(), Axes) for name in names)
    plt.close("all")


def test_accuracy_against_tokens_is_each_runs_own(three: Comparison) -> None:
    axes = three.plot.tokens()
    shown = {label.get_text() for label in axes.figure.legends[0].get_texts()}
    assert shown == {f"{arm}, {name}" for name in three.names for arm in ("greedy", "best-of-n")}
    lines = [line for line in axes.lines if len(line.get_xdata()) > 1 and line.get_linestyle() != "None"]
    assert len(lines) == 3
    for line, run in zip(lines, three.runs, strict=True):
        tokens = run.pool.n_tokens.mean()
        n = [1.0, *(2.0**k for k in range(1, 4) if 2**k <= run.pool.n)]
        n += [float(run.pool.n)] if run.pool.n not in n else []
        np.testing.assert_allclose(line.get_xdata(), tokens * np.array(n))
        assert line.get_ydata()[0] == pytest.approx(100 * run.pool.correct.mean())
    plt.close("all")


@pytest.mark.parametrize(
    ("which", "panel", "part"),
    [
        ("three", "log_likelihood", "under the first model: it is of two runs, and these are 3; compare two of them"),
        ("three", "pass_at_k", "pass@k of both runs: it is of two runs, and these are 3"),
        ("three", "entropies", "it is of two runs, and these are 3"),
        (
            "imported",
            "lift",
            "best-of-n minus greedy: a&b $\\frac{$ is imported, and the source has no greedy responses",
        ),
        ("imported", "tokens", "is imported, and the source states no number of tokens"),
        ("imported", "log_likelihood", "a run does not tell its prompts"),
        ("imported", "entropies", "there are no numbers of tokens with"),
    ],
)
def test_a_panel_that_is_not_there_says_why(which: str, panel: str, part: str, request: pytest.FixtureRequest) -> None:
    found: Comparison = request.getfixturevalue(which)
    with pytest.raises(ConfigError, match=re.escape(part)):
        getattr(found.plot, panel)()


def test_a_panel_that_scoring_would_give_says_what_to_run(runs: dict[str, Path]) -> None:
    base, third = runs["base"], runs["third"]
    found = bon_eval.compare([base, third], draws=500)
    with pytest.raises(ConfigError, match=r"bon-eval score \S*third --by \S*base, then compare again$"):
        found.plot.log_likelihood()


def test_options_are_the_commands(runs: dict[str, Path], tmp_path: Path) -> None:
    pair = [runs["base"], runs["tuned"]]
    asked = bon_eval.compare(pair, as_=["one", "two"], seed=3, draws=300, cluster="question", allow_different="grader")
    assert (asked.names, asked.found.seed, asked.found.draws, asked.found.cluster) == (
        ("one", "two"),
        3,
        300,
        "question",
    )
    assert asked.found.names.tuning is False  # type: ignore[union-attr]
    both = made_run("one"), made_run("other")
    with pytest.raises(ConfigError, match="without --allow-different prompts needs prompts"):
        bon_eval.compare([runs["base"], runs["bare"]], as_="before,after", draws=300)
    for more in ({"allow_different": ["prompts"]}, {"allow_different_prompts": True}):
        found = bon_eval.compare(both, as_=("before", "after"), draws=300, **more)  # type: ignore[arg-type]
        assert found.found.names.tuning is True  # type: ignore[union-attr]
    with pytest.raises(FrozenInstanceError):
        found.found = asked.found  # type: ignore[misc]


def test_what_cannot_be_compared_is_one_line(runs: dict[str, Path], two: Comparison, tmp_path: Path) -> None:
    base, tuned = runs["base"], runs["tuned"]
    partial = bon_eval.load_run(base)
    pools = {name: getattr(partial, name).take(np.arange(5)) for name in ("greedy", "pool")}
    partial = replace(partial, **pools, duplicates=partial.duplicates[:5])
    cases: list[tuple[Any, dict[str, Any], type[BonEvalError], str]] = [
        (base, {}, ConfigError, "compare takes a list of runs, and this is one"),
        (str(base), {}, ConfigError, "compare takes a list of runs, and this is one"),
        (two.runs[0], {}, ConfigError, "compare takes a list of runs, and this is one"),
        ([base], {}, ConfigError, "compare takes two runs or more, and there is 1; name the others, too"),
        ([base, 3], {}, ConfigError, "compare takes directories and runs, and there is a int among them"),
        ([base, tmp_path], {}, StoreError, "is not a run directory"),
        ([base, base], {}, ConfigError, "is given twice; name each run once"),
        ([base, partial], {}, StoreError, "was loaded unfinished: 7 of 12 problems lack responses"),
        ([base, tuned], {"as_": "x"}, ConfigError, "--as has 1 name and there are 2 runs"),
        ([base, tuned], {"as_": ("x", 3)}, ConfigError, "a name is a text"),
        ([base, tuned], {"as_": ("after", "before")}, ConfigError, "before,after is of two runs"),
        ([base, tuned], {"draws": 20}, ConfigError, "20 bootstrap draws are too few to compare two runs"),
        ([base, tuned], {"seed": -1}, ConfigError, "seed -1 is negative"),
        ([base, tuned], {"allow_different": "colour"}, ConfigError, "unknown difference 'colour'; valid: dtype"),
        ([base, tuned], {"cluster": "nothing"}, ConfigError, "nothing"),
    ]
    for given, options, kind, part in cases:
        with pytest.raises(kind, match=re.escape(part)) as caught:
            bon_eval.compare(given, **options)
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(
        ConfigError, match=r"unknown table of 2 runs 'pairs'; valid: arms, curves, problems, quantities"
    ):
        two.to_pandas("pairs")


def test_a_table_of_several_runs_that_is_none(three: Comparison) -> None:
    with pytest.raises(ConfigError, match="unknown table of 3 runs 'curves'; valid: arms, pairs, problems, quantities"):
        three.to_pandas("curves")


def test_what_is_drawn_is_made_once(two: Comparison, runs: dict[str, Path]) -> None:
    assert two.shown is two.shown
    plain = compare_any([runs["base"], runs["tuned"]], names=("before", "after"), draws=500)
    assert document(plain.found) == document(two.found)  # type: ignore[arg-type]


def test_the_commands_negative_seed_is_one_line(runs: dict[str, Path], tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["compare", str(runs["base"]), str(runs["third"]), "--seed", "-1"])
    assert done.exit_code == 2
    assert done.stderr == "error: seed -1 is negative; give a whole number >= 0\n"


def test_importing_costs_no_figures() -> None:
    code = (
        "import sys; from bon_eval import Comparison, compare; "
        "assert Comparison.__module__ == compare.__module__ == 'bon_eval.report.notebook.comparison'; "
        "assert not {'torch', 'matplotlib', 'pandas', 'jinja2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
