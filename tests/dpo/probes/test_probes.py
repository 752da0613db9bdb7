"""`bon-eval probes`: what each kind is made of, on hand-made pairs and by the command line into `track`'s reader."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bon_eval.cli import main
from bon_eval.dpo.pairs.files import Pair, write_pairs
from bon_eval.dpo.pairs.tokens import tokenize_chosen
from bon_eval.dpo.probes.build import Probe, build_probes
from bon_eval.dpo.probes.kinds import other, permuted, random_words, vocabulary, words
from bon_eval.dpo.probes.paraphrases import Paraphrase, read_paraphrases
from bon_eval.dpo.training.commands import named_probes
from bon_eval.engines.load import load_tokenizer
from bon_eval.engines.models import ASSETS
from bon_eval.errors import BonEvalError, ConfigError
from bon_eval.graders import grade_gsm8k

ROOT = Path(__file__).resolve().parents[3]
ARITH = ROOT / "scripts" / "squeeze" / "paraphrases.yaml"
PAIRS = tuple(
    Pair(f"{k}/0", str(k), f"question {k}\n", f"{k}+1={k + 1}\n#### {k + 1}", f"#### {k + 50}", "gold-sample")
    for k in range(6)
)


def probe(made: tuple[Probe, ...], name: str) -> Probe:
    [found] = [p for p in made if p.name == name]
    return found


def texts(made: Probe) -> list[Any]:
    return [r.chosen for r in made.responses]


def test_permuted_keeps_every_sign_and_every_blank() -> None:
    text = "8 times 4 is 32.\n\nSo: 32"
    for seed in range(50):
        found = permuted(text, np.random.default_rng(seed))
        assert found is not None
        assert found != text
        assert Counter(found) == Counter(text)
        assert sorted(words(found)) == sorted(words(text)) or "32" not in found or len(found) == len(text)
        assert [c for c in found if c.isspace()] == [c for c in text if c.isspace()]


def test_permuted_is_uniform_over_the_other_orders() -> None:
    rng = np.random.default_rng(0)
    counts = Counter(permuted("a b c", rng) for _ in range(5000))
    assert set(counts) == {"a c b", "b a c", "b c a", "c a b", "c b a"}
    assert all(abs(count - 1000) < 120 for count in counts.values())
    assert permuted("a a", rng) is permuted("one", rng) is permuted(" \n", rng) is None


def test_random_words_have_the_layout_and_the_words_of_the_corpus() -> None:
    rng = np.random.default_rng(0)
    known = vocabulary(["b a", "c\na"])
    assert known == ("a", "b", "c")
    counts: Counter[str] = Counter()
    for _ in range(3000):
        found = random_words("x y\nz", known, rng)
        assert found is not None
        first, rest = found.split(" ")
        second, third = rest.split("\n")
        counts.update([first, second, third])
    assert set(counts) == set(known)
    assert all(abs(count - 3000) < 200 for count in counts.values())
    assert random_words("a b", ("a",), rng) is None
    assert random_words("", known, rng) is None


def test_other_is_uniform_over_other_problems_with_another_text() -> None:
    rng = np.random.default_rng(0)
    known = [("p", "mine"), ("p", "also mine"), ("q", "a"), ("r", "b"), ("s", "own \n"), ("t", "c")]
    counts = Counter(other(("p", "own"), known, rng) for _ in range(3000))
    assert set(counts) == {"a", "b", "c"}
    assert all(abs(count - 1000) < 120 for count in counts.values())
    assert other(("p", "a"), [("p", "x"), ("q", "a")], rng) is None


def test_all_kinds_of_both_sides() -> None:
    made = build_probes(PAIRS, paraphrases=read_paraphrases(ARITH), seed=3)
    kinds = ["permuted", "other", "random-words", "blanks", "swapped", "in-words", "stated", "said"]
    assert [p.name for p in made] == [f"{side}-{kind}" for side in ("chosen", "rejected") for kind in kinds]
    assert texts(probe(made, "chosen-blanks"))[1] == "1 + 1 = 2\n#### 2"
    assert texts(probe(made, "chosen-swapped"))[1] == "2=1+1\n#### 2"
    assert texts(probe(made, "chosen-in-words"))[1] == "1 plus 1 is 2\n#### 2"
    assert texts(probe(made, "chosen-stated"))[1] == "1+1=2\nThe answer is 2."
    assert texts(probe(made, "rejected-stated"))[1] == "The answer is 51."
    assert probe(made, "rejected-blanks").skipped == {"no rule changes it": tuple(p.id for p in PAIRS)}
    for side in ("chosen", "rejected"):
        own = {p.id: getattr(p, side) for p in PAIRS}
        found = probe(made, f"{side}-other")
        assert all(r.chosen in own.values() and r.chosen != own[r.id] for r in found.responses)
        for response in probe(made, f"{side}-permuted").responses:
            assert Counter(response.chosen) == Counter(own[response.id])
    for made_probe in made:
        assert all((r.prompt, r.problem_id) == (f"question {r.problem_id}\n", r.id[:-2]) for r in made_probe.responses)
    assert build_probes(PAIRS, paraphrases=read_paraphrases(ARITH), seed=3) == made
    assert build_probes(PAIRS, seed=4) != build_probes(PAIRS, seed=3)


def test_a_pair_draws_alone() -> None:
    """More pairs change neither permutations nor, of known words, the random ones."""
    few, many = (build_probes(pairs, ["permuted"]) for pairs in (PAIRS[:2], PAIRS))
    assert texts(probe(few, "chosen-permuted")) == texts(probe(many, "chosen-permuted"))[:2]


def test_responses_of_other_pairs() -> None:
    held_out = [replace(p, prompt=f"held out {p.id}", chosen=f"far {p.id}", rejected=f"off {p.id}") for p in PAIRS]
    made = build_probes(PAIRS, ["other"], others=held_out)
    assert {str(t)[:3] for t in texts(probe(made, "chosen-other"))} == {"far"}
    assert {str(t)[:3] for t in texts(probe(made, "rejected-other"))} == {"off"}
    with pytest.raises(ConfigError, match="add the kind other"):
        build_probes(PAIRS, ["permuted"], others=held_out)


def test_conversations() -> None:
    def said(text: str) -> tuple[dict[str, str], ...]:
        return ({"role": "assistant", "content": text},)

    talk = [
        replace(
            p, prompt=({"role": "user", "content": str(p.prompt)},), chosen=said(str(p.chosen)), rejected=said("a b")
        )
        for p in PAIRS
    ]
    talk[0] = replace(talk[0], chosen=(*said("one two"), {"role": "user", "content": "and?"}, *said("three")))
    made = probe(build_probes(talk, ["permuted"]), "chosen-permuted")
    assert made.skipped == {"several messages": ("0/0",)}
    plain = probe(build_probes(PAIRS, ["permuted"]), "chosen-permuted")
    assert [r.chosen for r in made.responses] == [said(str(t)) for t in texts(plain)[1:]]


def test_what_cannot_be_made() -> None:
    alone = [replace(PAIRS[0], chosen="one", rejected="two")]
    with pytest.raises(ConfigError, match="no probe has a response: fewer than two different words; no other problem"):
        build_probes(alone, ["permuted", "other"])
    with pytest.raises(ConfigError, match="unknown kind of probe 'words'; valid: other, permuted, random-words"):
        build_probes(PAIRS, ["words"])
    with pytest.raises(ConfigError, match="seed -1 is negative"):
        build_probes(PAIRS, seed=-1)


RULES: dict[str, tuple[str, str]] = {
    "no file": ("", "cannot read paraphrase file"),
    "a list": ("- a", "must be a mapping"),
    "empty": ("paraphrases: []", "paraphrases is missing or empty; add one"),
    "unknown key": ("paraphrase: []", "unknown key 'paraphrase'"),
    "no rules": ("paraphrases: [{name: a}]", "rules is missing or empty"),
    "no name": ("paraphrases: [{rules: []}]", "name is missing or empty"),
    "a path": ("paraphrases: [{name: a/b, rules: [{find: a, put: b}]}]", "is 'a/b', no plain word"),
    "a kind": ("paraphrases: [{name: other, rules: [{find: a, put: b}]}]", "is 'other', of a kind of probe"),
    "twice": (
        "paraphrases: [{name: a, rules: [{find: a, put: b}]}, {name: a, rules: [{find: a, put: b}]}]",
        "is 'a', twice",
    ),
    "no expression": ("paraphrases: [{name: a, rules: [{find: '(', put: b}]}]", "is '(', no regular expression"),
    "no put": ("paraphrases: [{name: a, rules: [{find: a}]}]", "put is missing"),
    "no group": (r"paraphrases: [{name: a, rules: [{find: a, put: '\1'}]}]", r"does not fit 'a': invalid group"),
    "no named group": (r"paraphrases: [{name: a, rules: [{find: a, put: '\g<x>'}]}]", "does not fit 'a'"),
    "key twice": ("paraphrases: []\nparaphrases: []", "is not YAML"),
}


@pytest.mark.parametrize(("content", "message"), RULES.values(), ids=RULES)
def test_rules_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "rules.yaml"
    if content:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(BonEvalError) as caught:
        read_paraphrases(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_paraphrase_of_an_arith_solution_keeps_its_answer() -> None:
    rules = read_paraphrases(ARITH)
    rows = [json.loads(line) for line in (ASSETS / "arith" / "test.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 500
    for row in rows:
        gold = row["answer"].rpartition("####")[2].strip()
        said = {rule.name: rule.of(row["answer"]) for rule in rules}
        assert len({row["answer"], *said.values()}) == len(rules) + 1, "each is another text"
        for text in said.values():
            assert text is not None
            assert grade_gsm8k(text, gold).correct
        assert [line for line in (said["swapped"] or "").split("\n")[:-1] if not line[0].isdigit()] == []


def test_rules_that_leave_nothing_are_told_from_rules_that_change_nothing() -> None:
    rules = [Paraphrase("gone", ((re.compile(r"(?s).+"), " "),)), Paraphrase("same", ((re.compile("$^x"), "y"),))]
    made = {p.name: p for p in build_probes(PAIRS, ["permuted"], rules)}
    ids = tuple(p.id for p in PAIRS)
    assert made["chosen-gone"].skipped == {"nothing is left of it": ids}
    assert made["chosen-same"].skipped == {"no rule changes it": ids}
    assert made["chosen-gone"].responses == made["chosen-same"].responses == ()


def bon_eval(*args: str | Path) -> Result:
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_the_command_writes_what_track_reads(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    tokenizer = load_tokenizer(ASSETS / "arith-mixed")
    given = [
        replace(p, prompt_token_ids=tuple(tokenizer(p.prompt)["input_ids"]), rejected_token_ids=(20, 0), end_token_id=0)
        for p in PAIRS
    ]
    write_pairs(tmp_path / "pairs.jsonl", given)
    out = tmp_path / "probes"
    done = bon_eval("probes", tmp_path / "pairs.jsonl", "--out", out, "--paraphrases", ARITH, "--seed", "2")
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0] == "16 probes of 6 pairs, seed 2"
    assert "  chosen-permuted: 6 responses" in lines
    at = lines.index("  rejected-blanks: 0 responses")
    assert lines[at + 1] == "    no rule changes it: 6 of 6 pairs (0/0, 1/0, 2/0, 3/0, 4/0, ...)"
    written = sorted(path.stem for path in out.iterdir())
    assert len(written) == 13, "three paraphrases find nothing in a rejected side"
    found = named_probes([f"{name}={out / name}.jsonl" for name in written])
    direct = {p.name: p for p in build_probes(given, paraphrases=read_paraphrases(ARITH), seed=2)}
    for name, probes in found.items():
        assert [(p.id, p.problem_id, p.prompt, p.chosen) for p in probes] == [
            (r.id, r.problem_id, r.prompt, r.chosen) for r in direct[name].responses
        ]
        for made, response in zip(tokenize_chosen(probes, tokenizer, 256), probes, strict=True):
            assert made.prompt == response.prompt_token_ids
            assert list(made.response) == [*tokenizer(response.chosen)["input_ids"], 0]
        assert f"--probe {name}={out / name}.jsonl" in lines[-1]


def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    out = tmp_path / "probes"
    for args, message in (
        (["no.jsonl"], "cannot read pairs no.jsonl"),
        ([tmp_path / "pairs.jsonl", "--kind", "words"], "unknown kind of probe 'words'"),
        ([tmp_path / "pairs.jsonl", "--paraphrases", tmp_path / "no.yaml"], "cannot read paraphrase file"),
        ([tmp_path / "pairs.jsonl", "--others", "x.csv"], "have the ending '.csv'"),
    ):
        done = bon_eval("probes", *args, "--out", out)
        assert done.exit_code == 2
        [line] = done.output.splitlines()
        assert message in line
        assert not out.exists()
