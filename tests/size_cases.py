r"""Hand-written cases of sizes: (grader, response, gold, verdict), None for "unscored: too long".

What lies within the limits keeps its verdict, however much text stands around it; what is beyond them has none.
"""

from __future__ import annotations

PROSE = "Then we look at the next of the cases, of which there are many. "
LONG = PROSE * 400
"""25,600 characters without a number."""
MANY = " + ".join(["1" + "0" * 22] * 50)
"""1,297 characters, worth 5 followed by 23 zeros."""
WORTH = "5" + "0" * 23
SUM = " + ".join(["1"] * 900)
"""3,597 characters, worth 900."""
OPTIONS = f"B\n(A) {PROSE * 20}\n(B) {PROSE * 20}really\n(C) none"

SIZES: list[tuple[str, str, str, bool | None]] = [
    # boxes
    ("math", rf"\boxed{{{SUM}}}", "900", None),
    ("math", rf"\boxed{{{SUM}}}", "1", None),
    ("math", rf"\boxed{{{MANY}}}", WORTH, True),
    ("math", rf"\boxed{{{MANY}}}", "1", False),
    ("math", r"\boxed{" + "x" * 11_000 + "} 4", "4", None),
    ("gsm8k", r"\boxed{" + "5" * 11_000 + "} 4", "4", None),
    ("math", r"\boxed{" + "x" * 11_000 + r"} or rather \boxed{4}", "4", True),
    ("math", r"\boxed{" + "x" * 11_000 + r"} or rather \boxed{4}", "x", False),
    ("math", rf"\boxed{{7}} {LONG * 9} And 3 more words", "7", True),
    ("math", rf"\boxed{{7}} {LONG * 9} And 3 more words", "3", False),
    ("math", r"\boxed{6}" + r" \boxed{}" * 40 + " 3", "6", True),
    ("math", r"\boxed{6}" + r" \boxed{}" * 40 + " 3", "3", False),
    ("math", ", ".join(rf"\boxed{{{k}}}" for k in range(40)), ", ".join(str(k) for k in range(40)), True),
    ("math", ", ".join(rf"\boxed{{{k}}}" for k in range(40)), ", ".join(str(k) for k in range(8, 40)), False),
    ("gsm8k", r"\boxed " + "1" * 60, "1" * 60, True),
    ("gsm8k", r"\boxed " + "1" * 60, "1" * 40, False),
    # markers and statements
    ("gsm8k", f"#### {SUM}", "1", None),
    ("gsm8k", f"#### {'(' * 400}8", "8", None),
    ("math", f"A: {' + '.join(['2'] * 30)}", "60", True),
    ("math", f"A: {' + '.join(['2'] * 30)}", "2", False),
    ("math", f"The answer is {MANY}", WORTH, True),
    ("math", f"The answer is {MANY}", "3" + "8" * 23, False),
    ("math", f"The answer is {SUM}", "900", None),
    ("gsm8k", f"The answer is {SUM}", "1", None),
    ("math", "The answer is\n\\[\n" + MANY.replace("+", "+\n") + "\n\\]", WORTH, True),
    ("math", "The answer is\n\\[\n" + MANY.replace("+", "+\n") + "\n\\]", "1" + "0" * 22, False),
    ("math", "The answer is\n\\[\n" + "1 +\n" * 900 + "1\n\\]", "1", None),
    ("gsm8k", f"The answer is 31. {LONG} That took 4 steps.", "31", True),
    ("gsm8k", f"The answer is 31. {LONG} That took 4 steps.", "4", False),
    ("numeric", f"The answer is 31. {PROSE * 30}", "31", True),
    ("numeric", f"The answer is 31. {PROSE * 30}", "30", False),
    # formulas and numbers at the end
    ("math", f"{PROSE * 30}So ${MANY}$", WORTH, True),
    ("math", f"{PROSE * 30}So ${MANY}$", "1" + "0" * 22, False),
    ("math", f"So ${SUM}$", "1", None),
    ("math", "So\n\\[\n" + "2 +\n" * 20 + "2\n\\]", "42", True),
    ("math", "So\n\\[\n" + "2 +\n" * 20 + "2\n\\]", "26", False),
    ("numeric", "It is " + "9" * 30_000, "9", None),
    ("numeric", "It is " + "8" * 1_000, "8" * 1_000, True),
    ("numeric", "It is " + "8" * 1_000, "8", False),
    # other graders
    ("choice", f"The answer is {PROSE * 20}really", OPTIONS, True),
    ("choice", f"The answer is {PROSE * 20}", OPTIONS, False),
    ("choice", r"\boxed{B" + " " + PROSE * 200 + "}", OPTIONS, None),
    ("true_false", r"\boxed{True, since " + PROSE * 40 + "}", "True", None),
    ("true_false", f"\\boxed{{True}} {LONG * 9}", "True", True),
    ("true_false", f"\\boxed{{True}} {LONG * 9}", "False", False),
    ("game24", f"Answer: {'(' * 1_500}4*6{')' * 1_500}*1*1", "1 1 4 6", None),
    ("game24", f"Answer: 4 * 6 * 1 * 1\n{LONG}\n", "1 1 4 6", True),
    ("game24", f"Answer: 4 * 6 + 1 * 1\n{LONG}\n", "1 1 4 6", False),
]
