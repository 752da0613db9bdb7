"""Chat templates: which one, its arguments, its date, and that nothing of a message is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from bon_eval.errors import ConfigError, TaskError
from bon_eval.tasks.chat import ChatOptions, ChatTemplate, template_of

PLAIN = "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}"
ASK = [{"role": "user", "content": "2+2?"}]


def make_tokenizer(template: Any = PLAIN) -> PreTrainedTokenizerFast:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"?": 0}, unk_token="?")))
    tokenizer.chat_template = template
    return tokenizer


def rendered(own: Any, **options: Any) -> str:
    return ChatTemplate(make_tokenizer(own), ChatOptions(**options)).render(ASK, "the prompt")


def test_arguments_reach_the_template() -> None:
    switch = PLAIN + "{% if enable_thinking is defined and not enable_thinking %}<no>{% endif %}"
    assert rendered(switch) == "user: 2+2?\n"
    assert rendered(switch, arguments={"enable_thinking": False}) == "user: 2+2?\n<no>"


@pytest.mark.parametrize("name", ["messages", "strftime_now", "add_generation_prompt", "tokenize"])
def test_the_harness_s_own_arguments_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"--chat-template-arg {name} is set by bon-eval itself"):
        rendered(PLAIN, arguments={name: 1})


def test_an_argument_that_the_template_never_names() -> None:
    switch = PLAIN + "{{ 'think' if enable_thinking }}"
    with pytest.raises(ConfigError, match="--chat-template-arg enable_thinkng: the chat template never names it"):
        rendered(switch, arguments={"enable_thinkng": False})
    with pytest.raises(ConfigError, match="never names it"):
        rendered(switch, arguments={"enable": False})


def test_a_template_that_writes_another_text_each_time() -> None:
    with pytest.raises(TaskError, match=r"writes another text each time into .* so that no run could go on"):
        rendered(PLAIN + "{{ ['a', 'b'] | random }}")


def test_the_date_is_the_given_one_and_no_clock() -> None:
    dated = "{{ strftime_now('%d %b %Y %H:%M:%S') }} " + PLAIN
    template = ChatTemplate(make_tokenizer(dated), ChatOptions(date="2024-07-26"))
    assert not template.wrote_date
    assert template.render(ASK, "the prompt") == "26 Jul 2024 00:00:00 user: 2+2?\n"
    assert template.wrote_date
    with pytest.raises(ConfigError, match="give --date YYYY-MM-DD"):
        rendered(dated)
    with pytest.raises(ConfigError, match="'26 Jul' is no date"):
        rendered(dated, date="26 Jul")
    undated = ChatTemplate(make_tokenizer(), ChatOptions(date="2024-07-26"))
    undated.render(ASK, "the prompt")
    assert not undated.wrote_date


def test_named_templates() -> None:
    named = {"default": PLAIN, "rag": "rag " + PLAIN}
    assert rendered(named) == "user: 2+2?\n"
    assert rendered(named, template="rag") == "rag user: 2+2?\n"
    assert rendered({"chat": PLAIN}) == "user: 2+2?\n"
    with pytest.raises(ConfigError, match=r"several chat templates.*chat, rag"):
        rendered({"chat": PLAIN, "rag": PLAIN})
    with pytest.raises(ConfigError, match=r"nor one of the model's templates \(default, rag\)"):
        rendered(named, template="tool")


def test_a_template_of_the_user_s_own(tmp_path: Path) -> None:
    file = tmp_path / "own.jinja"
    file.write_text("own " + PLAIN)
    assert rendered(PLAIN, template=str(file)) == "own user: 2+2?\n"
    assert rendered(None, template=str(file)) == "own user: 2+2?\n"
    with pytest.raises(ConfigError, match="no file that can be read"):
        rendered(PLAIN, template=str(tmp_path / "none"))
    assert template_of(make_tokenizer(None)) is None


@pytest.mark.parametrize(
    "template",
    [
        "Hello!",  # ignores the messages
        "{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}",  # wants parts
        "{{ messages[0].content[1:] }}",
        "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}",
    ],
)
def test_a_template_that_leaves_something_out(template: str) -> None:
    talk = [{"role": "system", "content": "Be brief."}, *ASK]
    with pytest.raises(TaskError, match=r"does not write all of the (user|system) turn into the prompt.*is missing"):
        ChatTemplate(make_tokenizer(template)).render(talk, "the prompt")


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'x' + 1 }}",
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages.nothing.here }}",
        "{% for %}",
        "{{ [].pop() }}",
        "{{ ''.__class__.__mro__ }}",
    ],
)
def test_a_template_that_fails_is_one_line(template: str) -> None:
    with pytest.raises(TaskError, match="the chat template fails on the prompt") as caught:
        rendered(template)
    assert "\n" not in str(caught.value)


def test_a_template_that_swallows_the_reserved_turns_has_no_closing() -> None:
    assert ChatTemplate(make_tokenizer()).closing == "\n"
    assert ChatTemplate(make_tokenizer("{{ raise_exception('x') if messages | length > 1 }}")).closing == ""


def test_a_system_text_may_stand_in_the_last_question() -> None:
    moved = (
        "{% set system = messages[0].content %}{% for m in messages[1:] %}"
        "{{ system + '\n' if loop.last else '' }}{{ m.content }}|{% endfor %}"
    )
    talk = [{"role": "system", "content": "Be brief."}, *ASK, {"role": "assistant", "content": "4"}, *ASK]
    assert ChatTemplate(make_tokenizer(moved)).render(talk, "the prompt") == "2+2?|4|Be brief.\n2+2?|"
    once = "{% for m in messages[:-1] %}{{ m.content }}|{% endfor %}"
    with pytest.raises(TaskError, match="does not write all of the user turn"):
        ChatTemplate(make_tokenizer(once)).render(talk, "the prompt")
