"""A user's own scorer: ``path.py:name``, or an entry point of the group ``bon_eval.scorers``."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points

import numpy as np

from bon_eval.errors import BonEvalError, ConfigError, foreign_code, place, reason, unknown_name
from bon_eval.graders.workers.own_file import load_own, split_name
from bon_eval.records import Pool, Response
from bon_eval.scorers.base import Array, Scorer

GROUP = "bon_eval.scorers"
"""Entry points of installed packages: name -> a function of one response, or a `Scorer`."""


class PluginScorer(Scorer):
    """A plain function ``f(response) -> float`` as a scorer.

    It has no form for arrays, so `over` reads the scores that `bon_eval.load_run` computed response by response.
    """

    def __init__(self, one: Callable[[Response], float], name: str, file: str | None = None) -> None:
        super().__init__(one, self._stored, name=name, weight="score")
        self._file = file

    def __call__(self, response: Response) -> float:
        """Score of one response.

        Raises:
            ConfigError: the function raised something, or returned no number.
        """
        where = f"response {response.index} of problem {response.problem_id!r}"
        with _running(self.name, where, self._file):
            return _number(super().__call__(response), self.name, where)

    def _stored(self, pool: Pool) -> Array:
        if self.name not in pool.plugin_scores:
            raise ConfigError(f"scorer {self.name!r} reads whole responses; load the run with scorers=[{self.name!r}]")
        return pool.plugin_scores[self.name]


def from_file(name: str) -> Scorer:
    """The scorer of ``path.py:name``; the file is run as Python code, as an import would.

    Raises:
        ConfigError: no such file, it cannot be imported, or it has no such function.
    """
    found = load_own(name, "scorer", "one response", ConfigError)
    return _wrapped(found, name, str(split_name(name)[0]))


def from_entry_point(name: str, known: list[str]) -> Scorer:
    """The scorer that an installed package offers under that name.

    Raises:
        ConfigError: no package does, or it cannot be imported; the message lists the valid names.
    """
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        raise ConfigError(unknown_name("scorer", name, [*known, *offered]) + ", or path.py:name")
    with foreign_code(
        lambda error: ConfigError(
            f"scorer {name!r} of {offered[name].value} cannot be imported ({reason(error)}{place(error)}); mend it or "
            "uninstall"
        )
    ):
        found = offered[name].load()
    module = sys.modules.get(offered[name].module)
    return _wrapped(found, name, getattr(module, "__file__", None))


def offered_names() -> list[str]:
    """Names of the entry points of installed packages."""
    return sorted(point.name for point in entry_points(group=GROUP))


def _wrapped(found: object, name: str, file: str | None) -> Scorer:
    if isinstance(found, Scorer):
        return _ForeignScorer(found, name, file)
    if not callable(found):
        raise ConfigError(f"scorer {name!r} is a {type(found).__name__}; give a function of one response")
    return PluginScorer(found, name, file)


class _ForeignScorer(Scorer):
    """A user's scorer with a form of its own for pools."""

    def __init__(self, own: Scorer, name: str, file: str | None) -> None:
        super().__init__(
            own, self._all, name=name, needs=own.needs, weight=own.weight, blind=own.blind, reads=own.reads
        )
        self._own, self._file = own, file
        functools.update_wrapper(self, own, assigned=("__doc__",), updated=())

    def __call__(self, response: Response) -> float:
        """Score of one response. Raises `ConfigError` where the user's code fails or gives no number."""
        where = f"response {response.index} of problem {response.problem_id!r}"
        with _running(self.name, where, self._file):
            return _number(self._own(response), self.name, where)

    def _all(self, pool: Pool) -> Array:
        with _running(self.name, "a pool", self._file):
            scores = np.asarray(self._own.over(pool), dtype=np.float64)
            if scores.shape != pool.log_likelihood.shape or np.isnan(scores).any():
                raise ConfigError(
                    f"scorer {self.name!r} returned an array of shape {scores.shape} for a pool, or one with nan; "
                    f"return a number for each response, (problems, N) = {pool.log_likelihood.shape}"
                )
        return scores


@contextmanager
def _running(name: str, where: str, file: str | None) -> Iterator[None]:
    """Around a user's code: what it raises becomes one line with the line of the user's file that was reached last."""
    with foreign_code(
        lambda error: ConfigError(
            f"scorer {name!r} failed on {where}: {reason(error)}{place(error, file) or place(error)}; mend it"
        ),
        passing=(BonEvalError,),
    ):
        yield


def _number(value: object, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ConfigError(f"scorer {name!r} returned {value!r} for {where}; return a number, higher is better")
    return float(value)
