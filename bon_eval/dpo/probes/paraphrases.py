"""Rules that say a response in other words, from a YAML file::

paraphrases:
  - name: in-words
    rules:
      - {find: '(\\d+)\\*(\\d+)=(\\d+)', put: '\\1 times \\2 is \\3'}
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from bon_eval.dpo.probes.kinds import KINDS
from bon_eval.tasks.yaml_file import Node, read_yaml

_NAME = re.compile(r"[\w-]+")


@dataclass(frozen=True, slots=True)
class Paraphrase:
    """One way to put a response otherwise."""

    name: str
    rules: tuple[tuple[re.Pattern[str], str], ...]
    """Each in turn: a regular expression, and what is put in place of all its matches (``\\1``: a group)."""

    def of(self, text: str) -> str | None:
        """The text after all rules, blank where they leave nothing; None where they change no more than its ends'
        blanks."""
        found = text
        for pattern, put in self.rules:
            found = pattern.sub(put, found)
        return found if found.strip() != text.strip() else None


def read_paraphrases(path: Path) -> tuple[Paraphrase, ...]:
    """The paraphrases of a YAML file; in its expressions ``^`` and ``$`` match at every line.

    Raises:
        TaskError: no such file, not as it should be, a name that stands twice or is a kind of probe, an expression or
            a replacement that is none.
    """
    top = read_yaml(path, "paraphrase")
    top.only("paraphrases")
    found: dict[str, Paraphrase] = {}
    for node in top.nodes("paraphrases"):
        node.only("name", "rules")
        name = node.text("name")
        if not _NAME.fullmatch(name) or name in KINDS or name in found:
            taken = "twice" if name in found else "of a kind of probe" if name in KINDS else "no plain word"
            raise node.error("name", f"is {name!r}, {taken}; give each paraphrase a name of its own, without blanks")
        rules = tuple(_rule(rule) for rule in node.nodes("rules"))
        if not rules:
            raise node.error("rules", "is missing or empty; add a find and a put")
        found[name] = Paraphrase(name, rules)
    if not found:
        raise top.error("paraphrases", "is missing or empty; add one")
    top.finish()
    return tuple(found.values())


def _rule(node: Node) -> tuple[re.Pattern[str], str]:
    node.only("find", "put")
    find, put = node.text("find"), node.optional_text("put")
    if put is None:
        raise node.error("put", "is missing; add it")
    try:
        pattern = re.compile(find, re.MULTILINE)
    except re.error as error:
        raise node.error("find", f"is {find!r}, no regular expression: {error}") from error
    try:
        pattern.sub(put, "")
    except (re.error, IndexError) as error:
        raise node.error("put", f"is {put!r}, which does not fit {find!r}: {error}") from error
    return pattern, put
