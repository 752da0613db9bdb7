"""The prompts of a stored run, and whether two runs saw the same ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from bon_eval.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from bon_eval.tasks.prompts import RenderedPrompt

_ROWS = 256


def load_prompts(path: Path) -> dict[str, tuple[int, ...]]:
    """Prompt token ids by problem id."""
    table = pq.read_table(path / "problems.parquet", columns=["problem_id", "prompt_token_ids"])
    return {r["problem_id"]: tuple(r["prompt_token_ids"]) for r in table.to_pylist()}


def load_prompt_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(problem id, the prompt's text) of a run."""
    with pq.ParquetFile(path / "problems.parquet") as file:
        for batch in file.iter_batches(_ROWS, columns=["problem_id", "prompt"]):
            yield from zip(batch["problem_id"].to_pylist(), batch["prompt"].to_pylist(), strict=True)


def load_rendered_prompts(path: Path) -> dict[str, RenderedPrompt]:
    """The prompts of a run by problem id, in task order; `messages` is None in plain style, and in every prompt of a
    run that was stored before bon-eval kept them.
    """
    from bon_eval.tasks.prompts import RenderedPrompt

    table = pq.read_table(path / "problems.parquet")
    return {
        row["problem_id"]: RenderedPrompt(
            row["problem_id"],
            row["prompt"],
            tuple(row["prompt_token_ids"]),
            tuple(json.loads(stored)) if (stored := row.get("messages")) is not None else None,
        )
        for row in table.to_pylist()
    }


def check_token_ids(path: Path, problem: str, token_ids: Sequence[Sequence[int]]) -> None:
    """Raise `StoreError` where responses were stored without their token ids, for what cannot do without."""
    if not all(token_ids):
        raise StoreError(
            f"{path}: the server that sampled problem {problem} gave no token ids, so its responses can be analysed "
            "but neither scored nor trained on; sample through a server that gives them, such as vLLM's"
        )


def check_same_prompts(before: Mapping[str, Sequence[int]], after: Mapping[str, Sequence[int]]) -> None:
    """Raise `ConfigError` that names the first difference unless both models see the same tokens for every problem."""
    for problem in (*before, *after):
        if problem not in before or problem not in after:
            side = "after" if problem in before else "before"
            raise ConfigError(f"problem {problem!r} is missing in the run {side}; compare runs of the same problems")
        a, b = before[problem], after[problem]
        if tuple(a) != tuple(b):
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            raise ConfigError(
                f"the prompts differ, first at token {at} of problem {problem!r}: {_ids(a, at)} before, {_ids(b, at)} "
                "after (another tokenizer or chat template); likelihoods of different prompts are not comparable, "
                "--allow-different-prompts compares accuracies all the same"
            )


def _ids(tokens: Sequence[int], at: int) -> str:
    return " ".join(map(str, tokens[at : at + 4])) or "end of prompt"
