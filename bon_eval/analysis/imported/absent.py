"""Which parts of a full report an imported run cannot have, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bon_eval.scorers import get_scorer

NEEDED: Mapping[str, tuple[str, str]] = {
    "greedy": (
        "greedy and lifts over it",
        "and with them what is sharper than greedy, its rank and power against it",
    ),
    "log_likelihood": (
        "best-of-n by log-likelihood",
        "and with it histograms, the power distribution, adaptive best-of-n and coverage",
    ),
    "n_tokens": ("lengths and what answers cost in tokens", "and with them log-likelihoods per token and shortest"),
    "token_logprobs": ("scorers of token log-probs", "such as min_token_logprob"),
    "truncated": (
        "which responses were cut",
        "their share is unknown, and a cut one's log-likelihood is inflated by its missing end",
    ),
}
"""What a run can lack -> the part that needs it, and what else goes with it."""
ESSENTIAL = ("greedy", "log_likelihood", "n_tokens", "truncated")
"""A run that has all of these has the full report."""
_BY_FORCING = ("log_likelihood", "n_tokens", "token_logprobs")


def absent_parts(lacking: Mapping[str, str], run: str) -> dict[str, str]:
    """Part of the report -> why it is not there, and the command that would give it.

    Args:
        lacking: as `bon_eval.store.imported.source.absent`.
        run: the run's directory.
    """
    found = {}
    for name, (part, also) in NEEDED.items():
        if name in lacking:
            remedy = f"; bon-eval score {run} --by MODEL --as-own computes it" if name in _BY_FORCING else ""
            found[part] = f"{also}: {lacking[name]}{remedy}"
    if "log_likelihood" not in lacking:
        found["the rest of the full report"] = (
            "the power distribution, adaptive best-of-n, coverage, accuracy against tokens and the browser of "
            "responses stand in reports of runs that have greedy responses, log-likelihoods, lengths and finish reasons"
        )
    return found


def usable(scorers: Sequence[str], lacking: Mapping[str, str]) -> tuple[str, ...]:
    """Of the default scorers, those that need nothing that the run lacks."""
    found = (get_scorer(name) for name in scorers)
    return tuple(s.name for s in found if not {*s.reads, *s.needs} & lacking.keys())
