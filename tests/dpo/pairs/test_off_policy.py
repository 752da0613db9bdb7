"""Pairs of another model's run: whose prompts, whose tokens, whose end, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from family_models import make_family_model, make_renumbered_model

from bon_eval.cli import main
from bon_eval.dpo.pairs.files import Pair, read_pairs
from bon_eval.dpo.pairs.off_policy import policy_facts
from bon_eval.dpo.pairs.tokens import TokenPair, tokenize_chosen, tokenize_pairs
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ASSETS
from bon_eval.errors import ConfigError
from bon_eval.records import Response
from bon_eval.store.prompts import load_prompts
from bon_eval.store.reader import iter_responses, load_run, stored_problems

N, LIMIT = 8, 12
SAMPLE = ["run", "--task", "arith", "--n", str(N), "--limit", str(LIMIT), "--engine", "transformers", "--quiet"]
SAMPLE += ["--dtype", "float32", "--draws", "100", "--no-html", "--max-tokens", "60"]
OWN_MODEL = ASSETS / "arith-mixed"


def bon_eval(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def sampled(out: Path, model: Path | str, *options: str) -> Path:
    done = bon_eval(*SAMPLE, "--model", model, "--out", out, *options)
    assert done.exit_code == 0, done.output
    return out


def build(run: Path, out: Path, *options: str | Path) -> tuple[tuple[Pair, ...], list[str]]:
    done = bon_eval("pairs", run, "--out", out, *options)
    assert done.exit_code == 0, done.output
    return read_pairs(out), done.output.splitlines()


def refused(*args: str | Path) -> str:
    done = bon_eval(*args)
    assert done.exit_code == 2, done.output
    [line] = done.output.splitlines()
    return line


def samples(run: Path, arm: str = "sample") -> dict[str, list[Response]]:
    pools: dict[str, list[Response]] = {}
    for response in iter_responses(run):
        if response.arm == arm:
            pools.setdefault(response.problem_id, []).append(response)
    return {problem: sorted(pool, key=lambda r: r.index) for problem, pool in pools.items()}


def last_tokens(run: Path) -> set[int]:
    """What the whole responses of a pool end with."""
    return {r.token_ids[-1] for pool in samples(run).values() for r in pool if not r.truncated}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    return sampled(tmp_path_factory.mktemp("own") / "run", "arith-mixed")


@pytest.fixture(scope="module")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    return make_renumbered_model(tmp_path_factory.mktemp("models") / "renumbered")


@pytest.fixture(scope="module")
def other(other_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sampled(tmp_path_factory.mktemp("other") / "run", other_model, "--seed", "1")


@pytest.fixture(scope="module")
def gemma_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its turns end with another token than its tokenizer's end."""
    pytest.importorskip("torch")
    return make_family_model("gemma-like", tmp_path_factory.mktemp("models") / "gemma")


