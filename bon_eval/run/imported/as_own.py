"""A model takes the responses of an imported run as its own: their texts in its tokens, teacher-forced.

What the source states stays where it is. The responses with tokens and log-probs of the model lie beside it, in
``own/<id>/``, and run.json says from then on that they are the run's; a killed scoring goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.config import digest
from bon_eval.engines import REMOTE, choose_engine, open_engine
from bon_eval.engines.arguments import check_arguments
from bon_eval.engines.base import EngineSpec
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import resolve_model, stated_context
from bon_eval.errors import ConfigError, EngineError, ModelError, counted
from bon_eval.records import ForcedSequence, Problem
from bon_eval.run.console.progress import Progress, say
from bon_eval.run.execute import prompt_table
from bon_eval.run.forcing import open_log
from bon_eval.store import parts
from bon_eval.store.extent import FILE, Extent, Held, make_problems, problem_rows
from bon_eval.store.files import lock, write_atomic, write_text
from bon_eval.store.imported.source import is_imported
from bon_eval.store.reader import stored_problems
from bon_eval.store.writer import read_meta
from bon_eval.tasks.chat import ChatOptions, ChatTemplate, today
from bon_eval.tasks.ends import closing_token
from bon_eval.tasks.load import load_task
from bon_eval.tasks.prompts import (
    RenderedPrompt,
    first_prompt_hash,
    plain_token_ids,
    prompts_hash,
    render_prompts,
    resolve_style,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ROWS = 64
_COMPUTED = ("log_likelihood", "n_tokens", "token_ids", "token_logprobs")
STATED_PROMPTS = "stated by the source"


@dataclass(frozen=True, slots=True)
class AsOwn:
    """What `force_as_own` is asked for."""

    model: str
    revision: str | None = None
    engine: str = "auto"
    dtype: str = "auto"
    engine_args: Mapping[str, object] | None = None
    task: str | None = None
    """Name or YAML of the run's task; None: the one of that name that comes with bon-eval."""


@dataclass(slots=True)
class _Words:
    """Texts as a model's tokens."""

    tokenizer: PreTrainedTokenizerBase
    end: int
    kept: int = 0
    """Responses whose token ids, as the source states them, spell their text."""
    ended: int = 0
    """Responses behind whose text the end token was put."""

    def of(self, row: Mapping[str, Any]) -> tuple[int, ...]:
        """The tokens of a response: those of its text, and the end token unless it was cut."""
        given = tuple(row["token_ids"])
        if given and self._spells(given, row["text"]):
            self.kept += 1
            return given
        ids = tuple(self.tokenizer(row["text"], add_special_tokens=False)["input_ids"])
        if row["finish_reason"] == "length" and ids:
            return ids
        self.ended += 1
        return (*ids, self.end)

    def _spells(self, ids: Sequence[int], text: str) -> bool:
        if max(ids) >= len(self.tokenizer):
            return False
        return bool(self.tokenizer.decode(list(ids), skip_special_tokens=True) == text)


