"""What ends a response: what tokenizer, model files, chat template and the user name, each with its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from bon_eval.errors import ConfigError, ModelError
from bon_eval.tasks.chat import ChatTemplate
from bon_eval.tasks.ends import (
    closing_token,
    find_ends,
    open_turn,
    response_end,
    special_ids,
    split_stops,
    unclosed,
)

WORDS = ["?", "</s>", "[user]", "[bot]", "[end]", "[note]", "sum", "Stop", "stop"]
ID = {word: k for k, word in enumerate(WORDS)}
CHAT = "{% for m in messages %}[{{ m.role }}]{{ m.content }}[end]\n{% endfor %}"


def make_tokenizer(chat: str | None = CHAT, *, eos: str | None = "</s>") -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordLevel(ID, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in ("</s>", "[user]", "[bot]", "[end]")])
    tokenizer.add_tokens([AddedToken("[note]", special=False)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=eos, unk_token="?", chat_template=chat)


def save(folder: Path, config: Any = None, generation_config: Any = None) -> Path:
    for name, content in (("config.json", config), ("generation_config.json", generation_config)):
        if content is not None:
            (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("config", "generation_config", "expected"),
    [
        (None, None, (1,)),
        ({"eos_token_id": 5}, None, (1, 5)),
        ({"eos_token_id": [5, 1]}, {"eos_token_id": 7}, (1, 5, 7)),
        ({"text_config": {"eos_token_id": [8]}}, {"eos_token_id": [3, 2]}, (1, 2, 3, 8)),
        ({"eos_token_id": 11, "vocab_size": 12}, None, (1, 11)),  # embeddings are often padded beyond the tokenizer
        ({"text_config": {"eos_token_id": 11, "vocab_size": 12}, "vocab_size": 4}, None, (1, 11)),
        ({"eos_token_id": None, "text_config": None}, {}, (1,)),
    ],
)
def test_stop_tokens_are_the_union(tmp_path: Path, config: Any, generation_config: Any, expected: Any) -> None:
    found = find_ends(save(tmp_path, config, generation_config), make_tokenizer())
    assert tuple(end.token_id for end in found) == expected


@pytest.mark.parametrize(
    "config",
    [[], *({"eos_token_id": given} for given in ("x", "1", True, [True], -1, [1, -1], 1.0, [1, 2.5], [[1]], {"a": 1}))],
)
def test_stop_tokens_that_are_none(tmp_path: Path, config: Any) -> None:
    with pytest.raises(ModelError, match=r"config\.json"):
        find_ends(save(tmp_path, config), make_tokenizer())


@pytest.mark.parametrize(
    ("config", "generation_config", "said"),
    [
        ({}, {"eos_token_id": 9}, r"token 9 \(generation_config\.json\) is to end .* vocabulary of 9 tokens ends at 8"),
        ({"eos_token_id": [1, 12], "vocab_size": 12}, None, r"token 12 \(config\.json\).* of 12 tokens ends at 11"),
        ({"text_config": {"eos_token_id": 10**30, "vocab_size": 12}}, None, r"token 1(0{30}) \(config\.json\)"),
        ({"vocab_size": 1}, None, r"token 1 '</s>' \(tokenizer\)"),
        ({"vocab_size": 4}, None, r"token 4 '\[end\]' \(chat template\)"),
        ({"vocab_size": "9"}, None, r"config\.json: vocab_size is '9'; it must be a whole number"),
        ({"vocab_size": True}, None, r"config\.json: vocab_size is True"),
        ({"vocab_size": 0}, None, r"config\.json: vocab_size is 0"),
    ],
)
def test_an_end_that_the_model_cannot_sample(tmp_path: Path, config: Any, generation_config: Any, said: str) -> None:
    tokenizer = make_tokenizer()
    with pytest.raises(ModelError, match=said) as caught:
        find_ends(save(tmp_path, config, generation_config), tokenizer, ChatTemplate(tokenizer))
    assert "\n" not in str(caught.value)


def test_a_base_model_with_a_chat_template_stops_at_the_end_of_its_turn(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    found = find_ends(save(tmp_path, {"eos_token_id": 1}), tokenizer, ChatTemplate(tokenizer))
    assert [(e.token_id, e.text, e.sources) for e in found] == [
        (1, "</s>", ("tokenizer", "config.json")),
        (4, "[end]", ("chat template",)),
    ]
    assert [end.token_id for end in find_ends(tmp_path, tokenizer)] == [1], "plain style"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHAT, "[end]"),
        (CHAT.replace("[end]", " \n [end]"), "[end]"),
        (CHAT.replace("[end]", "[note]"), "[note]"),  # the longest
        (CHAT.replace("[end]", "</s>"), "</s>"),
        (CHAT.replace("[end]", ". Next:"), None),
        (CHAT.replace("[end]", ". Next: [note]"), None),
        (CHAT.replace("[end]", ". Next: [note] [end] [bot]"), "[end]"),  # the first special one
        (CHAT.replace("[end]", ""), None),
        ("{{ messages[0].content }}", None),
        ("{{ raise_exception('no') if messages | length > 1 else 'x' }}", None),
    ],
)
def test_the_token_that_closes_a_turn(template: str, expected: str | None) -> None:
    tokenizer = make_tokenizer(template)
    assert closing_token(tokenizer, ChatTemplate(tokenizer)) == (None if expected is None else ID[expected])


def test_the_end_of_a_response_that_is_not_sampled() -> None:
    tokenizer = make_tokenizer()
    assert response_end(tokenizer) == ID["</s>"]
    assert response_end(tokenizer, ChatTemplate(tokenizer)) == ID["[end]"]
    with pytest.raises(ConfigError, match="no end token"):
        response_end(make_tokenizer(eos=None))


def test_given_tokens_by_text_and_by_id(tmp_path: Path) -> None:
    found = find_ends(save(tmp_path), make_tokenizer(), given=["sum", "8", "[end]"])
    assert [(e.token_id, e.sources) for e in found] == [
        (1, ("tokenizer",)),
        (4, ("as given",)),
        (6, ("as given",)),
        (8, ("as given",)),
    ]
    for beyond in ("9", "0010", "9" * 5000):
        with pytest.raises(ConfigError, match="is beyond the model's 9 tokens; give one below"):
            find_ends(tmp_path, make_tokenizer(), given=[beyond])
    for neither in ("-1", "1.5", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT FIVE}"):
        with pytest.raises(ConfigError, match="--stop-token"):
            find_ends(tmp_path, make_tokenizer(), given=[neither])
    padded = save(tmp_path, {"vocab_size": 12})
    with pytest.raises(ConfigError, match="is beyond the model's 9 tokens"):
        find_ends(padded, make_tokenizer(), given=["10"])
    smaller = save(tmp_path, {"vocab_size": 5})
    with pytest.raises(ConfigError, match="is beyond the model's 5 tokens"):
        find_ends(smaller, make_tokenizer(), given=["6"])
    with pytest.raises(ModelError, match=r"token 6 'sum' \(as given\)"):
        find_ends(smaller, make_tokenizer(), given=["sum"])
    with pytest.raises(ConfigError, match="is 2 tokens of this model, not one; use --stop 'sum stop'"):
        find_ends(tmp_path, make_tokenizer(), given=["sum stop"])


def test_a_stop_string_that_is_a_special_token_becomes_an_end_token() -> None:
    tokenizer = make_tokenizer()
    assert split_stops(tokenizer, ["sum", "[end]", "[note]", "other"]) == (("sum", "[note]", "other"), ("[end]",))
    with pytest.raises(ConfigError, match=r"holds the special token \[end\].*use --stop-token '\[end\]'"):
        split_stops(tokenizer, ["sum [end]"])
    assert special_ids(tokenizer) == (0, 1, 2, 3, 4)


NEXT = CHAT.replace("[end]\n", "")
"""Closes no turn: the user's next one begins with a token of its own."""


