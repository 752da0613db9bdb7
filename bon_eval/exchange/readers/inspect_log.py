"""Inspect: a ``.eval`` log, a zip with ``samples/ID_epoch_K.json``, read one sample at a time.

Of a sample: ``id``, ``epoch``, ``input`` (a text, or messages), ``target``, ``output.choices`` with their
``message.content``, ``stop_reason`` and ``logprobs``, ``output.usage.output_tokens`` and ``scores``; long texts may
stand in ``attachments``.
``start.json`` or ``header.json`` names the model, the task and how was sampled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bon_eval.errors import SourceError
from bon_eval.exchange.columns import Columns
from bon_eval.exchange.lines import json_object, reading
from bon_eval.exchange.readers.base import About, Reader, itself
from bon_eval.exchange.sample import Sample, finish_of, floats_of, label_of, size_of, text_of

_LARGEST = 256 << 20
_ATTACHMENT = "attachment://"
_VERDICTS = {"C": True, "I": False, 1: True, 0: False}


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError) as error:
        raise SourceError(f"{path} is no whole zip ({error}); it was cut off: copy or download it again") from error


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> dict[str, Any]:
    where = f"{path}, {name}"
    try:
        if archive.getinfo(name).file_size > _LARGEST:
            raise SourceError(f"{where} is larger than {_LARGEST >> 20} MiB")
        text = archive.read(name).decode("utf-8")
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise SourceError(f"{where} cannot be unpacked ({error}); copy the log again, or write it anew") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{where} is not UTF-8 (byte {error.start})") from error
    return json_object(text, where)


def _samples(path: Path, columns: Columns) -> Iterator[Sample]:
    with reading(path), _open(path) as archive:
        names = [name for name in archive.namelist() if name.startswith("samples/") and name.endswith(".json")]
        if not names:
            raise SourceError(
                f"{path} holds no samples; the evaluation was logged without them, or ended before the first"
            )
        for name in names:
            yield _of(_member(archive, name, path), f"{path}, {name}")


def _of(sample: Mapping[str, Any], where: str) -> Sample:
    attachments = sample.get("attachments") or {}

    def resolved(text: object) -> object:
        if isinstance(text, str) and text.startswith(_ATTACHMENT):
            return attachments.get(text.removeprefix(_ATTACHMENT), text)
        return text

    output = sample.get("output") or {}
    choices = output.get("choices") or []
    if sample.get("error") or len(choices) != 1:
        why = "ended in an error" if sample.get("error") else f"has {len(choices)} choices"
        raise SourceError(f"{where}: the sample {why}, and one response is needed; run it again, or leave it out")
    [choice] = choices
    target = sample.get("target")
    target = target[0] if isinstance(target, list) and len(target) == 1 else target
    logprobs = (choice.get("logprobs") or {}).get("content")
    values = None if not logprobs else [token.get("logprob") for token in logprobs]
    tokens = floats_of(values, where, "logprobs")
    counted = size_of((output.get("usage") or {}).get("output_tokens"), where, "output_tokens")
    return Sample(
        where=where,
        text=text_of(_text((choice.get("message") or {}).get("content"), resolved), where, "the message's content"),
        problem_id=label_of(sample.get("id"), where, "id"),
        question=_question(sample.get("input"), resolved),
        index=label_of(sample.get("epoch"), where, "epoch"),
        gold=target if isinstance(target, str) and target else None,
        correct=_verdict(sample.get("scores")),
        token_logprobs=tokens,
        n_tokens=(counted or None) if tokens is None else None,
        finish_reason=finish_of(choice.get("stop_reason")),
    )


def _text(content: object, resolved: Any) -> object:
    """A message's text: as it stands, or of its parts those that are text."""
    if isinstance(content, list):
        return "".join(str(resolved(part.get("text", ""))) for part in content if part.get("type") == "text")
    return resolved(content)


def _question(given: object, resolved: Any) -> str | None:
    """The input, of messages the last one of the user."""
    if isinstance(given, list):
        asked = [message.get("content") for message in given if message.get("role") == "user"]
        given = _text(asked[-1], resolved) if asked else None
    found = resolved(given)
    return found if isinstance(found, str) else None


def _verdict(scores: object) -> bool | None:
    """Of the only score, where it is right or wrong and nothing between."""
    if not isinstance(scores, dict) or len(scores) != 1:
        return None
    [score] = scores.values()
    value = score.get("value") if isinstance(score, dict) else None
    return _VERDICTS.get(value) if isinstance(value, str | int | float) else None


def _about(path: Path, columns: Columns) -> About:
    with reading(path), _open(path) as archive:
        name = next(
            (name for name in ("header.json", "_journal/start.json", "start.json") if name in archive.namelist()), None
        )
        if name is None:
            raise SourceError(f"{path} has neither header.json nor start.json; it is no log of Inspect")
        start = _member(archive, name, path)
    evaluation, plan = start.get("eval") or {}, start.get("plan") or {}
    asked = {**(evaluation.get("model_generate_config") or {}), **(plan.get("config") or {})}
    temperature, limit = asked.get("temperature"), asked.get("max_tokens")
    return About(
        model=evaluation.get("model"),
        task=evaluation.get("task"),
        temperature=float(temperature) if isinstance(temperature, int | float) else None,
        max_tokens=limit if isinstance(limit, int) else None,
    )


INSPECT = Reader(
    name="inspect",
    summary="Inspect: a .eval log",
    files=itself,
    is_it=lambda path: path.is_file() and path.suffix == ".eval",
    samples=_samples,
    about=_about,
)
