r"""Whether two forms are the same answer, and the key of a form, by one set of rules.

`compare(gold, answer)` is the grade's relation. It reads the answer as the gold is written: a name on the left of
``=`` and units do not matter; a bare list is unordered beside a set or another list and ordered beside a tuple; a
numeral in the base that the gold shows may leave the base out; a decimal of at least six significant digits stands
for the value that it correctly rounds. A percentage is the number before its sign, or a
hundredth of it where the other side has no sign. What is equal in value is equal: an unevaluated ``4+1`` is 5.

`form_key(form)` is the vote's relation: equal keys are the same answer. It is an equivalence by construction, so it
has neither the asymmetric rules nor the rounding.

Both take an `Oracle` for what rational arithmetic cannot settle; `ExactOracle` has no more than that, and raises
`UndecidedError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from bon_eval.graders.answers.exact import exact, infinity
from bon_eval.graders.answers.forms import Form
from bon_eval.graders.answers.kinds.families import family_key, same_family, same_residue
from bon_eval.graders.answers.oracle import Oracle, every, rational_key, some
from bon_eval.graders.answers.tree import Expr, holds
from bon_eval.graders.language.numerals import leading_words


def compare(gold: Form, answer: Form, oracle: Oracle) -> bool:
    """Whether `answer` is right where `gold` is; raises `UndecidedError` when the oracle cannot tell."""
    if gold == answer:
        return True
    if gold[0] == "eq" or answer[0] == "eq":
        return _equations(gold, answer, oracle)
    g, a = gold[0], answer[0]
    if g == a == "expr":
        return _values(gold[1], answer[1], oracle)
    if "text" in (g, a):
        return _in_words(gold, answer)
    if "family" in (g, a):
        return {g, a} <= {"family", "expr"} and same_family(gold, answer, oracle)
    if "cong" in (g, a):
        return _congruent(gold, answer, oracle)
    if "base" in (g, a):
        return _numerals(gold, answer, oracle)
    if g == a == "rel":
        return oracle.relation_key(*gold[1:]) == oracle.relation_key(*answer[1:])
    if g == a == "ratio":
        same_half = gold[2] == answer[2] or "" in (gold[2], answer[2])
        return same_half and _ordered(gold[1], answer[1], oracle)
    if g == a == "interval":
        return gold[3] == answer[3] and _ordered(gold[1:3], answer[1:3], oracle)
    if g == a == "union":
        return _unordered(gold[1], answer[1], oracle)
    if g == a == "matrix":
        if len(gold[1]) != len(answer[1]) or len(gold[1][0]) != len(answer[1][0]):
            return False
        return every(partial(_ordered, x, y, oracle) for x, y in zip(gold[1], answer[1], strict=True))
    return _collections(gold, answer, oracle)


def _in_words(gold: Form, answer: Form) -> bool:
    """Equal words; or a number in words, things that are counted behind it, and the number."""
    if words(gold) is not None and words(gold) == words(answer):
        return True
    for text, other in ((gold, answer), (answer, gold)):
        if text[0] == "text" and other[0] == "expr" and (value := leading_words(text[1])) is not None:
            return bool(exact(other[1]) == value)
    return False


def _congruent(gold: Form, answer: Form, oracle: Oracle) -> bool:
    """Congruences alike; a residue is answered by a congruence to it, the other way round it leaves the modulus out."""
    if gold[0] == answer[0]:
        return same_residue(gold, answer, oracle)
    return gold[0] == "expr" and oracle.key(gold[1]) == oracle.key(answer[1])


def _collections(gold: Form, answer: Form, oracle: Oracle) -> bool:
    g_items, a_items = _items(gold), _items(answer)
    if g_items is None and a_items is None:
        return False
    if g_items is None or a_items is None:
        # a single solution written as a set or list of one
        if answer[0] == "list" and g_items is None:  # "1/2 or 0.5" for a half
            return every(partial(compare, gold, item, oracle) for item in answer[1])
        single, other = (a_items, gold) if g_items is None else (g_items, answer)
        if single is None or len(single) != 1 or gold[0] == "tuple" or answer[0] == "tuple":
            return False
        return compare(other, single[0], oracle) if g_items is None else compare(single[0], other, oracle)
    kinds = {gold[0], answer[0]}
    if kinds <= {"list", "set"}:
        return _unordered(g_items, a_items, oracle)
    if "set" in kinds or {"interval", "tuple"} <= kinds:
        return False
    if any(form[0] == "tuple" and form[2] not in ("()", "[]") for form in (gold, answer)):
        return False
    if kinds == {"list", "interval"} and "()" not in (gold[-1], answer[-1]):
        return False
    return _ordered(g_items, a_items, oracle)


def _items(form: Form) -> Sequence[Form] | None:
    if form[0] in ("list", "set", "tuple"):
        items: Sequence[Form] = form[1]
        return items
    if form[0] == "interval" and form[3] == "()":
        return (form[1], form[2])
    if form[0] == "matrix":  # a vector
        if all(len(row) == 1 for row in form[1]):
            return tuple(row[0] for row in form[1])
        if len(form[1]) == 1:
            return tuple(form[1][0])
    return None


def _equations(gold: Form, answer: Form, oracle: Oracle) -> bool:
    if gold[0] == answer[0] == "eq":
        if gold[3] is not None and answer[3] is not None:
            if gold[3] == answer[3] or "text" in (gold[3], answer[3]):
                return compare(gold[2], answer[2], oracle)
            if len(gold[3]) > 1 or len(answer[3]) > 1:
                return False
        return _equation_key(gold, oracle) == _equation_key(answer, oracle)
    if gold[0] == "eq":
        return gold[3] is not None and compare(gold[2], answer, oracle)
    if answer[3] is None and not _states_value(answer[1]):
        return False  # "2x = 4" is an equation, not the answer 4
    if answer[1][0] == "base" and gold[0] == "base" and compare(gold, answer[1], oracle):
        return _value_of(answer[1], oracle) == _value_of(answer[2], oracle)  # 204_5 = 54_{10}
    return compare(gold, answer[2], oracle)


def _value_of(form: Form, oracle: Oracle) -> str:
    return rational_key(int(form[1], int(form[2])), 1) if form[0] == "base" else form_key(form, oracle)


def _states_value(left: Form) -> bool:
    """Whether the left side of ``=`` only says what is valued: arithmetic, letters without numbers, words."""
    if left[0] != "expr":
        return True
    tree: Expr = left[1]
    return not holds(tree, "s") or not (holds(tree, "q") or holds(tree, "+"))


def _equation_key(form: Form, oracle: Oracle) -> str:
    if form[1][0] != "expr" or form[2][0] != "expr":
        return f"{form_key(form[1], oracle)}={form_key(form[2], oracle)}"
    return oracle.relation_key("=", form[1][1], form[2][1])


def _values(gold: Expr, answer: Expr, oracle: Oracle) -> bool:
    if gold == answer:
        return True
    a, b = exact(gold), exact(answer)
    if a is not None and a == b:
        return True
    if a is not None and answer[0] == "*" and answer[1][0] == "q" and answer[2] == ("s", "k"):
        return bool(a == answer[1][1] * 1000)  # 15k
    if a is None or b is None:
        if infinity(gold) or infinity(answer):
            return infinity(gold) == infinity(answer)
        if oracle.key(gold) == oracle.key(answer):
            return True
    elif is_percent(gold) != is_percent(answer):
        percent, plain = (b, a) if is_percent(answer) else (a, b)
        return plain == percent / 100 and plain.denominator > 1  # 300% is not 3
    return some([lambda: oracle.rounds(gold, answer), lambda: oracle.rounds(answer, gold)])


def is_percent(tree: Expr) -> bool:
    """Whether a percent sign stands behind the value."""
    return bool(tree[0] == "pct") or (tree[0] == "neg" and is_percent(tree[1]))


def words(form: Form) -> str | None:
    """The words of a text, or the letters of a symbol that stands alone."""
    if form[0] == "text":
        text = str(form[1])
        for article in ("the ", "a ", "an "):
            if text.startswith(article) and len(text) > len(article) + 2:
                return text[len(article) :]
        return text
    if form[0] == "expr" and form[1][0] == "s":
        return str(form[1][1]).lower()
    if form[0] == "expr" and form[1] in (("f", "e"), ("f", "i")):
        return str(form[1][1])
    return None


def _numerals(gold: Form, answer: Form, oracle: Oracle) -> bool:
    if gold[0] == answer[0]:
        return bool(gold == answer)
    if gold[0] == "base" and answer[0] == "expr":
        return bool(answer[1][0] == "q") and answer[1][2] == -1 and str(answer[1][1]) == str(gold[1])
    if answer[0] == "base" and gold[0] == "expr":
        value = int(answer[1], int(answer[2]))
        return oracle.key(gold[1]) == rational_key(value, 1)
    return False


def _ordered(gold: Sequence[Form], answer: Sequence[Form], oracle: Oracle) -> bool:
    if len(gold) != len(answer):
        return False
    return every(partial(compare, x, y, oracle) for x, y in zip(gold, answer, strict=True))


def _unordered(gold: Sequence[Form], answer: Sequence[Form], oracle: Oracle) -> bool:
    """One-to-one matching; equality up to rounding is close enough to an equivalence for the greedy one to be right.

    An item that the answer spells twice counts once, unless the gold has it twice.
    """
    if len(gold) != len(answer) and len(set(gold)) == len(gold):
        answer = list(dict.fromkeys(answer))
    if len(gold) != len(answer):
        return False
    rest = list(answer)
    for item in gold:
        for k, other in enumerate(rest):
            if compare(item, other, oracle):
                del rest[k]
                break
        else:
            return False
    return True


def form_key(form: Form, oracle: Oracle) -> str:
    """The canonical key of a form; equal keys are the same answer. Raises `UndecidedError`."""
    kind = form[0]
    if kind == "expr":
        if form[1][0] == "s" and form[1][1] in tuple("ABCDEFGHIJ"):
            return f"t{form[1][1].lower()}"  # a choice, however it is set
        return oracle.key(form[1])
    if kind == "text":
        return f"t{words(form)}"
    if kind == "base":
        return f"b{form[1]}_{form[2]}"
    if kind in ("list", "set"):
        keys = sorted({form_key(x, oracle) for x in form[1]})
        return keys[0] if len(keys) == 1 else "{" + ",".join(keys) + "}"
    if kind == "union":
        return "U" + ",".join(sorted(form_key(x, oracle) for x in form[1]))
    if kind == "tuple":
        return "(" + ",".join(form_key(x, oracle) for x in form[1]) + ")"
    if kind == "interval":
        return f"{form[3][0]}{form_key(form[1], oracle)},{form_key(form[2], oracle)}{form[3][1]}"
    if kind == "matrix":
        return "m" + ";".join(",".join(form_key(x, oracle) for x in row) for row in form[1])
    if kind in ("family", "cong"):
        return family_key(form, oracle)
    if kind == "ratio":
        return "r" + ":".join(form_key(x, oracle) for x in form[1]) + str(form[2])
    if kind == "eq":
        return form_key(form[2], oracle) if form[3] is not None else "=" + _equation_key(form, oracle)
    operator, left, right = form[1:]
    return oracle.relation_key(operator, left, right)
