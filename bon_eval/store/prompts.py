"""The prompts of a stored run, and whether two runs saw the same ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bon_eval.errors import ConfigError, StoreError
from bon_eval.store.extent import FILE, problem_rows

if TYPE_CHECKING:
    from bon_eval.tasks.prompts import RenderedPrompt

_ROWS = 256
_EXCERPT_CHARS = 80


def load_prompts(path: Path) -> dict[str, tuple[int, ...]]:
    """Prompt token ids by problem id."""
    table = problem_rows(path, ["problem_id", "prompt_token_ids"])
    return {r["problem_id"]: tuple(r["prompt_token_ids"]) for r in table.to_pylist()}


def load_prompt_texts(path: Path) -> Iterator[tuple[str, str]]:
    """(problem id, the prompt's text) of a run."""
    for batch in problem_rows(path, ["problem_id", "prompt"]).to_batches(_ROWS):
        yield from zip(batch["problem_id"].to_pylist(), batch["prompt"].to_pylist(), strict=True)


def load_rendered_prompts(path: Path) -> dict[str, RenderedPrompt]:
    """The prompts of a run by problem id, in task order; `messages` is None in plain style, and in every prompt of a
    run that was stored before bon-eval kept them.
    """
    from bon_eval.tasks.prompts import RenderedPrompt

    return {
        row["problem_id"]: RenderedPrompt(
            row["problem_id"],
            row["prompt"],
            tuple(row["prompt_token_ids"]),
            tuple(json.loads(stored)) if (stored := row.get("messages")) is not None else None,
        )
        for row in problem_rows(path).to_pylist()
    }


def check_token_ids(path: Path, problem: str, token_ids: Sequence[Sequence[int]]) -> None:
    """Raise `StoreError` where responses were stored without their token ids, for what cannot do without."""
    if not all(token_ids):
        raise StoreError(
            f"{path}: the server that sampled problem {problem} gave no token ids, so its responses can be analysed "
            "but neither scored nor trained on; sample through a server that gives them, such as vLLM's"
        )


def check_same_prompts(
    before: Mapping[str, Sequence[int]],
    after: Mapping[str, Sequence[int]],
    texts: Callable[[], tuple[Mapping[str, str], Mapping[str, str]]] | None = None,
) -> None:
    """Raise `ConfigError` that names the first difference unless both models see the same tokens for every problem.

    `texts`: gives the texts of both by problem id, asked for where the tokens differ.
    """
    for problem in (*before, *after):
        if problem not in before or problem not in after:
            side = "after" if problem in before else "before"
            raise ConfigError(f"problem {problem!r} is missing in the run {side}; compare runs of the same problems")
        a, b = before[problem], after[problem]
        if tuple(a) != tuple(b):
            at = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
            words = None
            if texts is not None:
                first, second = texts()
                words = differing_text(first.get(problem, ""), second.get(problem, ""), "before", "after")
            raise ConfigError(
                f"the prompts differ, first at token {at} of problem {problem!r}: "
                f"{words or f'{_ids(a, at)} before, {_ids(b, at)} after'} (another "
                f"{'tokenizer' if words is None else 'chat template, system text, date or tokenizer'}); likelihoods of "
                "different prompts are not comparable, --allow-different-prompts compares accuracies all the same"
            )


def differing_text(one: str, other: str, name: str, other_name: str) -> str | None:
    """The first place at which two texts differ, as both have it; None where they do not.

    >>> differing_text("Today: 2 May. Hi", "Today: 3 May. Hi", "stored", "given")
    "'Today: 2 May. Hi' stored, 'Today: 3 May. Hi' given"
    """
    if one == other:
        return None
    at = next((i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other)))
    start = max(0, at - _EXCERPT_CHARS // 2)

    def excerpt(text: str) -> str:
        part = text[start : at + _EXCERPT_CHARS // 2]
        return repr("..." * (start > 0) + part + "..." * (len(text) > at + _EXCERPT_CHARS // 2))

    return f"{excerpt(one)} {name}, {excerpt(other)} {other_name}"


def with_first_text(changed: Sequence[str], path: Path, prompts: Mapping[str, str]) -> list[str]:
    """What differs between a stored run and a given one, with the first text of the prompts that does for their hash.

    Args:
        changed: as `bon_eval.config.differences` gives it.
        path: the stored run.
        prompts: problem id -> the given prompt's text.
    """
    texts = load_prompt_texts(path) if (path / FILE).is_file() else ()
    found = (
        f"prompts: problem {problem!r}: {first}"
        for problem, text in texts
        if (first := differing_text(text, prompts.get(problem, text), "stored", "now")) is not None
    )
    return [next(found, line) if line.startswith("first_prompt: ") else line for line in changed]


def _ids(tokens: Sequence[int], at: int) -> str:
    return " ".join(map(str, tokens[at : at + 4])) or "end of prompt"
