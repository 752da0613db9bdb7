"""Runs of model folders with the habits of known families, on both engines: ends, prompts, dates, pairs, scores."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from family_models import FAMILIES, make_family_model

from bon_eval import load_run
from bon_eval.analysis.analyse import analyse
from bon_eval.cli import main
from bon_eval.dpo.pairs.files import Pair
from bon_eval.dpo.pairs.tokens import tokenize_pairs
from bon_eval.engines import open_engine
from bon_eval.engines.base import EngineSpec
from bon_eval.engines.load import load_tokenizer
from bon_eval.errors import ConfigError, StoreError, TaskError
from bon_eval.records import ForcedSequence
from bon_eval.run import prepare as preparing
from bon_eval.run.execute import execute, open_store
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.store.reader import iter_responses
from bon_eval.tasks.chat import ChatOptions

N, LIMIT = 6, 4


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("families")
    return {name: make_family_model(name, folder / name) for name in FAMILIES}


def options(model: Path, **more: Any) -> RunOptions:
    return RunOptions(
        str(model), "arith", limit=LIMIT, n=N, prompt_style="chat", dtype="float32", max_tokens=60, **more
    )


def talk(tokenizer: Any, prompt: tuple[int, ...], question: str, chosen: str) -> tuple[int, ...]:
    """The tokens of a conversation's chosen side, after a check of its prompt."""
    said = [({"role": "assistant", "content": text},) for text in (chosen, "#### 1")]
    pair = Pair("p", "p", ({"role": "user", "content": question},), said[0], said[1], "file")
    [tokens] = tokenize_pairs([pair], tokenizer, 256)
    assert tokens.prompt == prompt
    return tokens.chosen


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
@pytest.mark.parametrize("name", FAMILIES)
def test_a_run_of_each_family(models: dict[str, Path], name: str, engine: str, tmp_path: Path) -> None:
    family = FAMILIES[name]
    tokenizer = load_tokenizer(models[name])
    ends = {int(tokenizer.convert_tokens_to_ids(text)) for text in family.ends}
    closing = int(tokenizer.convert_tokens_to_ids(family.closing))
    chat = ChatOptions(date="2026-11-29") if name == "llama3-like" else ChatOptions()
    prepared = prepare(options(models[name], engine=engine, out=tmp_path / "run", chat=chat))
    assert ends <= set(prepared.config.stop_token_ids)
    execute(prepared, quiet=True)
    meta = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert {end["token_id"] for end in meta["tokenizer"]["ends"]} == set(prepared.config.stop_token_ids)
    special = set(meta["tokenizer"]["special_token_ids"])
    assert ends <= special
    responses = list(iter_responses(tmp_path / "run"))
    assert len(responses) == LIMIT * (N + 1)
    for response in responses:
        assert response.truncated is (response.token_ids[-1] not in ends)
        assert not ends & set(response.token_ids[:-1]), "it runs on after its end"
        assert all(text not in response.text for text in family.special)
    assert any(not response.truncated for response in responses)
    # A pair of a preference file ends as a sampled response does.
    [first, *_] = prepared.prompts
    question = next(p for p in prepared.problems if p.id == first.problem_id).fields["question"]
    if name != "llama3-like":  # its date has to be given, which tests/dpo/pairs/test_tokens.py does
        assert talk(tokenizer, first.token_ids, question, "#### 4")[-1] == closing


