"""Probes of a set of pairs: for each side the same prompts with the responses put otherwise.

What is drawn for a pair depends on the seed, the probe's name, the pair's id and what there is to draw from.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bon_eval.dpo.pairs.files import Pair, Text, to_record
from bon_eval.dpo.probes.kinds import KINDS, other, permuted, random_words, vocabulary
from bon_eval.dpo.probes.paraphrases import Paraphrase
from bon_eval.errors import ConfigError, unknown_name
from bon_eval.stats.streams import seeded_stream
from bon_eval.store.files import make_directory, replace_all

SIDES = ("chosen", "rejected")


@dataclass(frozen=True, slots=True)
class Probe:
    """One set of responses to follow."""

    name: str
    """The side that it is made of, and the kind or the paraphrase."""
    responses: tuple[Pair, ...]
    """A pair's id and prompt each, with the response as chosen."""
    skipped: Mapping[str, tuple[str, ...]]
    """Reason -> ids of the pairs that have none."""


def build_probes(
    pairs: Sequence[Pair],
    kinds: Sequence[str] = (),
    paraphrases: Sequence[Paraphrase] = (),
    *,
    others: Sequence[Pair] | None = None,
    seed: int = 0,
) -> tuple[Probe, ...]:
    """The probes of both sides, chosen's first; one without a single response is among them.

    Args:
        pairs: as `load_pairs` gives them.
        kinds: of `KINDS`; none: all.
        paraphrases: as `read_paraphrases` gives them.
        others: pairs from which ``other`` takes responses; None: `pairs`.
        seed: of what is drawn.

    Raises:
        ConfigError: an unknown kind, `others` for kinds that do not read them, a negative seed, or not a single
            response in any probe.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(unknown_name("kind of probe", kind, list(KINDS)))
    if others is not None and kinds and "other" not in kinds:
        raise ConfigError("other pairs were given to take responses from, and no probe does; add the kind other")
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; give a whole number >= 0")
    known = vocabulary(text for pair in pairs for side in SIDES if (text := _said(pair, side)) is not None)
    found = []
    for side in SIDES:
        sources = _sources(pairs if others is None else others, side)
        makers = _makers(kinds or KINDS, paraphrases, known, sources)
        for name, (make, lacking) in makers.items():
            found.append(_probe(pairs, side, f"{side}-{name}", make, lacking, seed))
    if not any(probe.responses for probe in found):
        reasons = dict.fromkeys(reason for probe in found for reason in probe.skipped)
        raise ConfigError(f"no probe has a response: {'; '.join(reasons)}; give more pairs, or other kinds")
    return tuple(found)


def write_probes(folder: Path, probes: Sequence[Probe]) -> dict[str, Path]:
    """Write a JSON Lines file for each probe that has responses, all or none of them; name -> file.

    Raises:
        StoreError: the folder cannot be written.
    """
    files = {probe.name: folder / f"{probe.name}.jsonl" for probe in probes if probe.responses}
    make_directory(folder)
    lines = {probe.name: "".join(_line(response) for response in probe.responses) for probe in probes}
    replace_all({path: lines[name].encode("utf-8") for name, path in files.items()})
    return files


_Make = Callable[[str, str, np.random.Generator], str | None]
"""(prompt, response, random stream) -> the response put otherwise."""


def _makers(
    kinds: Sequence[str], paraphrases: Sequence[Paraphrase], known: Sequence[str], sources: Sequence[tuple[str, str]]
) -> dict[str, tuple[_Make, str]]:
    """Name -> how a response is made, and why there may be none."""
    makers: dict[str, tuple[_Make, str]] = {
        "permuted": (lambda _, text, rng: permuted(text, rng), "fewer than two different words"),
        "other": (lambda prompt, text, rng: other((prompt, text), sources, rng), "no other problem's response"),
        "random-words": (lambda _, text, rng: random_words(text, known, rng), "fewer than two different words in all"),
    }
    chosen = {kind: makers[kind] for kind in KINDS if kind in kinds}
    return chosen | {p.name: _paraphrased(p) for p in paraphrases}


def _paraphrased(paraphrase: Paraphrase) -> tuple[_Make, str]:
    return lambda _, text, __: paraphrase.of(text), "no rule changes it"


def _probe(pairs: Sequence[Pair], side: str, name: str, make: _Make, lacking: str, seed: int) -> Probe:
    responses: list[Pair] = []
    skipped: dict[str, list[str]] = {}
    for pair in pairs:
        text = _said(pair, side)
        if text is None:
            skipped.setdefault("several messages", []).append(pair.id)
            continue
        made = make(_key(pair), text, seeded_stream(seed, f"probes/{name}/{pair.id}"))
        if made is None or not made.strip():
            skipped.setdefault(lacking if made is None else "nothing is left of it", []).append(pair.id)
            continue
        form: Text = made if isinstance(pair.prompt, str) else ({"role": "assistant", "content": made},)
        responses.append(replace(pair, chosen=form, chosen_token_ids=None, rejected_token_ids=None, stop=()))
    return Probe(name, tuple(responses), {reason: tuple(ids) for reason, ids in skipped.items()})


def _sources(pairs: Sequence[Pair], side: str) -> list[tuple[str, str]]:
    """The different (prompt, response) of a side, in order."""
    said: Iterator[tuple[str, str | None]] = ((_key(pair), _said(pair, side)) for pair in pairs)
    return list(dict.fromkeys((prompt, text) for prompt, text in said if text is not None))


def _said(pair: Pair, side: str) -> str | None:
    """A side's text; None where it is several messages."""
    text: Text = getattr(pair, side)
    if isinstance(text, str):
        return text
    return text[0]["content"] if len(text) == 1 else None


def _key(pair: Pair) -> str:
    return pair.prompt if isinstance(pair.prompt, str) else json.dumps([dict(m) for m in pair.prompt])


def _line(response: Pair) -> str:
    record: dict[str, Any] = to_record(response)
    record["response"] = record.pop("chosen")
    del record["rejected"], record["recipe"]
    return json.dumps(record, ensure_ascii=False) + "\n"
