"""Pairs whose both sides lie outside the model's support: sentences that it would not write.

`outside_pairs` are one number apart: the words are the model's own vocabulary, the form is none that its corpus has as
an answer; chosen has the right number and rejected a wrong one, and neither says anything about the way to it.
`said_pairs` are the model's own responses in other words.
"""

from __future__ import annotations

import json
import random

from arith.corpus import prompt
from arith.problems import ArithProblem, below

from bon_eval.dpo.probes.paraphrases import Paraphrase

FORMS = (
    "There are now {number} of them in the end.",
    "There are in the end {number} of them.",
    "There is now the number {number} on the desk.",
)
NEAR = 20
"""Largest distance of the wrong number to the right one."""


def outside_pairs(problems: list[ArithProblem], seed: str) -> str:
    """One pair a problem as a preference file: JSON lines with prompt, chosen and rejected."""
    rng = random.Random(seed)
    rows = []
    for problem in problems:
        form = FORMS[below(rng, len(FORMS))]
        wrong = [n for n in range(max(1, problem.answer - NEAR), problem.answer + NEAR + 1) if n != problem.answer]
        sides = {"chosen": problem.answer, "rejected": wrong[below(rng, len(wrong))]}
        texts = {side: form.format(number=number) for side, number in sides.items()}
        rows.append({"prompt": prompt(problem.question)} | texts)
    return "".join(json.dumps(row) + "\n" for row in rows)


def said_pairs(pairs: str, paraphrase: Paraphrase) -> str:
    """A preference file with both sides of each pair in other words, as texts without token ids.

    Pairs with a side that the rules do not change (a garbled sample) are left out.
    """
    rows = []
    for line in pairs.splitlines():
        pair = json.loads(line)
        said = {side: paraphrase.of(pair[side]) for side in ("chosen", "rejected")}
        if None not in said.values():
            rows.append({name: pair[name] for name in ("id", "problem_id", "prompt")} | said)
    return "".join(json.dumps(row) + "\n" for row in rows)
