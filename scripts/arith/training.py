"""Training of one embedded model: next-token loss on the responses, AdamW, one thread, a fixed number of steps."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from arith.corpus import Mix, examples, prompt

CONTEXT_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a training depends on besides its corpus."""

    steps: int
    batch_size: int = 64
    """Sequences per step."""
    part_size: int = 16
    """Sequences per forward pass; a step adds up the gradients of its parts."""
    learning_rate: float = 3e-3
    """Peak; linear warm-up, then cosine to a tenth."""
    warmup_steps: int = 100
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    gradient_clip: float = 1.0
    """Largest global norm of the gradient."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class LossRecord:
    """Mean loss since the record before, in nats per response token."""

    step: int
    loss: float
    seconds: float


def build_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A randomly initialised Llama of about 0.7 million parameters (float32)."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    # Initialisation draws from torch's global generator: keep the caller's state out of it and as it was.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def batches(
    tokenizer: PreTrainedTokenizerFast, mix: Mix, held_out: Collection[str], hp: Hyperparameters
) -> Iterator[list[tuple[torch.Tensor, torch.Tensor]]]:
    """Batches in parts: token ids and labels (-100 outside the response), each of shape (part_size, longest in it).

    The batch is random; only its parts are sorted by length, so that little is spent on padding and no step sees
    one style alone.
    """
    stream = examples(mix, held_out)
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    while True:
        rows = []
        for question, response in itertools.islice(stream, hp.batch_size):
            prompt_ids = tokenizer(prompt(question)).input_ids
            rows.append((prompt_ids, [*tokenizer(response).input_ids, end]))
        rows.sort(key=lambda row: len(row[0]) + len(row[1]))
        parts = []
        for start in range(0, len(rows), hp.part_size):
            part = rows[start : start + hp.part_size]
            longest = max(len(prompt_ids) + len(response_ids) for prompt_ids, response_ids in part)
            token_ids = torch.full((len(part), longest), pad)
            labels = torch.full((len(part), longest), -100)
            for row, (prompt_ids, response_ids) in enumerate(part):
                length = len(prompt_ids) + len(response_ids)
                token_ids[row, :length] = torch.tensor(prompt_ids + response_ids)
                labels[row, len(prompt_ids) : length] = torch.tensor(response_ids)
            parts.append((token_ids, labels))
        yield parts


def response_loss(model: LlamaForCausalLM, token_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Summed negative log-likelihood of the response tokens, in nats.

    Padding stands on the right, behind everything that a response token attends to: no mask is needed.
    """
    hidden = model.model(input_ids=token_ids, use_cache=False).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    wanted = targets != -100
    return functional.cross_entropy(model.lm_head(hidden[wanted]), targets[wanted], reduction="sum")


def learning_rate(step: int, hp: Hyperparameters) -> float:
    """Linear warm-up to the peak, then cosine to a tenth of it."""
    if step < hp.warmup_steps:
        return hp.learning_rate * (step + 1) / hp.warmup_steps
    progress = (step - hp.warmup_steps) / max(1, hp.steps - hp.warmup_steps)
    return hp.learning_rate * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress)))


def train(
    tokenizer: PreTrainedTokenizerFast,
    mix: Mix,
    held_out: Collection[str],
    hp: Hyperparameters,
    report: Callable[[LossRecord], None],
) -> LlamaForCausalLM:
    """The trained model (float32); `report` is called every 50 steps."""
    model = build_model(tokenizer, hp.seed).train()
    decayed = [p for p in model.parameters() if p.dim() > 1]
    kept = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": hp.weight_decay}, {"params": kept, "weight_decay": 0.0}],
        lr=hp.learning_rate,
        betas=hp.betas,
    )
    started, losses = time.monotonic(), []
    for step, parts in zip(range(hp.steps), batches(tokenizer, mix, held_out, hp), strict=False):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, hp)
        optimizer.zero_grad()
        tokens = sum(int((labels != -100).sum()) for _, labels in parts)
        loss = 0.0
        for token_ids, labels in parts:
            part_loss = response_loss(model, token_ids, labels) / tokens
            part_loss.backward()
            loss += float(part_loss.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), hp.gradient_clip)
        optimizer.step()
        losses.append(loss)
        if (step + 1) % 50 == 0:
            report(LossRecord(step + 1, sum(losses) / len(losses), time.monotonic() - started))
            losses.clear()
    return model.eval()
