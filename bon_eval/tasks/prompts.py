"""Problems -> prompts: text by template, token ids made once and given to every engine as they are.

Engines are never handed text: each would add special tokens by its own rules, and a chat template that already wrote
the beginning-of-sequence token would get a second one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from bon_eval.config import digest
from bon_eval.errors import ModelError, TaskError
from bon_eval.records import Problem
from bon_eval.tasks.chat import ChatTemplate
from bon_eval.tasks.spec import PromptStyle, TaskSpec
from bon_eval.tasks.templates import render_template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_MANY_CHARS = 1_000_000
_CHARS_A_TOKEN = 100
"""More than any tokenizer gets into one on average."""


@dataclass(frozen=True, slots=True)
class RenderedPrompt:
    """What a problem's requests start from."""

    problem_id: str
    text: str
    """As it was tokenized; a beginning-of-sequence token that the tokenizer adds is only in `token_ids`."""
    token_ids: tuple[int, ...]
    messages: tuple[Mapping[str, str], ...] | None = None
    """Chat style: what the chat template was given, each with ``role`` and ``content``; None in plain style."""


def resolve_style(
    spec: TaskSpec,
    tokenizer: PreTrainedTokenizerBase,
    style: PromptStyle | None = None,
    *,
    given_template: bool = False,
) -> Literal["chat", "plain"]:
    """The style that is used: `style`, or else the task's; ``auto`` is chat where there is a chat template.

    `given_template`: whether the user names a template in place of the tokenizer's own.

    Raises `TaskError` for ``chat`` without a chat template.
    """
    wanted = style or spec.prompt_style
    has_template = given_template or bool(tokenizer.chat_template)
    if wanted == "chat" and not has_template:
        raise TaskError(
            f"prompt style chat of task {spec.name}, but the model's tokenizer has no chat template; use plain, "
            "or give --chat-template"
        )
    if wanted == "plain" or not has_template:
        return "plain"
    return "chat"


def draw_shots(
    train_problems: Sequence[Problem], problems: Sequence[Problem], spec: TaskSpec, *, shots: int, seed: int
) -> tuple[Problem, ...]:
    """`shots` solved examples, the same for every problem, drawn from the train split without replacement by `seed`.

    An example whose question is also asked in the evaluation is passed over, so no prompt holds an evaluated
    problem's solution and the evaluated problems are the same for every number of shots.
    """
    if shots < 0:
        raise TaskError(f"few-shot examples must be at least 0, got {shots}")
    if shots == 0:
        return ()
    if spec.few_shot.response is None:
        raise TaskError(f"task {spec.name} has no few_shot.response template in {spec.path}; add it or use 0 shots")
    question = spec.columns.question
    asked = {p.fields[question].strip() for p in problems}
    order = np.random.default_rng(seed).permutation(len(train_problems))
    usable = [train_problems[i] for i in order if train_problems[i].fields[question].strip() not in asked]
    if len(usable) < shots:
        raise TaskError(
            f"task {spec.name}: {shots} few-shot examples asked for, but the train split has {len(usable)} of "
            f"{len(train_problems)} that are not also evaluated; use fewer"
        )
    return tuple(usable[:shots])


def render_prompts(
    spec: TaskSpec,
    problems: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase,
    *,
    style: PromptStyle | None = None,
    shots: int | None = None,
    seed: int = 0,
    train_problems: Sequence[Problem] = (),
    template: ChatTemplate | None = None,
    asked: Sequence[Problem] | None = None,
    context: int | None = None,
) -> tuple[RenderedPrompt, ...]:
    """One prompt per problem, in order; `style` and `shots` default to the task's own.

    Chat: the system text, each example as a user and an assistant turn, the problem, and the template's opening of
    the answer; tokenized without special tokens, since the template writes them. Plain: the same pieces as text,
    parted by few_shot.separator, tokenized with the special tokens that the tokenizer puts in front, and none behind:
    an end token after the prompt would end the text before the response.

    `template`: of chat style; default: the model's own, which may not write a date then. `asked`: all problems of the
    task, where `problems` are some of them: none is an example, so that the prompts do not change when more are taken.
    `context`: of the model in tokens, where it is known; a text far beyond it is not tokenized at all.

    Raises `TaskError` for a style the tokenizer cannot do, too few examples, a chat template that fails (some refuse
    a system turn) or leaves out a turn, and a prompt that is empty or starts with two beginning-of-sequence tokens.
    """
    chat = resolve_style(spec, tokenizer, style, given_template=template is not None) == "chat"
    if chat and template is None:
        template = ChatTemplate(tokenizer)
    shots = spec.few_shot.k if shots is None else shots
    examples = draw_shots(train_problems, problems if asked is None else asked, spec, shots=shots, seed=seed)
    turns = [turn for example in examples for turn in (_question(spec, example), _response(spec, example))]
    rendered: list[RenderedPrompt] = []
    for problem in problems:
        messages = None
        if chat and template is not None:
            messages = _messages(spec, [*turns, _question(spec, problem)])
            text = template.render(messages, f"the prompt of problem {problem.id!r}")
            _check_size(problem.id, text, context)
            token_ids = tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        else:
            text = _plain_text(spec, [*turns, _question(spec, problem)])
            _check_size(problem.id, text, context)
            token_ids = plain_token_ids(tokenizer, text)
        _check_start(spec, tokenizer, problem.id, token_ids)
        rendered.append(RenderedPrompt(problem.id, text, token_ids, messages))
    return tuple(rendered)