@pytest.fixture(scope="module")
def gemma(gemma_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sampled(tmp_path_factory.mktemp("gemma") / "run", gemma_model, "--prompt-style", "chat")


def tokens(pairs: Sequence[Pair], model: Path) -> tuple[TokenPair, ...]:
    return tokenize_pairs(pairs, load_tokenizer(model), 256)


def test_the_other_model_says_the_same_in_other_ids(own: Path, other: Path, other_model: Path) -> None:
    """The ground of these tests: its ids are all within the own model's vocabulary."""
    mine, foreign = load_tokenizer(OWN_MODEL), load_tokenizer(other_model)
    size = len(mine)
    assert len(foreign) == size
    text = "12+3=15\n#### 15<|end|>"
    assert [size - 1 - i for i in foreign(text)["input_ids"]] == mine(text)["input_ids"]
    greedy, again = samples(own, "greedy"), samples(other, "greedy")
    same = [greedy[p][0].text == again[p][0].text for p in greedy]
    assert sum(same) >= LIMIT - 2, "rounding aside"
    assert last_tokens(own) == {0}
    assert last_tokens(other) == {size - 1}


def test_foreign_ids_are_refused_however_they_come(own: Path, other: Path, other_model: Path, tmp_path: Path) -> None:
    pairs, _ = build(other, tmp_path / "plain.jsonl", "--recipe", "best-random")
    assert all(max(p.chosen_token_ids or ()) < len(load_tokenizer(OWN_MODEL)) for p in pairs)
    with pytest.raises(ConfigError, match=r"^pair .* was made with another tokenizer or chat template: .*--for"):
        tokens(pairs, OWN_MODEL)
    tokens(pairs, other_model)
    # Conversations of a plain-style run have no prompt ids, and a user's file may have none either.
    chat = tmp_path / "chat"
    shutil.copytree(OWN_MODEL, chat)
    settings = json.loads((chat / "tokenizer_config.json").read_text())
    template = "{% for m in messages %}{{ m.content }}\n{% endfor %}"
    (chat / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    talk, _ = build(other, tmp_path / "talk.jsonl", "--recipe", "best-random", "--format", "conversational")
    bare = [
        Pair(p.id, p.problem_id, p.prompt, p.chosen, p.rejected, "file", None, None, p.rejected_token_ids)
        for p in pairs
    ]
    for model, given in ((chat, talk), (OWN_MODEL, bare)):
        with pytest.raises(ConfigError, match=r"token ids that spell .* and not .*another tokenizer's") as caught:
            tokens(given, model)
        assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match="token ids that spell"):
        tokenize_chosen(talk, load_tokenizer(chat), 256)
    out = tmp_path / "dpo"
    line = refused("dpo", "--model", "arith-mixed", "--pairs", tmp_path / "plain.jsonl", "--out", out, "--steps", "1")
    assert "was made with another tokenizer or chat template" in line
    assert not out.exists()
    line = refused("sft", "--model", "arith-mixed", "--run", other, "--out", out, "--steps", "1")
    assert "the prompt has other token ids than arith-mixed's tokenizer gives" in line
    assert not out.exists()


def test_a_foreign_end_is_refused_where_all_other_tokens_agree(own: Path, gemma_model: Path, tmp_path: Path) -> None:
    pairs, _ = build(own, tmp_path / "pairs.jsonl", "--recipe", "best-random")
    mine, theirs = load_tokenizer(OWN_MODEL), load_tokenizer(gemma_model)
    [first, *_] = pairs
    assert theirs(first.prompt)["input_ids"] == mine(first.prompt)["input_ids"] == list(first.prompt_token_ids or ())
    match = r"^pair .*: chosen ends with '<\|end\|>', which ends no response of this model \(its ends: .*<eos>"
    with pytest.raises(ConfigError, match=match):
        tokens(pairs, gemma_model)
    solutions, _ = build(own, tmp_path / "gold.jsonl", "--recipe", "gold-sample")
    with pytest.raises(ConfigError, match=r"^pair .* ends with '<\|end\|>', which ends no response"):
        tokenize_chosen(solutions, theirs, 256)
    line = refused("sft", "--model", gemma_model, "--run", own, "--out", tmp_path / "sft", "--steps", "1")
    assert "ends with '<|end|>', which ends no response of this model" in line


def test_for_a_run_of_the_trained_model(own: Path, other: Path, tmp_path: Path) -> None:
    pairs, lines = build(other, tmp_path / "pairs.jsonl", "--recipe", "correct-wrong", "--for", own)
    theirs, prompts, mine = samples(other), load_prompts(own), load_tokenizer(OWN_MODEL)
    assert pairs
    for pair, found in zip(pairs, tokens(pairs, OWN_MODEL), strict=True):
        assert found.prompt == pair.prompt_token_ids == prompts[pair.problem_id]
        assert pair.chosen_token_ids is None
        assert pair.rejected_token_ids is None
        for text, ids in ((pair.chosen, found.chosen), (pair.rejected, found.rejected)):
            assert text in {r.text for r in theirs[pair.problem_id]}
            assert list(ids[:-1]) == mine(text)["input_ids"]
            assert {ids[-1]} == last_tokens(own)
    assert any(line.startswith(f"against the pool of {own} (N = {N})") for line in lines)
    talk, _ = build(
        other, tmp_path / "talk.jsonl", "--recipe", "correct-wrong", "--for", own, "--format", "conversational"
    )
    assert [p.chosen[0]["content"] for p in talk if not isinstance(p.chosen, str)] == [p.chosen for p in pairs]


def test_prompts_and_ends_of_a_model_with_turns(own: Path, gemma: Path, gemma_model: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(gemma_model)
    turn = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert tokenizer.eos_token_id != turn
    assert last_tokens(gemma) == {turn}
    prompts = load_prompts(gemma)
    for form in ("plain", "conversational"):
        options = ("--recipe", "best-random", "--for", gemma, "--format", form)
        foreign, _ = build(own, tmp_path / "foreign.jsonl", *options)
        for found in tokens(foreign, gemma_model):
            assert found.prompt == prompts[found.problem_id]
            assert {found.chosen[-1], found.rejected[-1]} == {turn}
            assert turn not in (*found.chosen[:-1], *found.rejected[:-1])
        # The data set's solutions end so, too, in plain pairs of a chat-style run.
        gold, _ = build(gemma, tmp_path / "gold.jsonl", "--recipe", "gold-sample", "--format", form)
        assert {found.chosen[-1] for found in tokens(gold, gemma_model)} == {turn}
        assert {found.rejected[-1] for found in tokens(gold, gemma_model)} == {turn}


def test_each_side_of_another_run(own: Path, other: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    mine, theirs, prompts = samples(own), samples(other), load_prompts(own)
    graded = {path: load_run(path) for path in (own, other)}

    def verdicts(path: Path, pair: Pair, text: object) -> set[bool]:
        run, pools = graded[path], samples(path)
        row = run.pool.problem_ids.index(pair.problem_id)
        return {bool(run.pool.correct[row, r.index]) for r in pools[pair.problem_id] if r.text == text}

    pairs, _ = build(other, out, "--recipe", "correct-wrong", "--rejected-from", own, "--for", own)
    for pair, found in zip(pairs, tokens(pairs, OWN_MODEL), strict=True):
        assert pair.chosen_token_ids is None
        assert pair.rejected_token_ids in {r.token_ids for r in mine[pair.problem_id]}
        assert (True in verdicts(other, pair, pair.chosen), False in verdicts(own, pair, pair.rejected)) == (True, True)
        assert found.prompt == prompts[pair.problem_id]
    pairs, _ = build(own, out, "--recipe", "correct-wrong", "--rejected-from", other)
    for pair, found in zip(pairs, tokens(pairs, OWN_MODEL), strict=True):
        assert pair.chosen_token_ids in {r.token_ids for r in mine[pair.problem_id]}
        assert pair.rejected_token_ids is None
        assert pair.rejected in {r.text for r in theirs[pair.problem_id]}
        assert found.chosen[-1] == found.rejected[-1] == 0
    shuffled, _ = build(own, out, "--recipe", "shuffled", "--rejected-from", other)
    assert [frozenset((p.chosen, p.rejected)) for p in shuffled] == [frozenset((p.chosen, p.rejected)) for p in pairs]


def test_the_facts_by_brute_force(own: Path, other: Path, tmp_path: Path) -> None:
    mine, greedy = samples(own), samples(own, "greedy")
    for source, recipe in ((other, "correct-wrong"), (own, "best-random"), (own, "gold-sample")):
        pairs, lines = build(source, tmp_path / "pairs.jsonl", "--recipe", recipe, "--for", own)
        facts = policy_facts(pairs, load_run(own))
        for side, found in (("chosen", facts.chosen), ("rejected", facts.rejected)):
            in_pool = best = same = 0
            for pair in pairs:
                text, pool = str(getattr(pair, side)).strip(), mine[pair.problem_id]
                in_pool += text in [r.text.strip() for r in pool]
                best += text == max(pool, key=lambda r: r.log_likelihood).text.strip()
                same += text == greedy[pair.problem_id][0].text.strip()
            assert (found.in_pool, found.best, found.greedy) == (in_pool, best, same)
            share = f"{100 * in_pool / len(pairs):.0f} % in it, {100 * best / len(pairs):.0f} % its likeliest response"
            assert any(line.startswith(f"  {side}: {share}") for line in lines)
    pairs, _ = build(own, tmp_path / "pairs.jsonl", "--recipe", "wrong-wrong")
    facts = policy_facts(pairs, load_run(own))
    assert facts.n_known == facts.likelier == len(pairs), "sharpening pairs: all are ranked right before training"
    assert facts.rejected.in_pool == len(pairs)
    pairs, _ = build(
        own, tmp_path / "pairs.jsonl", "--recipe", "wrong-wrong", "--order", "random", "--per-problem", "5"
    )
    facts = policy_facts(pairs, load_run(own))
    assert 0.2 < facts.likelier / facts.n_known < 0.8


def test_distance_is_what_the_grades_say(own: Path, tmp_path: Path) -> None:
    options = ("--recipe", "wrong-wrong", "--order", "distance", "--per-problem", "3", "--margin", "2")
    pairs, lines = build(own, tmp_path / "pairs.jsonl", *options)
    assert lines[0].startswith("wrong-wrong (distance): ")
    golds = {p.id: Fraction(p.gold) for p in stored_problems(own)}
    grades: dict[str, dict[int, Any]] = {}
    for row in pq.read_table(own / "grades.parquet").to_pylist():
        if row["arm"] == "sample":
            grades.setdefault(row["problem_id"], {})[row["index"]] = row
    for pair in pairs:
        away = []
        for ids in (pair.chosen_token_ids, pair.rejected_token_ids):
            rows = [grades[pair.problem_id][r.index] for r in samples(own)[pair.problem_id] if r.token_ids == ids]
            assert not any(row["correct"] for row in rows)
            away.append(abs(Fraction(rows[0]["answer"]) - golds[pair.problem_id]))
        assert away[1] - away[0] >= 2
    assert {pair.recipe for pair in pairs} == {"wrong-wrong-distance"}


def test_bad_input_is_one_line_and_writes_nothing(own: Path, other: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.jsonl"
    call = ["pairs", own, "--out", out, "--recipe"]
    line = refused(*call, "best-random", "--rejected-from", other)
    assert "only these take two runs: correct-wrong, shuffled" in line
    assert "is not a run directory" in refused(*call, "correct-wrong", "--for", tmp_path)
    train = sampled(tmp_path / "train", "arith-mixed", "--data", str(ASSETS / "arith" / "train.jsonl"))
    line = refused(*call, "correct-wrong", "--for", train)
    assert f"problem '0' of {own} is another one in {train}; pairs of two runs need the same problems" in line
    regraded = tmp_path / "regraded"
    shutil.copytree(own, regraded)
    assert bon_eval("grade", regraded, "--grader", "true_false", "--quiet").exit_code == 0
    line = refused("pairs", regraded, "--out", out, "--recipe", "wrong-wrong", "--order", "distance")
    assert "the order by distance is of numbers, and no right answer of" in line
    assert "grader true_false" in line
    assert not out.exists()


def test_problems_that_the_other_run_lacks_are_counted(own: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer"
    done = bon_eval(*SAMPLE, "--model", "arith-mixed", "--limit", "5", "--out", fewer, "--seed", "3")
    assert done.exit_code == 0, done.output
    pairs, lines = build(own, tmp_path / "pairs.jsonl", "--recipe", "best-random", "--for", fewer)
    assert {p.problem_id for p in pairs} <= {str(i) for i in range(5)}
    assert f"  not in {fewer}: {LIMIT - 5} of {LIMIT} problems (5, 6, 7, 8, 9, ...)" in lines
