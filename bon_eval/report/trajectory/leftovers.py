"""What an earlier report of a tracking left behind, beside which newer numbers must not stand."""

from __future__ import annotations

import re
from pathlib import Path

from bon_eval.report.trajectory.figures import FOLDER, PAGE
from bon_eval.store.files import cannot_write

_FIGURE = re.compile(r"trajectory_(accuracy|best_of_n|greedy|mass|probes|spread|(likelihood|ranking)_.+)\.(png|svg)")


def remove_page(directory: Path) -> None:
    """Remove the page and the figures of an earlier report, and the figures' folder where nothing else is in it.

    Raises:
        StoreError: a file cannot be removed.
    """
    folder = directory / FOLDER
    figures = [path for path in folder.iterdir() if _FIGURE.fullmatch(path.name)] if folder.is_dir() else []
    for path in (directory / PAGE, *figures):
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
    if figures and not any(folder.iterdir()):
        folder.rmdir()
