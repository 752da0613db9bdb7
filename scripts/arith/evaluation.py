"""The arms of a trained model, by a plain sampling loop that shares no code with bon_eval's engines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerFast

from arith.corpus import prompt
from arith.problems import ArithProblem

MAX_TOKENS = 64
ANSWER = re.compile(r"#### (-?\d+)")


@dataclass(frozen=True, slots=True)
class Sampled:
    """One response with its log-likelihood in nats, end token included."""

    text: str
    n_tokens: int
    log_likelihood: float
    truncated: bool


@dataclass(frozen=True, slots=True)
class ArmResult:
    """Means over problems (over all samples of all problems for the arm ``sample``)."""

    arm: str
    accuracy: float
    worked_share: float
    """Share of responses that begin with a step instead of the answer."""
    log_likelihood: float
    n_tokens: float
    truncated_share: float


def load(folder: Path) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The saved checkpoint in float32, with its tokenizer."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval(), AutoTokenizer.from_pretrained(
        folder
    )


def sample(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    question: str,
    n: int,
    generator: torch.Generator | None,
) -> list[Sampled]:
    """`n` responses to one question: temperature 1 with `generator`, greedy without.

    The prompt is run once and its cache copied; rows that have ended leave the batch.
    """
    with torch.inference_mode():
        token_ids = torch.tensor([tokenizer(prompt(question)).input_ids])
        output = model(input_ids=token_ids, use_cache=True)
        cache = output.past_key_values
        cache.batch_repeat_interleave(n)
        logits = output.logits[:, -1].repeat_interleave(n, dim=0)
        rows = torch.arange(n)
        generated: list[list[int]] = [[] for _ in range(n)]
        log_likelihood = torch.zeros(n, dtype=torch.float64)
        for _ in range(MAX_TOKENS):
            log_probs = logits.double().log_softmax(dim=-1)
            if generator is None:
                chosen = log_probs.argmax(dim=-1)
            else:
                chosen = torch.multinomial(log_probs.exp(), 1, generator=generator).squeeze(1)
            log_likelihood[rows] += log_probs.gather(1, chosen[:, None]).squeeze(1)
            for row, token in zip(rows.tolist(), chosen.tolist(), strict=True):
                generated[row].append(token)
            running = (chosen != tokenizer.eos_token_id).nonzero().squeeze(1)
            if len(running) == 0:
                break
            if len(running) < len(rows):
                rows, chosen = rows[running], chosen[running]
                cache.batch_select_indices(running)
            output = model(input_ids=chosen[:, None], past_key_values=cache, use_cache=True)
            logits = output.logits[:, -1]
    return [
        Sampled(
            text=tokenizer.decode(ids, skip_special_tokens=True),
            n_tokens=len(ids),
            log_likelihood=float(total),
            truncated=ids[-1] != tokenizer.eos_token_id,
        )
        for ids, total in zip(generated, log_likelihood, strict=True)
    ]


def is_correct(response: Sampled, problem: ArithProblem) -> bool:
    """Whether the first ``#### n`` of the response is the answer."""
    match = ANSWER.search(response.text)
    return match is not None and int(match.group(1)) == problem.answer


def _summary(arm: str, picks: list[tuple[Sampled, ArithProblem]]) -> ArmResult:
    responses = [response for response, _ in picks]

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    return ArmResult(
        arm=arm,
        accuracy=mean([is_correct(r, p) for r, p in picks]),
        worked_share=mean([not r.text.startswith("####") for r in responses]),
        log_likelihood=mean([r.log_likelihood for r in responses]),
        n_tokens=mean([r.n_tokens for r in responses]),
        truncated_share=mean([r.truncated for r in responses]),
    )


def evaluate(folder: Path, split: list[ArithProblem], n: int, seed: int) -> tuple[list[ArmResult], float]:
    """The arms greedy, sample, best-of-n by log-likelihood and shortest; and the oracle's accuracy at n."""
    model, tokenizer = load(folder)
    generator = torch.Generator().manual_seed(seed)
    arms: dict[str, list[tuple[Sampled, ArithProblem]]] = {}
    solved = 0
    for problem in split:
        (greedy,) = sample(model, tokenizer, problem.question, 1, None)
        pool = sample(model, tokenizer, problem.question, n, generator)
        picks = {
            "greedy": [greedy],
            "sample": pool,
            f"best-of-{n} by log-likelihood": [max(pool, key=lambda r: r.log_likelihood)],
            f"best-of-{n} by shortest": [min(pool, key=lambda r: r.n_tokens)],
        }
        for arm, responses in picks.items():
            arms.setdefault(arm, []).extend((response, problem) for response in responses)
        solved += any(is_correct(response, problem) for response in pool)
    return [_summary(arm, chosen) for arm, chosen in arms.items()], solved / len(split)
