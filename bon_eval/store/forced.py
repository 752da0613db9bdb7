"""Reading forced log-probs: log-likelihoods of a run's responses under another model, and under its own.

They lie beside the responses, in ``scores/<id>/``, one directory for each scoring model.

Sampling and scoring run other kernels: in bfloat16 the two log-likelihoods of one response under one model differ by
rounding, and not by chance alone, since sampling draws what its own rounding made likely. So a difference of two
models' likelihoods takes forced ones on both sides where it has forced ones on one: a model that scores another run's
responses scores its own run's as well (`is_inexact`). In float32, where `bon-eval doctor` holds the two to 1e-3 nats a
token, it does not, and every report says which likelihoods it took.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.config import PLACEMENT_ARGS, RunConfig, digest, draws
from bon_eval.errors import StoreError
from bon_eval.records import Draw
from bon_eval.store import parts
from bon_eval.store.extent import Held, problem_rows
from bon_eval.store.imported.source import forced_as_own
from bon_eval.store.reader import Run
from bon_eval.store.writer import read_meta

SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("token_logprobs", pa.list_(pa.float32()), nullable=False),
        pa.field("log_likelihood", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class ForcedBy:
    """The model behind forced log-probs, and how it was run. Names are for people, hashes decide."""

    model: str
    model_hash: str
    adapter: str | None
    adapter_hash: str | None
    engine: str
    dtype: str
    prompts_hash: str
    """Of the first prompt that responses were scored after; for a run of format 1 of all of them."""
    engine_args: dict[str, object]

    @property
    def id(self) -> str:
        """Twelve hex digits over everything that a log-prob depends on."""
        content = asdict(self)
        del content["model"], content["adapter"]
        content["engine_args"] = {k: v for k, v in sorted(self.engine_args.items()) if k not in PLACEMENT_ARGS}
        return digest(content)[:12]

    @classmethod
    def of(cls, config: RunConfig | Mapping[str, Any]) -> ForcedBy:
        """The model of a run, as its own configuration has it."""
        given = config.as_dict() if isinstance(config, RunConfig) else config
        names = ("model", "model_hash", "adapter", "adapter_hash", "engine", "dtype", "engine_args")
        fields: dict[str, Any] = {name: given[name] for name in names}
        return cls(prompts_hash=str(given.get("first_prompt") or given["prompts_hash"]), **fields)


def forced_responses(path: Path, by: ForcedBy) -> Held:
    """The responses of a run that `by` has scored."""
    owner = digest({"run": read_meta(path)["identity"], "by": by.id})
    directory = path / "scores" / by.id
    return Held.of(parts.list_parts(directory, owner, SCHEMA), directory)


def is_scored(path: Path, by: ForcedBy) -> bool:
    """Whether `by` has scored every response of a run's extent."""
    ids = problem_rows(path, ["problem_id"])["problem_id"].to_pylist()
    return forced_responses(path, by).covers(draws(read_meta(path)["config"]), ids)


def missing_scores(first: Run, second: Run) -> tuple[str, ...]:
    """The commands that have each of two runs scored by the other's model, of those that are still to be run."""
    pairs = ((first, second), (second, first))
    return tuple(
        f"bon-eval score {run.path} --by {by.path}"
        for run, by in pairs
        if not is_scored(run.path, ForcedBy.of(by.meta["config"]))
    )


def load_forced(
    path: Path, by: ForcedBy, problem_ids: Sequence[str], arm: str, n: int, *, source: Path
) -> NDArray[np.float64]:
    """Log-likelihoods of a run's responses under another model, shape (P, n), in nats.

    Args:
        path: the run directory.
        by: the model.
        problem_ids: P ids, the order of the rows.
        arm, n: which responses; n of them for each problem.
        source: a run of that model, for the message of what to do.

    Raises:
        StoreError: the run was not scored by that model, or not all of it.
    """
    return _load(path, by, problem_ids, {arm: n}, source)[arm]


