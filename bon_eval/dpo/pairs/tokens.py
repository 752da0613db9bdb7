"""Pairs as token ids: what is trained on and what is measured are the same tokens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.dpo.pairs.files import Pair, Text
from bon_eval.dpo.pairs.own_ids import REMEDY, check_end, check_ids, ends_of, own_prompt
from bon_eval.engines.models import stated_context
from bon_eval.errors import ConfigError
from bon_eval.tasks.chat import ChatTemplate, Message, template_of
from bon_eval.tasks.ends import response_end
from bon_eval.tasks.prompts import plain_token_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class TokenPair:
    """One preference as token ids; responses hold their end token."""

    id: str
    problem_id: str
    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """One response to one prompt as token ids, with its end token."""

    id: str
    problem_id: str
    prompt: tuple[int, ...]
    response: tuple[int, ...]


def slots(value: TokenPair | TokenResponse) -> list[object]:
    """The fields, for hashing."""
    return [getattr(value, name) for name in value.__slots__]


def context_of(model_dir: Path) -> int:
    """The context length that a model states, in tokens; one that is never reached where it states none."""
    return stated_context(model_dir) or sys.maxsize


def tokenize_pairs(
    pairs: Sequence[Pair],
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    template: ChatTemplate | None = None,
) -> tuple[TokenPair, ...]:
    """Token ids of pairs for a model.

    Ids that a pair brings along are kept, after a check that they spell its texts with this tokenizer and end as
    responses of this model end. Texts without ids: the prompt as the harness renders prompts, the response tokenized by
    itself with the pair's end token after it, or else the tokenizer's (plain), or what the chat template adds to the
    prompt, up to the token that closes an assistant's turn (conversational): a sampled response ends with the same.

    Args:
        pairs: as `read_pairs` gives them.
        tokenizer: of the model that is trained or measured.
        context: most tokens of prompt and response together.
        template: of conversations; default: the model's own, which may not write a date then.

    Raises:
        ConfigError: the pairs' ids are another tokenizer's or end with another model's end token, a pair exceeds the
            context, or its two responses are the same tokens; the message names the pair.
        TaskError: the chat template fails on a pair, or leaves out what a turn says.
    """
    given = template or template_of(tokenizer)
    ends = ends_of(tokenizer, given)
    return tuple(_token_pair(pair, tokenizer, given, ends, context) for pair in pairs)


def tokenize_chosen(
    pairs: Sequence[Pair],
    tokenizer: PreTrainedTokenizerBase,
    context: int,
    template: ChatTemplate | None = None,
) -> tuple[TokenResponse, ...]:
    """Token ids of the chosen sides alone, as `tokenize_pairs` gives them; rejected is not looked at.

    Raises:
        ConfigError: the ids are another tokenizer's or end with another model's end token, or a prompt with chosen
            exceeds the context.
    """
    given = template or template_of(tokenizer)
    ends = ends_of(tokenizer, given)
    found = []
    for pair in pairs:
        prompt = _prompt(pair, tokenizer, given)
        response = _side(pair, "chosen", prompt, tokenizer, given, ends, context)
        found.append(TokenResponse(pair.id, pair.problem_id, prompt, response))
    return tuple(found)


def fits(what: str, prompt: Sequence[int], response: Sequence[int], context: int) -> None:
    """Raise `ConfigError` unless prompt and response fit the model's context together."""
    if len(prompt) + len(response) > context:
        raise ConfigError(
            f"{what} has {len(prompt)} prompt and {len(response)} response tokens, more than the model's context of "
            f"{context}; drop it: nothing is cut silently"
        )


def response_token_ids(
    text: str,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate | None = None,
    *,
    end: int | None = None,
) -> tuple[int, ...]:
    """A plain response's tokens, tokenized by itself, with the end token after it unless the text has one.

    Blanks behind an end in the text are no part of the response: a template's line break, for example.

    Args:
        text: the response.
        tokenizer: of the model.
        template: whose closing token is an end token, too, where the text has it.
        end: the end token; default: the tokenizer's.
    """
    end = response_end(tokenizer) if end is None else end
    trimmed = tuple(tokenizer(text.rstrip(), add_special_tokens=False)["input_ids"])
    if trimmed and trimmed[-1] in (end, response_end(tokenizer, template)):
        return trimmed
    return (*tokenizer(text, add_special_tokens=False)["input_ids"], end)