def first_prompt_hash(prompts: Sequence[RenderedPrompt]) -> str:
    """SHA-256 (hex) over the first problem's id and prompt token ids: the same whatever problems follow it."""
    return digest([prompts[0].problem_id, list(prompts[0].token_ids)])


def prompts_hash(problems: Sequence[Problem], prompts: Sequence[RenderedPrompt]) -> str:
    """SHA-256 (hex) over problem ids, gold answers and prompt token ids, in order."""
    return digest([[p.id, p.gold, list(r.token_ids)] for p, r in zip(problems, prompts, strict=True)])


def check_context(prompts: Sequence[RenderedPrompt], context_length: int, max_tokens: int) -> None:
    """Raise `TaskError` unless every prompt leaves room for `max_tokens` tokens within `context_length`, and one more.

    An engine scores a response by generating one token behind it, so that one place of the context is kept free. The
    message names the problem with the longest prompt, so that one correction is enough.
    """
    longest = max(prompts, key=lambda p: len(p.token_ids), default=None)
    if longest is None or len(longest.token_ids) + max_tokens < context_length:
        return
    length, room = len(longest.token_ids), context_length - len(longest.token_ids) - 1
    remedy = f"use --max-tokens {room} or less" if room > 0 else "use fewer few-shot examples or another model"
    raise TaskError(
        f"the prompt of problem {longest.problem_id!r} has {length} tokens; with max tokens {max_tokens} and the "
        f"one that scoring needs that is more than the model's context of {context_length}; {remedy}"
    )


def _question(spec: TaskSpec, problem: Problem) -> str:
    return render_template(spec.prompt, problem.fields, f"{spec.path}: prompt")


def _response(spec: TaskSpec, problem: Problem) -> str:
    assert spec.few_shot.response is not None
    return render_template(spec.few_shot.response, problem.fields, f"{spec.path}: few_shot.response")


def _plain_text(spec: TaskSpec, turns: list[str]) -> str:
    """Question and response run on, as in a text that the model continues; the separator comes after a response."""
    separator = spec.few_shot.separator
    turns = [spec.plain.prefix * (i % 2 == 0) + turn for i, turn in enumerate(turns)]
    examples = [question + response for question, response in zip(turns[:-1:2], turns[1::2], strict=True)]
    system = [] if spec.system is None else [spec.system]
    return separator.join([*system, *examples, turns[-1]])


def _messages(spec: TaskSpec, turns: list[str]) -> tuple[dict[str, str], ...]:
    system = [] if spec.system is None else [{"role": "system", "content": spec.system}]
    # A turn's surrounding blanks belong to plain style, where they part the question from the response.
    talk = [{"role": ("user", "assistant")[i % 2], "content": turn.strip()} for i, turn in enumerate(turns)]
    return (*system, *talk)


def plain_token_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[int, ...]:
    bare = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    full = list(tokenizer(text, add_special_tokens=True)["input_ids"])
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[: start + len(bare)])
    raise ModelError("the tokenizer changes a text's own tokens when it adds special tokens; use style chat")


def _check_size(problem_id: str, text: str, context: int | None) -> None:
    """Raise `TaskError` for a text that no context holds, before minutes and gigabytes go into its tokens."""
    if context is not None and len(text) > max(_MANY_CHARS, _CHARS_A_TOKEN * context):
        raise TaskError(
            f"the prompt of problem {problem_id!r} has {len(text):,} characters, which the model's context of "
            f"{context:,} tokens cannot hold; drop that row"
        )


def _check_start(
    spec: TaskSpec, tokenizer: PreTrainedTokenizerBase, problem_id: str, token_ids: tuple[int, ...]
) -> None:
    if not token_ids:
        raise TaskError(f"task {spec.name}: the prompt of problem {problem_id!r} has no tokens; change the prompt")
    if token_ids[:2] == (tokenizer.bos_token_id,) * 2:
        raise TaskError(
            f"task {spec.name}: the prompt of problem {problem_id!r} starts with two {tokenizer.bos_token} tokens; "
            "take it out of the prompt template, since the tokenizer adds one"
        )
