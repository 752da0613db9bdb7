"""Shards: a run split by problem, so that several machines sample it without knowing of each other.

A problem's shard is a hash of its id, and of nothing else: the split is the same on every machine, in any order of the
problems, and a problem stays where it is when others are added.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from bon_eval.errors import ConfigError

_TEXT = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `of` parts of a run, counted from 1."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``2/4`` as a shard; raises `ConfigError` for what is none."""
        found = _TEXT.fullmatch(text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"shard {text!r} is not I/K with I from 1 to K, for example 1/4")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    @property
    def suffix(self) -> str:
        """What the shard's directory has after the name of the whole run's."""
        return f".shard-{self.index}-of-{self.of}"

    def holds(self, problem_id: str) -> bool:
        """Whether a problem is in this shard."""
        return shard_index(problem_id, self.of) == self.index


def shard_index(problem_id: str, of: int) -> int:
    """The shard, 1 to `of`, of a problem: the first 8 bytes of its id's SHA-256 as a number, modulo `of`, plus 1.

    >>> [shard_index(str(i), 4) for i in range(8)]
    [1, 2, 3, 4, 3, 4, 4, 3]
    """
    digest = hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % of + 1
