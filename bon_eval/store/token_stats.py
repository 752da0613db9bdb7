"""Where numbers of each token beyond its log-prob lie beside a run's responses, and how they are read.

``stats/<name>/`` holds one append-only log of parts for each of ``topk``, ``entropy`` and ``self_certainty``, written
by `bon_eval.run.token_stats`; top-k confidences may stand in the responses themselves (``run --token-stats topk``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from bon_eval.config import digest
from bon_eval.scorers import STATS
from bon_eval.store import parts

SCHEMA = pa.schema(
    [
        pa.field("problem_id", pa.string(), nullable=False),
        pa.field("arm", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("values", pa.list_(pa.float32()), nullable=False),
    ]
)


def stored(path: Path, meta: Mapping[str, Any]) -> list[str]:
    """The statistics that a run holds, or has begun to hold."""
    return [name for name in STATS if source(path, meta, name)[0]]


def directory(path: Path, name: str) -> Path:
    """Where the statistic of a run lies."""
    return path / "stats" / name


def owner(meta: Mapping[str, Any], name: str) -> str:
    """What the parts are marked with: the run and the statistic."""
    return digest({"run": meta["identity"], "statistic": name})


def source(path: Path, meta: Mapping[str, Any], name: str) -> tuple[list[parts.Part], str]:
    """The parts that hold a statistic, and the name of its column; no parts where it was never computed.

    Raises:
        StoreError: a part is damaged or of another run.
    """
    if name == "topk" and meta["identity"].get("token_stats") == "topk":
        return parts.list_parts(path / "responses", digest(meta["identity"]), parts.TOPK_SCHEMA), "token_topk"
    return parts.list_parts(directory(path, name), owner(meta, name), SCHEMA), "values"
