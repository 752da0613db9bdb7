"""Useful tokens per second: engine transformers over plain `generate(num_return_sequences=N)`.

Both sample N responses at temperature 1 to the same prompts with the same model, dtype and most tokens, in one
process, in turn. Useful tokens are those up to and including the end token; `generate` decodes rows that have ended
on to the end of its batch. Its batch is 8 prompts (128 sequences at N = 16) unless told otherwise: larger ones make
it slower on a CPU, since its growing cache is copied at every step.

    OMP_NUM_THREADS=1 python benchmarks/transformers_engine.py MODEL [--prompts 24] [--n 16] [--max-tokens 128]
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import torch

from bon_eval.engines.base import EngineSpec
from bon_eval.engines.transformers import TransformersEngine
from bon_eval.records import Request, Sampling

TARGET = 1.3
NAMES = ("Ann", "Ben", "Cora", "Dan", "Eve", "Finn")
THINGS = ("apples", "books", "coins", "eggs", "stamps")


def questions(count: int, path: Path | None) -> list[str]:
    """The first rows of a JSONL file's ``question`` column, or made-up word problems."""
    if path is not None:
        with path.open(encoding="utf-8") as lines:
            return [str(json.loads(line)["question"]) for line, _ in zip(lines, range(count), strict=False)]
    rng = random.Random(0)
    made = []
    for _ in range(count):
        one, two = rng.sample(NAMES, 2)
        a, b, c = (rng.randint(2, 40) for _ in range(3))
        thing = rng.choice(THINGS)
        extra = f" {two} gives {one} {c} more." if rng.random() < 0.5 else ""
        made.append(f"{one} has {a} {thing} and {two} has {b} {thing}.{extra} How many {thing} does {one} have?")
    return made


def tokenize(tokenizer: Any, text: str, template: str | None) -> tuple[int, ...]:
    """Through the chat template where the tokenizer has one and no plain template is given."""
    if template is None and tokenizer.chat_template:
        message = [{"role": "user", "content": text}]
        rendered = tokenizer.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
        return tuple(tokenizer(rendered, add_special_tokens=False).input_ids)
    return tuple(tokenizer((template or "{question}").replace("{question}", text)).input_ids)


def with_engine(engine: TransformersEngine, prompts: list[tuple[int, ...]], n: int, most: int, end: int) -> int:
    """Useful tokens of one pass of the engine."""
    sampling = Sampling(temperature=1.0, max_tokens=most, stop_token_ids=(end,))
    requests = (Request(str(i), "sample", prompt, n, sampling) for i, prompt in enumerate(prompts))
    return sum(response.n_tokens for group in engine.sample(requests) for response in group)


def with_generate(model: Any, prompts: list[tuple[int, ...]], n: int, most: int, end: int, batch: int) -> int:
    """Useful tokens of one pass of `generate`, `batch` prompts at a time, padded on the left."""
    useful = 0
    for start in range(0, len(prompts), batch):
        part = prompts[start : start + batch]
        width = max(map(len, part))
        ids = torch.tensor([[end] * (width - len(p)) + list(p) for p in part], device=model.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in part], device=model.device)
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=mask,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                num_return_sequences=n,
                max_new_tokens=most,
                eos_token_id=end,
                pad_token_id=end,
            )
        for row in out[:, width:].tolist():
            useful += row.index(end) + 1 if end in row else len(row)
    return useful


def main() -> None:
    """Run both in turn and print the ratio."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", help="a checkpoint's folder")
    parser.add_argument("--data", type=Path, help="JSONL file with a column question; default: made-up problems")
    parser.add_argument("--template", help="plain prompt with {question}; default: the chat template, or the question")
    parser.add_argument("--prompts", type=int, default=24)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--batch-size", type=int, help="the engine's; default: its own")
    parser.add_argument("--generate-prompts", type=int, default=8, help="prompts in a batch of generate")
    args = parser.parse_args()

    from transformers import AutoModelForCausalLM, AutoTokenizer

    engine_args: dict[str, object] = {} if args.batch_size is None else {"batch_size": args.batch_size}
    engine = TransformersEngine(EngineSpec(args.model, engine_args=engine_args))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype="auto").to(device).eval()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    end = int(tokenizer.eos_token_id)
    template = None if args.template is None else args.template.replace("\\n", "\n")
    prompts = [tokenize(tokenizer, text, template) for text in questions(args.prompts, args.data)]
    batch = args.generate_prompts
    print(f"{engine.facts}")
    print(f"{len(prompts)} prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens, n = {args.n}, "
          f"at most {args.max_tokens} tokens; generate: {batch} prompts a batch")  # fmt: skip
    with_engine(engine, prompts[:1], 2, 4, end)
    with_generate(model, prompts[:1], 2, 4, end, 1)
    seconds, useful = {"engine": 0.0, "generate": 0.0}, {"engine": 0, "generate": 0}
    for _ in range(args.rounds):
        for name in seconds:
            start = time.perf_counter()
            if name == "engine":
                tokens = with_engine(engine, prompts, args.n, args.max_tokens, end)
            else:
                tokens = with_generate(model, prompts, args.n, args.max_tokens, end, batch)
            took = time.perf_counter() - start
            print(f"{name}: {tokens} useful tokens in {took:.1f} s, {tokens / took:.0f} a second", flush=True)
            seconds[name] += took
            useful[name] += tokens
    speed = {name: useful[name] / seconds[name] for name in seconds}
    ratio = speed["engine"] / speed["generate"]
    print(f"ratio {ratio:.2f} (engine {speed['engine']:.0f}, generate {speed['generate']:.0f} useful tokens a second; "
          f"target {TARGET}: {'reached' if ratio >= TARGET else 'missed'})")  # fmt: skip


if __name__ == "__main__":
    main()