def force_as_own(path: Path, options: AsOwn, *, quiet: bool = False) -> Path:
    """Score an imported run's texts by a model whose own they are, as if it had sampled them.

    Tokens are the model's, with its end token behind each response that was not cut (or of which that is not known).
    Prompts are those that the source states, else the task's, rendered for the model without examples.

    Returns the directory of the responses with their tokens and log-probs.

    Raises:
        ConfigError: the run was not imported; an engine that cannot force.
        ModelError: no such model, or one without an end token.
        StoreError: the run is damaged or in use, or the disk is full; what was stored before is kept.
        EngineError: the engine failed or gave numbers that cannot be true.
    """
    meta = read_meta(path)
    if not is_imported(meta):
        raise ConfigError(f"{path} was sampled here and has log-likelihoods of its own; drop --as-own, or --by RUN2")
    engine, reason = choose_engine(options.engine)
    if engine == REMOTE:
        raise ConfigError(f"--as-own scores with an engine that runs here, and {REMOTE} does not; give transformers")
    args = dict(options.engine_args or {})
    check_arguments(engine, args)
    model = resolve_model(options.model, options.revision)
    tokenizer = load_tokenizer(model.directory)
    problems = stored_problems(path)
    prompts, style, end = _prompts(path, meta, problems, tokenizer, options.task)
    words = _Words(tokenizer, end)
    by_id = {prompt.problem_id: prompt.token_ids for prompt in prompts}
    longest = _longest(path, meta, words, by_id)
    context = stated_context(model.directory)
    if context is not None and longest[1] >= context:
        raise ConfigError(
            f"a prompt and its response have {longest[1]} tokens of {options.model}, and its context is {context}; "
            "name the model that sampled them"
        )
    first = first_prompt_hash(prompts)
    who = {"model_hash": model.content_hash, "engine": engine, "dtype": options.dtype, "engine_args": args}
    directory = path / "own" / digest(who | {"prompts": prompts_hash(problems, prompts), "end": end})[:12]
    spec = EngineSpec(
        model_dir=str(model.directory),
        dtype=options.dtype,
        max_length=longest[1] + 1,
        log_path=str(path / "engine.log"),
        engine_args=args,
    )
    with closing(lock(path)):
        say(f"loading {options.model} ({engine}; {reason})", quiet)
        facts = _force(path, meta, spec, engine, directory, words, by_id, options.model, quiet=quiet)
        rows = make_problems(problems, prompt_table(prompts))
        write_atomic(path / FILE, lambda temporary: pq.write_table(rows, temporary, compression="zstd"))
        config = meta["config"] | who
        config |= {"model": options.model, "revision": model.revision, "prompt_style": style, "stop_token_ids": [end]}
        config |= {"prompts_hash": prompts_hash(problems, prompts), "first_prompt": first}
        source = meta["source"]
        own = {"directory": f"own/{directory.name}", "model": options.model, "longest": longest[0]}
        own |= {"ended": words.ended, "kept": words.kept}
        source |= {"own": own, "stated_model": source.get("stated_model", meta["config"]["model"])}
        source["log_likelihood"] = f"forced, re-tokenised by {options.model}"
        source["absent"] = {name: why for name, why in source["absent"].items() if name not in _COMPUTED}
        changed = meta | {"config": config, "engine": facts, "source": source}
        write_text(path / "run.json", json.dumps(changed, indent=2, ensure_ascii=False) + "\n")
    return directory


def _prompts(
    path: Path,
    meta: Mapping[str, Any],
    problems: Sequence[Problem],
    tokenizer: PreTrainedTokenizerBase,
    task: str | None,
) -> tuple[tuple[RenderedPrompt, ...], str, int]:
    """The prompts as the model's tokens, their style, and the token that ends its responses."""
    eos = tokenizer.eos_token_id
    if meta["source"]["prompts"] == STATED_PROMPTS:
        rows = problem_rows(path, ["problem_id", "prompt"]).to_pylist()
        stated = tuple(
            RenderedPrompt(row["problem_id"], row["prompt"], plain_token_ids(tokenizer, row["prompt"])) for row in rows
        )
        return stated, "plain", _an_end(eos)
    spec = load_task(task or meta["config"]["task"])
    style = resolve_style(spec, tokenizer)
    template = ChatTemplate(tokenizer, ChatOptions(date=today())) if style == "chat" else None
    rendered = render_prompts(spec, problems, tokenizer, style=style, shots=0, template=template)
    end = eos if template is None else closing_token(tokenizer, template)
    return rendered, style, _an_end(eos if end is None else end)


def _an_end(token_id: int | None) -> int:
    if token_id is None:
        raise ModelError("the model's tokenizer names no end token, so that the end of a response has no probability")
    return int(token_id)


