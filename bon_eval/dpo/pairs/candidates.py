"""What recipes choose from: the responses of a problem's pool, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bon_eval.dpo.pairs.files import Text


@dataclass(frozen=True, slots=True)
class Candidate:
    """One response of a pool."""

    index: int
    """Within the pool."""
    text: str
    token_ids: tuple[int, ...] | None
    """As sampled, end token included; None of another model's response: the text is tokenized for the trained one."""
    log_likelihood: float
    """In nats, under the model that sampled it."""
    correct: bool
    """Graded correct; False where `unscored`, which is neither correct nor wrong."""
    unscored: bool
    vote_share: float
    """Share of the whole pool in the response's answer class; 0 where no answer was read, since it does not vote."""
    truncated: bool
    number: Fraction | None = None
    """What its answer states; None where it states no number, or no recipe asks for it."""

    @property
    def fit(self) -> bool:
        """Whether it may stand in a pair: a truncated response lacks its end token, an empty one has no text."""
        return not self.truncated and bool(self.text.strip())

    @property
    def wrong(self) -> bool:
        """Graded, and not correct."""
        return not self.correct and not self.unscored


@dataclass(frozen=True, slots=True)
class CandidatePool:
    """One problem: its prompt, the responses to it, and the data set's own solution."""

    problem_id: str
    prompt: Text
    """Text or messages; the pairs' responses take the same form."""
    candidates: tuple[Candidate, ...]
    """In the order of their indices."""
    prompt_token_ids: tuple[int, ...] | None = None
    """None: the model's tokenizer decides."""
    solution: str | None = None
    """As a response to the prompt; only `gold-sample` uses it. None: not known."""
    right: Fraction | None = None
    """The number that the right answer is; only the order by distance uses it. None: it is no number."""
    others: tuple[Candidate, ...] | None = None
    """What is rejected, where that is another run's pool; None: `candidates`."""
    end_token_id: int | None = None
    """What the trained model's samples end with, for responses without token ids; None: not known."""
    stop: tuple[str, ...] = ()
    """Strings that may have ended a response with token ids."""

    @property
    def rejectable(self) -> tuple[Candidate, ...]:
        """What may be rejected."""
        return self.candidates if self.others is None else self.others

    @property
    def tokens_known(self) -> bool:
        """Whether all responses have token ids, so that lengths are those in tokens."""
        return all(c.token_ids is not None for c in (*self.candidates, *self.rejectable))
