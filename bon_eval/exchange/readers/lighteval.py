"""lighteval, ``--save-details``: ``details_TASK_DATE.parquet``, a row for each document.

Columns of its newer versions: ``doc`` (``query``, ``choices``, ``gold_index``, ``id``), ``model_response`` (``text``
and ``output_tokens``, a list each) and ``metric``; of older ones ``predictions``, ``gold``, ``full_prompt`` and
``metrics``, in some as the text of a Python list. Where documents have no id, rows are matched with --match row.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bon_eval.errors import SourceError
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.lines import Record, first_record, records
from bon_eval.exchange.readers.base import About, Reader, itself
from bon_eval.exchange.sample import Sample, ids_of, label_of, text_of


def _is_it(path: Path) -> bool:
    if not path.is_file() or path.suffix != ".parquet":
        return False
    first = (first_record(path) or {}).keys()
    return {"doc", "model_response"} <= first or {"predictions", "full_prompt"} <= first


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    for where, row, record in records(path):
        found = _newer(record) if "model_response" in record else _older(record, where)
        texts = found["texts"]
        if not isinstance(texts, list) or not texts:
            raise SourceError(f"{where} has no generated text; import a task that generates")
        tokens = found["tokens"]
        tokens = tokens if isinstance(tokens, list) and len(tokens) == len(texts) and all(tokens) else None
        for k, text in enumerate(texts):
            yield Sample(
                where=where if len(texts) == 1 else f"{where}, response {k}",
                text=text_of(text, where, "a response"),
                problem_id=label_of(found["id"], where, "doc.id") or None,
                asked=found["asked"] if isinstance(found["asked"], str) else None,
                prompt=found["prompt"] if isinstance(found["prompt"], str) else None,
                row=row,
                index=str(k),
                gold=label_of(found["gold"], where, "the gold answer"),
                token_ids=None if tokens is None else ids_of(tokens[k], where, "output_tokens"),
            )


def _newer(record: Record) -> Mapping[str, Any]:
    doc, response = record.get("doc") or {}, record.get("model_response") or {}
    choices, index = doc.get("choices"), doc.get("gold_index")
    index = index[0] if isinstance(index, list) and len(index) == 1 else index
    known = isinstance(choices, list) and isinstance(index, int) and 0 <= index < len(choices)
    prompt = response.get("input")
    return {
        "texts": response.get("text"),
        "tokens": response.get("output_tokens"),
        "id": doc.get("id"),
        "asked": doc.get("original_query") or doc.get("query"),
        "prompt": prompt,
        "gold": choices[index] if known and isinstance(choices, list) and isinstance(index, int) else None,
    }


def _older(record: Record, where: str) -> Mapping[str, Any]:
    gold = _listed(record.get("gold"), where)
    return {
        "texts": _listed(record.get("predictions"), where),
        "tokens": None,
        "id": None,
        "asked": record.get("example"),
        "prompt": record.get("full_prompt"),
        "gold": gold[0] if isinstance(gold, list) and len(gold) == 1 else None,
    }


def _listed(value: Any, where: str) -> Any:
    """A list, or the text of one."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise SourceError(f"{where} holds the text of a list that cannot be read; write the details again") from error


def _about(path: Path, columns: Columns) -> About:
    name = path.stem.removeprefix("details_")
    return About(task=name if name != path.stem else None)


LIGHTEVAL = Reader(
    name="lighteval",
    summary="lighteval: details_*.parquet of --save-details",
    files=itself,
    is_it=_is_it,
    samples=_samples,
    about=_about,
)
