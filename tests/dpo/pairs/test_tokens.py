"""Pairs as token ids, with the embedded model's tokenizer and with a small one that has a chat template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from bon_eval.dpo.pairs.files import Pair
from bon_eval.dpo.pairs.tokens import (
    TokenPair,
    TokenResponse,
    fits,
    prompt_token_ids,
    response_token_ids,
    tokenize_chosen,
    tokenize_pairs,
)
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ASSETS
from bon_eval.errors import ConfigError, TaskError
from bon_eval.tasks.chat import ChatOptions, template_of

# Single characters of the embedded model's vocabulary.
END, TWO, THREE, FOUR, FIVE, SIX, PLUS, EQUALS = 0, 19, 20, 21, 22, 23, 12, 30
PLAIN = Pair("q/0", "q", "2+3=", "5", "6", "correct-wrong")

WORDS = ["?", "<s>", "<|im_start|>", "<|im_end|>", "</s>", "user", "assistant", "sum", "four", "five", "thanks", "two"]
ID = {word: k for k, word in enumerate(WORDS)}
SPECIAL = ["<s>", "<|im_start|>", "<|im_end|>", "</s>"]
CHATML = (
    "{% for m in messages %}<|im_start|> {{ m.role }} {{ m.content }} <|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|> assistant {% endif %}"
)
TRAILING = CHATML.replace("{% endfor %}", "{% if loop.last and m.role == 'assistant' %}thanks {% endif %}{% endfor %}")
"""Writes a word after the last response, as templates write a line break there."""
REWRITING = "{% if messages | length > 1 %}two {% endif %}" + CHATML
"""Starts with another word where there are two messages, so that a response changes its prompt."""

USER = ({"role": "user", "content": "sum"},)


def said(text: str) -> tuple[Mapping[str, str], ...]:
    return ({"role": "assistant", "content": text},)


CHAT = Pair("c/0", "c", USER, said("four"), said("five"), "correct-wrong")


def ids(text: str) -> tuple[int, ...]:
    return tuple(ID.get(word, 0) for word in text.split())


@pytest.fixture(scope="module")
def arith() -> Any:
    return load_tokenizer(ASSETS / "arith-mixed")


def chat_tokenizer(template: str | None = CHATML, end: str | None = "<|im_end|>") -> PreTrainedTokenizerFast:
    """One token a word, <s> in front of plain text."""
    tokenizer = Tokenizer(models.WordLevel(ID, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([AddedToken(word, special=True, lstrip=True, rstrip=True) for word in SPECIAL])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", ID["<s>"])])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token=end, unk_token="?")
    fast.chat_template = template
    return fast


def refused(pair: Pair, tokenizer: Any, context: int = 256) -> str:
    with pytest.raises((ConfigError, TaskError)) as caught:
        tokenize_pairs([pair], tokenizer, context)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_plain_texts_are_tokenized_apart_and_closed(arith: Any) -> None:
    [found] = tokenize_pairs([PLAIN], arith, 256)
    assert found == TokenPair("q/0", "q", (TWO, PLUS, THREE, EQUALS), (FIVE, END), (SIX, END))


def test_the_end_token_is_added_once(arith: Any) -> None:
    assert response_token_ids("5", arith) == (FIVE, END)
    assert response_token_ids("5<|end|>", arith) == (FIVE, END)
    [found] = tokenize_pairs([replace(PLAIN, chosen="5<|end|>")], arith, 256)
    assert found.chosen == (FIVE, END)


def test_given_ids_are_kept_as_they_are(arith: Any) -> None:
    # A response cut by max_tokens has no end token, and none is added to it.
    given = replace(
        PLAIN,
        chosen="45",
        prompt_token_ids=(TWO, PLUS, THREE, EQUALS),
        chosen_token_ids=(FOUR, FIVE),
        rejected_token_ids=(SIX, END),
    )
    [found] = tokenize_pairs([given], arith, 256)
    assert (found.chosen, found.rejected) == ((FOUR, FIVE), (SIX, END))


def test_one_side_with_ids(arith: Any) -> None:
    [found] = tokenize_pairs([replace(PLAIN, rejected="66", rejected_token_ids=(SIX, SIX, END))], arith, 256)
    assert (found.chosen, found.rejected) == ((FIVE, END), (SIX, SIX, END))


def test_pairs_keep_their_order_and_problems(arith: Any) -> None:
    pairs = [PLAIN, replace(PLAIN, id="p/3", problem_id="p", prompt="2=")]
    assert [(p.id, p.problem_id) for p in tokenize_pairs(pairs, arith, 256)] == [("q/0", "q"), ("p/3", "p")]
    assert tokenize_pairs([], arith, 256) == ()


def test_another_tokenizers_prompt_is_refused(arith: Any) -> None:
    message = refused(replace(PLAIN, prompt_token_ids=(TWO, PLUS, THREE)), arith)
    assert message.startswith("pair 'q/0' was made with another tokenizer")


def test_the_same_pair_under_two_tokenizers(arith: Any) -> None:
    [found] = tokenize_pairs([PLAIN], arith, 256)
    given = replace(PLAIN, prompt_token_ids=found.prompt, chosen_token_ids=found.chosen)
    assert tokenize_pairs([given], arith, 256) == (found,)
    assert "was made with another tokenizer" in refused(given, chat_tokenizer())


@pytest.mark.parametrize("side", ["chosen", "rejected"])
def test_ids_beyond_the_vocabulary_are_refused(arith: Any, side: str) -> None:
    last = len(arith) - 1
    inside: dict[str, Any] = {side: arith.decode([last]), f"{side}_token_ids": (last, END)}
    beyond: dict[str, Any] = {f"{side}_token_ids": (last + 1, END)}
    tokenize_pairs([replace(PLAIN, **inside)], arith, 256)
    message = refused(replace(PLAIN, **beyond), arith)
    assert f"pair 'q/0': {side} has a token id beyond the model's vocabulary" in message


def test_the_context_counts_prompt_and_response(arith: Any) -> None:
    # Four tokens of prompt, three of rejected with its end token.
    pair = replace(PLAIN, rejected="66")
    tokenize_pairs([pair], arith, 7)
    message = refused(pair, arith, 6)
    assert message.startswith("pair 'q/0': rejected has 4 prompt and 3 response tokens, more than the model's context")
    assert "context of 6" in message


def test_fits_at_its_limit() -> None:
    fits("x", [1, 2], [3], 3)
    with pytest.raises(ConfigError, match=r"^x has 2 prompt and 2 response tokens"):
        fits("x", [1, 2], [3, 4], 3)


SAME = {
    "texts that differ by the end token": replace(PLAIN, chosen="5", rejected="5<|end|>"),
    "ids against a text": replace(PLAIN, chosen="5", rejected=" 5", rejected_token_ids=(FIVE, END)),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
def test_the_same_tokens_on_both_sides_are_refused(arith: Any, pair: Pair) -> None:
    assert refused(pair, arith) == "pair 'q/0': chosen and rejected are the same tokens; drop this pair"


def test_the_second_pair_is_the_one_that_is_named(arith: Any) -> None:
    bad = replace(SAME["ids against a text"], id="q/1")
    with pytest.raises(ConfigError, match=r"^pair 'q/1'"):
        tokenize_pairs([PLAIN, bad], arith, 256)


def test_conversations_through_the_chat_template() -> None:
    [found] = tokenize_pairs([CHAT], chat_tokenizer(), 256)
    assert found.prompt == ids("<|im_start|> user sum <|im_end|> <|im_start|> assistant")
    assert found.chosen == ids("four <|im_end|>")
    assert found.rejected == ids("five <|im_end|>")


def test_what_the_template_writes_after_the_end_token_is_cut() -> None:
    assert tokenize_pairs([CHAT], chat_tokenizer(TRAILING), 256) == tokenize_pairs([CHAT], chat_tokenizer(), 256)


def test_a_response_ends_with_the_token_that_closes_a_turn_and_with_no_second_one() -> None:
    for end in ("</s>", None):
        [found] = tokenize_pairs([CHAT], chat_tokenizer(end=end), 256)
        assert (found.chosen, found.rejected) == (ids("four <|im_end|>"), ids("five <|im_end|>"))
    tokenizer = chat_tokenizer(end="</s>")
    template = template_of(tokenizer)
    assert response_token_ids("four", tokenizer, template) == ids("four </s>")
    assert response_token_ids("four <|im_end|>", tokenizer, template) == ids("four <|im_end|>")


def test_a_template_that_closes_a_turn_in_plain_text() -> None:
    open_ended = CHATML.replace("<|im_end|>", "thanks")
    [found] = tokenize_pairs([CHAT], chat_tokenizer(open_ended, end="</s>"), 256)
    assert found.chosen == ids("four thanks </s>"), "the tokenizer's end token closes the response"


def test_blanks_behind_a_response_are_no_part_of_it() -> None:
    vocabulary = {char: k for k, char in enumerate("?su4~!\n ")}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="?"))
    tokenizer.add_special_tokens([AddedToken("!", special=True), AddedToken("~", special=True)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="!", unk_token="?")
    turns = "{% for m in messages %}~{{ m.content }}\n\n{% endfor %}"
    fast.chat_template = turns + "{% if add_generation_prompt %}~{% endif %}"
    user, four = {"role": "user", "content": "su"}, vocabulary["4"]
    talk = Pair("c/0", "c", (user,), said("4"), said("44"), "file")
    [found] = tokenize_pairs([talk], fast, 256)
    assert (found.chosen, found.rejected) == ((four, vocabulary["!"]), (four, four, vocabulary["!"]))
    for text in ("4!", "4!\n", "4! \n\n"):
        assert response_token_ids(text, fast) == (four, vocabulary["!"]), "no second end"
    assert response_token_ids("4\n", fast) == (four, vocabulary["\n"], vocabulary["!"])


STRIPPED = CHATML.replace("m.content }}", "m.content.split('four')[-1] }}")
"""Leaves out a part of a turn, as templates strip reasoning."""


def test_a_template_that_drops_part_of_a_response_is_refused() -> None:
    pair = replace(CHAT, chosen=said("two four five"))
    assert "does not write all of the assistant turn into chosen of pair 'c/0'" in refused(
        pair, chat_tokenizer(STRIPPED)
    )


@pytest.mark.parametrize(
    "template", ["{{ 1 + 'x' }}", "{{ raise_exception('no assistant turns') }}", "{{ messages.x.y }}"]
)
def test_a_template_that_fails_is_one_line(template: str) -> None:
    assert "the chat template fails on the prompt of pair 'c/0'" in refused(CHAT, chat_tokenizer(template))


def test_a_date_in_the_template_has_to_be_given() -> None:
    tokenizer = chat_tokenizer("{{ strftime_now('%d') }} " + CHATML)
    assert "give --date YYYY-MM-DD" in refused(CHAT, tokenizer)
    [found] = tokenize_pairs([CHAT], tokenizer, 256, template_of(tokenizer, ChatOptions(date="2026-11-29")))
    assert found.chosen == ids("four <|im_end|>")


def test_an_empty_prompt_is_refused(arith: Any) -> None:
    assert "the prompt is empty" in refused(replace(PLAIN, prompt=""), arith)


def test_a_response_of_several_messages_ends_at_its_last_turn() -> None:
    talk = (*said("four"), {"role": "user", "content": "two"}, *said("five"))
    [found] = tokenize_pairs([replace(CHAT, chosen=talk)], chat_tokenizer(TRAILING), 256)
    middle = "<|im_start|> user two <|im_end|> <|im_start|> assistant"
    assert found.chosen == ids(f"four <|im_end|> {middle} five <|im_end|>")


def test_a_template_that_rewrites_the_prompt_is_refused() -> None:
    message = refused(CHAT, chat_tokenizer(REWRITING))
    assert message.startswith("pair 'c/0': the chat template writes the prompt differently")


def test_conversations_need_a_chat_template(arith: Any) -> None:
    for tokenizer in (arith, chat_tokenizer(None)):
        assert "the tokenizer has no chat template; give plain text" in refused(CHAT, tokenizer)


def test_a_tokenizer_without_end_token() -> None:
    tokenizer = chat_tokenizer(end=None)
    assert "has no end token" in refused(replace(PLAIN, prompt="sum", chosen="four", rejected="five"), tokenizer)
    assert "has no end token" in refused(CHAT, chat_tokenizer(CHATML.replace("<|im_end|>", "thanks"), end=None))


def test_plain_prompts_begin_with_the_special_tokens_and_responses_do_not() -> None:
    tokenizer = chat_tokenizer()
    assert prompt_token_ids("sum", tokenizer) == ids("<s> sum")
    assert response_token_ids("four", tokenizer) == ids("four <|im_end|>")


def test_a_chat_prompt_in_plain_form_keeps_its_ids() -> None:
    # A run in chat style stores the template's text, which holds its special tokens already.
    text = "<|im_start|> user sum <|im_end|> <|im_start|> assistant"
    pair = Pair("c/1", "c", text, "four", "five", "correct-wrong", prompt_token_ids=ids(text))
    [found] = tokenize_pairs([pair], chat_tokenizer(), 256)
    assert found.prompt == ids(text)
    assert tokenize_pairs([replace(pair, prompt_token_ids=None)], chat_tokenizer(), 256)[0].prompt == ids(f"<s> {text}")


def test_chosen_alone_does_not_look_at_rejected(arith: Any) -> None:
    # Rejected would exceed the context, lies beyond the vocabulary or has the same tokens.
    pairs = [
        replace(PLAIN, id="a", rejected="6" * 50),
        replace(PLAIN, id="b", rejected_token_ids=(10_000,)),
        replace(PLAIN, id="c", rejected="5<|end|>"),
    ]
    prompt = (TWO, PLUS, THREE, EQUALS)
    assert tokenize_chosen(pairs, arith, 6) == tuple(TokenResponse(pair.id, "q", prompt, (FIVE, END)) for pair in pairs)
    with pytest.raises(ConfigError, match=r"^pair 'a': chosen has 4 prompt and 2 response tokens"):
        tokenize_chosen(pairs, arith, 5)
    with pytest.raises(ConfigError, match=r"^pair 'q/0' was made with another tokenizer"):
        tokenize_chosen([replace(PLAIN, prompt_token_ids=(TWO,))], arith, 256)


FOREIGN: dict[str, tuple[dict[str, Any], str]] = {
    "other words": ({"chosen_token_ids": (SIX, END)}, "chosen has token ids that spell '6' .* and not '5'"),
    "a word less": ({"rejected": "66", "rejected_token_ids": (SIX, END)}, "rejected has token ids that spell '6'"),
    "a word more": ({"rejected_token_ids": (SIX, SIX, END)}, "rejected has token ids that spell '66'"),
    "a word in place of the end": ({"chosen_token_ids": (FIVE, PLUS)}, "chosen has token ids that spell '5[+]'"),
    "no stop string of the run": ({"chosen_token_ids": (FIVE, PLUS), "stop": ("=",)}, "spell '5[+]'"),
    "padding as end": ({"chosen_token_ids": (FIVE, 1)}, r"chosen ends with '<\|pad\|>', which ends no response"),
    "another end of texts": ({"end_token_id": 1}, r"ends with '<\|pad\|>', which ends no response of this model"),
    "an end that is no token": ({"end_token_id": 10_000}, "ends with token 10000, which ends no response"),
}


@pytest.mark.parametrize(("fields", "message"), FOREIGN.values(), ids=FOREIGN)
def test_ids_that_are_not_the_models(arith: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        tokenize_pairs([replace(PLAIN, **fields)], arith, 256)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("pair 'q/0'")


def test_a_stop_string_ends_a_response_without_an_end_token(arith: Any) -> None:
    given = replace(PLAIN, chosen_token_ids=(FIVE, PLUS, PLUS), stop=("=", "++"))
    [found] = tokenize_pairs([given], arith, 256)
    assert (found.chosen, found.rejected) == ((FIVE, PLUS, PLUS), (SIX, END))


def test_blanks_and_special_tokens_of_the_text_do_not_count(arith: Any) -> None:
    for text in ("5", " 5\n", "5<|end|>"):
        [found] = tokenize_pairs([replace(PLAIN, chosen=text, chosen_token_ids=(FIVE, END))], arith, 256)
        assert found.chosen == (FIVE, END)


def test_a_conversations_ids_spell_its_messages() -> None:
    tokenizer = chat_tokenizer()
    given = replace(CHAT, chosen_token_ids=ids("four <|im_end|>"))
    assert tokenize_pairs([given], tokenizer, 256) == tokenize_pairs([CHAT], tokenizer, 256)
    assert "spell 'five' with this model's tokenizer and not 'four'" in refused(
        replace(CHAT, chosen_token_ids=ids("five <|im_end|>")), tokenizer
    )
    assert "ends with '</s>', which ends no response of this model (its ends: '<|im_end|>')" in refused(
        replace(CHAT, chosen_token_ids=ids("four </s>")), tokenizer
    )
    talk = (*said("four"), {"role": "user", "content": "two"}, *said("five"))
    spoken = ids("four <|im_end|> <|im_start|> user two <|im_end|> <|im_start|> assistant five <|im_end|>")
    [found] = tokenize_pairs([replace(CHAT, chosen=talk, chosen_token_ids=spoken)], tokenizer, 256)
    assert found.chosen == spoken
    assert "another tokenizer's" in refused(
        replace(CHAT, chosen=talk, chosen_token_ids=(*spoken[4:], *spoken)[: len(spoken)]), tokenizer
    )


def test_texts_end_with_the_end_token_of_the_pair() -> None:
    tokenizer = chat_tokenizer(end="</s>")
    pair = Pair("c/2", "c", "sum", "four", "five <|im_end|>", "file", end_token_id=ID["<|im_end|>"])
    [found] = tokenize_pairs([pair], tokenizer, 256)
    assert (found.chosen, found.rejected) == (ids("four <|im_end|>"), ids("five <|im_end|>"))
    [found] = tokenize_pairs([replace(pair, end_token_id=None)], tokenizer, 256)
    assert (found.chosen, found.rejected) == (ids("four </s>"), ids("five <|im_end|>"))


def test_plain_pairs_need_no_date_of_a_template_that_writes_one() -> None:
    tokenizer = chat_tokenizer("{{ strftime_now('%d') }} " + CHATML, end="</s>")
    pair = Pair(
        "c/3", "c", "sum", "four", "five", "file", (ID["<s>"], ID["sum"]), ids("four <|im_end|>"), ids("five </s>")
    )
    [found] = tokenize_pairs([pair], tokenizer, 256)
    assert (found.chosen, found.rejected) == (ids("four <|im_end|>"), ids("five </s>"))
