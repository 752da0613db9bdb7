"""The draws that two runs have in common, before and after: a family of accuracies of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.draws.facts import arm_name
from bon_eval.analysis.responses import Array
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.config import draw_specs
from bon_eval.draws import DrawSpec
from bon_eval.estimators import best_of_n, majority_vote
from bon_eval.records import Draw, Pool
from bon_eval.stats import bootstrap_cis, paired_tests, step_down
from bon_eval.stats.bootstrap import UNIT
from bon_eval.stats.paired import paired_differences
from bon_eval.stats.streams import Streams
from bon_eval.store.comparable import stored_config
from bon_eval.store.reader import Run


@dataclass(frozen=True, slots=True)
class DrawChanges:
    """What is compared of draws besides greedy and the pool."""

    accuracies: tuple[Change, ...]
    """Of each common draw its mean, and of more than one response best-of-n by the own and by the base model's
    likelihood, and the vote."""
    reasons: dict[str, str]
    """``draw NAME`` -> why it is not compared."""


def draw_changes(
    before: Run,
    after: Run,
    order: NDArray[np.intp],
    base: tuple[Mapping[Draw, Array], Mapping[Draw, Array]],
    rng: Streams,
    draws: int,
    clusters: NDArray[np.intp] | None,
) -> DrawChanges:
    """Compare the draws that both runs have under one name with one set of parameters, at the smaller n.

    Args:
        before, after: runs of the same problems.
        order: the rows of `after` in the order of `before`.
        base: log-likelihoods of both runs' responses under the base model, draw -> (P, n) in the order of `before`;
            empty where they are not compared.
        rng, draws, clusters: of intervals and tests.
    """
    first, second = _specs(before), _specs(after)
    reasons: dict[str, str] = {}
    columns: list[tuple[str, str, Array, Array]] = []
    for name in dict.fromkeys((*first, *second)):
        if name not in first or name not in second:
            reasons[f"draw {name}"] = f"only the run {'before' if name in first else 'after'} has it"
        elif first[name].parameters != second[name].parameters:
            reasons[f"draw {name}"] = "it has other parameters after than before"
        else:
            n = min(first[name].n, second[name].n)
            sides = before.others[name], after.others[name].take(order)
            values = [_accuracies(pool, n, of_base.get(name), rng) for pool, of_base in zip(sides, base, strict=True)]
            for key, label in (
                ("mean", name),
                ("best_own", f"{arm_name(name, 'best-of-n', n, None)}, own likelihood"),
                ("best_base", f"{arm_name(name, 'best-of-n', n, None)}, base likelihood"),
                ("vote", arm_name(name, "vote", n, None)),
            ):
                if key in values[0] and key in values[1]:
                    columns.append((f"accuracy.{name}.{key}", label, values[0][key], values[1][key]))
    return DrawChanges(_tested(columns, rng, draws, clusters), reasons)


def _specs(run: Run) -> dict[str, DrawSpec]:
    return {spec.name: spec for spec in draw_specs(stored_config(run)) if spec.name in run.others}


def _accuracies(pool: Pool, n: int, base: Array | None, rng: Streams) -> dict[str, Array]:
    """(P,) each."""
    right = pool.correct.astype(np.float64)
    found = {"mean": right.mean(axis=1)}
    if n > 1:
        found["best_own"] = np.round(best_of_n(pool.log_likelihood, right, [n])[0], 12)
        if base is not None:
            found["best_base"] = np.round(best_of_n(base, right, [n])[0], 12)
        found["vote"] = majority_vote(pool.answer_class, right, [n], rng=rng("vote"))[0][0]
    return found


def _tested(
    columns: list[tuple[str, str, Array, Array]], rng: Streams, draws: int, clusters: NDArray[np.intp] | None
) -> tuple[Change, ...]:
    if not columns:
        return ()
    sides = [np.column_stack([column[k] for column in columns]) for k in (2, 3)]
    before, after = (
        bootstrap_cis(side, rng=rng("intervals"), draws=draws, support=[UNIT] * len(columns), clusters=clusters)
        for side in sides
    )
    tests = paired_tests(
        sides[1], sides[0], rng=rng("tests"), draws=draws, shares=[True] * len(columns), clusters=clusters
    )
    p_joint = step_down(
        np.column_stack([paired_differences(second, first, True) for _, _, first, second in columns]),
        [test.p_value for test in tests],
        rng=rng("family of draws"),
        draws=draws,
        clusters=clusters,
    )
    return tuple(
        Change(name, label, "share", before[k], after[k], tests[k], None, p_joint=float(p_joint[k]))
        for k, (name, label, _, _) in enumerate(columns)
    )
