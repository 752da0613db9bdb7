"""Model folders with the habits of known families: the embedded model's weights, another tokenizer and template."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bon_eval.engines.models import ASSETS

TEMPLATE_END = "{% endfor %}{% if add_generation_prompt %}"


@dataclass(frozen=True)
class Family:
    """What a family's folder has besides the weights."""

    special: tuple[str, ...]
    eos: str
    """Of tokenizer and config.json."""
    generation_ends: tuple[str, ...]
    template: str
    ends: tuple[str, ...]
    """What ends a response, as bon-eval should find it."""
    closing: str
    bos: str | None = None
    pad: str | None = "<|pad|>"


FAMILIES = {
    # The base model ships a chat template, and no file names the end of a turn.
    "chatml-base": Family(
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|endoftext|>",
        generation_ends=("<|endoftext|>",),
        template="{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
        + TEMPLATE_END
        + "<|im_start|>assistant\n{% endif %}",
        ends=("<|endoftext|>", "<|im_end|>"),
        closing="<|im_end|>",
    ),
    # Two ends and today's date.
    "llama3-like": Family(
        special=("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        eos="<|eot_id|>",
        generation_ends=("<|end_of_text|>", "<|eot_id|>"),
        template="<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
        "Today Date: {{ strftime_now('%d %b %Y') }}\n\n<|eot_id|>"
        "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content | trim }}<|eot_id|>"
        + TEMPLATE_END
        + "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
        ends=("<|end_of_text|>", "<|eot_id|>"),
        closing="<|eot_id|>",
        bos="<|begin_of_text|>",
    ),
    # An end of turn that is not the tokenizer's end, and no system role.
    "gemma-like": Family(
        special=("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        eos="<eos>",
        generation_ends=("<eos>", "<end_of_turn>"),
        template="<bos>"
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
        "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
        "{{ m.content | trim }}<end_of_turn>\n" + TEMPLATE_END + "<start_of_turn>model\n{% endif %}",
        ends=("<end_of_turn>", "<eos>"),
        closing="<end_of_turn>",
        bos="<bos>",
    ),
    # No padding token; the end of text closes a turn.
    "mistral-like": Family(
        special=("<s>", "</s>", "[INST]", "[/INST]"),
        eos="</s>",
        generation_ends=("</s>",),
        template="<s>{% for m in messages %}{% if m.role == 'assistant' %} {{ m.content }}</s>"
        "{% else %}[INST] {{ m.content }} [/INST]{% endif %}{% endfor %}",
        ends=("</s>",),
        closing="</s>",
        bos="<s>",
        pad=None,
    ),
    # A switch for reasoning, which is stripped from earlier turns.
    "qwen3-like": Family(
        special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        eos="<|im_end|>",
        generation_ends=("<|im_end|>", "<|endoftext|>"),
        template="{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{{ m.content.split('</think>')[-1] if m.role == 'assistant' else m.content }}<|im_end|>\n"
        + TEMPLATE_END
        + "<|im_start|>assistant\n{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n"
        "{% endif %}{% endif %}",
        ends=("<|endoftext|>", "<|im_end|>"),
        closing="<|im_end|>",
    ),
}


def make_family_model(name: str, folder: Path) -> Path:
    """The folder of a family's model; returns it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    family = FAMILIES[name]
    tokenizer: Any = AutoTokenizer.from_pretrained(str(ASSETS / "arith-mixed"))
    tokenizer.add_special_tokens({"additional_special_tokens": list(family.special)})
    tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token = family.eos, family.bos, family.pad
    tokenizer.chat_template = family.template
    ids = dict(zip(family.special, tokenizer.convert_tokens_to_ids(list(family.special)), strict=True))
    model: Any = AutoModelForCausalLM.from_pretrained(str(ASSETS / "arith-mixed"))
    with torch.no_grad():
        old = model.get_input_embeddings().weight.clone()
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        # The family's end of a turn is what the embedded model ends with; the other new tokens are never likely.
        rows = model.get_input_embeddings().weight
        rows[len(old) :] = 0.0
        rows[ids[family.closing]] = old[0]
    model.config.eos_token_id = ids[family.eos]
    model.config.bos_token_id = None if family.bos is None else ids[family.bos]
    model.generation_config.eos_token_id = [ids[token] for token in family.generation_ends]
    if family.pad is None:
        model.config.pad_token_id = model.generation_config.pad_token_id = None
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    assert generation["eos_token_id"] == model.generation_config.eos_token_id
    return folder


def make_renumbered_model(folder: Path) -> Path:
    """The embedded model with its tokens numbered backwards: it says the same, in other ids of the same range."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(str(ASSETS / "arith-mixed"))
    content = json.loads((ASSETS / "arith-mixed" / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = content["model"]["vocab"]
    size = len(vocabulary)
    assert sorted(vocabulary.values()) == list(range(size))
    content["model"]["vocab"] = {token: size - 1 - i for token, i in vocabulary.items()}
    for token in content["added_tokens"]:
        token["id"] = size - 1 - token["id"]
    with torch.no_grad():
        rows = model.get_input_embeddings().weight
        rows[:size] = rows[:size].flip(0).clone()
    for config in (model.config, model.generation_config):
        config.eos_token_id, config.pad_token_id = size - 1, size - 2
    model.save_pretrained(str(folder))
    (folder / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    settings = (ASSETS / "arith-mixed" / "tokenizer_config.json").read_text(encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(settings, encoding="utf-8")
    return folder
