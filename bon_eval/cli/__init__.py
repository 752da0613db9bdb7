"""The command line: one file for each family of commands, joined in `program`."""

from bon_eval.cli.program import main

__all__ = ["main"]
