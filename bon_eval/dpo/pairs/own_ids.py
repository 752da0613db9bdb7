"""Whether stored token ids are a model's own: they spell the text with its tokenizer, and end as its responses end.

Ids of another tokenizer are other words to a model, mostly within its vocabulary, so that nothing else would tell. Two
models may share all tokens but the one that ends a response.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bon_eval.dpo.pairs.files import Text
from bon_eval.errors import ConfigError
from bon_eval.tasks.chat import ChatTemplate
from bon_eval.tasks.ends import find_ends, is_special

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REMEDY = (
    "make the pairs from a run of this model, or of another model's run with `bon-eval pairs --for` a run of this one"
)

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
_EXCERPT_CHARS = 40


def ends_of(tokenizer: PreTrainedTokenizerBase, template: ChatTemplate | None) -> frozenset[int]:
    """The tokens that end a model's responses, as a run finds them; the tokenizer was loaded from its folder."""
    return frozenset(end.token_id for end in find_ends(tokenizer.name_or_path or None, tokenizer, template))


def own_prompt(prompt: Text, given: Sequence[int], tokens: Sequence[int], tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a prompt's given ids are the model's: `tokens`, which the harness gives it, or those of the text alone.

    A chat prompt in plain form is of the second kind: the template wrote its special tokens already.
    """
    if tuple(given) == tuple(tokens):
        return True
    return isinstance(prompt, str) and tuple(given) == tuple(tokenizer(prompt, add_special_tokens=False)["input_ids"])


def check_ids(
    what: str,
    text: Text,
    ids: Sequence[int],
    tokenizer: PreTrainedTokenizerBase,
    ends: frozenset[int],
    stop: Sequence[str] = (),
) -> None:
    """Raise `ConfigError` unless a response's ids are this model's.

    They spell the text but for blanks, which decoders add and drop at the edges. Behind it comes an end token of the
    model, or nothing, or what the ids have from a stop string on.

    Args:
        what: the response, for messages.
        text: as it was stored, special tokens left out or not.
        ids: end token included.
        tokenizer: of the model that is trained or measured.
        ends: as `ends_of` gives them.
        stop: the strings that may have ended it.
    """
    if max(ids) >= len(tokenizer):
        raise ConfigError(f"{what} has a token id beyond the model's vocabulary, of another tokenizer; {REMEDY}")
    if ids[-1] not in ends and is_special(tokenizer, ids[-1]):
        check_end(what, ids[-1], tokenizer, ends)
    parts = [text] if isinstance(text, str) else [message["content"] for message in text]
    wanted = [_bare(part) for part in parts]
    ended = ids[-1] in ends
    spelled = {_bare(_decoded(tokenizer, ids, skip)) for skip in (True, False)}
    spelled |= {_bare(_decoded(tokenizer, ids[:-1], skip)) for skip in (True, False)} if ended else set()
    if not any(_spells(found, wanted, () if ended else stop) for found in spelled):
        raise ConfigError(
            f"{what} has token ids that spell {_excerpt(_decoded(tokenizer, ids, True))} with this model's tokenizer "
            f"and not {_excerpt(parts[0])}, so they are another tokenizer's, or the text was changed; {REMEDY}, or "
            "leave the token ids out"
        )


def check_end(what: str, token_id: int, tokenizer: PreTrainedTokenizerBase, ends: frozenset[int]) -> None:
    """Raise `ConfigError` where a response is to end with a token that ends no response of the model."""
    if token_id in ends:
        return
    names = ", ".join(_name(tokenizer, end) for end in sorted(ends)) or "none known"
    raise ConfigError(
        f"{what} ends with {_name(tokenizer, token_id)}, which ends no response of this model (its ends: {names}); "
        f"{REMEDY}; an end that --stop-token or --chat-template gave the run must stand in the model's "
        "generation_config.json or in the --chat-template given here"
    )


def _spells(found: str, wanted: Sequence[str], stop: Sequence[str]) -> bool:
    if len(wanted) > 1:  # the template's marks stand between the messages
        at = 0
        for part in wanted:
            if (at := found.find(part, at)) < 0:
                return False
            at += len(part)
        return True
    if not found.startswith(wanted[0]):
        return False
    rest = found[len(wanted[0]) :]
    return not rest or any(rest.startswith(_bare(text)) for text in stop)


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], skip: bool) -> str:
    return str(tokenizer.decode(list(ids), skip_special_tokens=skip, clean_up_tokenization_spaces=False))


def _bare(text: str) -> str:
    """Without blanks, and without what stands for an unfinished character, which engines hold back or show."""
    return "".join(text.replace(_UNFINISHED, "").split())


def _name(tokenizer: PreTrainedTokenizerBase, token_id: int) -> str:
    text = tokenizer.convert_ids_to_tokens(token_id) if token_id < len(tokenizer) else None
    return repr(text) if text else f"token {token_id}"


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 3] + "...")
