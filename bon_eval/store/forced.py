"""Reading forced log-probs: log-likelihoods of a run's responses under another model.

They lie beside the responses, in ``scores/<id>/``, one directory for each scoring model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bon_eval.config import PLACEMENT_ARGS, RunConfig, digest
from bon_eval.errors import StoreError
from bon_eval.records import Draw
from bon_eval.store import parts
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
    """Of the prompts that the responses were scored after."""
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
        names = ("model", "model_hash", "adapter", "adapter_hash", "engine", "dtype", "prompts_hash", "engine_args")
        fields: dict[str, Any] = {name: given[name] for name in names}
        return cls(**fields)


def forced_requests(path: Path, by: ForcedBy) -> set[tuple[str, str]]:
    """(problem id, arm) of the requests whose responses `by` has scored."""
    owner = digest({"run": read_meta(path)["identity"], "by": by.id})
    return stored_requests(parts.list_parts(path / "scores" / by.id, owner, SCHEMA))


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
    meta = read_meta(path)
    directory = path / "scores" / by.id
    stored = parts.list_parts(directory, digest({"run": meta["identity"], "by": by.id}), SCHEMA)
    row_of = {problem: row for row, problem in enumerate(problem_ids)}
    out = np.full((len(problem_ids), n), np.nan)
    for table in parts.read_parts(stored, ["problem_id", "arm", "index", "log_likelihood"]):
        rows = table.filter(pc.equal(table["arm"], arm))
        row = np.array([row_of.get(problem, -1) for problem in rows["problem_id"].to_pylist()], dtype=np.int64)
        there = row >= 0
        out[row[there], rows["index"].to_numpy()[there]] = rows["log_likelihood"].to_numpy()[there]
    missing = np.argwhere(np.isnan(out))
    if len(missing):
        raise StoreError(
            f"{path}: {arm} response {missing[0, 1]} of problem {problem_ids[missing[0, 0]]} was not scored by "
            f"{by.model} ({by.engine}, {by.dtype}); run: bon-eval score {path} --by {source}"
        )
    return out


def load_forced_by(run: Run, other: Run) -> dict[Draw, NDArray[np.float64]]:
    """Log-likelihoods of all of a run's responses under another run's model: draw -> (P, n) in the run's own order.

    Raises:
        StoreError: the run was not scored by that model, or not all of it.
    """
    by = ForcedBy.of(other.meta["config"])
    return {
        draw: load_forced(run.path, by, pool.problem_ids, draw, pool.n, source=other.path)
        for draw, pool in run.draws.items()
    }


def stored_requests(stored: Sequence[parts.Part]) -> set[tuple[str, str]]:
    """(problem id, arm) of the requests that the parts hold."""
    return {
        (row["problem_id"], row["arm"])
        for table in parts.read_parts(stored, ["problem_id", "arm"])
        for row in table.group_by(["problem_id", "arm"]).aggregate([]).to_pylist()
    }
