"""What an engine's or two engines' disagreement is called, on one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bon_eval.run.doctor.agreement import TokenDifferences
from bon_eval.run.doctor.limits import LIMITS


def trouble(
    by: str,
    name: str,
    draw: str,
    dtype: str,
    found: Sequence[str],
    tokens: TokenDifferences,
    facts: Sequence[Mapping[str, object]],
) -> str:
    """One line: what differs, by how much, at which token, and what follows."""
    r, position = tokens.response, tokens.position
    if by == name:
        what = f"engine {by}: sampled and forced log-probs differ"
        remedy = "its log-likelihoods cannot be trusted"
    else:
        what = f"engine {by}'s sampled log-probs and engine {name}'s forced ones differ"
        remedy = "one of the two computes another model, and both cannot be trusted until it is known which"
    tf32 = [f"{f['name']}'s float32 products are {f['float32_products']}" for f in facts if _reduced(f)]
    return (
        f"{what} ({draw}): {', and '.join(found)}; {LIMITS[dtype].reason}; the largest is at token {position} (id "
        f"{r.token_ids[position]}) of problem {r.problem_id}, {r.arm} {r.index}: {r.token_logprobs[position]:.6f} "
        f"against {tokens.forced:.6f}; {'; '.join([*dict.fromkeys(tf32), remedy])}"
    )


def _reduced(facts: Mapping[str, object]) -> bool:
    return str(facts.get("float32_products", "")).startswith("TF32")
