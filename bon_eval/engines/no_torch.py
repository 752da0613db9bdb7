"""transformers without torch, for a process whose model runs elsewhere: tokenizers and chat templates need none."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any


def leave_out_torch() -> None:
    """Import transformers as it is where torch is not installed: 350 MB and two seconds less.

    For the whole process, which can load no model with transformers afterwards; so the command line calls it, and no
    library function does. Without effect where transformers or torch is imported already.
    """
    if "transformers" in sys.modules or "torch" in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    modules["torch"] = None  # what an import then finds is that there is none
    try:
        # A missing transformers is reported by what needs it.
        with contextlib.suppress(ImportError):
            from transformers import AutoTokenizer  # noqa: F401
    finally:
        del modules["torch"]
