"""The embedded task and models: what is shipped is what the script makes, and it is right."""

from __future__ import annotations

import itertools
import json
import os
import re
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "bon_eval" / "assets"
MODELS = ("arith-mixed", "arith-worked")
MODEL_FILES = (
    "model.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "TRAINING.md",
)
STEP = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


def rows(split: str) -> list[dict[str, str]]:
    lines = (ASSETS / "arith" / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def scripts_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


def test_files_are_there_readable_and_small() -> None:
    wanted = [ASSETS / model / name for model in MODELS for name in MODEL_FILES]
    wanted += [ASSETS / "arith" / f"{split}.jsonl" for split in ("test", "train")]
    assert [str(p) for p in wanted if not p.is_file()] == []
    shipped = [p for folder in (*MODELS, "arith") for p in (ASSETS / folder).rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in shipped) <= 5_000_000
    assert [p.name for p in shipped if not p.stat().st_mode & stat.S_IROTH] == []


def test_script_makes_the_shipped_data_again(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "train_arith.py"), "data", "--out", str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "7"}, timeout=1200)
    for split in ("test.jsonl", "train.jsonl"):
        assert (tmp_path / "arith" / split).read_bytes() == (ASSETS / "arith" / split).read_bytes()


@pytest.mark.parametrize(("split", "size"), [("test", 500), ("train", 200)])
def test_columns_and_distinct_questions(split: str, size: int) -> None:
    data = rows(split)
    assert len(data) == size
    assert all(set(row) == {"question", "answer"} for row in data)
    assert len({row["question"] for row in data}) == size
    steps = Counter(row["answer"].count("=") for row in data)
    assert set(steps) == {2, 3, 4}
    assert min(steps.values()) > 0.2 * size


@pytest.mark.parametrize("split", ["test", "train"])
def test_gold_is_what_the_steps_give(split: str) -> None:
    """Every equation is true; every number is given in the question or a result before; every given one is used."""
    for row in rows(split):
        *steps, last = row["answer"].split("\n")
        given = Counter(re.findall(r"\d+", row["question"]))
        results: Counter[str] = Counter()
        for step in steps:
            match = STEP.fullmatch(step)
            assert match, row
            left, operator, right, result = match.groups()
            a, b = int(left), int(right)
            if operator == "/":
                assert a % b == 0, row
            assert {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[operator] == int(result), row
            for number in (left, right):
                source = results if results[number] else given
                assert source[number] > 0, row
                source[number] -= 1
            results[result] += 1
        assert +given == Counter(), row
        assert last == f"#### {+results and next(iter(+results))}", row
        assert sum((+results).values()) == 1, row


@pytest.mark.slow
@pytest.mark.usefixtures("scripts_on_path")
@pytest.mark.parametrize("mix", ["mixed", "worked"])
def test_no_question_of_the_task_is_in_the_corpus(mix: str) -> None:
    from arith.corpus import MIXES, examples, held_out_questions

    shipped = {row["question"] for split in ("test", "train") for row in rows(split)}
    assert shipped == held_out_questions()
    assert len(shipped) == 700
    corpus = list(itertools.islice(examples(MIXES[mix], held_out_questions()), 2000 * 64))
    assert shipped.isdisjoint(question for question, _ in corpus)
    worked = sum("=" in response for _, response in corpus) / len(corpus)
    assert worked == pytest.approx(MIXES[mix].worked_share, abs=0.01)


@pytest.mark.usefixtures("scripts_on_path")
def test_held_out_questions_are_passed_over() -> None:
    from arith.problems import problems

    first = [p.question for p in itertools.islice(problems("a seed"), 20)]
    without = [p.question for p in itertools.islice(problems("a seed", exclude={first[3], first[7]}), 18)]
    assert without == [q for q in first if q not in (first[3], first[7])]


@pytest.mark.parametrize("model", MODELS)
def test_tokenizer_round_trips_exactly(model: str) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(ASSETS / model)
    texts = [text for split in ("test", "train") for row in rows(split) for text in row.values()]
    texts += ["\n", " two  spaces ", "Question: 3\n\nAnswer:\t-57", "Grüße, 世界 \U0001f600", "#### -57"]
    for text in texts:
        ids = tokenizer(text).input_ids
        assert tokenizer.decode(ids) == text
        assert tokenizer.decode([*ids, tokenizer.eos_token_id], skip_special_tokens=True) == text
    assert tokenizer.tokenize("#### 57") == ["####Ġ", "5", "7"]
    assert tokenizer.chat_template is None
    assert tokenizer.bos_token is None
    # A prompt's tokens do not change when the response is appended to it as text.
    row = rows("test")[0]
    prompt = row["question"] + "\n"
    assert (
        tokenizer(prompt + row["answer"]).input_ids == tokenizer(prompt).input_ids + tokenizer(row["answer"]).input_ids
    )


@pytest.mark.parametrize("model", MODELS)
def test_model_loads_and_knows_its_task(model: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = ASSETS / model
    lm = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert lm.config.eos_token_id == lm.generation_config.eos_token_id == tokenizer.eos_token_id
    assert lm.config.vocab_size == len(tokenizer)
    assert next(lm.parameters()).isfinite().all()
    per_token = []
    for row in rows("test")[:20]:
        prompt = tokenizer(row["question"] + "\n").input_ids
        response = [*tokenizer(row["answer"]).input_ids, tokenizer.eos_token_id]
        with torch.inference_mode():
            logits = lm(torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
        log_probs = logits.double().log_softmax(-1).gather(1, torch.tensor(response)[:, None])
        assert log_probs.isfinite().all()
        assert (log_probs <= 0).all()
        per_token.append(float(log_probs.mean()))
    # An untrained model gives -log(vocabulary), about -5.8, to every token.
    assert sum(per_token) / len(per_token) > -1.0


@pytest.mark.slow
@pytest.mark.usefixtures("scripts_on_path")
@pytest.mark.parametrize("model", MODELS)
def test_best_of_n_helps_one_model_and_not_the_other(model: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from arith.corpus import test_problems
    from arith.evaluation import evaluate

    arms, _ = evaluate(ASSETS / model, test_problems()[:60], 16, 3)
    accuracy = {arm.arm: arm.accuracy for arm in arms}
    gain = accuracy["best-of-16 by log-likelihood"] - accuracy["greedy"]
    if model == "arith-mixed":
        assert gain > 0.1
    else:
        assert gain < 0.1
