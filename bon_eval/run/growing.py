"""What stored runs hold of a run that is planned: the part of its cost that is paid already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bon_eval.config import Shard, differences
from bon_eval.draws import DrawSpec
from bon_eval.errors import ConfigError, StoreError
from bon_eval.run.execute import prompt_table
from bon_eval.run.prepare import PreparedPrompts
from bon_eval.store.extent import Held, check_format, join_draws, make_problems, with_others
from bon_eval.store.parts import Part
from bon_eval.store.prompts import differing_text
from bon_eval.store.reader import stored_parts
from bon_eval.store.writer import read_meta
from bon_eval.tasks.problems import spec_hash


@dataclass(frozen=True, slots=True)
class Growing:
    """Runs that are to grow: of several tasks, or the shards of one run."""

    runs: Mapping[Path, Mapping[str, Any]]
    """run.json by directory."""

    @classmethod
    def of(cls, paths: Iterable[Path], tasks: Sequence[str], shards: int) -> Growing:
        """Read the runs.

        Args:
            paths: of the runs.
            tasks: names of the tasks that are planned.
            shards: parts into which the plan splits each of them.

        Raises:
            StoreError: no run, a damaged one, or one of a format in which runs cannot grow.
            ConfigError: a run of another task, of another split than the plan's, or one that is given twice.
        """
        found: dict[Path, Mapping[str, Any]] = {}
        seen: dict[tuple[str, str | None], Path] = {}
        for path in paths:
            meta = read_meta(path)
            check_format(path, meta)
            config = meta["config"]
            task, shard = config["task"], config.get("shard")
            if task not in tasks:
                raise ConfigError(f"--grow {path} is of task {task}, and the plan is of {', '.join(tasks)}; drop it")
            if (of := 1 if shard is None else Shard.parse(shard).of) != shards:
                what = "a whole run" if shard is None else f"shard {shard}"
                raise ConfigError(
                    f"--grow {path} is {what}, and runs keep their split; give --shards {of}, or plan without --grow"
                )
            if (other := seen.get((task, shard))) is not None:
                raise ConfigError(f"--grow {other} and {path} are the same part of {task}; give it once")
            seen[task, shard] = path
            found[path] = meta
        return cls(found)

    def date(self, task: str) -> str | None:
        """The date that the chat template wrote into the runs of a task."""
        return next((m["config"].get("date") for m in self.runs.values() if m["config"]["task"] == task), None)

    def held(self, ready: PreparedPrompts, draws: Sequence[DrawSpec], *, max_tokens: int, seed: int) -> Held:
        """The responses that the runs of one task hold.

        Compared is what can be without the model: task, prompts, draws, seed and most tokens. Weights, engine, dtype
        and the pool's temperature are compared where the run is gone on with.

        Raises:
            StoreError: a run is of other settings, or holds other problems or draws of the same names.
        """
        given: dict[str, object] = {
            "spec_hash": spec_hash(ready.spec),
            "max_tokens": max_tokens,
            "prompt_style": ready.style,
            "shots": ready.shots,
            "seed": seed,
        }
        stored: list[Part] = []
        for path, meta in self.runs.items():
            if meta["config"]["task"] != ready.spec.name:
                continue
            if changed := differences({name: meta["identity"].get(name) for name in given}, given):
                raise StoreError(f"--grow {path}: this plan is of another run ({'; '.join(changed)}); give its options")
            own = stored_parts(path, dict(meta))
            join_draws(f"--grow {path}", meta, Held.of(own, path), draws[2:])
            rows = make_problems(ready.problems, prompt_table(ready.prompts))
            with_others(path, rows, partial(_another, path))
            stored += own
        return Held.of(stored, Path("the runs of --grow"))


def _another(path: Path, problem: str, stored: str, given: str) -> StoreError:
    found = differing_text(stored, given, "stored", "now") or "another gold answer or other tokens"
    return StoreError(f"--grow {path} holds another problem {problem!r}: {found}; it cannot grow into this run")
