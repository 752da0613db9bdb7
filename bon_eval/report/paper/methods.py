"""A paragraph on how a run was made, from what its run.json and its report state: nothing is said that is not known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bon_eval.analysis.imported.either import AnyAnalysis
from bon_eval.config import PLACEMENT_ARGS
from bon_eval.draws import GREEDY, SAMPLE, specs
from bon_eval.engines import REMOTE
from bon_eval.errors import TaskError, counted
from bon_eval.report.formats.text import sampled_with
from bon_eval.report.paper.methods_statistics import listed, statistics, versions
from bon_eval.store.extent import session_extents
from bon_eval.store.imported.source import LACKING, absent, forced_as_own
from bon_eval.tasks.load import load_task
from bon_eval.tasks.problems import spec_hash
from bon_eval.tasks.spec import FileData, HubData, TaskSpec

Meta = Mapping[str, Any]

_HASH = 12
"""Digits of a hash or a commit that are said."""
_ENGINES = {"vllm": "vLLM", "transformers": "transformers"}


def methods(meta: Meta, analysis: AnyAnalysis) -> list[str]:
    """The sentences.

    Args:
        meta: the run's run.json.
        analysis: of its own report.
    """
    return [*of_run(meta, analysis), *statistics(analysis), versions(meta)]


def of_run(meta: Meta, analysis: AnyAnalysis) -> list[str]:
    """Model, task, prompts, sampling, engine, grader: what does not depend on how the run is analysed."""
    imported = "source" in meta
    parts = [_model(meta), _task(meta, analysis)]
    parts += _imported(meta) if imported else [*_prompts(meta), *_sampling(meta), *_engine(meta)]
    grader = grader_of(analysis)
    parts.append(f"Responses were graded by the grader {grader['name']}, version {grader['version']}.")
    return [part for part in parts if part]


def grader_of(analysis: AnyAnalysis) -> Mapping[str, Any]:
    """Whose grades the run has now, which may be another one's than the task's."""
    found = analysis.run["grader"]
    assert isinstance(found, Mapping)
    return found


def _short(content: str) -> str:
    return content[:_HASH]


def _model(meta: Meta) -> str:
    config = meta["config"]
    known = []
    if config.get("revision"):
        known.append(f"revision {_short(config['revision'])}")
    if config.get("model_hash") and config["engine"] != REMOTE:
        known.append(f"files of SHA-256 {_short(config['model_hash'])}")
    text = f"The model is {config['model']}" + (f" ({', '.join(known)})" if known else "")
    if config.get("adapter"):
        content = config.get("adapter_hash")
        text += f" with the LoRA adapter {config['adapter']}{f' (SHA-256 {_short(content)})' if content else ''}"
    return f"{text}."


def _task(meta: Meta, analysis: AnyAnalysis) -> str:
    config = meta["config"]
    limit, n = config.get("limit"), analysis.n_problems
    text = f"The task is {config['task']}: {counted(n)}"
    if limit is not None:
        text += f", of the first {limit} of the task"
    if config.get("shard"):
        text += f", those of part {config['shard']} of the run"
    if analysis.n_excluded:
        text += f"; {counted(analysis.n_excluded)} with a truncated response left out"
    return f"{text}{_data(meta)}."


def _data(meta: Meta) -> str:
    """Whence the problems come; empty where that is not known."""
    config = meta["config"]
    rows = f"(task and rows of SHA-256 {_short(config['task_hash'])})"
    if config.get("data"):
        return f"; the data are of the local file {config['data']} {rows}"
    if meta.get("identity", {}).get("imported", {}).get("problems_from_source"):
        return "; questions and reference answers are of the imported files"
    spec = _same_task(config)
    if spec is None or spec.dataset is None:
        return f"; the task's definition has SHA-256 {_short(config['spec_hash'])}"
    if isinstance(spec.dataset, FileData):
        return f"; the data come with the task {rows}"
    data: HubData = spec.dataset
    part = f"configuration {data.config}, " if data.config else ""
    revision = _short(data.revision) if len(data.revision) == 40 else data.revision
    return f"; the data are {data.id} ({part}split {data.split}, revision {revision})"


def _same_task(config: Meta) -> TaskSpec | None:
    """The task that comes with bon-eval, where it asks what the run's task asked; None where that is another one."""
    try:
        spec = load_task(str(config["task"]))
    except TaskError:
        return None
    if config.get("system") is not None:
        spec = replace(spec, system=config["system"] or None)
    return spec if spec_hash(spec) == config.get("spec_hash") else None


def _prompts(meta: Meta) -> Iterator[str]:
    config = meta["config"]
    chat = config["prompt_style"] == "chat"
    text = "Prompts are plain text" if not chat else "Prompts are rendered by the model's chat template"
    if chat and config.get("chat_template"):
        text = f"Prompts are rendered by the chat template {config['chat_template']}"
    more = []
    if arguments := config.get("chat_template_args"):
        more.append(f"its arguments {_arguments(arguments)}")
    if config.get("date"):
        more.append(f"the date {config['date']}")
    if config.get("system"):
        more.append(f"the system text {_quoted(config['system'])}")
    text += f", with {listed(more)}" if more else ""
    text += ", without a system text" if config.get("system") == "" else ""
    shots = config["shots"]
    if shots:
        text += f"; each has {counted(shots, 'solved example')}, drawn with seed {config['seed']}"
        text += f" from {config['train_data']}" if config.get("train_data") else ""
    else:
        text += ", without examples"
    yield f"{text}."


