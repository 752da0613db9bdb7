"""Pools that grow: whatever the order of steps and kills, a run is the one that was made at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from example_config import CONFIG

from bon_eval.draws import DrawSpec
from bon_eval.errors import StoreError
from bon_eval.estimators import best_of_n
from bon_eval.records import Problem, Response
from bon_eval.run.grading import grade_run
from bon_eval.store.extent import Extent, Held, problem_rows, session_extents
from bon_eval.store.prompts import load_prompt_texts, load_prompts, load_rendered_prompts
from bon_eval.store.reader import iter_responses, load_run, stored_problems
from bon_eval.store.writer import RunStore, read_meta

P, N = 7, 6
PROBLEMS = tuple(Problem(f"p{i}", {"question": f"{i}?"}, str(i)) for i in range(P))


def prompts(problems: Sequence[Problem]) -> pa.Table:
    return pa.table(
        {
            "prompt": pa.array([p.fields["question"] for p in problems]),
            "prompt_token_ids": pa.array(
                [[int(p.id[1:]), len(p.fields["question"])] for p in problems], pa.list_(pa.int32())
            ),
        }
    )


def response(problem: str, draw: str, index: int, session: int = 0) -> Response:
    """One that tells by its tokens which it is, and in which session it was made."""
    own = (int(problem[1:]), index, session, draw == "greedy")
    rng = np.random.default_rng(own)
    length = int(rng.integers(1, 5))
    logprobs = tuple(float(np.float32(-x)) for x in rng.exponential(size=length))
    text = f"#### {rng.integers(3)}"
    return Response(problem, draw, index, text, (session, *range(length - 1)), logprobs, "stop")


def open_store(path: Path, n: int, limit: int) -> RunStore:
    problems = PROBLEMS[:limit]
    return RunStore(path, replace(CONFIG, n=n, limit=limit), problems, prompts(problems))


def advance(path: Path, n: int, limit: int, *, session: int, requests: int | None = None, single: bool = False) -> None:
    """Sample what is owed, or so many requests of it, as one session; `single`: stored response by response."""
    with open_store(path, n, limit) as store:
        if not store.owes():
            return
        store.begin_session("now", {}, {})
        owed = [
            (p.id, draw, store.missing(p.id, draw))
            for p in PROBLEMS[:limit]
            for draw in ("greedy", "sample")
            if store.missing(p.id, draw)
        ]
        for problem, draw, missing in owed[:requests]:
            made = [response(problem, draw, index, session) for index in missing]
            for piece in [[r] for r in made] if single else [made]:
                store.append(piece)
        if not store.owes():
            store.finish_sampling()


def rows(path: Path) -> dict[tuple[str, str, int], tuple[int, ...]]:
    found = list(iter_responses(path))
    assert len({(r.problem_id, r.arm, r.index) for r in found}) == len(found), "one is there twice"
    return {(r.problem_id, r.arm, r.index): r.token_ids for r in found}


@pytest.mark.parametrize("seed", range(12))
def test_growing_in_any_order_with_kills_loses_and_changes_nothing(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng([0, seed])
    kept: dict[tuple[str, str, int], tuple[int, ...]] = {}
    for session in range(1, 7):
        n, limit = int(rng.integers(1, N + 1)), int(rng.integers(1, P + 1))
        whole = rng.random() < 0.4
        requests = None if whole else int(rng.integers(1, 2 * limit + 1))
        advance(tmp_path, n, limit, session=session, requests=requests, single=bool(rng.integers(2)))
        now = rows(tmp_path)
        assert {key for key in now if key[2] >= (n if key[1] == "sample" else 1)} == set()
        assert {problem for problem, _, _ in now} <= {p.id for p in PROBLEMS[:limit]}
        assert [p.id for p in stored_problems(tmp_path)] == [p.id for p in PROBLEMS[:limit]]
        assert all(now.get(key, tokens) == tokens for key, tokens in kept.items()), "what was there has changed"
        kept |= now
    advance(tmp_path, N, P, session=7)
    now = rows(tmp_path)
    assert set(now) == {(p.id, "sample", k) for p in PROBLEMS for k in range(N)} | {
        (p.id, "greedy", 0) for p in PROBLEMS
    }
    assert all(now[key] == tokens for key, tokens in kept.items())
    grade_run(tmp_path, quiet=True)
    run = load_run(tmp_path)
    assert run.pool.log_likelihood.shape == (P, N)
    for (problem, draw, index), tokens in now.items():
        if draw == "sample":
            expected = response(problem, draw, index, tokens[0])
            row = run.pool.problem_ids.index(problem)
            assert run.pool.log_likelihood[row, index] == pytest.approx(expected.log_likelihood, abs=1e-6)


def at_once(path: Path, n: int, limit: int) -> Path:
    advance(path, n, limit, session=1)
    grade_run(path, quiet=True)
    return path


@pytest.mark.parametrize(("n", "limit"), [(2, P), (N, 3), (3, 4), (1, 1)])
def test_a_smaller_extent_is_the_run_as_if_it_had_never_been_larger(tmp_path: Path, n: int, limit: int) -> None:
    grown = tmp_path / "grown"
    advance(grown, n, limit, session=1)
    advance(grown, N, P, session=1)
    before = {path.name: path.read_bytes() for path in (grown / "responses").iterdir()}
    advance(grown, n, limit, session=1)
    grade_run(grown, quiet=True)
    assert {path.name: path.read_bytes() for path in (grown / "responses").iterdir()} == before, "nothing is deleted"
    small = load_run(at_once(tmp_path / "small", n, limit))
    run = load_run(grown)
    assert run.problems == small.problems
    for draw in ("greedy", "sample"):
        a, b = run.draws[draw], small.draws[draw]
        assert a.problem_ids == b.problem_ids
        for name in ("log_likelihood", "n_tokens", "correct", "answer_class", "n_bytes"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), (draw, name)
    assert np.array_equal(run.duplicates, small.duplicates)
    assert run.pool.same_as_greedy is not None
    assert small.pool.same_as_greedy is not None
    assert np.array_equal(run.pool.same_as_greedy, small.pool.same_as_greedy)
    assert load_prompts(grown) == load_prompts(tmp_path / "small")
    assert dict(load_prompt_texts(grown)) == dict(load_prompt_texts(tmp_path / "small"))
    assert load_rendered_prompts(grown) == load_rendered_prompts(tmp_path / "small")


def test_a_pool_that_was_stored_in_pieces_counts_its_duplicates_and_greedy_twins(tmp_path: Path) -> None:
    def same(problem: str, draw: str, index: int) -> Response:
        """Indices 0, 2, 4 share a text, greedy has that of 1, 3, 5."""
        word = "a" if draw == "sample" and index % 2 == 0 else "b"
        return Response(problem, draw, index, word, (ord(word),), (-1.0,), "stop")

    with open_store(tmp_path, N, 2) as store:
        store.begin_session("now", {}, {})
        for index in range(N):
            for p in PROBLEMS[:2]:
                store.append([same(p.id, "sample", index)])
        for p in PROBLEMS[:2]:
            store.append([same(p.id, "greedy", 0)])
        store.finish_sampling()
    grade_run(tmp_path, quiet=True)
    run = load_run(tmp_path)
    assert run.duplicates.tolist() == pytest.approx([4 / 6, 4 / 6])
    assert run.pool.same_as_greedy is not None
    assert run.pool.same_as_greedy.tolist() == [[False, True] * 3] * 2


def test_a_model_that_fails_to_load_leaves_the_extent_as_it_was(tmp_path: Path) -> None:
    at_once(tmp_path, 2, 3)
    files = {path.name: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()}
    open_store(tmp_path, N, P).close()  # nothing was sampled
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*") if path.is_file()} == files
    assert load_run(tmp_path).pool.n == 2


def test_a_problem_that_has_changed_is_refused(tmp_path: Path) -> None:
    at_once(tmp_path, 2, 3)
    changed = (PROBLEMS[0], replace(PROBLEMS[1], fields={"question": "other?"}), *PROBLEMS[2:])
    config = replace(CONFIG, n=2, limit=P)
    with pytest.raises(StoreError, match=r"holds another problem 'p1': '1\?' stored, 'other\?' now; .*--fresh"):
        RunStore(tmp_path, config, changed, prompts(changed))
    regraded = (*PROBLEMS[:2], replace(PROBLEMS[2], gold="9"), *PROBLEMS[3:])
    with pytest.raises(StoreError, match="holds another problem 'p2': another gold answer or other tokens"):
        RunStore(tmp_path, config, regraded, prompts(regraded))
    advance(tmp_path, 2, P, session=2)
    with pytest.raises(StoreError, match="another problem 'p1'"):  # outside of this extent's, but not of the run's
        RunStore(tmp_path, replace(config, limit=2), changed[:2], prompts(changed[:2]))


def test_sessions_say_what_they_were_for(tmp_path: Path) -> None:
    advance(tmp_path, 2, 3, session=1)
    advance(tmp_path, 2, 3, session=2)
    advance(tmp_path, 5, 7, session=3)
    extents = [session["extent"] for session in read_meta(tmp_path)["sessions"]]
    assert extents == [
        {"problems": 3, "draws": {"greedy": 1, "sample": 2}},
        {"problems": 7, "draws": {"greedy": 1, "sample": 5}},
    ]


def test_steps_of_shards_that_were_merged_are_steps_of_the_run() -> None:
    def session(problems: int, n: int, shard: str | None = None) -> dict[str, Any]:
        extent = {"extent": {"problems": problems, "draws": {"greedy": 1, "sample": n}}}
        return extent if shard is None else extent | {"shard": shard}

    assert session_extents([{}, {"seed": 1}]) == [], "sessions of the older format do not say"
    assert session_extents([session(9, 2), session(9, 2), session(9, 4)]) == [
        "9 problems: greedy 1, sample 2",
        "9 problems: greedy 1, sample 4",
    ]
    one, two = session(9, 2, "1/2"), session(6, 2, "2/2")
    assert session_extents([one, one, two]) == ["15 problems: greedy 1, sample 2"], "shards are no growth"
    more = [session(9, 3, "1/2"), session(7, 3, "2/2")]
    assert session_extents([one, more[0], two, more[1]]) == [
        "15 problems: greedy 1, sample 2",
        "16 problems: greedy 1, sample 3",
    ]
    assert session_extents([one, more[0], more[1], session(20, 4)]) == [
        "shard 1/2, 9 problems: greedy 1, sample 2",
        "shard 1/2, 9 problems: greedy 1, sample 3",
        "20 problems: greedy 1, sample 4",
    ]


def test_an_older_run_is_read_and_not_gone_on_with(tmp_path: Path) -> None:
    at_once(tmp_path, 2, 3)
    meta = read_meta(tmp_path) | {"format": 1, "versions": {"bon-eval": "0.0.1"}}
    (tmp_path / "run.json").write_text(json.dumps(meta))
    table = pq.read_table(tmp_path / "problems.parquet").drop_columns("in_extent")
    pq.write_table(table, tmp_path / "problems.parquet")
    before = rows(tmp_path)
    assert load_run(tmp_path).pool.n == 2
    assert problem_rows(tmp_path).num_rows == 3
    assert Extent.of(tmp_path, meta["config"]).problem_ids is None
    with pytest.raises(StoreError, match=r"made by bon-eval 0\.0\.1 in run format 1.*still read it"):
        open_store(tmp_path, 2, 3)
    assert rows(tmp_path) == before


def test_what_is_held(tmp_path: Path) -> None:
    held = Held()
    assert not held
    assert held.missing("p", "sample", 3) == (0, 1, 2)
    assert held.add("p", "sample", [2, 0]) is None
    assert held.missing("p", "sample", 3) == (1,)
    assert held.has("p", "sample", 2)
    assert held.add("p", "sample", [1, 0]) == 0
    assert not held.has("p", "sample", 1), "nothing is taken in"
    assert held.whole({"sample": 1}, ["p", "q"]) == 1
    assert not held.covers({"sample": 3}, ["p"])
    held.add("p", "sample", [1])
    assert held.covers({"sample": 3}, ["p"])
    assert held.missing("p", "sample", 4) == (3,)
    advance(tmp_path, 2, 1, session=1)
    [part] = (tmp_path / "responses").glob("*.parquet")
    part.with_name("part-00000007-00000007.parquet").write_bytes(part.read_bytes())
    with pytest.raises(StoreError, match="of problem p0 is there twice"):
        open_store(tmp_path, 2, 1)


@pytest.mark.slow
def test_a_grown_pool_of_known_truth_is_unbiased(tmp_path: Path) -> None:
    """Each response is right with probability p of its problem, and then likelier by a known amount."""
    rng = np.random.default_rng(5)
    truth = rng.beta(0.7, 0.9, size=400)
    problems = tuple(Problem(f"p{i}", {"question": f"{i}?"}, "1") for i in range(len(truth)))
    levels = (1.0, 2.0, 4.0)  # minus the log-likelihood

    def make(problem: int, draw: str, index: int, session: int) -> Response:
        own = np.random.default_rng([9, problem, index, session, draw == "greedy"])
        right = own.random() < truth[problem]
        level = own.choice(levels, p=(0.5, 0.3, 0.2) if right else (0.2, 0.3, 0.5))
        return Response(f"p{problem}", draw, index, f"#### {int(right)}", (1,), (-float(level),), "stop")

    for session, (n, limit) in enumerate([(2, 250), (5, 250), (5, 400), (8, 400)]):
        table = prompts(problems[:limit])
        with RunStore(tmp_path, replace(CONFIG, n=n, limit=limit), problems[:limit], table) as store:
            store.begin_session("now", {}, {})
            for k in range(limit):
                for draw in ("greedy", "sample"):
                    if missing := store.missing(f"p{k}", draw):
                        store.append([make(k, draw, index, session) for index in missing])
            store.finish_sampling()
    grade_run(tmp_path, quiet=True)
    pool = load_run(tmp_path).pool
    ns = (1, 2, 4, 8)
    values = best_of_n(pool.log_likelihood, pool.correct.astype(float), ns)
    right = np.outer(truth, (0.5, 0.3, 0.2)) + np.outer(1 - truth, (0.2, 0.3, 0.5))  # P(level)
    share = np.outer(truth, (0.5, 0.3, 0.2)) / right  # P(right | level), (problems, levels)
    worse = 1 - np.cumsum(right, axis=1)
    for n, found in zip(ns, values, strict=True):
        best = (worse + right) ** n - worse**n  # P(the best level of n)
        expected = (best * share).sum(axis=1)
        error = (found - expected).mean() / (found - expected).std() * np.sqrt(len(truth))
        assert abs(error) < 3.5, (n, error)


def test_columns_of_the_data_that_come_later_are_stored_and_those_that_were_stay(tmp_path: Path) -> None:
    at_once(tmp_path, 2, 3)

    def fields(**more: str) -> dict[str, str]:
        problems = [replace(p, fields=p.fields | more) for p in PROBLEMS[:3]]
        RunStore(tmp_path, replace(CONFIG, n=2, limit=3), problems, prompts(problems)).close()
        return stored_problems(tmp_path)[1].fields

    assert fields(source="a") == {"question": "1?", "source": "a"}
    assert fields() == {"question": "1?", "source": "a"}
    assert fields(source="b", page="7") == {"question": "1?", "source": "b", "page": "7"}


def test_a_name_stands_for_what_is_stored_of_it(tmp_path: Path) -> None:
    at_once(tmp_path, 2, 1)

    def opened(temperature: float) -> RunStore:
        config = replace(CONFIG, n=2, limit=1, draws=(DrawSpec("low", 2, temperature),))
        return RunStore(tmp_path, config, PROBLEMS[:1], prompts(PROBLEMS[:1]))

    with opened(0.5) as store:
        store.begin_session("a typo, and killed", {}, {})
    with opened(0.25) as store:
        store.begin_session("now", {}, {})
        store.append([response("p0", "low", 1)])
    assert read_meta(tmp_path)["draws"]["low"]["temperature"] == 0.25
    with pytest.raises(StoreError, match=r"draw 'low' is stored with other parameters .temperature 0.25 -> 0.5."):
        opened(0.5)
