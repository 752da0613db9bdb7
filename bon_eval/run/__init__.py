"""Work with a model: sample, grade, force, before and after, a group of tasks, a plan, a check of the engine.

Called, it is the function `bon_eval.run(model=..., task=...)`: see `bon_eval.report.notebook.sample.run`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_FUNCTION = "report.notebook.sample"
"""Its home, above this package, which therefore knows it by name alone."""


class _Callable(ModuleType):
    """A module that can be called: the function that users know has the name of this package."""

    def __call__(self, **options: Any) -> Any:
        package = self.__name__.partition(".")[0]
        return import_module(f"{package}.{_FUNCTION}").run(**options)


sys.modules[__name__].__class__ = _Callable
