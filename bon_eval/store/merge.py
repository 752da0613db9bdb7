"""Shards -> the run that they are parts of: the same directory as if one machine had sampled it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bon_eval.config import Shard, differences, digest, draws, shard_index
from bon_eval.draws import changed_parameters
from bon_eval.errors import StoreError
from bon_eval.store import parts
from bon_eval.store.extent import Held, in_order, problem_rows, write_problems
from bon_eval.store.files import TEMPORARY, cannot_write, lock, make_directory, write_text
from bon_eval.store.reader import stored_parts
from bon_eval.store.writer import read_meta


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge made."""

    directory: Path
    problems: int
    """Problems whose responses are all there."""
    missing: tuple[str, ...]
    """Ids of the others, in task order."""
    notices: tuple[str, ...]
    """What differs between the shards and does not make them other runs."""


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    meta: dict[str, Any]
    shard: Shard

    @property
    def whole(self) -> dict[str, object]:
        """The identity of the run that it is a part of."""
        return {name: value for name, value in self.meta["identity"].items() if name != "shard"}


def merge_shards(directories: Sequence[Path], out: Path | None = None, *, partial: bool = False) -> Merged:
    """Join shards into the run that they are parts of; the shards stay as they are.

    Args:
        directories: of the shards, in any order.
        out: of the merged run. [default: where the whole run would lie, beside the first shard]
        partial: join what is there; `bon-eval run` without --shard samples the rest.

    Raises:
        StoreError: no shards, of different runs, one given twice, in use or damaged; problems are missing (the message
            names the first and its shard) and `partial` is not set; `out` is in the way; the disk is full. Nothing is
            left that looks like a run.
    """
    with ExitStack() as stack:
        sources = _sources(directories)
        for source in sources:
            stack.enter_context(closing(lock(source.path)))
        target = out or _default(sources)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StoreError(f"{target} exists; give --out another directory, or move it away")
        order = _order(sources)
        done = _finished(sources)
        missing = tuple(problem for problem in order if problem not in done)
        if missing and not partial:
            raise StoreError(_missing(missing, order, sources))
        temporary = target.with_name(f"{TEMPORARY}merge-{target.name}")
        make_directory(temporary)
        stack.enter_context(closing(lock(temporary)))
        try:
            _build(temporary, sources, order, complete=not missing)
            if target.is_dir():
                target.rmdir()
            temporary.rename(target)
        except OSError as error:
            raise cannot_write(target, error) from error
    return Merged(target, len(order) - len(missing), missing, _notices(sources))


def _sources(directories: Sequence[Path]) -> list[_Source]:
    found: list[_Source] = []
    for path in directories:
        meta = read_meta(path)
        name = meta["identity"].get("shard")
        if name is None:
            raise StoreError(f"{path} is a whole run, no shard of one; merge what `bon-eval run --shard I/K` made")
        source = _Source(path, meta, Shard.parse(name))
        for other in found:
            if changed := differences(other.whole, source.whole):
                raise StoreError(f"{other.path} and {path} are parts of different runs ({'; '.join(changed)})")
            one, two = draws(other.meta["config"]), draws(meta["config"])
            if one != two:
                none = dict.fromkeys([*one, *two], 0)
                far = differences({**none, **one}, {**none, **two})
                raise StoreError(
                    f"{other.path} and {path} are not equally far: {'; '.join(far)} "
                    "responses a problem; run the command of the larger one for the other shard, too"
                )
            if changed_draw := changed_parameters(other.meta.get("draws", {}), meta.get("draws", {})):
                name, how = changed_draw
                raise StoreError(
                    f"{other.path} and {path} hold draws {name!r} with other parameters ({how}); sample it for both "
                    "with the same ones under another name, or one of them again with --fresh"
                )
            if other.shard.of != source.shard.of:
                raise StoreError(
                    f"{other.path} is shard {other.shard} and {path} is shard {source.shard}: two ways to split one run"
                )
            if other.shard == source.shard:
                raise StoreError(f"{other.path} and {path} are both shard {source.shard}; give each shard once")
        found.append(source)
    if not found:
        raise StoreError("no shard given; bon-eval merge SHARD...")
    return sorted(found, key=lambda source: source.shard.index)


def _default(sources: Sequence[_Source]) -> Path:
    first = sources[0]
    path = first.path.resolve()
    if not path.name.endswith(first.shard.suffix):
        raise StoreError(f"{first.path} has a name of its own, so there is no default for the merged run; give --out")
    return path.with_name(path.name.removesuffix(first.shard.suffix))


