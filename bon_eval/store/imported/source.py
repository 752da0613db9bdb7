"""What a run that was imported lacks: its source states it of no response, or not of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bon_eval.errors import ConfigError

GREEDY = "greedy"
LACKING: Mapping[str, str] = {
    "log_likelihood": "log-likelihoods",
    "n_tokens": "numbers of tokens",
    "token_ids": "token ids",
    "token_logprobs": "token log-probs",
    "truncated": "whether responses were cut",
    GREEDY: "greedy responses",
}
"""What an imported run can lack, in words."""
_BY_FORCING = frozenset({"log_likelihood", "n_tokens", "token_ids", "token_logprobs"})


def is_imported(meta: Mapping[str, Any]) -> bool:
    """Whether a run's responses come from another program."""
    return "source" in meta


def absent(meta: Mapping[str, Any]) -> dict[str, str]:
    """Of `LACKING`, what a run does not have -> why; empty for a run that was sampled here."""
    source = meta.get("source")
    return dict(source["absent"]) if isinstance(source, Mapping) else {}


def check_there(path: Path, meta: Mapping[str, Any], needs: Iterable[str], what: str) -> None:
    """Raise `ConfigError` where a run lacks what something needs.

    Args:
        path: the run directory.
        meta: its run.json.
        needs: of `LACKING`.
        what: that needs it, as the beginning of the message.
    """
    missing = absent(meta)
    for need in needs:
        if need in missing:
            remedy = f"; bon-eval score {path} --by MODEL --as-own computes them" if need in _BY_FORCING else ""
            raise ConfigError(f"{what} needs {LACKING[need]}, which {path} does not have: {missing[need]}{remedy}")


def forced_as_own(meta: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of an imported run, what a model has computed as its own: its ``directory`` of responses, its name and how; None
    of others."""
    source = meta.get("source")
    found = source.get("own") if isinstance(source, Mapping) else None
    return found if isinstance(found, Mapping) else None


def responses_directory(path: Path, meta: Mapping[str, Any]) -> Path:
    """Where the responses of a run lie: as sampled or stated, or with tokens of the model that took them as its own."""
    own = forced_as_own(meta)
    return path / ("responses" if own is None else str(own["directory"]))


def longest_response(meta: Mapping[str, Any]) -> int:
    """The most tokens that a response of a run may have: the limit that it was sampled with, and of texts that a model
    took as its own the longest in its tokens."""
    own = forced_as_own(meta)
    return int(meta["config"]["max_tokens"] if own is None else own["longest"])


def has_own_tokens(meta: Mapping[str, Any]) -> bool:
    """Whether token ids of prompts and responses are those of a model that is known."""
    return not is_imported(meta) or forced_as_own(meta) is not None


def check_own_tokens(path: Path, meta: Mapping[str, Any], what: str) -> None:
    """Raise `ConfigError` where something needs a run's tokens, and an imported run has none of a known model.

    `what`: the beginning of the message.
    """
    if not has_own_tokens(meta):
        raise ConfigError(
            f"{what} needs prompts and responses as tokens, and {path} is imported, with texts of a tokenizer that is "
            f"not known; run first: bon-eval score {path} --by MODEL --as-own"
        )
