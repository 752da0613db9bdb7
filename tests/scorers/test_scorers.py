"""The vectorised form equals the one-response form; hand-computed scores; the registry."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from bon_eval import scorers
from bon_eval.errors import ConfigError, EngineError
from bon_eval.records import Pool, Response
from bon_eval.scorers import SCORERS, STATS, Scorer, get_scorer, seeded_random, segments


def stored(values: list[float]) -> tuple[float, ...]:
    return tuple(float(x) for x in np.float32(values))


def response(
    logprobs: list[float], *, problem_id: str = "p", index: int = 0, text: str = "text", stat: list[float] | None = None
) -> Response:
    own = stored(logprobs)
    more = stored([-2.0 * x + 0.5 for x in logprobs] if stat is None else stat)
    return Response(problem_id, "sample", index, text, tuple(range(len(own))), own, "stop", more, more, more)


def pool_of(rows: list[list[Response]], *, tokens: bool = True) -> Pool:
    flat = [r for row in rows for r in row]
    shape = (len(rows), len(rows[0]))
    lengths = np.array([r.n_tokens for r in flat], dtype=np.int32)
    no = np.zeros(shape, dtype=np.bool_)
    return Pool(
        problem_ids=tuple(row[0].problem_id for row in rows),
        log_likelihood=np.array([r.log_likelihood for r in flat]).reshape(shape),
        n_tokens=lengths.reshape(shape),
        truncated=no,
        correct=no,
        unscored=no,
        answer_class=np.zeros(shape, dtype=np.int32),
        token_logprobs=np.concatenate([np.float32(r.token_logprobs) for r in flat]) if tokens else None,
        token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64) if tokens else None,
        n_bytes=np.array([r.n_bytes for r in flat], dtype=np.int32).reshape(shape) if tokens else None,
        token_stats={s: np.concatenate([np.float32(r.stat(s)) for r in flat]) for s in STATS} if tokens else {},
    )


@pytest.fixture
def rows() -> list[list[Response]]:
    rng = np.random.default_rng(0)
    return [
        [
            response(
                list(-rng.exponential(size=rng.integers(1, 90))), problem_id=f"id é {i}", index=j, text="é" * (i * j)
            )
            for j in range(9)
        ]
        for i in range(23)
    ]


SMALL_WINDOWS = [
    get_scorer(f"{name}@{window}")
    for name in ("lowest_window_mean", "tail_mean", "lowest_window_confidence", "tail_confidence")
    for window in (1, 7, 64)
]


@pytest.mark.parametrize("scorer", [*SCORERS.values(), *SMALL_WINDOWS, seeded_random(7)], ids=lambda s: s.name)
def test_over_a_pool_equals_one_by_one(scorer, rows, monkeypatch):
    expected = [[scorer(r) for r in row] for row in rows]
    over = scorer.over(pool_of(rows))
    assert over.dtype == np.float64
    np.testing.assert_array_equal(over, expected)
    monkeypatch.setattr(segments, "CHUNK_ELEMENTS", 64)
    np.testing.assert_array_equal(scorer.over(pool_of(rows)), expected)


def test_hand_computed():
    r = response([-0.5, -1.5, -0.25, -0.75])
    assert get_scorer("log_likelihood")(r) == -3.0
    assert get_scorer("mean_log_likelihood")(r) == -0.75
    assert get_scorer("shortest")(r) == -4.0
    assert get_scorer("longest")(r) == 4.0
    assert get_scorer("min_token_logprob")(r) == -1.5
    assert get_scorer("lowest_decile_mean")(r) == -1.5
    assert get_scorer("lowest_decile_mean")(response([-0.5] * 8 + [-2.0, -3.0])) == -3.0
    # 11 tokens: the lowest tenth, rounded up, is two tokens.
    assert get_scorer("lowest_decile_mean")(response([-0.5] * 9 + [-2.0, -3.0])) == -2.5


def test_hand_computed_windows():
    r = response([-1.0, -3.0, -2.0, -6.0])
    assert get_scorer("lowest_window_mean")(r) == -3.0  # shorter than the window: the mean
    assert get_scorer("lowest_window_mean@4")(r) == -3.0
    assert get_scorer("lowest_window_mean@2")(r) == -4.0
    assert get_scorer("lowest_window_mean@1")(r) == -6.0
    assert get_scorer("tail_mean")(r) == -3.0
    assert get_scorer("tail_mean@2")(r) == -4.0
    assert get_scorer("tail_mean@1")(r) == -6.0
    assert get_scorer("lowest_window_mean@2").name == "lowest_window_mean@2"
    assert get_scorer("lowest_window_mean@2048").name == "lowest_window_mean"


def test_hand_computed_statistics():
    r = response([-1.0, -1.0, -1.0], stat=[4.0, 1.0, 4.0], text="a é")
    assert get_scorer("mean_confidence")(r) == 3.0
    assert get_scorer("lowest_window_confidence@2")(r) == 2.5
    assert get_scorer("tail_confidence@1")(r) == 4.0
    assert get_scorer("negative_entropy")(r) == -3.0
    assert get_scorer("self_certainty")(r) == 3.0
    assert get_scorer("byte_log_likelihood")(r) == -3.0 / 5  # four bytes and the end
    assert get_scorer("byte_log_likelihood")(response([-2.0], text="")) == -2.0


@pytest.mark.parametrize("window", [1, 2, 3, 8, 50])
def test_windows_against_brute_force(window, rows):
    for r in rows[3]:
        lp = r.token_logprobs
        windows = [lp[i : i + window] for i in range(max(1, len(lp) - window + 1))]
        expected = min(math.fsum(w) / len(w) for w in windows)
        assert get_scorer(f"lowest_window_mean@{window}")(r) == pytest.approx(expected, abs=1e-12)
        assert get_scorer(f"tail_mean@{window}")(r) == pytest.approx(np.mean(lp[-window:]), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tail_mean@0", "whole number of tokens, at least 1"),
        ("tail_mean@1.5", "whole number of tokens"),
        ("tail_mean@x", "'x' is no window in tokens; give tail_mean@64"),
        ("log_likelihood@4", "unknown scorer 'log_likelihood@4'; valid:"),
    ],
)
def test_bad_parameters(name, message):
    with pytest.raises(ConfigError, match=message):
        get_scorer(name)


def test_random_is_uniform_seeded_and_stateless(rows):
    wide = pool_of([[response([-1.0], problem_id=f"q{i}", index=j) for j in range(64)] for i in range(300)])
    u = scorers.random.over(wide)
    assert len(np.unique(u)) == u.size
    assert u.min() >= 0.0
    assert u.max() < 1.0
    assert abs(u.mean() - 0.5) < 4 * math.sqrt(1 / 12 / u.size)
    deciles = np.bincount((u.ravel() * 10).astype(int), minlength=10)
    assert ((deciles - u.size / 10) ** 2 / (u.size / 10)).sum() < 27.9  # chi-squared, 9 degrees, p = 0.001
    assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.25
    np.testing.assert_array_equal(u, scorers.random.over(wide))
    assert not np.any(u == seeded_random(1).over(wide))
    # A fixed value: a change of the hash would silently change every stored control.
    assert scorers.random(response([-1.0], problem_id="q0")) == u[0, 0] == RANDOM_Q0


RANDOM_Q0 = 0.05269974664464483


def test_registry():
    assert get_scorer("log_likelihood") is scorers.log_likelihood
    assert scorers.DEFAULT_SCORER == "log_likelihood"
    for name, scorer in SCORERS.items():
        assert isinstance(scorer, Scorer)
        assert scorer.name == name == scorer.__name__
        assert scorer.summary.endswith(".") or ":" in scorer.summary or "," in scorer.summary
        assert "Source: " in scorer.__doc__
        assert "Known failure: " in scorer.__doc__
    with pytest.raises(ConfigError, match=r"unknown scorer 'best'; valid: .*log_likelihood.*shortest"):
        get_scorer("best")


REMEDIES = {
    "token_logprobs": "load the pool with its token log-probs",
    "n_bytes": "load the pool from a stored run",
    "topk": "sample with --token-stats topk or run: bon-eval score RUN --stats topk",
    "entropy": "run: bon-eval score RUN --stats entropy",
    "self_certainty": "run: bon-eval score RUN --stats self_certainty",
}


@pytest.mark.parametrize("scorer", SCORERS.values(), ids=lambda s: s.name)
def test_what_a_pool_lacks_is_an_error_that_says_which_command_makes_it(scorer, rows):
    bare = pool_of(rows, tokens=False)
    for need in scorer.needs:
        with pytest.raises(ConfigError, match=f"'{scorer.name}' needs .*{REMEDIES[need]}"):
            scorer.over(bare)
    if not scorer.needs:
        assert scorer.over(bare).shape == (23, 9)
    plain = Response("p", "sample", 0, "text", (1,), (-1.0,), "stop")
    for need in scorer.stats:
        with pytest.raises(ConfigError, match=REMEDIES[need]):
            scorer(plain)


def test_statistics_of_other_tokens_are_an_error(rows):
    with pytest.raises(EngineError, match="has not one topk for each token"):
        scorers.mean_confidence(response([-1.0, -1.0], stat=[1.0]))
    good = pool_of(rows)
    short = replace(good, token_stats={"topk": good.token_stats["topk"][1:]})
    with pytest.raises(EngineError, match="disagree"):
        scorers.mean_confidence.over(short)


def test_a_response_without_tokens_is_an_error():
    empty = response([], problem_id="p9", index=3)
    for scorer in SCORERS.values():
        with pytest.raises(EngineError, match="response 3 of problem 'p9' has no tokens"):
            scorer(empty)
    with pytest.raises(EngineError, match="response 1 of problem 'p' has no tokens"):
        scorers.mean_log_likelihood.over(pool_of([[response([-1.0]), response([], index=1)]]))
