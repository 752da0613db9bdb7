"""A run without files, for analyses of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from bon_eval.records import Pool, Problem


class MadeRun:
    """Pools of responses whose correct answers are somewhat likelier."""

    def __init__(self, problems: int = 60, n: int = 16, temperature: float = 1.0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        ids = tuple(str(i) for i in range(problems))
        self.meta: dict[str, Any] = json.loads((Path(__file__).parent / "hand_run.json").read_text())["meta"]
        self.meta["config"] |= {"temperature": temperature}
        self.problems = tuple(Problem(i, {"question": "q"}, "1") for i in ids)
        self.grader = {"name": "gsm8k", "version": "1"}
        self.greedy, self.pool = self._pool(rng, ids, 1), self._pool(rng, ids, n)

    def _pool(self, rng: np.random.Generator, ids: tuple[str, ...], n: int) -> Pool:
        shape = (len(ids), n)
        correct = rng.random(shape) < 0.4
        no = np.zeros(shape, dtype=np.bool_)
        return Pool(
            problem_ids=ids,
            log_likelihood=-rng.integers(1, 12, size=shape) / 2.0 - 2.0 * ~correct,
            n_tokens=rng.integers(3, 9, size=shape).astype(np.int32),
            truncated=no,
            correct=correct,
            unscored=no,
            answer_class=np.where(correct, 0, np.array([-1, 1, 2, 3])[rng.integers(4, size=shape)]).astype(np.int32),
        )