def _sampling(meta: Meta) -> Iterator[str]:
    config = meta["config"]
    drawn = specs(config)
    pool = next(draw for draw in drawn if draw.name == SAMPLE)
    off = "top_p 1, no top_k, no penalties"
    yield (
        f"For each problem one response is decoded greedily (temperature 0) and {counted(pool.n, 'response')} sampled "
        f"with {sampled_with(pool)} ({off}), of at most {counted(config['max_tokens'], 'token')} each."
    )
    others = [
        f"{draw.name} ({counted(draw.n, 'response')}, {sampled_with(draw)})"
        for draw in drawn
        if draw.name not in (GREEDY, SAMPLE)
    ]
    if others:
        yield f"Further draws are {listed(others)}."
    if config.get("stop"):
        yield f"A response also ends at {listed([_quoted(text) for text in config['stop']], 'or')}."
    yield (
        "The log-likelihood of a response is the sum of the log-probabilities of its own tokens, the end token "
        "included, under the model's distribution without temperature or truncation."
    )


def _engine(meta: Meta) -> Iterator[str]:
    config = meta["config"]
    sessions = [s for s in meta.get("sessions", []) if s.get("engine")]
    used = list(dict.fromkeys(_engine_text(config, s["engine"]) for s in sessions)) or [
        _engine_text(config, meta.get("engine") or {})
    ]
    remote = config["engine"] == REMOTE
    seed = ", whose seed is its own" if remote else f", seed {config['seed']}"
    yield f"Responses were generated by {listed(used)}{seed}."
    given = {k: v for k, v in sorted(config.get("engine_args", {}).items()) if k not in PLACEMENT_ARGS}
    if given:
        yield f"The engine was given {_arguments(given)}."
    extents = session_extents(meta.get("sessions", []))
    if len(extents) > 1:
        yield f"The run grew in {len(extents)} steps: {'; then '.join(extents)}."
    redrawn = sum(s.get("redrawn", 0) for s in meta.get("sessions", []))
    if redrawn:
        yield f"Up to {counted(redrawn, 'response')} were lost to interruptions and drawn again."


def _engine_text(config: Meta, engine: Meta) -> str:
    version = str(engine.get("version") or "")
    if config["engine"] == REMOTE:
        server = " ".join(filter(None, (str(engine.get("server") or ""), version)))
        served = engine.get("served_model")
        name = f", where the model is called {served}" if served and served != config["model"] else ""
        return f"a server of the OpenAI interface{f' ({server})' if server else ''}{name}"
    name = _ENGINES.get(config["engine"], str(config["engine"]))
    dtype = engine.get("dtype") or config["dtype"]
    where = ", ".join(str(text) for text in (engine.get("device"), dtype) if text)
    return f"{name} {version}".strip() + (f" ({where})" if where else "")


def _imported(meta: Meta) -> Iterator[str]:
    config, source = meta["config"], meta["source"]
    files = [f"{Path(file['path']).name} (SHA-256 {_short(file['sha256'])})" for file in source["files"]]
    others = f" and {counted(len(files) - 1, 'other file')}" if len(files) > 1 else ""
    yield (
        f"The responses were sampled by another program and imported from {files[0]}{others}, format "
        f"{source['format']}: {counted(config['n'], 'response')} to each problem{_of_more(source)}"
        f"{', and one greedy response' if config.get('greedy') else ''}."
    )
    known = []
    if config.get("temperature") is not None:
        known.append(f"temperature {config['temperature']:g}")
    if config.get("max_tokens") is not None:
        known.append(f"at most {counted(config['max_tokens'], 'token')}")
    if known:
        yield f"As sampled: {', '.join(known)}."
    unknown = [
        *(["the temperature"] if config.get("temperature") is None else []),
        *(["the limit of tokens"] if config.get("max_tokens") is None else []),
        *(LACKING[name] for name in absent(meta) if name in LACKING),
    ]
    if unknown:
        yield f"The source does not state {listed(unknown, 'or')}."
    own = forced_as_own(meta)
    if own is not None:
        engine = _engine_text(config | {"engine": meta["engine"].get("name", config["engine"])}, meta["engine"])
        yield f"Log-likelihoods are those of {own['model']}, computed of the texts in its own tokens by {engine}."
    elif source.get("log_likelihood"):
        yield f"Log-likelihoods are {source['log_likelihood']}."


def _of_more(source: Meta) -> str:
    most, least = source.get("largest_pool"), source.get("smallest_pool")
    return f", the first of up to {most}" if most is not None and most != least else ""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _arguments(given: Mapping[str, object]) -> str:
    return listed([f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in given.items()])