def test_a_template_that_closes_no_turn_ends_it_where_the_next_one_begins(tmp_path: Path) -> None:
    tokenizer = make_tokenizer(NEXT)
    template = ChatTemplate(tokenizer)
    found = find_ends(save(tmp_path), tokenizer, template)
    assert [(e.text, e.sources) for e in found] == [
        ("</s>", ("tokenizer",)),
        ("[user]", ("chat template, next turn",)),
    ]
    assert open_turn(tokenizer, template) is None
    assert response_end(tokenizer, template) == ID["</s>"], "a pair's response begins no next turn"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHAT, None),
        (CHAT.replace("[end]", " END [end]"), None),
        (CHAT.replace("[end]", ". Next:"), ". Next:\n"),
        ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}", "\n\nuser: "),
        ("{{ messages[0].content }}", ""),
        ("{{ raise_exception('no') if messages | length > 1 else 'x' }}", ""),
    ],
)
def test_a_template_whose_end_of_turn_is_not_known(template: str, expected: str | None) -> None:
    tokenizer = make_tokenizer(template)
    assert open_turn(tokenizer, ChatTemplate(tokenizer)) == expected
    said = list(unclosed(expected))
    assert len(said) == (expected is not None)
    assert all("\n" not in text and "--stop-token" in text for text in said)
