"""Token ids to text as vLLM's detokenizer gives it, and the stop strings found in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Detokenizer:
    """Response token ids -> text, read as the continuation of its prompt.

    Special tokens are skipped. The prompt's last tokens are decoded along, so that a space between the prompt and the
    response is kept by tokenizers that drop one at the start of a text. Tokens at the end that leave
    a character's bytes incomplete are left out.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._token_text: dict[int, str] = {}

    def context(self, prompt_token_ids: Sequence[int]) -> tuple[int, ...]:
        """The prompt's last tokens, enough of them to have any text."""
        size = 8
        while size < len(prompt_token_ids):
            tail = tuple(prompt_token_ids[-size:])
            if self._decode(tail):
                return tail
            size *= 2
        return tuple(prompt_token_ids)

    def text(self, context: Sequence[int], token_ids: Sequence[int]) -> str:
        """Text of `token_ids` after `context`; by themselves where the context ends inside a character."""
        head = self._decode(context)
        for size in range(len(token_ids), 0, -1):
            whole = self._decode([*context, *token_ids[:size]])
            text = whole[len(head) :] if whole.startswith(head) else self._decode(token_ids[:size])
            if not text.endswith(_UNFINISHED):
                return text
        return ""

    def may_complete(self, token_id: int, stop: Sequence[str]) -> bool:
        """Whether a stop string can end in this token: cheap, never False for one that does."""
        if (own := self._token_text.get(token_id)) is None:
            own = self._token_text[token_id] = self._decode([token_id])
        # A space may come from the decoder's joining of tokens, an unfinished character from bytes of several tokens.
        return _UNFINISHED in own or any(s[-1] == " " or s[-1] in own for s in stop)

    def _decode(self, token_ids: Sequence[int]) -> str:
        return str(
            self._tokenizer.decode(list(token_ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )


def find_stop(text: str, stop: Sequence[str]) -> int | None:
    """Where the stop string that is complete first begins in `text`; ties go to the first given. None: no match."""
    ends = [(start + len(s), order, start) for order, s in enumerate(stop) if (start := text.find(s)) >= 0]
    return min(ends)[2] if ends else None
