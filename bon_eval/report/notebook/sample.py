"""`bon_eval.run`: sample, grade and report one model on one task, as the command does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bon_eval.analysis.settings import DEFAULT_SCORERS, resolve_settings
from bon_eval.draws import parse_draws
from bon_eval.errors import ConfigError, unknown_name
from bon_eval.report.notebook.run import Run, load_run
from bon_eval.report.stored.any_run import write_any
from bon_eval.report.stored.own import Asked, analysed, check_stored
from bon_eval.run.execute import execute
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.tasks.chat import ChatOptions
from bon_eval.tasks.groups import find_group

_CHAT = {"chat_template": "template", "chat_template_args": "arguments", "date": "date"}
_PATHS = ("data", "train_data", "out")


def run(
    *,
    model: str | Path,
    task: str | Path,
    n: int = 32,
    limit: int | None = None,
    engine: str = "auto",
    base_url: str | None = None,
    draw: Sequence[str] | str = (),
    seed: int = 0,
    scorers: Sequence[str] | str = DEFAULT_SCORERS,
    votes: Sequence[str] | str = (),
    ns: Sequence[int] | None = None,
    draws: int = 10_000,
    margin: float = 0.02,
    looks: int = 1,
    html: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Run:
    """Sample, grade and report, as `bon-eval run` does; a run that is stored is gone on with.

    Args:
        model: hub id, directory, or an embedded model (``arith-mixed``, ``arith-worked``).
        task: a task's name, or the path of a YAML file.
        n: responses per problem in the pool.
        limit: only the first problems.
        engine: ``auto``, ``vllm``, ``transformers`` or ``openai``.
        base_url: of an OpenAI-compatible server: engine ``openai``.
        draw: more ways of sampling, each as `--draw` takes it: ``"low=temperature:0.25,n:8"``.
        seed: of sampling, few-shot examples and intervals.
        scorers, votes, ns, draws, margin, looks: settings of the run's own report, as of
            `bon_eval.analysis.analyse.analyse`; `draws` are those of the bootstrap.
        html: also the page and the figures.
        quiet: no progress.
        options: of `bon_eval.run.options.RunOptions`, by name: ``max_tokens``, ``data``, ``out``, ``dtype``,
            ``adapter``, ``shots``, ``engine_args`` ...; and ``chat_template``, ``chat_template_args``, ``date``.

    Returns:
        The run, with its report written into its directory.

    Raises:
        BonEvalError: of the kind that fits, one line each; what was stored before is kept.
    """
    if find_group(str(task)) is not None:
        raise ConfigError(f"{task} is a group of tasks; run one of its tasks at a time, or: bon-eval run --task {task}")
    asked = Asked(
        _names(scorers), _names(votes), None if ns is None else tuple(ns), seed, draws, margin=margin, looks=looks
    )
    wanted = _options(options) | {"model": str(model), "task": str(task), "n": n, "limit": limit, "seed": seed}
    wanted |= {"engine": engine, "draws": parse_draws(_names(draw))}
    if base_url is not None:
        if engine not in ("auto", "openai"):
            raise ConfigError(f"base_url names a server, and engine {engine!r} runs the model here; drop one of them")
        wanted |= {"engine": "openai", "engine_args": {**wanted.get("engine_args", {}), "base_url": base_url}}
    asked = replace(asked, cluster=wanted.get("cluster"))
    chosen = RunOptions(**wanted)
    check_stored(asked.scorers, asked.votes, chosen.token_stats)
    resolve_settings(chosen.n, 1, **asked.arguments())
    directory = execute(prepare(chosen), fresh=chosen.fresh, quiet=quiet)
    stored, analysis = analysed(directory, asked)
    write_any(stored, analysis, directory, html=html)
    return load_run(directory)


def _names(given: Sequence[str] | str) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _options(given: dict[str, Any]) -> dict[str, Any]:
    """Options of `RunOptions` as it takes them; raises `ConfigError` for others."""
    known = [field.name for field in fields(RunOptions) if field.name not in ("chat", "draws")]
    for name in given:
        if name not in known and name not in _CHAT:
            raise ConfigError(unknown_name("option", name, [*known, *_CHAT]))
    found = {name: value for name, value in given.items() if name not in _CHAT}
    for name in _PATHS:
        if found.get(name) is not None:
            found[name] = Path(found[name])
    chat = {_CHAT[name]: value for name, value in given.items() if name in _CHAT}
    for name in ("stop", "stop_tokens"):
        if name in found:
            found[name] = _names(found[name])
    return found | {"chat": ChatOptions(**chat)}
