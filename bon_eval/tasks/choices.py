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

    Options are a list of texts, or texts with their labels (`read_options`). An answer is a letter, a zero-based index
    or an option's text; of labelled options it is a label or a text. Where it could be more than one of these, that
    counts which fits every row: of options that are numbers themselves, "3" as an index and as a text are two answers.

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
    read = [_options(column, cells, where, row) for cells, row in zip(fields, rows, strict=True)]
    texts = [options for options, _ in read]
    readings = [_readings(answer, *found) for answer, found in zip(answers, read, strict=True)]
    for answer, (options, labels), found, row in zip(answers, read, readings, rows, strict=True):
        if not found:
            names = "label" if labels else "letter, zero-based index"
            raise TaskError(
                f"{where}: row {row} has the answer {answer!r}, which is no {names} or text of one of its "
                f"{len(options)} options"
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


def read_options(cell: object) -> tuple[list[str], list[str]] | None:
    """The texts of a cell's options and their labels, which are empty where it has none; None where it is no options.

    A list of texts; an object of two lists, ``text`` and ``label``, as ARC and its like have it; a list of objects with
    a ``text`` and a ``label`` each; or one of these as JSON.

    >>> read_options({"text": ["red", "blue"], "label": ["1", "2"]})
    (['red', 'blue'], ['1', '2'])
    >>> read_options([{"label": "A", "text": "red"}, {"label": "B", "text": "blue"}]), read_options(["red", "blue"])
    ((['red', 'blue'], ['A', 'B']), (['red', 'blue'], []))
    >>> print(read_options({"text": ["red", "blue"]}), read_options("red, blue"), read_options(["red"]))
    None None None
    """
    if isinstance(cell, str):
        try:
            cell = json.loads(cell)
        except ValueError:
            return None
    labels: object = []
    objects = [option for option in cell if isinstance(option, dict)] if isinstance(cell, list) else []
    if objects and objects == cell:
        cell, labels = ([option.get(name) for option in objects] for name in ("text", "label"))
    elif isinstance(pair := cell, dict):
        cell, labels = pair.get("text"), pair.get("label")
        if not isinstance(cell, list) or not isinstance(labels, list) or len(labels) != len(cell):
            return None
    if not isinstance(cell, list) or not 2 <= len(cell) <= len(LETTERS):
        return None
    assert isinstance(labels, list)
    if not all(map(_is_option, [*cell, *labels])):
        return None
    names = [" ".join(str(label).split()) for label in labels]
    return (option_texts([str(option) for option in cell]), names) if len(set(names)) == len(names) else None


def _readings(answer: str, options: list[str], labels: list[str]) -> dict[str, str]:
    """The right option's letter by each way to name it; letters and indices count where there are no labels.

    >>> _readings("1", ["red", "blue"], ["1", "2"]), _readings("0", ["red", "blue"], ["1", "2"])
    ({'label': 'A'}, {})
    >>> _readings("2", ["2", "3"], ["1", "2"]), _readings("1", ["red", "blue"], [])
    ({'text': 'A', 'label': 'B'}, {'index': 'B'})
    """
    found = gold_readings(answer, options)
    if not labels:
        return found
    by_text = {kind: letter for kind, letter in found.items() if kind == "text"}
    return by_text | ({"label": LETTERS[labels.index(answer)]} if answer in labels else {})


def _options(column: str, fields: dict[str, str], where: str, row: int) -> tuple[list[str], list[str]]:
    found = read_options(fields[column])
    if found is None:
        raise TaskError(
            f"{where}: row {row} has no list of 2 to {len(LETTERS)} texts in column {column!r} (columns.options); "
            "write a JSON list, or an object of the lists text and label"
        )
    return found


def _is_option(option: object) -> bool:
    return isinstance(option, str | int | float) and bool(str(option).strip())
