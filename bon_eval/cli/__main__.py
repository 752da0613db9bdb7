"""``python -m bon_eval.cli``."""

from bon_eval.cli import main

main()
