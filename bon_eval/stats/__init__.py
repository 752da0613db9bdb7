"""Numbers over problems: confidence intervals of means, paired tests, families of them, power.

Problems are the sampling unit; every function takes arrays whose first axis is problems.
"""

from bon_eval.stats.bootstrap import Interval, bootstrap_ci, bootstrap_cis
from bon_eval.stats.families import holm, step_down
from bon_eval.stats.paired import PairedTest, align, paired_test, paired_tests
from bon_eval.stats.power import detectable_difference, problems_needed

__all__ = [
    "Interval",
    "PairedTest",
    "align",
    "bootstrap_ci",
    "bootstrap_cis",
    "detectable_difference",
    "holm",
    "paired_test",
    "paired_tests",
    "problems_needed",
    "step_down",
]
