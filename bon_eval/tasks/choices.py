"""The golds of multiple choice: what an answer column's cells name of their options, read in one way for all rows."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bon_eval.errors import TaskError
from bon_eval.graders.choice_text import LETTERS, gold_readings, gold_with_options, option_lines, option_texts


def choice_golds(
    column: str, answers: Sequence[str], fields: Sequence[dict[str, str]], rows: Sequence[int], where: str
) -> list[str]:
    """The gold of each row; the column of options becomes their lines in `fields`.

    An answer is a letter, a zero-based index or an option's text. Where it could be more than one of them, that counts
    which fits every row: of options that are numbers themselves, "3" as an index and as a text are two answers.

    Args:
        column: the name of the column of options.
        answers: of each row, without blanks around it.
        fields: of each row, the cells by column.
        rows: the rows' numbers, for messages.
        where: the data, for messages.

    Raises:
        TaskError: options that are no list of texts, an answer that names none of them, or one that names several and
            the other rows do not tell which is meant.
    """
    texts = [_options(column, cells, where, row) for cells, row in zip(fields, rows, strict=True)]
    readings = [gold_readings(answer, options) for answer, options in zip(answers, texts, strict=True)]
    for answer, options, found, row in zip(answers, texts, readings, rows, strict=True):
        if not found:
            raise TaskError(
                f"{where}: row {row} has the answer {answer!r}, which is no letter, zero-based index or text of one of "
                f"its {len(options)} options"
            )
    fitting = set.intersection(*(set(found) for found in readings)) if readings else set()
    golds = []
    for answer, options, found, row in zip(answers, texts, readings, rows, strict=True):
        letters = {kind: letter for kind, letter in found.items() if kind in fitting or not fitting}
        if len(set(letters.values())) > 1:
            named = " and ".join(f"option {letter} by its {kind}" for kind, letter in letters.items())
            raise TaskError(
                f"{where}: row {row} has the answer {answer!r}, which is {named}, and the other rows do not tell which "
                "is meant; write letters"
            )
        golds.append(gold_with_options(next(iter(letters.values())), options))
    for cells, options in zip(fields, texts, strict=True):
        cells[column] = option_lines(options)
    return golds


def _options(column: str, fields: dict[str, str], where: str, row: int) -> list[str]:
    try:
        options = json.loads(fields[column])
    except ValueError:
        options = None
    if not isinstance(options, list) or not 2 <= len(options) <= len(LETTERS) or not all(map(_is_option, options)):
        raise TaskError(
            f"{where}: row {row} has no list of 2 to {len(LETTERS)} texts in column {column!r} (columns.options); "
            "write a JSON list"
        )
    return option_texts([str(option) for option in options])


def _is_option(option: object) -> bool:
    return isinstance(option, str | int | float) and bool(str(option).strip())