def _rows(path: Path, meta: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The responses of the run's extent as the source states them, some at a time."""
    stated = parts.list_parts(path / "responses", digest(meta["identity"]))
    for table in Extent.of(path, meta["config"]).take(parts.read_parts(stated)):
        for batch in table.to_batches(max_chunksize=_ROWS):
            yield batch.to_pylist()


def _longest(
    path: Path, meta: Mapping[str, Any], words: _Words, prompts: Mapping[str, tuple[int, ...]]
) -> tuple[int, int]:
    """Tokens of the longest response, and of the longest prompt and response together."""
    response = together = 0
    for rows in _rows(path, meta):
        for row in rows:
            size = len(words.of(row))
            response, together = max(response, size), max(together, size + len(prompts[row["problem_id"]]))
    words.kept = words.ended = 0
    return response, together


def _force(
    path: Path,
    meta: Mapping[str, Any],
    spec: EngineSpec,
    engine_name: str,
    directory: Path,
    words: _Words,
    prompts: Mapping[str, tuple[int, ...]],
    name: str,
    *,
    quiet: bool,
) -> Mapping[str, Any]:
    """Force what the directory does not hold yet; the facts of the engine."""
    log = open_log(directory, digest(meta["identity"]), parts.SCHEMA)
    held = Held.of(log.parts, directory)
    total = sum(len(rows) for rows in _rows(path, meta))
    waiting: dict[int, tuple[list[dict[str, Any]], list[tuple[int, ...]], dict[int, tuple[float, ...]]]] = {}

    def sequences() -> Iterator[ForcedSequence]:
        for number, rows in enumerate(_rows(path, meta)):
            tokens = [words.of(row) for row in rows]
            owed = [not held.has(row["problem_id"], row["arm"], row["index"]) for row in rows]
            kept = [row for row, wanted in zip(rows, owed, strict=True) if wanted]
            own = [ids for ids, wanted in zip(tokens, owed, strict=True) if wanted]
            if kept:
                waiting[number] = kept, own, {}
            for k, (row, ids) in enumerate(zip(kept, own, strict=True)):
                yield ForcedSequence(json.dumps([number, k]), prompts[row["problem_id"]], ids)

    with open_engine(engine_name, spec) as engine:
        done = sum(held.has(row["problem_id"], row["arm"], row["index"]) for rows in _rows(path, meta) for row in rows)
        label = f"scoring by {name}"
        with Progress(total, done=done, label=label, unit="responses", engine=engine, quiet=quiet) as progress:
            for key, logprobs in engine.score(sequences()):
                number, k = json.loads(key)
                rows, tokens, values = waiting[number]
                values[k] = logprobs
                if len(values) == len(rows):
                    del waiting[number]
                    log.append(_table(rows, tokens, [values[i] for i in range(len(rows))]))
                    progress.advance(len(rows))
        facts: Mapping[str, Any] = engine.facts
    if waiting:
        left = sum(len(rows) for rows, _, _ in waiting.values())
        raise EngineError(f"the engine ended without scoring {counted(left, 'response')}; run the command again")
    log.finish()
    return facts


def _table(
    rows: Sequence[Mapping[str, Any]], tokens: Sequence[Sequence[int]], logprobs: Sequence[Sequence[float]]
) -> pa.Table:
    values = [np.asarray(each, dtype=np.float32) for each in logprobs]
    for row, each in zip(rows, values, strict=True):
        if not np.isfinite(each).all() or (each > 0).any():
            raise EngineError(
                f"problem {row['problem_id']}, {row['arm']} {row['index']}: a forced log-prob is not finite or above "
                "0; nothing of its batch was stored"
            )
    given = {name: [row[name] for row in rows] for name in ("problem_id", "arm", "index", "text", "finish_reason")}
    made = {
        "token_ids": [list(ids) for ids in tokens],
        "token_logprobs": values,
        "log_likelihood": [float(each.astype(np.float64).sum()) for each in values],
        "n_tokens": [len(each) for each in values],
    }
    columns = given | made
    return pa.table([pa.array(columns[f.name], f.type) for f in parts.SCHEMA], schema=parts.SCHEMA)
