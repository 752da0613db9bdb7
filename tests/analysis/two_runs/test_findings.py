"""What two runs' tests say in words: no sentence says more than its test, and a loss is a loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval.analysis.two_runs.findings import Change, Finding, findings
from bon_eval.estimators.explained import ExplainedGain
from bon_eval.stats import Interval, PairedTest, paired_test

NAN, INF = math.nan, math.inf


def change(name: str, difference: float, low: float, high: float, *, p_holm: float | None = None) -> Change:
    p = 0.2 if low <= 0.0 <= high else 0.01
    whole = Interval(0.5, 0.4, 0.6, "x")
    unit = "share" if name.startswith("accuracy") else "nats"
    holm = (p if p_holm is None else p_holm) if unit == "share" else None
    return Change(name, name, unit, whole, whole, PairedTest(difference, low, high, p, "x", 9), holm)


def gain(
    share: float = 0.8, low: float = 0.6, high: float = 1.1, verdict: str = "yes", reason: str = ""
) -> ExplainedGain:
    return ExplainedGain(0.5, None, share, low, high, verdict, reason)  # type: ignore[arg-type]


def found(sample: Change, explained: ExplainedGain | None = None, problems: int = 50) -> dict[str, Finding]:
    sharper = change("log_likelihood_base.sample", 1.0, 0.5, 1.5)
    oracle = change("accuracy.oracle", -0.1, -0.15, -0.05)
    return {f.name: f for f in findings((sample, sharper, oracle), explained, 8, (problems, "problem"))}


def test_a_gain_and_what_explains_it() -> None:
    told = found(change("accuracy.sample", 0.1, 0.05, 0.15), gain())
    assert told["more accurate"].sentence == "One tuned sample is more accurate: +10.00 points [+5.00, +15.00]."
    assert told["explained by sharpening"] == Finding(
        "explained by sharpening",
        "yes",
        "Sharpening explains most of the gain: base best-of-n of the tuned model's likelihood has 80 % [60, 110] of "
        "it.",
    )
    assert told["coverage"].sentence.startswith("Coverage (oracle of 8) was lost: -10.00 points")
    told = found(change("accuracy.sample", 0.1, 0.05, 0.15), gain(low=0.6, high=INF))
    assert "has at least 60 % of it" in told["explained by sharpening"].sentence
    told = found(change("accuracy.sample", 0.1, 0.05, 0.15), gain(low=-INF, high=INF, verdict="not shown"))
    assert told["explained by sharpening"].sentence == (
        "Whether sharpening explains most of the gain is not shown: its share has no bound."
    )
    told = found(change("accuracy.sample", 0.1, 0.05, 0.15), gain(NAN, NAN, NAN, "not shown", "it is likelier"))
    assert told["explained by sharpening"].sentence.endswith("of the gain is not shown: it is likelier.")


@pytest.mark.parametrize(
    ("sample", "verdict", "sentence"),
    [
        (change("accuracy.sample", 0.05, -0.02, 0.12), "not shown", "a gain in accuracy is not."),
        # By itself above 0, but not among the accuracies of the table.
        (change("accuracy.sample", 0.05, 0.01, 0.12, p_holm=0.06), "not shown", "a gain in accuracy is not."),
        (change("accuracy.sample", -0.05, -0.12, -0.01), "no", "There is a loss in accuracy and no gain"),
    ],
)
def test_nothing_is_explained_of_a_gain_that_is_not_shown_or_a_loss(
    sample: Change, verdict: str, sentence: str
) -> None:
    told = found(sample, gain())
    assert told["more accurate"].verdict == verdict
    assert told["explained by sharpening"].verdict == "not shown"
    assert sentence in told["explained by sharpening"].sentence
    assert "%" not in told["explained by sharpening"].sentence


def test_a_verdict_that_the_family_takes_away_says_so() -> None:
    told = found(change("accuracy.sample", 0.05, 0.01, 0.12, p_holm=0.06))
    assert told["more accurate"].sentence == (
        "One tuned sample is not shown to differ in accuracy: +5.00 points [+1.00, +12.00]; by itself p = 0.010, over "
        "the accuracies of the table p = 0.060."
    )


@pytest.mark.parametrize("problems", [1, 2, 3, 9])
def test_of_few_problems_nothing_is_said(problems: int) -> None:
    told = found(change("accuracy.sample", 0.1, NAN, NAN), gain(NAN, NAN, NAN, "not shown", "x"), problems)
    for finding in told.values():
        assert finding.verdict == "not shown"
        assert f"nothing is said of {problems} problem{'s' if problems > 1 else ''}, from 10 on." in finding.sentence
        assert "nan" not in finding.sentence
        assert "points" not in finding.sentence


def test_a_verdict_by_signs_says_so() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(0.1, 0.2, size=40)
    values[0] = -300.0
    test = paired_test(values, np.zeros(40), rng=rng, share=False)
    assert test.by_signs
    whole = Interval(-3.0, -4.0, -2.0, "x")
    skewed = Change("log_likelihood_base.sample", "x", "nats", whole, whole, test, None)
    oracle, sample = change("accuracy.oracle", 0.0, -0.1, 0.1), change("accuracy.sample", 0.0, -0.1, 0.1)
    [sharper, *_] = findings((skewed, oracle, sample), None, 8, (40, "problem"))
    assert sharper.verdict == "yes"
    assert "too skewed to be relied on; it rose on 39 problems and fell on 1 (sign test, p < 0.001)" in sharper.sentence


def test_a_difference_without_an_interval_says_why() -> None:
    whole = Interval(-3.0, -4.0, -2.0, "x")
    test = PairedTest(0.5, NAN, NAN, 1.0, "none: only 3 problems differ", 3)
    flat = Change("log_likelihood_base.sample", "x", "nats", whole, whole, test, None)
    oracle, sample = change("accuracy.oracle", 0.0, -0.1, 0.1), change("accuracy.sample", 0.0, -0.1, 0.1)
    [sharper, *_] = findings((flat, oracle, sample), None, 8, (40, "problem"))
    assert sharper.sentence.endswith("+0.50 nats, without an interval (only 3 problems differ).")
