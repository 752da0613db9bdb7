"""Models whose every probability is known, as base model and checkpoint of a training, for tests of tracking."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from bon_eval.cli import main

ONE, TWO, END, PAD = range(4)
# Row: the token before. Column: the token after (1, 2, end).
BASE = {ONE: (0.5, 0.25, 0.25), TWO: (0.25, 0.25, 0.5)}
TUNED = {ONE: (0.25, 0.5, 0.25), TWO: (0.125, 0.125, 0.75)}
LN2, LN3 = math.log(2), math.log(3)

TASK = """
name: bigram
description: a question that is one token
source: made here
licence: MIT
dataset:
  files:
    test: problems.jsonl
columns:
  question: question
  answer: answer
prompt: "{question}"
answer_format: "#### {gold}"
prompt_style: plain
grader: gsm8k
max_tokens: 3
"""


def write_bigram(folder: Path, table: dict[int, tuple[float, float, float]]) -> Path:
    """A Llama whose next-token distribution is a function of the last token alone.

    Token i is embedded as the i-th unit vector of four; attention and MLP add nothing; the last norm makes it twice the
    unit vector, and the output layer reads half the log-probability from it.
    """
    import torch
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    config = transformers.LlamaConfig(
        vocab_size=4,
        hidden_size=4,
        intermediate_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        max_position_embeddings=16,
        rms_norm_eps=1e-12,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=PAD,
    )
    model = transformers.LlamaForCausalLM(config).float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(float("norm" in name))
        model.model.embed_tokens.weight.copy_(torch.eye(4))
        model.lm_head.weight.fill_(-50.0)
        for before, row in table.items():
            model.lm_head.weight[:3, before] = torch.tensor(row).log() / 2
        model.lm_head.weight[PAD] = -50.0
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({"1": ONE, "2": TWO, "<end>": END, "<pad>": PAD}, unk_token="<pad>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.add_special_tokens(["<end>", "<pad>"])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    return folder


def make_place(place: Path) -> Path:
    """Base model, a training directory with steps 0 and 4, task, pairs and a probe."""
    write_bigram(place / "base", BASE)
    for step, table in ((0, BASE), (4, TUNED)):
        folder = write_bigram(place / "training" / f"checkpoint-{step}", table)
        (folder / "trainer_state.json").write_text("{}")
    (place / "bigram.yaml").write_text(TASK)
    rows = [{"question": "1", "answer": "2"}, {"question": "2", "answer": "1"}]
    (place / "problems.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    pairs = [
        {"prompt": "1", "chosen": "2", "rejected": "1"},
        {"prompt": "2", "chosen": "2 2", "rejected": "1"},
    ]
    (place / "pairs.jsonl").write_text("".join(json.dumps(p) + "\n" for p in pairs))
    (place / "probe.jsonl").write_text(json.dumps({"prompt": "2", "response": "1"}) + "\n")
    return place


def run_track(place: Path, out: Path, *more: str, trainings: tuple[str, ...] = ("training",)) -> Any:
    arguments = ["track", "--base", str(place / "base")]
    for training in trainings:
        arguments += ["--checkpoints", str(place / training)]
    arguments += ["--task", str(place / "bigram.yaml"), "--pairs", f"mine={place / 'pairs.jsonl'}"]
    arguments += ["--probe", f"probe={place / 'probe.jsonl'}", "--n", "64", "--engine", "transformers"]
    return CliRunner().invoke(main, [*arguments, "--out", str(out), "--draws", "200", "--quiet", *more])
