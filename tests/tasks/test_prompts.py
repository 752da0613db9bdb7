"""Prompts: exact token ids, one beginning-of-sequence token, examples by seed, and the tokens that end a response."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from bon_eval.engines.load import load_tokenizer
from bon_eval.errors import ConfigError, ModelError, TaskError
from bon_eval.records import Problem
from bon_eval.tasks.ends import find_ends
from bon_eval.tasks.load import ASSETS_DIR, load_task
from bon_eval.tasks.problems import load_problems, load_train_problems
from bon_eval.tasks.prompts import (
    RenderedPrompt,
    check_context,
    draw_shots,
    prompts_hash,
    render_prompts,
    resolve_style,
)
from bon_eval.tasks.spec import FewShot, Plain

WORDS = ["<s>", "</s>", "[user]", "[assistant]", "[system]", "?", "one", "two", "three", "Q", "A", "=", "be", "brief"]
ID = {word: i for i, word in enumerate(WORDS)}
CHAT = (
    "<s>{% for m in messages %}[{{ m.role }}]{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)

SPEC = replace(
    load_task("gsm8k"),
    name="t",
    prompt="Q {question} A",
    few_shot=FewShot(k=0, response=" = {answer}", separator="</s>"),
    plain=Plain(),
)
PROBLEMS = (
    Problem("a", {"question": "one ?", "answer": "one"}, "one"),
    Problem("b", {"question": "two ?", "answer": "two"}, "two"),
)
TRAIN = (Problem("0", {"question": "three ?", "answer": "three"}, "three"),)


def make_tokenizer(*, bos: bool = True, eos: bool = False, chat: str | None = CHAT) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(ID, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    single = " ".join([*(["<s>"] if bos else []), "$A", *(["</s>"] if eos else [])])
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=[("<s>", 0), ("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["[user]", "[assistant]", "[system]"],
        chat_template=chat,
    )


def ids(text: str) -> tuple[int, ...]:
    return tuple(ID[word] for word in text.split())


def test_chat_prompt_has_exactly_the_templates_tokens() -> None:
    first, second = render_prompts(SPEC, PROBLEMS, make_tokenizer())
    assert first == RenderedPrompt(
        "a",
        "<s>[user]Q one ? A</s>[assistant]",
        ids("<s> [user] Q one ? A </s> [assistant]"),
        ({"role": "user", "content": "Q one ? A"},),
    )
    assert second.token_ids == ids("<s> [user] Q two ? A </s> [assistant]")


def test_plain_prompt_gets_the_tokenizers_own_start_once() -> None:
    plain = render_prompts(SPEC, PROBLEMS[:1], make_tokenizer(), style="plain")
    assert plain == (RenderedPrompt("a", "Q one ? A", ids("<s> Q one ? A")),)
    assert render_prompts(SPEC, PROBLEMS[:1], make_tokenizer(chat=None)) == plain, "auto without a chat template"
    assert render_prompts(SPEC, PROBLEMS[:1], make_tokenizer(bos=False), style="plain")[0].token_ids == ids("Q one ? A")


def test_plain_prompt_never_ends_with_an_end_token() -> None:
    prompt = render_prompts(SPEC, PROBLEMS[:1], make_tokenizer(eos=True), style="plain")[0]
    assert prompt.token_ids == ids("<s> Q one ? A")


def test_blanks_around_a_turn_are_for_plain_style_only() -> None:
    spec = replace(SPEC, prompt="Q {question}\n")
    assert render_prompts(spec, PROBLEMS, make_tokenizer())[0].text == "<s>[user]Q one ?</s>[assistant]"
    assert render_prompts(spec, PROBLEMS, make_tokenizer(), style="plain")[0].text == "Q one ?\n"


def test_few_shot_turns() -> None:
    spec = replace(SPEC, system="be brief")
    chat = render_prompts(spec, PROBLEMS[:1], make_tokenizer(), shots=1, train_problems=TRAIN)[0]
    assert chat.token_ids == ids(
        "<s> [system] be brief </s> [user] Q three ? A </s> [assistant] = three </s> [user] Q one ? A </s> [assistant]"
    )
    roles = [("system", "be brief"), ("user", "Q three ? A"), ("assistant", "= three"), ("user", "Q one ? A")]
    assert chat.messages == tuple({"role": role, "content": content} for role, content in roles)
    plain = render_prompts(spec, PROBLEMS[:1], make_tokenizer(), style="plain", shots=1, train_problems=TRAIN)[0]
    assert plain.messages is None
    assert plain.text == "be brief</s>Q three ? A = three</s>Q one ? A"
    assert plain.token_ids == ids("<s> be brief </s> Q three ? A = three </s> Q one ? A")


def test_what_plain_style_puts_before_every_question() -> None:
    spec = replace(SPEC, plain=Plain(prefix="be ", stop=("be",)))
    plain = render_prompts(spec, PROBLEMS[:1], make_tokenizer(), style="plain", shots=1, train_problems=TRAIN)[0]
    assert plain.text == "be Q three ? A = three</s>be Q one ? A"
    assert render_prompts(spec, PROBLEMS, make_tokenizer()) == render_prompts(SPEC, PROBLEMS, make_tokenizer())


def test_demonstrations_take_the_place_of_a_train_split() -> None:
    spec = load_task("mmlu_college_physics")
    examples = load_train_problems(spec)
    assert len(examples) == len(spec.few_shot.demonstrations) == 3
    asked = Problem("0", {"question": "one ?", "choices": "(A) one\n(B) two"}, "A")
    prompts = [
        render_prompts(spec, [asked], make_tokenizer(), style="plain", shots=2, seed=s, train_problems=examples)[0].text
        for s in range(8)
    ]
    assert len(set(prompts)) > 1, "drawn by seed"
    for text in prompts:
        assert text.startswith("Question: ")
        assert text.count("\n\nQuestion: ") == 2
        assert text.count("The answer is (X)") == 3
        assert len(re.findall(r"The answer is \([A-D]\)\.\n\nQuestion: ", text)) == 2
    seen = Problem("0", dict(examples[0].fields), "A")
    drawn = draw_shots(examples, [seen], spec, shots=2, seed=0)
    assert examples[0] not in drawn, "an evaluated question is no example"


def test_a_text_that_no_context_holds_is_not_tokenized() -> None:
    def untouched(*args: object, **options: object) -> None:
        raise AssertionError

    long = replace(PROBLEMS[0], fields={**PROBLEMS[0].fields, "question": "one " * 300_000})
    tokenizer = make_tokenizer()
    tokenizer._encode_plus = untouched
    with pytest.raises(
        TaskError, match=r"has 1,200,\d+ characters, which the model's context of 512 tokens cannot hold"
    ):
        render_prompts(SPEC, [long], tokenizer, style="plain", context=512)


def test_the_tasks_own_number_of_shots_and_style_are_the_defaults() -> None:
    spec = replace(SPEC, few_shot=replace(SPEC.few_shot, k=1), prompt_style="plain")
    assert "three" in render_prompts(spec, PROBLEMS, make_tokenizer(), train_problems=TRAIN)[0].text
    assert render_prompts(spec, PROBLEMS, make_tokenizer(), shots=0)[0].text == "Q one ? A"
    assert resolve_style(spec, make_tokenizer()) == "plain"
    assert resolve_style(spec, make_tokenizer(), "chat") == "chat"


def test_shots_follow_the_seed_and_nothing_else() -> None:
    train = tuple(Problem(str(i), {"question": f"q{i}", "answer": f"#### {i}"}, str(i)) for i in range(50))

    def drawn(seed: int, shots: int = 4, problems: tuple[Problem, ...] = PROBLEMS) -> list[str]:
        return [p.id for p in draw_shots(train, problems, SPEC, shots=shots, seed=seed)]

    assert drawn(1) == drawn(1)
    assert len({tuple(drawn(seed)) for seed in range(20)}) == 20
    assert drawn(1, 2) == drawn(1)[:2]
    assert drawn(1, problems=PROBLEMS[:1]) == drawn(1)
    assert sorted(drawn(3, 50)) == sorted(p.id for p in train), "without replacement"
    # An evaluated question is passed over, the other examples stay.
    asked = (Problem("x", {"question": f" q{drawn(1)[0]} "}, "?"),)
    assert drawn(1, 3, asked) == drawn(1)[1:]
    with pytest.raises(TaskError, match=r"50 few-shot examples asked for, .* has 49 of 50"):
        drawn(1, 50, asked)


def test_styles_and_shots_that_cannot_be() -> None:
    with pytest.raises(TaskError, match="no chat template; use plain"):
        render_prompts(SPEC, PROBLEMS, make_tokenizer(chat=None), style="chat")
    with pytest.raises(TaskError, match="at least 0, got -1"):
        render_prompts(SPEC, PROBLEMS, make_tokenizer(), shots=-1)
    with pytest.raises(TaskError, match=r"no few_shot\.response template"):
        render_prompts(replace(SPEC, few_shot=FewShot()), PROBLEMS, make_tokenizer(), shots=1, train_problems=TRAIN)
    refuses = make_tokenizer(chat="{{ raise_exception('no system turn') }}")
    with pytest.raises(
        TaskError, match="chat template fails on the prompt of problem 'a': TemplateError: no system turn;"
    ):
        render_prompts(SPEC, PROBLEMS, refuses)


def test_double_start_token_is_refused() -> None:
    with pytest.raises(TaskError, match="problem 'a' starts with two <s> tokens"):
        render_prompts(replace(SPEC, prompt="<s>Q {question}"), PROBLEMS, make_tokenizer(), style="plain")
    with pytest.raises(TaskError, match="starts with two <s> tokens"):
        render_prompts(SPEC, PROBLEMS, make_tokenizer(chat="<s>" + CHAT))


def test_values_with_template_signs_stay_as_they_are() -> None:
    problem = Problem("a", {"question": "{answer} {{ messages }} {% x %}", "answer": "one"}, "one")
    assert "{answer} {{ messages }} {% x %}" in render_prompts(SPEC, [problem], make_tokenizer())[0].text


def test_context_names_the_longest_prompt_and_the_remedy() -> None:
    prompts = [RenderedPrompt("a", "", (1,) * 10), RenderedPrompt("b", "", (1,) * 30)]
    check_context(prompts, 41, 10)
    check_context([], 0, 1)
    with pytest.raises(
        TaskError, match=r"'b' has 30 tokens; with max tokens 11 .* context of 41; use --max-tokens 10 or"
    ):
        check_context(prompts, 41, 11)
    with pytest.raises(TaskError, match=r"context of 31; use fewer few-shot examples"):
        check_context(prompts, 31, 1)


def test_prompts_hash_follows_tokens_gold_and_order() -> None:
    rendered = render_prompts(SPEC, PROBLEMS, make_tokenizer())
    others = [
        render_prompts(SPEC, PROBLEMS, make_tokenizer(), style="plain"),
        render_prompts(SPEC, PROBLEMS, make_tokenizer(), shots=1, train_problems=TRAIN),
    ]
    regraded = (replace(PROBLEMS[0], gold="1"), PROBLEMS[1])
    hashes = [prompts_hash(PROBLEMS, r) for r in (rendered, *others)] + [prompts_hash(regraded, rendered)]
    assert len(set(hashes)) == 4
    assert prompts_hash(PROBLEMS, render_prompts(SPEC, PROBLEMS, make_tokenizer())) == hashes[0]


# --- model directories


def test_arith_prompts_are_what_the_embedded_model_was_trained_on() -> None:
    spec, model = load_task("arith"), ASSETS_DIR / "arith-mixed"
    tokenizer = load_tokenizer(model)
    problem = load_problems(spec, limit=1)[0]
    question = problem.fields["question"]
    prompt = render_prompts(spec, [problem], tokenizer)[0]
    assert prompt.text == question + "\n"
    assert prompt.token_ids == tuple(tokenizer(question + "\n")["input_ids"])
    assert tokenizer.decode(list(prompt.token_ids)) == prompt.text
    assert [end.token_id for end in find_ends(model, tokenizer)] == [tokenizer.eos_token_id]
    shots = render_prompts(spec, [problem], tokenizer, shots=1, train_problems=load_train_problems(spec))[0].text
    example = shots.removesuffix("\n\n" + prompt.text)
    assert example.count("\n#### ") == 1
    assert question not in example


def save(folder: Path, config: Any = None, generation_config: Any = None) -> Path:
    make_tokenizer().save_pretrained(folder)
    for name, content in (("config.json", config), ("generation_config.json", generation_config)):
        if content is not None:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_tokenizer_of_a_directory_renders_the_same(tmp_path: Path) -> None:
    loaded = load_tokenizer(save(tmp_path, {"model_type": "llama"}))
    assert render_prompts(SPEC, PROBLEMS, loaded) == render_prompts(SPEC, PROBLEMS, make_tokenizer())


def test_directory_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot load a tokenizer from") as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_transformers_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"pip install 'bon-eval\[transformers\]'"):
        load_tokenizer("m")


def test_tasks_and_prompts_import_neither_torch_nor_transformers_nor_datasets() -> None:
    code = (
        "import sys, bon_eval.tasks.prompts, bon_eval.tasks.problems\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'vllm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
