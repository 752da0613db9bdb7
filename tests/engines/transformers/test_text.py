"""Text of engine transformers against the incremental decoder that vLLM reads its text from."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("transformers")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from bon_eval.engines.transformers.text import Detokenizer, find_stop

CORPUS = ["Anna has 3 apples; être où? 12 + 30 = 42\n\nQuestion: 日本語 😀😀 ½ of it", "the answer is #### 42\n"] * 4


def byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=300,
            special_tokens=["<s>", "</s>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def metaspace() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁a", -1.0), ("b", -1.0), ("▁", -2.0), ("c", -2.0)], 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def words() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "one": 1, "two": 2, "+": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    return tokenizer


def streamed(tokenizer: Tokenizer, prompt: list[int], response: list[int]) -> str:
    stream = decoders.DecodeStream(ids=prompt, skip_special_tokens=True)
    return "".join(stream.step(tokenizer, token) or "" for token in response)


@pytest.mark.parametrize("make", [byte_level, metaspace, words])
def test_text_is_that_of_the_incremental_decoder(make: type) -> None:
    tokenizer = make()
    detokenizer = Detokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    rng = np.random.default_rng(0)
    start = tokenizer.token_to_id("<s>")
    for _ in range(200):
        if make is byte_level:
            # Real text cut at a random token, which may be inside a character.
            ids = tokenizer.encode(CORPUS[0]).ids
            prompt, response = [start, *ids[:20]], ids[20 : int(rng.integers(21, len(ids)))]
        else:
            prompt = [start, *map(int, rng.integers(1, 4, size=rng.integers(1, 12)))]
            response = [*map(int, rng.integers(1, 4, size=rng.integers(1, 30)))]
        response.insert(len(response) // 2, start)
        text = detokenizer.text(detokenizer.context(prompt), response)
        assert text == streamed(tokenizer, prompt, response)
        assert text or len(response) < 5


def test_unfinished_character_is_left_out() -> None:
    tokenizer = byte_level()
    detokenizer = Detokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    ids = tokenizer.encode("x é").ids
    assert detokenizer.text((), ids) == "x é"
    assert "\N{REPLACEMENT CHARACTER}" not in detokenizer.text((), tokenizer.encode("x 鬱").ids[:-1])


def test_tokens_that_complete_a_stop_string_are_never_passed_over() -> None:
    tokenizer = byte_level()
    detokenizer = Detokenizer(PreTrainedTokenizerFast(tokenizer_object=tokenizer))
    ids = tokenizer.encode(CORPUS[0]).ids
    for stop in ("\n\n", "Question:", "日", "😀", "= 42", "30 "):
        done = next(i for i in range(len(ids) + 1) if stop in detokenizer.text((), ids[:i]))
        assert detokenizer.may_complete(ids[done - 1], (stop,))
    assert not detokenizer.may_complete(tokenizer.token_to_id("A"), ("\n\n", "Question:"))


@pytest.mark.parametrize(
    ("text", "stop", "start"),
    [
        ("abc", (), None),
        ("abc", ("x",), None),
        ("abcabc", ("bc",), 1),
        ("abcd", ("d", "b"), 1),
        ("abcd", ("c", "bc"), 2),
        ("abcd", ("bc", "c"), 1),
        ("", ("a",), None),
    ],
)
def test_find_stop(text: str, stop: tuple[str, ...], start: int | None) -> None:
    assert find_stop(text, stop) == start
