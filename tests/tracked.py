"""What a tracking stored of its pairs, for tests that compare it with an engine of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def forced_pairs(out: Path, step: int, name: str) -> dict[str, Any]:
    """Side of a pair set -> the forced log-likelihoods of its responses at a step, (K,), in nats."""
    from bon_eval.dpo.tracking.forced import ForcedLog

    stored = json.loads((out / "track.json").read_text())
    found = {int(c["step"]): (c["run"], c["by"]) for c in stored["checkpoints"]} | {0: ("base", stored["base_by"])}
    run, by = found[step]
    read = ForcedLog(out / "forced" / run, by).read()
    return {side: read.log_likelihoods(stored["pairs"][name][side]) for side in ("chosen", "rejected")}
