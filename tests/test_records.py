"""What may be asked of an engine."""

from __future__ import annotations

from typing import Any

import pytest

from bon_eval.errors import ConfigError
from bon_eval.records import COLDEST, Sampling


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"temperature": -1.0}, r"temperature must be 0 \(greedy\) or a number from 0.01 on, got -1.0"),
        ({"temperature": float("nan")}, "got nan"),
        ({"temperature": float("inf")}, "got inf"),
        ({"temperature": COLDEST / 2}, "got 0.005"),
        ({"top_p": 0.0}, r"top_p must be above 0 and at most 1 \(off\), got 0.0"),
        ({"top_p": 1.01}, "top_p"),
        ({"top_p": float("nan")}, "top_p"),
        ({"top_k": -1}, r"top_k must be a whole number of tokens, or 0 \(off\), got -1"),
        ({"top_k": 2.0}, "top_k"),
        ({"min_p": -0.1}, r"min_p must be from 0 \(off\) to 1, got -0.1"),
        ({"min_p": 1.1}, "min_p"),
        ({"temperature": 0.0, "top_p": 0.9}, "temperature 0 takes the most likely token, so top_p 0.9 would change"),
        ({"temperature": 0.0, "top_k": 5, "min_p": 0.1}, "so top_k 5, min_p 0.1 would change nothing"),
    ],
)
def test_what_cannot_be_sampled_is_one_line(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        Sampling(**{"temperature": 1.0, "max_tokens": 4} | given)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "own", "truncation"),
    [
        ({}, True, {}),
        ({"temperature": 1, "top_p": 1, "top_k": 0, "min_p": 0}, True, {}),
        ({"temperature": 0.5}, False, {}),
        ({"temperature": 0.0}, False, {}),
        ({"temperature": COLDEST}, False, {}),
        ({"top_p": 0.95}, False, {"top_p": 0.95}),
        ({"top_k": 1}, False, {"top_k": 1}),
        ({"temperature": 2.0, "min_p": 1.0, "top_p": 0.5}, False, {"top_p": 0.5, "min_p": 1.0}),
    ],
)
def test_the_models_own_distribution_is_temperature_one_with_nothing_cut(
    given: dict[str, Any], own: bool, truncation: dict[str, float]
) -> None:
    sampling = Sampling(**{"temperature": 1.0, "max_tokens": 4} | given)
    assert sampling.own_distribution is own
    assert sampling.truncation == truncation
