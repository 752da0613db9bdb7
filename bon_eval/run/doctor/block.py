"""What `bon-eval doctor` prints: the engines, a row for each comparison, the limits and their reason."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from bon_eval.run.doctor.agreement import ResponseDifferences, TokenDifferences
from bon_eval.run.doctor.limits import LEAST, Limits

WIDTH = 110
_SHOWN = (
    ("model_runner", "model runner {}"),
    ("attention_backend", "attention backend {}"),
    ("attention", "attention {}"),
    ("float32_products", "float32 products in {}"),
    ("tensor_parallel_size", "tensor parallel {}"),
    ("prefix_caching", "prefix caching {}"),
    ("logprobs_mode", "log-probs {}"),
)


def engine_line(facts: Mapping[str, object]) -> str:
    """What is in force in an open engine, on one line.

    >>> engine_line({"name": "vllm", "version": "0.32.0", "device": "cpu", "dtype": "float32", "model_runner": "V1"})
    'vllm 0.32.0: cpu, float32, model runner V1; given: nothing'
    """
    where = [str(facts[name]) for name in ("device", "served_model") if name in facts]
    dtype = str(facts.get("dtype", "the server's own precision"))
    shown = [text.format(facts[name]) for name, text in _SHOWN if name in facts]
    given = facts.get("given") or {}
    assert isinstance(given, Mapping)
    args = ", ".join(f"{name}={value}" for name, value in given.items()) or "nothing"
    return f"{facts['name']} {facts.get('version') or ''}: {', '.join([*where, dtype, *shown])}; given: {args}"


def wrapped(text: str) -> list[str]:
    """Lines of at most `WIDTH` characters, all but the first indented."""
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def heading(ns: Sequence[int]) -> list[str]:
    """The two lines above the rows."""
    picks = f"best-of-{', '.join(map(str, ns))}" if ns else ""
    above = f"{'':46}{'nats per token':^27}{'of the':>11}  {'another pick':>16}"
    names = f"{'sampled by':13}{'forced by':13}{'responses':13}{'tokens':>7}{'mean':>9}{'p99':>9}{'max':>9}"
    return [above.rstrip(), f"{names}{'spread':>11}  {picks:>16}  verdict"]


def row(
    sampled_by: str,
    scored_by: str,
    draws: str,
    tokens: TokenDifferences,
    responses: ResponseDifferences | None,
    agrees: bool,
) -> str:
    """One comparison; `responses` is None where they are no pool."""
    line = f"{sampled_by:13}{scored_by:13}{draws:13}{tokens.n_tokens:>7,}"
    line += f"{tokens.mean:>9.1e}{tokens.p99:>9.1e}{tokens.largest:>9.1e}"
    spread, picks = "", ""
    if responses is not None:
        spread = "no spread" if responses.of_spread is None else f"{100 * responses.of_spread:.2f} %"
        picks = ", ".join(f"{100 * share:.1f}".replace("100.0", "100") for share in responses.changed.values())
        picks += " %" if picks else ""
    return f"{line}{spread:>11}  {picks:>16}  {'agrees' if agrees else 'DIFFERS'}"


def legend(limits: Mapping[str, Limits]) -> list[str]:
    """What the columns are, and the limits by dtype with their reason."""
    columns = (
        "mean, p99, max: absolute differences of recorded and forced log-probs. of the spread: root mean square "
        "difference of a response's log-likelihood, over the standard deviation of log-likelihoods within a prompt's "
        "pool. another pick: share of n-subsets in which best-of-n by log-likelihood picks another response by the "
        "forced ones; ties and the same response twice are not another one."
    )
    return [line for text in (columns, *(_stated(*item) for item in limits.items())) for line in wrapped(text)]


def _stated(dtype: str, limits: Limits) -> str:
    stated = []
    if limits.mean is not None:
        stated.append(f"mean {100 * limits.mean:.3g} % of the pool's nats per token (or {LEAST:g})")
    if limits.p99 is not None:
        stated.append(f"p99 {limits.p99:.3g}")
    stated.append(f"max {limits.largest:g} nats per token")
    if limits.of_spread is not None:
        stated.append(f"{100 * limits.of_spread:.3g} % of the spread")
    return f"limits in {dtype}: {', '.join(stated)}; {limits.reason}"
