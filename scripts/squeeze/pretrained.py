"""A pretrained model that is brought to the task before the study begins: SFT with LoRA, merged.

A conditions file says ``made_of`` (the folder in the work folder that scripts/smollm2_checkpoint.py makes) and ``sft``
of such a model: the generated problems whose written solutions it is trained on, and options of ``bon-eval sft``. The
merged model is the study's base model, an ordinary checkpoint.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from arith.corpus import prompt

from squeeze.plan import Command, Plan

MAKER = Path(__file__).resolve().parents[1] / "smollm2_checkpoint.py"


def write_checkpoint(plan: Plan, model: str) -> None:
    """The pretrained model itself, where it is not there yet, and what it is trained on."""
    made = plan.content["models"][model]
    base = plan.work / made["made_of"]
    if not base.exists():
        subprocess.run([sys.executable, str(MAKER), str(base)], check=True)
    # `bon-eval sft` reads preference files; of these the rejected side, the number without the way to it, is not used.
    rows = [
        {"prompt": prompt(problem.question), "chosen": problem.worked, "rejected": f"{problem.immediate}0"}
        for problem in plan.brought(model)
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (plan.work / f"{model}-sft.jsonl").write_text(text, encoding="utf-8")


def sft_command(plan: Plan, model: str) -> Command:
    """``bon-eval sft`` of the pretrained model."""
    made = plan.content["models"][model]
    command = ["sft", "--model", str(plan.work / made["made_of"]), "--pairs", str(plan.work / f"{model}-sft.jsonl")]
    return [*command, "--select", "chosen", *map(str, made["sft"]["options"]), "--out", str(_trained(plan, model))]


def write_merged(plan: Plan, model: str) -> None:
    """The last checkpoint of that training as an ordinary model in float32, unless it is there."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    out = Path(plan.path_of(model))
    if out.exists():
        return
    base = plan.work / plan.content["models"][model]["made_of"]
    adapter = max(_trained(plan, model).glob("checkpoint-*"), key=lambda p: int(p.name.partition("-")[2]))
    bare = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    merged: Any = PeftModel.from_pretrained(bare, str(adapter))
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    merged.merge_and_unload(safe_merge=True).save_pretrained(partial)
    for file in (*base.glob("tokenizer*"), *base.glob("chat_template*")):
        shutil.copy(file, partial / file.name)
    partial.rename(out)


def _trained(plan: Plan, model: str) -> Path:
    return plan.work / "sft" / model
