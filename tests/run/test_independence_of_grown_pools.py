"""Pools of which a part was stored before: what comes now is compared with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from example_config import CONFIG

from bon_eval.errors import EngineError
from bon_eval.records import Problem, Response
from bon_eval.run.independence import Independence
from bon_eval.store.writer import RunStore

P, N = 6, 16
PROBLEMS = tuple(Problem(f"p{i}", {"question": f"{i}?"}, str(i)) for i in range(P))
TOKENS = pa.array([[i, 1] for i in range(P)], pa.list_(pa.int32()))
PROMPTS = pa.table({"prompt": [f"{i}?" for i in range(P)], "prompt_token_ids": TOKENS})


def response(problem: int, index: int, like: int, ids: bool) -> Response:
    """What was drawn as number `like`: 12 tokens of a probability of one half each."""
    tokens = tuple(np.random.default_rng([problem, like]).integers(2, size=12).tolist())
    logprobs = tuple(-0.7 - 0.01 * token for token in tokens)  # no numbers of 32 bits
    return Response(f"p{problem}", "sample", index, "".join(map(str, tokens)), tokens * ids, logprobs, "stop")


@pytest.mark.parametrize("ids", [True, False], ids=["token ids", "text alone"])
@pytest.mark.parametrize("again", [True, False], ids=["the same draws again", "fresh draws"])
def test_draws_of_an_earlier_session_that_come_again_are_found(tmp_path: Path, ids: bool, again: bool) -> None:
    config = replace(CONFIG, n=N)
    with RunStore(tmp_path, config, PROBLEMS, PROMPTS) as store:
        store.begin_session("first", {}, {})
        for problem in range(P):
            store.append([response(problem, k, k, ids) for k in range(N // 2)])
    with RunStore(tmp_path, config, PROBLEMS, PROMPTS) as store:
        test = Independence(store, [p.id for p in PROBLEMS])

        def second() -> None:
            for problem in range(P):
                for k in range(N // 2, N):
                    test.check([response(problem, k, k - N // 2 if again else k, ids)])

        if again:
            with pytest.raises(EngineError, match="draws repeat each other"):
                second()
        else:
            second()
