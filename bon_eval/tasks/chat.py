"""A model's chat template: which one, with what arguments, on which date, and what it must not leave out."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.errors import ConfigError, TaskError, one_line, regular

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, str]
"""With ``role`` and ``content``."""

RESERVED = frozenset([
    "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "documents", "max_length",
    "messages", "padding", "return_assistant_tokens_mask", "return_dict", "return_tensors", "strftime_now", "tokenize",
    "tokenizer_kwargs", "tools", "truncation",
])  # fmt: skip
"""What a template is given by the harness or by transformers."""

_PROBE = "What is it?"
_EXCERPT_CHARS = 60
_TRIES = 20
"""Further renderings of a template's first text: one that picks of two by chance passes them once in a million."""
_ANY_DATE = datetime.datetime(2000, 1, 1)
"""For what no date changes: how a turn is closed."""


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What the user asked for; nothing of it is the model's own template, without arguments."""

    template: str | None = None
    """A file that holds a template, or the name of one of the model's own."""
    arguments: Mapping[str, object] = field(default_factory=dict)
    """What the template is given besides the messages, ``enable_thinking`` for example."""
    date: str | None = None
    """``YYYY-MM-DD``, for a template that writes today's date; None where no date may be written."""


def template_of(tokenizer: PreTrainedTokenizerBase, options: ChatOptions | None = None) -> ChatTemplate | None:
    """The template that the options name, else the model's own; None where there is none."""
    named = options is not None and options.template is not None
    return ChatTemplate(tokenizer, options) if named or tokenizer.chat_template else None


class ChatTemplate:
    """One template, ready to render; `wrote_date` says whether it has asked for the date.

    Raises:
        ConfigError: a file that cannot be read, a name that is none of the model's templates, an argument that is the
            harness's own or that the template does not name, a date that is none.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, options: ChatOptions | None = None) -> None:
        options = options or ChatOptions()
        if taken := sorted(RESERVED & options.arguments.keys()):
            raise ConfigError(f"--chat-template-arg {taken[0]} is set by bon-eval itself; drop it")
        self._tokenizer = tokenizer
        self._text = _template_text(tokenizer, options.template)
        self._arguments = dict(options.arguments)
        for name in self._arguments:
            if not re.search(rf"\b{re.escape(name)}\b", self._text):
                raise ConfigError(
                    f"--chat-template-arg {name}: the chat template never names it, so that it would change nothing; "
                    "check its spelling, or drop it"
                )
        self._steady = False
        self._date = None if options.date is None else parse_date(options.date)
        self.wrote_date = False
        """Whether a prompt so far holds the date."""

    def render(self, messages: Sequence[Message], what: str, *, open_answer: bool = True) -> str:
        """The text of a conversation; every message's content is in it, as often as it was said.

        In any order: some templates write the system text into the last question.

        Args:
            messages: the turns; surrounding blanks of their contents do not count.
            what: the conversation, for messages ("the prompt of problem '3'").
            open_answer: end with the template's opening of the assistant's turn.

        Raises:
            TaskError: the template fails, leaves out what a message says, or writes another text each time.
        """
        text = self._rendered(messages, what, open_answer)
        if not self._steady and any(self._rendered(messages, what, open_answer) != text for _ in range(_TRIES)):
            raise TaskError(
                f"the chat template writes another text each time into {what} (by chance, or a clock of its own), so "
                "that no run could go on; give --chat-template a template that does not"
            )
        self._steady = True
        said = Counter(message["content"].strip() for message in messages)
        for message in messages:
            content = message["content"].strip()
            if content and text.count(content) < said[content]:
                raise TaskError(
                    f"the chat template does not write all of the {message['role']} turn into {what} (it ignores the "
                    f"messages, strips a part, or wants content in parts): {_excerpt(content)} is missing; give "
                    "--chat-template a template that does, or use --prompt-style plain"
                )
        return text

    @cached_property
    def closing(self) -> str:
        """What the template writes behind the last words of an assistant's turn; empty where it cannot be told."""
        return self._behind_the_answer(())

    @cached_property
    def following(self) -> str:
        """What it writes between the words of an assistant's turn and of the user's next one."""
        return self._behind_the_answer(({"role": "user", "content": _PROBE},)).partition(_PROBE)[0]

    def _behind_the_answer(self, more: tuple[Message, ...]) -> str:
        talk = ({"role": "user", "content": _PROBE}, {"role": "assistant", "content": _PROBE[::-1]}, *more)
        try:
            text = self._rendered(talk, f"a conversation of {len(talk)} turns", False, any_date=True)
        except TaskError:
            return ""  # a template for prompts alone
        at = text.rfind(_PROBE[::-1])
        return "" if at < 0 else text[at + len(_PROBE) :]

    def _rendered(self, messages: Sequence[Message], what: str, open_answer: bool, *, any_date: bool = False) -> str:
        date = _ANY_DATE.strftime if any_date and self._date is None else self._strftime_now
        try:
            text = self._tokenizer.apply_chat_template(
                [dict(message) for message in messages],
                tokenize=False,
                add_generation_prompt=open_answer,
                chat_template=self._text,
                **(self._arguments | {"strftime_now": date}),
            )
        except ConfigError:
            raise
        except Exception as error:  # a template raises anything
            raise TaskError(
                f"the chat template fails on {what}: {type(error).__name__}: {one_line(error)}; give --chat-template a "
                "template that does not, use --prompt-style plain, or change the task"
            ) from error
        return str(text)

    def _strftime_now(self, pattern: str) -> str:
        """The fixed date in place of the clock that transformers gives a template."""
        if self._date is None:
            raise ConfigError(
                "the chat template writes today's date, so that the same prompt is another one tomorrow; give "
                "--date YYYY-MM-DD"
            )
        self.wrote_date = True
        return self._date.strftime(pattern)


def parse_date(text: str) -> datetime.datetime:
    """Midnight of a day; raises `ConfigError` for what is no ``YYYY-MM-DD``.

    Other ways to write a day are refused, too: the text is part of a run's identity.
    """
    try:
        found = datetime.datetime.strptime(text, "%Y-%m-%d")
    except ValueError as error:
        raise ConfigError(f"--date {text!r} is no date; give YYYY-MM-DD") from error
    if (whole := found.date().isoformat()) != text:
        raise ConfigError(f"--date {text!r} is not written as YYYY-MM-DD; give {whole}")
    return found


def today() -> str:
    """The day on this machine's clock, ``YYYY-MM-DD``."""
    return datetime.date.today().isoformat()


def _template_text(tokenizer: PreTrainedTokenizerBase, wanted: str | None) -> str:
    own = tokenizer.chat_template
    named = own if isinstance(own, dict) else {}
    if wanted is not None and wanted in named:
        return str(named[wanted])
    if wanted is not None:
        try:
            return regular(Path(wanted)).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            names = f", nor one of the model's templates ({', '.join(sorted(named))})" if named else ""
            raise ConfigError(f"--chat-template {wanted} is no file that can be read{names}: {error}") from error
    if not named:
        return str(own)
    if "default" in named:
        return str(named["default"])
    if len(named) == 1:
        return str(next(iter(named.values())))
    raise ConfigError(
        f"the model has several chat templates and none of them is the default; give --chat-template one of "
        f"{', '.join(sorted(named))}"
    )


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= _EXCERPT_CHARS else text[: _EXCERPT_CHARS - 3] + "...")
