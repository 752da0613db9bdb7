"""A run's arrays as tidy pandas frames, one row for each response or problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from bon_eval.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bon_eval.records import Draw, Pool, Problem

Table = Literal["responses", "problems"]
TABLES: tuple[Table, ...] = ("responses", "problems")


def frame(problems: Sequence[Problem], draws: Mapping[Draw, Pool], table: Table) -> pd.DataFrame:
    """``responses`` or ``problems`` of a run. See `bon_eval.store.reader.Run.to_pandas`."""
    if table not in TABLES:
        raise ConfigError(unknown_name("table", table, list(TABLES)))
    if table == "problems":
        finished = {problem_id for pool in draws.values() for problem_id in pool.problem_ids}
        columns = {
            "problem_id": [p.id for p in problems],
            "gold": [p.gold for p in problems],
            "finished": [p.id in finished for p in problems],
        }
        fields = dict.fromkeys(name for p in problems for name in p.fields)
        return pd.DataFrame(columns | {f"fields.{name}": [p.fields.get(name) for p in problems] for name in fields})
    return pd.concat([_responses(draw, pool) for draw, pool in draws.items()], ignore_index=True)


def _responses(draw: Draw, pool: Pool) -> pd.DataFrame:
    shape = pool.log_likelihood.shape
    columns: dict[str, object] = {
        "problem_id": np.repeat(np.array(pool.problem_ids, dtype=object), pool.n),
        "arm": draw,
        "index": np.broadcast_to(np.arange(pool.n, dtype=np.int32), shape).ravel(),
        "log_likelihood": pool.log_likelihood.ravel(),
        "n_tokens": pool.n_tokens.ravel(),
        "truncated": pool.truncated.ravel(),
        "correct": _verdicts(pool.correct, pool.unscored),
        "answer_class": pool.answer_class.ravel(),
    }
    if pool.correct_strict is not None and pool.unscored_strict is not None:
        columns["correct_strict"] = _verdicts(pool.correct_strict, pool.unscored_strict)
    if pool.reasoning_chars is not None and pool.answer_chars is not None:
        columns |= {"reasoning_chars": pool.reasoning_chars.ravel(), "answer_chars": pool.answer_chars.ravel()}
    if pool.n_bytes is not None:
        columns["n_bytes"] = pool.n_bytes.ravel()
    columns |= {f"score.{name}": scores.ravel() for name, scores in pool.plugin_scores.items()}
    return pd.DataFrame(columns)


def _verdicts(correct: NDArray[np.bool_], unscored: NDArray[np.bool_]) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.BooleanArray(correct.ravel().copy(), unscored.ravel().copy())
