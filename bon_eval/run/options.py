"""What the user asked a run for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from bon_eval.draws import DrawSpec
from bon_eval.engines import REMOTE
from bon_eval.errors import ConfigError
from bon_eval.tasks.chat import ChatOptions, parse_date
from bon_eval.tasks.spec import PromptStyle


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What the user asked for; None leaves it to the task."""

    model: str
    task: str
    n: int = 32
    limit: int | None = None
    max_tokens: int | None = None
    temperature: float = 1.0
    engine: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    adapter: str | None = None
    seed: int = 0
    data: Path | None = None
    train_data: Path | None = None
    out: Path | None = None
    fresh: bool = False
    prompt_style: PromptStyle | None = None
    shots: int | None = None
    trust_remote_code: bool = False
    engine_args: dict[str, object] = field(default_factory=dict)
    token_stats: str = "none"
    shard: str | None = None
    system: str | None = None
    """The system text in place of the task's."""
    chat: ChatOptions = field(default_factory=ChatOptions)
    stop: tuple[str, ...] = ()
    """Stop strings besides the task's."""
    stop_tokens: tuple[str, ...] = ()
    """End tokens besides the model's, by text or id."""
    draws: tuple[DrawSpec, ...] = ()
    """Besides greedy, the pool and the task's own."""
    task_draws: bool = True
    """Whether the task's own are drawn."""
    cluster: str | None = None
    """Column of the problems that share a source, in place of the task's."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit must be at least 1, got {self.limit}")
        if "" in self.stop or "" in self.stop_tokens:
            raise ConfigError("--stop and --stop-token cannot be empty; leave them out, or give a text")
        if self.chat.date is not None:
            parse_date(self.chat.date)
        stops = (("--stop", self.stop), ("--stop-token", self.stop_tokens))
        for option, text in (("--system", self.system), *((name, text) for name, texts in stops for text in texts)):
            try:
                (text or "").encode()
            except UnicodeEncodeError as error:
                raise ConfigError(f"{option} {text!r} is no UTF-8 text ({error.reason}); check the locale") from error

    def dated(self, date: str | None) -> RunOptions:
        """The same with that date for the chat template, where none was given."""
        return replace(self, chat=replace(self.chat, date=self.chat.date or date))


def served(options: RunOptions) -> RunOptions:
    """The options of a run whose model is served elsewhere, the name under which it is served included.

    That name is part of the run's identity: the weights behind it cannot be read from here.

    Raises:
        ConfigError: an option that only the server can decide, or an engine argument that is not taken.
    """
    from bon_eval.engines.servers import ServerSettings

    for name, given, remedy in (
        ("--dtype", options.dtype != "auto", "start the server with it"),
        ("--adapter", options.adapter is not None, "serve it, and name it with --engine-arg served_model=NAME"),
    ):
        if given:
            raise ConfigError(f"{name} is the server's to set with engine {REMOTE}; {remedy}")
    args = {"served_model": options.model, **options.engine_args}
    if ServerSettings.of(args).api == "chat" and (options.chat.template is not None or options.chat.arguments):
        raise ConfigError(
            "--chat-template and its arguments do not reach the server with api=chat, which renders the messages by "
            "its own copy; use api=completions, which sends the prompt as it is rendered here"
        )
    return replace(options, engine_args=args)
