"""The vectorised form equals the one-response form; hand-computed scores; the registry."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bon_eval import scorers
from bon_eval.errors import ConfigError, EngineError
from bon_eval.pool import Pool
from bon_eval.records import Response
from bon_eval.scorers import SCORERS, Scorer, get_scorer, seeded_random


def response(logprobs: list[float], *, problem_id: str = "p", index: int = 0) -> Response:
    stored = tuple(float(x) for x in np.float32(logprobs))
    return Response(problem_id, "sample", index, "text", tuple(range(len(stored))), stored, "stop")


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
    )


@pytest.fixture
def rows() -> list[list[Response]]:
    rng = np.random.default_rng(0)
    return [
        [response(list(-rng.exponential(size=rng.integers(1, 90))), problem_id=f"id é {i}", index=j) for j in range(9)]
        for i in range(23)
    ]


@pytest.mark.parametrize("scorer", [*SCORERS.values(), seeded_random(7)], ids=lambda s: s.name)
def test_over_a_pool_equals_one_by_one(scorer, rows, monkeypatch):
    expected = [[scorer(r) for r in row] for row in rows]
    over = scorer.over(pool_of(rows))
    assert over.dtype == np.float64
    np.testing.assert_array_equal(over, expected)
    monkeypatch.setattr(scorers, "_CHUNK_ELEMENTS", 64)
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


def test_token_scorers_need_token_logprobs(rows):
    bare = pool_of(rows, tokens=False)
    for scorer in SCORERS.values():
        if scorer.needs_tokens:
            with pytest.raises(ConfigError, match=f"'{scorer.name}' needs token log-probs"):
                scorer.over(bare)
        else:
            assert scorer.over(bare).shape == (23, 9)


def test_a_response_without_tokens_is_an_error():
    empty = response([], problem_id="p9", index=3)
    for scorer in SCORERS.values():
        with pytest.raises(EngineError, match="response 3 of problem 'p9' has no tokens"):
            scorer(empty)
    with pytest.raises(EngineError, match="response 1 of problem 'p' has no tokens"):
        scorers.mean_log_likelihood.over(pool_of([[response([-1.0]), response([], index=1)]]))
