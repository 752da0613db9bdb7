"""A run's arrays as tidy pandas frames, one row for each response or problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from bon_eval.errors import ConfigError, unknown_name
from bon_eval.estimators import best_of_n, majority_vote

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
        columns |= {f"fields.{name}": [p.fields.get(name) for p in problems] for name in fields}
        return pd.DataFrame(columns | _of_draws([p.id for p in problems], draws))
    return pd.concat([_responses(draw, pool) for draw, pool in draws.items()], ignore_index=True)


def _of_draws(problem_ids: Sequence[str], draws: Mapping[Draw, Pool]) -> dict[str, NDArray[np.float64]]:
    """What each draw gives on each problem, ``QUANTITY.DRAW``; NaN where the problem is not finished."""
    found: dict[str, dict[str, NDArray[np.float64]]] = {}
    for draw, pool in draws.items():
        row_of = {problem: row for row, problem in enumerate(pool.problem_ids)}
        rows = np.array([row_of.get(problem, -1) for problem in problem_ids])
        for name, values in _quantities(pool).items():
            found.setdefault(name, {})[draw] = np.where(rows < 0, np.nan, values[rows])
    return {f"{name}.{draw}": values for name, of_draws in found.items() for draw, values in of_draws.items()}


def _quantities(pool: Pool) -> dict[str, NDArray[np.float64]]:
    """Means over a draw's responses, and the arms of all of them; (P,) each."""
    correct = pool.correct.astype(np.float64)
    found: dict[str, NDArray[Any]] = {
        "accuracy": correct,
        "log_likelihood": pool.log_likelihood,
        "n_tokens": pool.n_tokens,
        "truncated": pool.truncated,
        "unscored": pool.unscored,
    }
    nothing = np.full(len(pool.problem_ids), np.nan)
    means = {name: nothing if name in pool.absent else values.mean(axis=1) for name, values in found.items()}
    if pool.n == 1:
        return means
    vote, _ = majority_vote(pool.answer_class, correct, [pool.n], rng=np.random.default_rng(0))  # exact: none is drawn
    best = nothing
    if "log_likelihood" not in pool.absent:
        best = np.round(best_of_n(pool.log_likelihood, correct, [pool.n])[0], 12)
    return means | {"best_of_n": best, "vote": vote[0], "oracle": correct.max(axis=1)}


def _responses(draw: Draw, pool: Pool) -> pd.DataFrame:
    shape = pool.log_likelihood.shape
    columns: dict[str, object] = {
        "problem_id": np.repeat(np.array(pool.problem_ids, dtype=object), pool.n),
        "arm": draw,
        "index": np.broadcast_to(np.arange(pool.n, dtype=np.int32), shape).ravel(),
        "log_likelihood": pool.log_likelihood.ravel(),
        "n_tokens": _known(pool, "n_tokens"),
        "truncated": _known(pool, "truncated"),
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


def _known(pool: Pool, name: Literal["n_tokens", "truncated"]) -> NDArray[Any] | pd.api.extensions.ExtensionArray:
    """A quantity of each response; <NA> where an imported run does not have it of all."""
    values: NDArray[Any] = getattr(pool, name).ravel()
    if name not in pool.absent:
        return values
    return pd.array([pd.NA] * len(values), dtype="boolean" if name == "truncated" else "Int32")


def _verdicts(correct: NDArray[np.bool_], unscored: NDArray[np.bool_]) -> pd.api.extensions.ExtensionArray:
    return pd.arrays.BooleanArray(correct.ravel().copy(), unscored.ravel().copy())
