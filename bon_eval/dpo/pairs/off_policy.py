"""How much of a set of pairs a model says by itself: what tells off-policy pairs from pairs that only seem so."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bon_eval.dpo.pairs.files import Pair, Text
from bon_eval.store.reader import Run, stored_tables

_DRAWS = pa.array(["greedy", "sample"])


@dataclass(frozen=True, slots=True)
class SideFacts:
    """Counts over the pairs of one side; texts are the same where they differ by surrounding blanks alone."""

    in_pool: int
    """Whose text the model sampled for the pair's problem."""
    best: int
    """Whose text is the likeliest of the model's pool: its best-of-N."""
    greedy: int
    """Whose text is the model's greedy response."""


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """What a model's own run says of a set of pairs."""

    run: Path
    n: int
    """Responses of a pool."""
    n_pairs: int
    chosen: SideFacts
    rejected: SideFacts
    n_known: int
    """Pairs of which both sides are in the model's pool, so that it is known which is likelier."""
    likelier: int
    """Of `n_known`, those whose chosen is likelier than rejected under the model: ranking accuracy before training."""

    def lines(self) -> Iterator[str]:
        """In words, a line each."""
        yield f"against the pool of {self.run} (N = {self.n}), by text:"
        for name, side in (("chosen", self.chosen), ("rejected", self.rejected)):
            in_pool, best, greedy = (_share(k, self.n_pairs) for k in (side.in_pool, side.best, side.greedy))
            yield f"  {name}: {in_pool} in it, {best} its likeliest response, {greedy} the greedy response"
        if self.n_known:
            yield (
                f"  chosen is the likelier one in {_share(self.likelier, self.n_known)} of the {self.n_known:,} pairs "
                "with both sides in it"
            )


@dataclass(frozen=True, slots=True)
class _Own:
    """A model's responses to one problem."""

    nats: dict[str, float]
    """Text -> log-likelihood; where it was sampled several times, the highest."""
    greedy: str

    @property
    def best(self) -> float:
        return max(self.nats.values())


def policy_facts(pairs: Sequence[Pair], run: Run) -> PolicyFacts:
    """What the run of a model says of pairs on its problems; pairs of other problems are in none of its pools."""
    own = _own_responses(run, {pair.problem_id for pair in pairs})
    sides = {"chosen": [0, 0, 0], "rejected": [0, 0, 0]}
    known = likelier = 0
    for pair in pairs:
        if (mine := own.get(pair.problem_id)) is None:
            continue
        texts = {name: _content(getattr(pair, name)) for name in sides}
        for name, text in texts.items():
            nats = mine.nats.get(text)
            for k, holds in enumerate((nats is not None, nats == mine.best, text == mine.greedy)):
                sides[name][k] += holds
        chosen, rejected = (mine.nats.get(text) for text in texts.values())
        if chosen is not None and rejected is not None:
            known += 1
            likelier += chosen > rejected
    facts = {name: SideFacts(*counts) for name, counts in sides.items()}
    return PolicyFacts(run.path, run.pool.n, len(pairs), facts["chosen"], facts["rejected"], known, likelier)


def _own_responses(run: Run, problems: Collection[str]) -> dict[str, _Own]:
    row_of = {problem: row for row, problem in enumerate(run.pool.problem_ids)}
    found = {problem: _Own({}, "") for problem in row_of if problem in problems}
    greedy: dict[str, str] = {}
    for table in stored_tables(run.path, run.meta, ("problem_id", "arm", "index", "text")):
        kept = table.filter(pc.is_in(table["arm"], value_set=_DRAWS))
        columns = (kept[name].to_pylist() for name in ("problem_id", "arm", "index", "text"))
        for problem, arm, i, text in zip(*columns, strict=True):
            if problem not in found:
                continue
            if arm == "greedy":
                greedy[problem] = text.strip()
                continue
            nats, value = found[problem].nats, float(run.pool.log_likelihood[row_of[problem], i])
            nats[text.strip()] = max(value, nats.get(text.strip(), value))
    return {problem: _Own(own.nats, greedy[problem]) for problem, own in found.items()}


def _content(text: Text) -> str:
    return (text if isinstance(text, str) else "\n".join(message["content"] for message in text)).strip()


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.0f} %"
