"""Named draws: what `--draw` takes, and what it refuses in one line."""

from __future__ import annotations

import json

import pytest

from bon_eval.draws import DrawSpec, as_stored, check_same_parameters, parse_draws, specs, with_own
from bon_eval.errors import ConfigError


def test_texts_are_draws_and_draws_are_texts() -> None:
    texts = ["low=temperature:0.25,n:8", "nucleus=temperature:1,top_p:0.95,top_k:50,min_p:0.05,n:16", "one=top_k:3,n:1"]
    low, nucleus, one = parse_draws(texts)
    assert low == DrawSpec("low", 8, 0.25)
    assert nucleus == DrawSpec("nucleus", 16, 1.0, 0.95, 50, 0.05)
    assert one == DrawSpec("one", 1, 1.0, 1.0, 3)
    assert parse_draws(map(str, (low, nucleus, one))) == (low, nucleus, one)
    assert parse_draws([" low = temperature : 0.25 , n : 8".replace(" = ", "=").strip()]) == (low,)


def test_a_grid_is_a_draw_for_each_value_and_each_can_be_given_again() -> None:
    grid = parse_draws(["grid=temperature:0.2/0.4/1.0,n:8"])
    assert [d.name for d in grid] == ["grid@0.2", "grid@0.4", "grid@1"]
    assert [(d.temperature, d.n) for d in grid] == [(0.2, 8), (0.4, 8), (1.0, 8)]
    assert parse_draws(map(str, grid)) == grid
    fine = parse_draws(["g=temperature:0.123456789/1e-1,n:2"])
    assert [d.name for d in fine] == ["g@0.123456789", "g@0.1"]
    assert parse_draws(map(str, fine)) == fine
    two = parse_draws(["g=temperature:0.5/1,top_p:0.9/0.95,n:2"])
    assert [d.name for d in two] == ["g@0.5@0.9", "g@0.5@0.95", "g@1@0.9", "g@1@0.95"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["low"], "is not NAME=parameter:value"),
        (["low="], "is not NAME=parameter:value"),
        (["=n:1"], "cannot name a draw"),
        (["greedy=temperature:1,n:2"], "'greedy' cannot name a draw"),
        (["sample=temperature:1,n:2"], "'sample' cannot name a draw"),
        (["best-of-n=temperature:1,n:2"], "cannot name a draw"),
        (["vote-of-8=temperature:1,n:2"], "'vote-of-8' cannot name a draw"),
        (["best-of-2=temperature:0.5/1,n:2"], "nor an arm such as vote-of-8"),
        (["Low=temperature:1,n:2"], "cannot name a draw"),
        (["a/b=temperature:1,n:2"], "cannot name a draw"),
        (["low=temperature:0.5"], "does not say how many responses"),
        (["low=n:4"], "has no parameter of temperature, top_p, top_k, min_p"),
        (["low=temperature:0.5,n:0"], "n must be at least 1, got 0"),
        (["low=temperature:0.5,n:-3"], "n must be at least 1, got -3"),
        (["low=temperature:0,n:2"], "temperature 0 gives one response 2 times over"),
        (["low=temperature:0,top_p:0.5,n:1"], "draw low: "),
        (["low=temperature:-1,n:2"], "temperature must be"),
        (["low=temperature:nan,n:2"], "must be finite"),
        (["low=temperature:inf,n:2"], "must be finite"),
        (["low=temperature:warm,n:2"], "it must be a number"),
        (["low=temperature:1,n:2.5"], "it must be a whole number"),
        (["low=top_k:2.5,n:2"], "it must be a whole number"),
        (["low=top_p:0,n:2"], "top_p must be"),
        (["low=top_p:1.5,n:2"], "top_p must be"),
        (["low=min_p:-0.1,n:2"], "min_p must be"),
        (["low=top_k:-1,n:2"], "top_k must be"),
        (["low=temprature:1,n:2"], "unknown parameter 'temprature'"),
        (["low=temperature:1,temperature:2,n:2"], "temperature is given twice"),
        (["low=temperature:,n:2"], "temperature has no value"),
        (["low=temperature:0.5/,n:2"], "it must be a number"),
        (["low=temperature:0.5,n:2/4"], "n takes one value"),
        (["low=temperature:0.5,n:2", "low=temperature:0.5,n:4"], "two draws have the name 'low'"),
        (["g=temperature:0.5/0.5,n:2"], "two draws have the name 'g@0.5'"),
        ([f"g=temperature:{'/'.join(str(k / 100 + 0.1) for k in range(65))},n:2"], "65 draws, and a run takes 64"),
    ],
)
def test_what_is_no_draw(texts: list[str], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_draws(texts)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_draws_of_a_stored_configuration() -> None:
    low = DrawSpec("low", 8, 0.25)
    stored = json.loads(json.dumps({"n": 4, "temperature": 0.7, "draws": [as_stored(low)]}))
    assert specs(stored) == (DrawSpec("greedy", 1, 0.0), DrawSpec("sample", 4, 0.7), low)
    assert specs({"n": 4, "temperature": 1}) == (DrawSpec("greedy", 1, 0.0), DrawSpec("sample", 4)), "of before draws"


def test_the_users_draw_wins_over_the_tasks() -> None:
    of_task = parse_draws(["low=temperature:0.25,n:8", "hot=temperature:1.5,n:8"])
    own = parse_draws(["low=temperature:0.3,n:4", "new=top_p:0.9,n:4"])
    assert [str(d) for d in with_own(of_task, own)] == [
        "low=temperature:0.3,n:4",
        "hot=temperature:1.5,n:8",
        "new=temperature:1,top_p:0.9,n:4",
    ]


def test_a_name_that_is_stored_with_other_parameters() -> None:
    stored = {"low": DrawSpec("low", 8, 0.25).parameters}
    assert check_same_parameters(stored, [DrawSpec("low", 99, 0.25), DrawSpec("new", 1, 0.3)]) is None
    said = check_same_parameters(stored, [DrawSpec("low", 8, 0.3, top_p=0.9)])
    assert said is not None
    assert "draw 'low' is stored with other parameters (temperature 0.25 -> 0.3, top_p 1 -> 0.9); give" in said
