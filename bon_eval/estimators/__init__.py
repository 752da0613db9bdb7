"""What a way of picking from a pool of N responses gives in expectation, for every n <= N, without sampling again.

Pure functions on arrays of shape (P, N): P problems, N responses each.
"""

from bon_eval.estimators.majority_votes import majority_vote
from bon_eval.estimators.selection import (
    best_of_n,
    chosen_index,
    pass_at_n,
    pick_probability,
    pick_weights,
    within_problem_auroc,
)

__all__ = [
    "best_of_n",
    "chosen_index",
    "majority_vote",
    "pass_at_n",
    "pick_probability",
    "pick_weights",
    "within_problem_auroc",
]
