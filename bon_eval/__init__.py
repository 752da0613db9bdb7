"""bon-eval: does the highest-likelihood of N samples beat greedy decoding and sampling?

Public names load their modules when they are used: importing this package costs nothing. `bon_eval.run` is both the
package that works with a model and, called, the function that samples a run (`bon_eval.report.notebook.sample.run`).
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["Comparison", "Run", "TaskSpec", "__version__", "analyse", "compare", "load_run", "load_task", "run"]

_HOMES = {
    "Comparison": "report.notebook.comparison",
    "compare": "report.notebook.comparison",
    "Run": "report.notebook.run",
    "analyse": "report.notebook.arrays",
    "load_run": "report.notebook.run",
    "TaskSpec": "tasks.spec",
    "load_task": "tasks.load",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "run":
        return import_module("bon_eval.run")  # which can be called
    if name not in _HOMES:
        raise AttributeError(f"module 'bon_eval' has no attribute {name!r}")
    return getattr(import_module(f"bon_eval.{_HOMES[name]}"), name)
