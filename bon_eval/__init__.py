"""bon-eval: does the highest-likelihood of N samples beat greedy decoding and sampling?

Public names load their modules when they are used: importing this package costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bon_eval.store.reader import Run, load_run
    from bon_eval.tasks.load import load_task
    from bon_eval.tasks.spec import TaskSpec

__version__ = "0.1.0"
__all__ = ["Run", "TaskSpec", "__version__", "load_run", "load_task"]

_HOMES = {"Run": "store.reader", "load_run": "store.reader", "TaskSpec": "tasks.spec", "load_task": "tasks.load"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'bon_eval' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"bon_eval.{_HOMES[name]}"), name)
