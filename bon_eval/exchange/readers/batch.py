"""OpenAI's batch output, and what ``vllm run-batch`` writes: a row for each request, by its ``custom_id``.

``response.body`` is a completion or a chat completion: ``choices`` with ``text`` or ``message.content``,
``finish_reason`` and, where they were asked for, ``logprobs``; ``usage.completion_tokens`` of all choices together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bon_eval.errors import SourceError, shortened
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.lines import Record, first_record, records
from bon_eval.exchange.readers.base import About, Reader, itself
from bon_eval.exchange.sample import Sample, finish_of, floats_of, label_of, size_of, text_of

_NUMBERED = re.compile(r"(.+)[-_/:#](\d+)")


def _is_it(path: Path) -> bool:
    if not path.is_file() or path.suffix not in (".jsonl", ".json"):
        return False
    first = first_record(path)
    return first is not None and {"custom_id", "response"} <= first.keys()


def _body(record: Record, where: str) -> Mapping[str, Any]:
    response = record.get("response")
    status = response.get("status_code") if isinstance(response, dict) else None
    if record.get("error") or not isinstance(response, dict) or status not in (None, 200):
        what = shortened(str(record.get("error") or status or "no response"))
        raise SourceError(
            f"{where}: request {record.get('custom_id')!r} failed ({what}); send it again, or drop the row"
        )
    body = response.get("body", response)
    if not isinstance(body, dict) or not isinstance(body.get("choices"), list) or not body["choices"]:
        raise SourceError(f"{where}: the response has no choices; give the output of a batch of completions")
    return body


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    for where, row, record in records(path):
        body = _body(record, where)
        name = label_of(record.get("custom_id"), where, "custom_id")
        choices = body["choices"]
        numbered = _NUMBERED.fullmatch(name or "")
        usage = body.get("usage") or {}
        for k, choice in enumerate(choices):
            logprobs = _logprobs(choice.get("logprobs"), where)
            counted = size_of(usage.get("completion_tokens"), where, "completion_tokens") if len(choices) == 1 else None
            yield Sample(
                where=where if len(choices) == 1 else f"{where}, choice {k}",
                text=_text(choice, where),
                problem_id=name,
                numbered=(numbered[1], numbered[2]) if numbered and len(choices) == 1 else None,
                row=row,
                token_logprobs=logprobs,
                n_tokens=(counted or None) if logprobs is None else None,
                finish_reason=finish_of(choice.get("finish_reason")),
            )


def _text(choice: Mapping[str, Any], where: str) -> str:
    message = choice.get("message")
    if isinstance(message, dict):
        return text_of(message.get("content"), where, "message.content")
    return text_of(choice.get("text"), where, "text")


def _logprobs(stated: Any, where: str) -> tuple[float, ...] | None:
    """Of a chat completion a list of objects, of a completion a list of numbers."""
    if not isinstance(stated, dict):
        return None
    content = stated.get("content")
    values = [token.get("logprob") for token in content] if isinstance(content, list) else stated.get("token_logprobs")
    return floats_of(values, where, "logprobs") or None


def _about(path: Path, columns: Columns) -> About:
    where, _, record = next(records(path))
    model = _body(record, where).get("model")
    return About(model=model if isinstance(model, str) else None)


BATCH = Reader(
    name="batch",
    summary="OpenAI batch output, and vLLM's run-batch: rows with custom_id and response",
    files=itself,
    is_it=_is_it,
    samples=_samples,
    about=_about,
)
