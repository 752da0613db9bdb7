"""A user's own scorer: ``path.py:name``, or an entry point of the group ``bon_eval.scorers``."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from bon_eval.errors import ConfigError, one_line, unknown_name
from bon_eval.records import Pool, Response
from bon_eval.scorers.base import Array, Scorer

GROUP = "bon_eval.scorers"
"""Entry points of installed packages: name -> a function of one response, or a `Scorer`."""


class PluginScorer(Scorer):
    """A plain function ``f(response) -> float`` as a scorer.

    It has no form for arrays, so `over` reads the scores that `bon_eval.load_run` computed response by response.
    """

    def __init__(self, one: Callable[[Response], float], name: str) -> None:
        super().__init__(one, self._stored, name=name, weight="score")

    def __call__(self, response: Response) -> float:
        """Score of one response; what the function raises is its own and passes through.

        Raises:
            ConfigError: the function returned no number.
        """
        value = super().__call__(response)
        if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
            raise ConfigError(
                f"scorer {self.name!r} returned {value!r} for response {response.index} of problem "
                f"{response.problem_id!r}; return a number, higher is better"
            )
        return float(value)

    def _stored(self, pool: Pool) -> Array:
        if self.name not in pool.plugin_scores:
            raise ConfigError(f"scorer {self.name!r} reads whole responses; load the run with scorers=[{self.name!r}]")
        return pool.plugin_scores[self.name]


def is_file_name(name: str) -> bool:
    """Whether the name is of the form ``path.py:name``."""
    return ".py:" in name


def from_file(name: str) -> Scorer:
    """The scorer of ``path.py:name``; the file is run as Python code, as an import would.

    Raises:
        ConfigError: no such file, it cannot be imported, or it has no such function.
    """
    path_text, _, attribute = name.rpartition(":")
    path = Path(path_text).expanduser()
    if not path.is_file():
        raise ConfigError(f"scorer {name!r}: there is no file {path_text}; give path.py:name of a Python file")
    spec = importlib.util.spec_from_file_location(f"bon_eval_own_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"scorer {name!r}: {path_text} is not a Python file; give path.py:name")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except (ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, OSError) as error:
        reason = one_line(error)
        raise ConfigError(f"scorer {name!r}: {path_text} cannot be imported ({reason}); mend the file") from error
    if not hasattr(module, attribute):
        raise ConfigError(f"scorer {name!r}: {path_text} defines no {attribute!r}; define a function of one response")
    return _wrapped(getattr(module, attribute), name)


def from_entry_point(name: str, known: list[str]) -> Scorer:
    """The scorer that an installed package offers under that name.

    Raises:
        ConfigError: no package does, or it cannot be imported; the message lists the valid names.
    """
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        raise ConfigError(unknown_name("scorer", name, [*known, *offered]) + ", or path.py:name")
    try:
        found = offered[name].load()
    except (ImportError, AttributeError) as error:
        reason = one_line(error)
        raise ConfigError(f"scorer {name!r} of {offered[name].value} cannot be imported ({reason})") from error
    return _wrapped(found, name)


def offered_names() -> list[str]:
    """Names of the entry points of installed packages."""
    return sorted(point.name for point in entry_points(group=GROUP))


def _wrapped(found: object, name: str) -> Scorer:
    if isinstance(found, Scorer):
        found.name = name
        return found
    if not callable(found):
        raise ConfigError(f"scorer {name!r} is a {type(found).__name__}; give a function of one response")
    return PluginScorer(found, name)
