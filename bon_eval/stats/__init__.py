"""Numbers over problems: confidence intervals of means, paired tests, Holm's correction, power.

Problems are the sampling unit; every function takes arrays whose first axis is problems.
"""

from bon_eval.stats.bootstrap import Interval, bootstrap_ci, bootstrap_cis
from bon_eval.stats.holm_power import detectable_difference, holm, problems_needed
from bon_eval.stats.paired import PairedTest, align, paired_test, paired_tests

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
]
