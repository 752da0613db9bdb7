"""The embedded models' tokenizer: one token per word of the stories, per digit and per sign.

A byte-level vocabulary without merges, saved as an ordinary ``tokenizer.json``. A piece that is a known word is one
token; any other text falls back to bytes. So decoding gives back every text exactly, spaces and newlines included,
and no token is ever unknown. Nothing is added before or after a text: the end token is the model's own to write.
"""

from __future__ import annotations

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

END = "<|end|>"
PAD = "<|pad|>"
ANSWER_MARK = "#### "
PIECES = r"#### |\d|\n| ?\p{L}+|[^\d\n\p{L}]"


def _byte_level(text: str) -> str:
    """The text in the byte-level alphabet (a space becomes another visible character, and so on)."""
    pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return "".join(piece for piece, _ in pre_tokenizer.pre_tokenize_str(text))


def build_tokenizer(pieces: list[str], context_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer whose single tokens are the end and padding marks, the 256 bytes, ``#### `` and the given pieces."""
    tokens = [END, PAD, *sorted(pre_tokenizers.ByteLevel.alphabet()), _byte_level(ANSWER_MARK)]
    tokens += [piece for piece in map(_byte_level, pieces) if piece not in tokens]
    tokenizer = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        model_max_length=context_length,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
