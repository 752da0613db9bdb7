"""The greedy response over again, told by its token ids, against a plain comparison of what is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from example_config import CONFIG

from bon_eval.records import Draw, Problem, Response
from bon_eval.run.grading import grade_run
from bon_eval.store.reader import Run, iter_responses, load_run
from bon_eval.store.same_as_greedy import digest_rows
from bon_eval.store.writer import RunStore

N, P = 12, 25
PROBLEMS = tuple(Problem(f"p{i}", {"question": "?"}, str(i)) for i in range(P))
PROMPTS = pa.table({"prompt": ["?"] * P, "prompt_token_ids": pa.array([[1]] * P, pa.list_(pa.int32()))})
LETTERS = {5: "a", 6: "b", 7: "b", 8: "é"}
"""Two tokens have one text: the same text is not the same response."""


def drawn(rng: np.random.Generator, problem: str, arm: Draw, n: int, *, ids: bool) -> Iterator[Response]:
    for index in range(n):
        tokens = tuple(int(t) for t in rng.choice(list(LETTERS), size=rng.integers(1, 3)))
        logprobs = tuple(-float(x) for x in rng.exponential(size=len(tokens)))  # rounding and more
        text = "".join(LETTERS[t] for t in tokens)
        yield Response(problem, arm, index, text, tokens if ids else (), logprobs, "stop")


def stored(path: Path, *, finish: bool, without_ids: frozenset[str] = frozenset(), pools_first: bool = False) -> Run:
    """A graded run. Unfinished, each request is a part of its own; finished, all are in one batch."""
    rng = np.random.default_rng(3)
    with RunStore(path, replace(CONFIG, n=N), PROBLEMS, PROMPTS) as store:
        store.begin_session("2000-01-01T00:00:00", {}, {"name": "none"})
        draws: list[tuple[Draw, int]] = [("greedy", 1), ("sample", N)]
        requests = [(p.id, arm, n) for p in PROBLEMS for arm, n in draws]
        if pools_first:
            requests.sort(key=lambda request: request[1], reverse=True)
        for problem, arm, n in requests:
            store.append(list(drawn(rng, problem, arm, n, ids=problem not in without_ids)))
        if finish:
            store.finish_sampling()
    grade_run(path, quiet=True)
    return load_run(path)


def plainly(run: Run) -> np.ndarray:
    """Whether each response is greedy's by its ids, by its text where either has none."""
    greedy = {r.problem_id: r for r in iter_responses(run.path) if r.arm == "greedy"}
    out = np.zeros((P, N), dtype=bool)
    for r in iter_responses(run.path):
        if r.arm == "sample":
            g = greedy[r.problem_id]
            same = r.token_ids == g.token_ids if r.token_ids and g.token_ids else r.text == g.text
            out[run.pool.problem_ids.index(r.problem_id), r.index] = same
    return out


@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("pools_first", [True, False])
def test_told_by_token_ids_in_one_batch_and_over_many(finish: bool, pools_first: bool, tmp_path: Path) -> None:
    run = stored(tmp_path / "run", finish=finish, pools_first=pools_first)
    assert run.pool.same_as_greedy is not None
    assert np.array_equal(run.pool.same_as_greedy, plainly(run))
    assert 10 < run.pool.same_as_greedy.sum() < P * N / 2
    assert run.pool.same_told_by == "token ids"
    texts = {r.problem_id: r.text for r in iter_responses(run.path) if r.arm == "greedy"}
    alike = sum(r.text == texts[r.problem_id] for r in iter_responses(run.path) if r.arm == "sample")
    assert alike > run.pool.same_as_greedy.sum(), "some have the text and other ids"
    part = run.pool.take([3, 1])
    assert part.same_as_greedy is not None
    assert np.array_equal(part.same_as_greedy, run.pool.same_as_greedy[[3, 1]])
    assert part.same_told_by == "token ids"


@pytest.mark.parametrize("finish", [True, False])
def test_without_ids_told_by_text(finish: bool, tmp_path: Path) -> None:
    for name, without in (("some", {"p0", "p4", "p9"}), ("all", {p.id for p in PROBLEMS})):
        run = stored(tmp_path / name, finish=finish, without_ids=frozenset(without))
        assert run.pool.same_told_by == "text"
        assert run.pool.same_as_greedy is not None
        assert np.array_equal(run.pool.same_as_greedy, plainly(run))


def test_of_a_part_of_the_problems(tmp_path: Path) -> None:
    whole = stored(tmp_path / "run", finish=False)
    sorted((tmp_path / "run/responses").iterdir())[-1].unlink()
    part = load_run(tmp_path / "run", partial=True)
    assert part.pool.problem_ids == whole.pool.problem_ids[:-1]
    assert part.pool.same_as_greedy is not None
    assert whole.pool.same_as_greedy is not None
    assert np.array_equal(part.pool.same_as_greedy, whole.pool.same_as_greedy[:-1])


def test_digests_tell_all_short_sequences_apart() -> None:
    every = [[a, b, c][:k] for k in (1, 2, 3) for a in range(12) for b in range(12) for c in range(12)]
    distinct = sorted({tuple(s) for s in every})
    sizes = np.array([len(s) for s in distinct])
    flat = np.array([x for s in distinct for x in s], dtype=np.uint64)
    assert len(set(digest_rows(flat, sizes).tolist())) == len(distinct)