def _load(
    path: Path, by: ForcedBy, problem_ids: Sequence[str], sizes: Mapping[Draw, int], source: Path
) -> dict[Draw, NDArray[np.float64]]:
    """`load_forced` of several draws, draw -> n, with every part read once."""
    meta = read_meta(path)
    directory = path / "scores" / by.id
    stored = parts.list_parts(directory, digest({"run": meta["identity"], "by": by.id}), SCHEMA)
    ids = pa.array(problem_ids, pa.string())
    out = {draw: np.full((len(problem_ids), n), np.nan) for draw, n in sizes.items()}
    for table in parts.read_parts(stored, ["problem_id", "arm", "index", "log_likelihood"]):
        for draw, n in sizes.items():
            rows = table.filter(pc.and_(pc.equal(table["arm"], draw), pc.less(table["index"], n)))
            row = pc.fill_null(pc.index_in(rows["problem_id"], value_set=ids), -1).to_numpy()
            there = row >= 0
            out[draw][row[there], rows["index"].to_numpy()[there]] = rows["log_likelihood"].to_numpy()[there]
    for draw, values in out.items():
        missing = np.argwhere(np.isnan(values))
        if len(missing):
            raise StoreError(
                f"{path}: {draw} response {missing[0, 1]} of problem {problem_ids[missing[0, 0]]} was not scored by "
                f"{by.model} ({by.engine}, {by.dtype}); run: bon-eval score {path} --by {source}"
            )
    return out


def load_forced_by(run: Run, other: Run) -> dict[Draw, NDArray[np.float64]]:
    """Log-likelihoods of all of a run's responses under another run's model: draw -> (P, n) in the run's own order.

    Raises:
        StoreError: the run was not scored by that model, or not all of it.
    """
    by = ForcedBy.of(other.meta["config"])
    sizes = {draw: pool.n for draw, pool in run.draws.items()}
    return _load(run.path, by, run.pool.problem_ids, sizes, other.path)


LikelihoodSource = Literal["forced", "sampled"]
"""Where the log-likelihoods of a run's responses under its own model come from."""


def is_inexact(meta: Mapping[str, Any]) -> bool:
    """Whether a run's engine computed in less than float32 (or does not say), so that forcing is not sampling."""
    return (meta.get("engine") or {}).get("dtype") != "float32"


def own_likelihoods(run: Run) -> tuple[dict[Draw, NDArray[np.float64]], LikelihoodSource]:
    """Log-likelihoods of a run's responses under its own model, draw -> (P, N): forced, where all of them are."""
    by = ForcedBy.of(run.meta["config"])
    if forced_responses(run.path, by).covers(draws(run.meta["config"]), run.pool.problem_ids):
        return load_forced_by(run, run), "forced"
    own = {draw: pool.log_likelihood for draw, pool in run.draws.items()}
    return own, "forced" if forced_as_own(run.meta) else "sampled"


@dataclass(frozen=True, slots=True, eq=False)
class Likelihoods:
    """Log-likelihoods of the responses of two runs under both models, for differences between the models.

    Each is draw -> (P, N), in nats, in the order of the run that the responses are of.
    """

    base: Mapping[Draw, NDArray[np.float64]]
    """The base run's responses under its own model."""
    base_by_tuned: Mapping[Draw, NDArray[np.float64]]
    tuned: Mapping[Draw, NDArray[np.float64]]
    """The tuned run's responses under its own model."""
    tuned_by_base: Mapping[Draw, NDArray[np.float64]]
    sources: tuple[LikelihoodSource, LikelihoodSource]
    """Of `base` and of `tuned`; the other two are forced."""


def load_likelihoods(before: Run, after: Run) -> Likelihoods:
    """Of a base model's run and its tuned model's.

    Raises:
        StoreError: a run was not scored by the other's model, or not all of it.
    """
    base, of_base = own_likelihoods(before)
    tuned, of_tuned = own_likelihoods(after)
    return Likelihoods(
        base, load_forced_by(before, after), tuned, load_forced_by(after, before), sources=(of_base, of_tuned)
    )