def _order(sources: Sequence[_Source]) -> list[str]:
    """The ids of the whole run's problems, as every shard has them."""
    found: list[str] | None = None
    for source in sources:
        file = source.path / "order.parquet"
        try:
            order = pq.read_table(file)["problem_id"].to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise StoreError(f"{file} is missing or damaged; remove it and run that shard's command again") from error
        if found is not None and order != found:
            raise StoreError(
                f"{sources[0].path} and {source.path} list other problems, {len(found)} and {len(order)} of them; run "
                "the command with the larger --limit for both"
            )
        found = order
    assert found is not None
    return found


def _finished(sources: Sequence[_Source]) -> set[str]:
    """Problems whose every request is there whole."""
    done: set[str] = set()
    for source in sources:
        held = Held.of(stored_parts(source.path, source.meta), source.path)
        for problem, draw in held:
            if not source.shard.holds(problem):
                raise StoreError(
                    f"{source.path}: {draw} responses of problem {problem} belong to another shard than "
                    f"{source.shard}; the parts were edited or copied: restore them"
                )
        owed = draws(source.meta["config"])
        done |= {problem for problem in {problem for problem, _ in held} if held.covers(owed, [problem])}
    return done


def _missing(missing: Sequence[str], order: Sequence[str], sources: Sequence[_Source]) -> str:
    of = sources[0].shard.of
    given = {source.shard.index for source in sources}
    lacking: dict[int, int] = {}
    for problem in missing:
        index = shard_index(problem, of)
        lacking[index] = lacking.get(index, 0) + 1
    where = ", ".join(
        f"{count} in shard {index}/{of}{'' if index in given else ' (not given)'}" for index, count in lacking.items()
    )
    return (
        f"{len(missing)} of {len(order)} problems lack responses, the first is {missing[0]}: {where}; finish them by "
        "the same commands that made the shards, or merge what is there with --partial"
    )


def _build(directory: Path, sources: Sequence[_Source], order: Sequence[str], *, complete: bool) -> None:
    """Fill a directory; what a killed merge left in it is removed first."""
    for leftover in directory.iterdir():
        if leftover.is_dir():
            shutil.rmtree(leftover)
        elif leftover.name != "run.lock":
            leftover.unlink()
    responses = directory / "responses"
    make_directory(responses)
    identity = sources[0].whole
    schema = parts.TOPK_SCHEMA if identity.get("token_stats") == "topk" else parts.SCHEMA
    first = 0
    for source in sources:
        stored = stored_parts(source.path, source.meta)
        groups = sum(pq.read_metadata(part.path).num_row_groups for part in stored)
        if groups:
            # One row group at a time: a shard may be larger than memory.
            last = first + groups - 1
            parts.write_part(responses, first, last, digest(identity), parts.read_parts(stored), schema)
            first = last + 1
    write_problems(directory, in_order([source.path for source in sources], order))
    meta = sources[0].meta
    sessions = [s | {"shard": str(source.shard)} for source in sources for s in source.meta["sessions"]]
    whole: dict[str, Any] = {
        "format": meta["format"],
        "identity": identity,
        "sessions": sessions,
        "state": "sampled" if complete else "sampling",
        "config": meta["config"] | {"shard": None},
        "draws": {name: value for source in sources for name, value in source.meta.get("draws", {}).items()},
        **{name: meta[name] for name in ("versions", "engine") if name in meta},
    }
    if all("tokenizer" in source.meta for source in sources):
        summed = ("prompts_with_unknown", "problems_with_special")
        counts = {name: sum(s.meta["tokenizer"].get(name, 0) for s in sources) for name in summed}
        prompts = problem_rows(directory, ["prompt"])["prompt"]
        counts["repeated_prompts"] = len(prompts) - len(prompts.unique())
        whole["tokenizer"] = meta["tokenizer"] | counts
    # Last: without it the directory is no run.
    write_text(directory / "run.json", json.dumps(whole, indent=2, ensure_ascii=False) + "\n")


def _notices(sources: Sequence[_Source]) -> tuple[str, ...]:
    """Versions and engine facts in which sessions differ, one line each."""
    seen: dict[str, dict[str, list[str]]] = {}
    for source in sources:
        for session in source.meta["sessions"]:
            for name, value in _flat(session).items():
                shards = seen.setdefault(name, {}).setdefault(value, [])
                if str(source.shard) not in shards:
                    shards.append(str(source.shard))
    return tuple(
        f"{name} differs: " + "; ".join(f"{value} in {', '.join(shards)}" for value, shards in values.items())
        for name, values in seen.items()
        if len(values) > 1
    )


def _flat(session: Mapping[str, Any]) -> dict[str, str]:
    facts = {f"engine {name}": value for name, value in session["engine"].items() if name != "fingerprint"}
    return {name: str(value) for name, value in (*session["versions"].items(), *facts.items())}