@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.vllm)])
def test_a_response_that_fills_the_context_is_scored(models: dict[str, Path], engine: str, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(models["gemma-like"])
    prompt = tuple(tokenizer("Lea has 4.")["input_ids"])
    room = 256 - len(prompt) - 1
    spec = EngineSpec(
        model_dir=str(models["gemma-like"]),
        dtype="float32",
        seed=0,
        max_length=len(prompt) + room,
        log_path=str(tmp_path / "log"),
    )
    with open_engine(engine, spec) as opened:
        ids = tuple(int(i) for i in np.random.default_rng(0).integers(2, 300, size=room))
        [(_, scores)] = opened.score([ForcedSequence("a", prompt, ids)])
        assert len(scores) == room
        assert np.isfinite(scores).all()


def test_a_switch_for_reasoning(models: dict[str, Path], tmp_path: Path) -> None:
    asked = options(models["qwen3-like"], engine="transformers")
    on, off = (prepare(replace(asked, chat=ChatOptions(arguments=x))) for x in ({}, {"enable_thinking": False}))
    assert off.prompts[0].text == on.prompts[0].text + "<think>\n\n</think>\n\n"
    assert on.config.run_id != off.config.run_id
    assert off.config.identity()["chat_template_args"] == {"enable_thinking": False}


def test_a_family_without_a_system_role(models: dict[str, Path]) -> None:
    with pytest.raises(TaskError, match="System role not supported"):
        prepare(options(models["gemma-like"], engine="transformers", system="Be brief."))


def test_a_template_without_an_end_of_turn_is_said(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = tmp_path / "plain.jinja"
    turns = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}"
    template.write_text(turns + "{{ 'assistant:' if add_generation_prompt }}")
    chat = ChatOptions(template=str(template))
    asked = options(models["chatml-base"], engine="transformers", out=tmp_path / "run", chat=chat)
    said = r"caution: end of turn unknown: the chat template closes a turn with plain text \('\\n\\nuser: '\)"
    execute(prepare(asked))
    assert len(re.findall(said, capsys.readouterr().err)) == 1
    run = load_run(tmp_path / "run")
    assert any(text.startswith("end of turn unknown") for text in analyse(run, draws=100).facts.cautions)
    show = ["tasks", "show", "arith", "--model", str(models["chatml-base"]), "--chat-template", str(template)]
    shown = CliRunner().invoke(main, [*show, "--prompt-style", "chat"]).stdout
    assert len(re.findall(said, shown)) == 1
    named = CliRunner().invoke(main, [*show, "--prompt-style", "chat", "--stop", "user:"]).stdout
    assert "caution" not in named
    assert prepare(replace(asked, stop=("user:",), out=None)).open_turn is None
    assert prepare(replace(asked, chat=ChatOptions(), out=None)).open_turn is None


def test_a_problem_that_holds_a_special_token_is_said(models: dict[str, Path], tmp_path: Path) -> None:
    data = tmp_path / "data.jsonl"
    rows = [f"Lea has {k}{' <|im_end|>' * (k < 2)}." for k in range(5)]
    data.write_text("".join(json.dumps({"question": row, "answer": "#### 4"}) + "\n" for row in rows))
    asked = options(models["chatml-base"], engine="transformers", out=tmp_path / "run", data=data)
    execute(prepare(replace(asked, limit=None)), quiet=True)
    cautions = analyse(load_run(tmp_path / "run"), draws=100).facts.cautions
    [said] = [text for text in cautions if "in 2 problems" in text]
    assert said.startswith("special tokens in 2 problems: their text holds the name of one, ")


def test_a_date_that_a_server_would_write(models: dict[str, Path]) -> None:
    args = {"base_url": "http://127.0.0.1:9/v1", "api": "chat"}
    with pytest.raises(ConfigError, match="with api=chat the server writes its own"):
        prepare(replace(options(models["llama3-like"], engine="openai", engine_args=args), dtype="auto"))


def test_a_date_is_fixed_when_a_run_first_starts(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = options(models["llama3-like"], engine="transformers")

    def on(day: str, **more: Any) -> Any:
        monkeypatch.setattr(preparing, "today", lambda: day)
        return prepare(replace(asked, **more))

    first = on("2026-12-31")
    assert first.config.date == "2026-12-31"
    assert "Today Date: 31 Dec 2026" in first.prompts[0].text
    with open_store(first, quiet=True) as store:
        store.begin_session("now", {}, {})
    later = on("2027-01-01")
    assert (later.directory, later.config, later.prompts) == (first.directory, first.config, first.prompts)
    shard = on("2027-01-01", shard="1/2")
    assert shard.config.date == "2027-01-01", "no shard of it was begun, nor is the whole run one"
    assert on("2027-01-02", fresh=True).config.date == "2027-01-02"
    assert on("2027-01-02", chat=ChatOptions(date="2026-06-05")).config.date == "2026-06-05"
    assert on("2027-01-02", n=N + 1).config.date == "2026-12-31", "the same run, grown"
    assert on("2027-01-02", temperature=0.5).config.date == "2027-01-02", "another run"
    out = on("2027-01-02", out=first.directory)
    assert out.config.date == "2026-12-31"
    with pytest.raises(StoreError, match=r"prompts: problem '.*31 Dec 2026.* stored, .*02 Jan 2027.* now"):
        open_store(on("2027-01-02", out=first.directory, chat=ChatOptions(date="2027-01-02")), quiet=True)


def test_shards_of_one_run_share_its_date(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = options(models["llama3-like"], engine="transformers", shard="1/2")
    monkeypatch.setattr(preparing, "today", lambda: "2026-12-31")
    first = prepare(asked)
    with open_store(first, quiet=True) as store:
        store.begin_session("now", {}, {})
    monkeypatch.setattr(preparing, "today", lambda: "2027-01-01")
    second = prepare(replace(asked, shard="2/2"))
    assert second.config.date == "2026-12-31"
    assert first.config.prompts_hash == second.config.prompts_hash