def prompt_token_ids(
    prompt: Text, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate | None = None, what: str = "the prompt"
) -> tuple[int, ...]:
    """A prompt's tokens: plain text with the special tokens in front, or messages through the chat template."""
    if isinstance(prompt, str):
        return plain_token_ids(tokenizer, prompt)
    return _templated(tokenizer, template or template_of(tokenizer), prompt, what, open_answer=True)


def _token_pair(
    pair: Pair,
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate | None,
    ends: frozenset[int],
    context: int,
) -> TokenPair:
    prompt = _prompt(pair, tokenizer, template)
    chosen, rejected = (
        _side(pair, name, prompt, tokenizer, template, ends, context) for name in ("chosen", "rejected")
    )
    if chosen == rejected:
        raise ConfigError(f"pair {pair.id!r}: chosen and rejected are the same tokens; drop this pair")
    return TokenPair(pair.id, pair.problem_id, prompt, chosen, rejected)


def _prompt(pair: Pair, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate | None) -> tuple[int, ...]:
    prompt = prompt_token_ids(pair.prompt, tokenizer, template, f"the prompt of pair {pair.id!r}")
    if not prompt:
        raise ConfigError(f"pair {pair.id!r}: the prompt is empty, and a likelihood needs something before it; drop it")
    if pair.prompt_token_ids is None or own_prompt(pair.prompt, pair.prompt_token_ids, prompt, tokenizer):
        return pair.prompt_token_ids or prompt
    raise ConfigError(
        f"pair {pair.id!r} was made with another tokenizer or chat template: its prompt has other token ids than the "
        f"model's own gives; {REMEDY}"
    )


def _side(
    pair: Pair,
    name: str,
    prompt: tuple[int, ...],
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate | None,
    ends: frozenset[int],
    context: int,
) -> tuple[int, ...]:
    given: tuple[int, ...] | None = getattr(pair, f"{name}_token_ids")
    if given is not None:
        check_ids(f"pair {pair.id!r}: {name}", getattr(pair, name), given, tokenizer, ends, pair.stop)
    elif pair.end_token_id is not None:
        check_end(f"pair {pair.id!r}", pair.end_token_id, tokenizer, ends)
    ids = given or _response(pair, name, prompt, tokenizer, template)
    fits(f"pair {pair.id!r}: {name}", prompt, ids, context)
    return ids


def _response(
    pair: Pair, name: str, prompt: tuple[int, ...], tokenizer: PreTrainedTokenizerBase, template: ChatTemplate | None
) -> tuple[int, ...]:
    response: Text = getattr(pair, name)
    if isinstance(response, str):
        return response_token_ids(response, tokenizer, template, end=pair.end_token_id)
    assert not isinstance(pair.prompt, str)
    whole = _templated(tokenizer, template, (*pair.prompt, *response), f"{name} of pair {pair.id!r}", open_answer=False)
    if whole[: len(prompt)] != prompt:
        raise ConfigError(
            f"pair {pair.id!r}: the chat template writes the prompt differently once a response follows it, so the "
            "response's tokens cannot be told from the prompt's; give plain text"
        )
    rest = whole[len(prompt) :]
    end = response_end(tokenizer, template)
    # What the template writes after the end token is no part of the response; nor are blanks where it writes none.
    if end in rest:
        return rest[: len(rest) - rest[::-1].index(end)]
    assert template is not None
    blanks = "" if template.closing.strip() else template.closing
    behind = tuple(tokenizer(blanks, add_special_tokens=False)["input_ids"])
    return (*(rest[: len(rest) - len(behind)] if rest[len(rest) - len(behind) :] == behind else rest), end)


def _templated(
    tokenizer: PreTrainedTokenizerBase,
    template: ChatTemplate | None,
    messages: Sequence[Message],
    what: str,
    *,
    open_answer: bool,
) -> tuple[int, ...]:
    if template is None:
        raise ConfigError("the pairs are conversations, but the tokenizer has no chat template; give plain text")
    text = template.render(messages, what, open_answer=open_answer)
    return tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
