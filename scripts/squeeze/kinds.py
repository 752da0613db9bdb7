"""How far each kind of held-out pairs is from what the base model says itself: what makes them off-policy or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bon_eval.dpo.pairs.files import read_pairs
from bon_eval.dpo.pairs.off_policy import policy_facts
from bon_eval.store.reader import load_run
from squeeze.plan import HELD_OUT, Plan
from squeeze.plots import Runs


@dataclass(frozen=True, slots=True)
class KindRow:
    """The held-out pairs of one kind under one base model; shares are of the pairs."""

    model: str
    kind: str
    pairs: int
    chosen_in_pool: float
    chosen_is_best: float
    """Share whose chosen is the base model's likeliest sample."""
    rejected_in_pool: float
    chosen: float
    """Mean log-likelihood under the base model, in nats."""
    rejected: float
    ranking_accuracy: float


def kind_rows(plan: Plan, runs: Runs) -> Iterator[KindRow]:
    """Every kind under every model."""
    for model, conditions in runs.items():
        run = load_run(plan.pool(model, HELD_OUT))
        base = next(iter(conditions.values()))[0].columns[0]
        for kind in plan.content["held_out_pairs"]:
            facts = policy_facts(read_pairs(plan.pair_file(model, HELD_OUT, kind)), run)
            chosen, rejected, ranking = (
                float(base[f"{kind}.{measure}"].values.mean())
                for measure in ("log_likelihood.chosen", "log_likelihood.rejected", "ranking_accuracy")
            )
            n = facts.n_pairs
            shares = (facts.chosen.in_pool / n, facts.chosen.best / n, facts.rejected.in_pool / n)
            yield KindRow(model, kind, n, *shares, chosen, rejected, ranking)
