"""Whether the model behind a server's name is the one that a run was sampled from: its weights cannot be read here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from bon_eval.engines.base import Engine
from bon_eval.errors import EngineError
from bon_eval.records import ForcedSequence
from bon_eval.run.console.progress import Progress
from bon_eval.store.reader import iter_responses

# Precision and batching move single log-probs by some hundredths of a nat, and their mean by less.
_FIRST_TOKEN = 0.5
_MEAN = 0.1
_RESPONSES = 16


def check_fingerprint(sessions: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> None:
    """Raise `EngineError` where a server gives other log-probs after the first prompt than in an earlier session.

    Of the few most likely first tokens alone: what any server can show. A model that differs by less than half a nat
    there is not told apart.
    """
    now = facts.get("fingerprint")
    for session in sessions:
        before = session["engine"].get("fingerprint")
        if before is None or now is None or before["prompt"] != now["prompt"]:
            continue
        old, new = before["logprobs"], now["logprobs"]
        for token in old.keys() & new.keys() or [*old, *new][:1]:
            a, b = old.get(token), new.get(token)
            if a is None or b is None or abs(a - b) > _FIRST_TOKEN:
                raise EngineError(
                    f"the server's {facts.get('served_model')!r} is not the model that began this run: token {token!r} "
                    f"has log-prob {a if a is None else round(a, 3)} there and {b if b is None else round(b, 3)} now; "
                    "serve that model again, or give --fresh"
                )


def check_log_probs(
    engine: Engine, run: Path, prompts: Mapping[str, Sequence[int]], remedy: str, *, quiet: bool = False
) -> None:
    """Raise `EngineError` where a server that scores gives a run's first responses other log-probs than are stored.

    Compared is the mean absolute difference of a token's log-prob; a model within a tenth of a nat is not told apart.
    Nothing is compared with an engine that runs here, whose files are hashed, where the server does not score, or where
    nothing with token ids is stored.

    Args:
        engine: open.
        run: directory of the run that the model should have sampled.
        prompts: token ids by problem id.
        remedy: what the user can do about another model.
    """
    if not engine.facts.get("scores"):
        return
    known = (r for r in iter_responses(run) if r.problem_id in prompts)  # a smaller extent asks for fewer
    stored = [r for r in islice(known, _RESPONSES) if r.token_ids]
    sequences = [ForcedSequence(str(k), tuple(prompts[r.problem_id]), r.token_ids) for k, r in enumerate(stored)]
    label = "checking that the model is the run's"
    with Progress(len(sequences), label=label, unit="responses", engine=engine, brief=True, quiet=quiet) as progress:
        scored = dict(progress.over(engine.score(sequences)))
    differences = [
        abs(a - b) for k, r in enumerate(stored) for a, b in zip(scored[str(k)], r.token_logprobs, strict=True)
    ]
    if differences and not (mean := sum(differences) / len(differences)) <= _MEAN:  # nan is no agreement
        raise EngineError(
            f"the server's {engine.facts.get('served_model')!r} is not the model that sampled {run}: the log-probs of "
            f"{len(differences)} stored tokens differ by {mean:.3f} nats on average; {remedy}"
        )
