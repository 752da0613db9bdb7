"""What two runs' arms and quantities are, and how each changed: intervals of both sides and the paired test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bon_eval.analysis.responses import Array
from bon_eval.analysis.two_runs.findings import Change
from bon_eval.analysis.two_runs.sides import LABELS, label, support, unit
from bon_eval.stats import bootstrap_cis, holm, paired_tests
from bon_eval.stats.bootstrap import UNIT
from bon_eval.stats.streams import streams


def changes(
    accuracy: list[dict[str, Array]],
    measured: list[dict[str, Array]],
    n: int,
    seed: int,
    draws: int,
    clusters: NDArray[np.intp] | None,
    base: str | None = None,
) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """The accuracies that both runs have, Holm-adjusted together, and the quantities, each by itself.

    Args:
        accuracy, measured: of the two runs, name -> (P,), rows aligned; either may be empty.
        n: of best-of-n, vote and oracle.
        seed, draws, clusters: of intervals and tests.
        base: what the first run is called in labels, where it is no base model.
    """
    accuracy_names = [name for name in accuracy[0] if name in accuracy[1]]
    quantity_names = [name for name in LABELS if name in measured[0] and name in measured[1]]
    columns = [
        np.column_stack([accuracy[k][a] for a in accuracy_names] + [measured[k][q] for q in quantity_names])
        for k in (0, 1)
    ]
    rng = streams(seed)
    shares = [True] * len(accuracy_names) + [unit(name) == "share" for name in quantity_names]
    supports = [UNIT] * len(accuracy_names) + [support(name) for name in quantity_names]
    intervals = [
        bootstrap_cis(c, rng=rng("intervals"), draws=draws, support=supports, clusters=clusters) for c in columns
    ]
    tests = paired_tests(columns[1], columns[0], rng=rng("tests"), draws=draws, shares=shares, clusters=clusters)
    adjusted = holm([test.p_value for test in tests[: len(accuracy_names)]]).tolist()
    found = [
        Change(
            name=f"accuracy.{name}" if k < len(accuracy_names) else name,
            label=label(name, n, base),
            unit=unit(name),
            before=intervals[0][k],
            after=intervals[1][k],
            difference=tests[k],
            p_holm=adjusted[k] if k < len(accuracy_names) else None,
        )
        for k, name in enumerate([*accuracy_names, *quantity_names])
    ]
    return tuple(found[: len(accuracy_names)]), tuple(found[len(accuracy_names) :])
