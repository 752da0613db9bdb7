"""Makes the embedded arithmetic task and trains the two embedded models.

python scripts/train_arith.py data             # the task's test.jsonl and train.jsonl
python scripts/train_arith.py train mixed      # ten to twenty minutes on one CPU thread
python scripts/train_arith.py train worked
python scripts/train_arith.py evaluate mixed   # the arms of a trained model again, and its TRAINING.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from arith.corpus import MIXES, Mix, few_shot_problems, held_out_questions, test_problems, to_jsonl

ASSETS = Path(__file__).resolve().parents[1] / "bon_eval" / "assets"
SAMPLING_SEED = 1


def write_data(out: Path) -> None:
    """Write the task's two files under `out`/arith."""
    folder = out / "arith"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "test.jsonl").write_text(to_jsonl(test_problems()), encoding="utf-8")
    (folder / "train.jsonl").write_text(to_jsonl(few_shot_problems()), encoding="utf-8")


def train_model(mix: Mix, out: Path, steps: int) -> None:
    """Train one model and save it under `out`/<model name> in bfloat16, with its tokenizer and its loss curve."""
    import torch
    from arith.log import write_losses
    from arith.problems import vocabulary_pieces
    from arith.tokenizer import build_tokenizer
    from arith.training import CONTEXT_LENGTH, Hyperparameters, LossRecord, train
    from transformers import GenerationConfig

    tokenizer = build_tokenizer(vocabulary_pieces(), CONTEXT_LENGTH)
    records: list[LossRecord] = []

    def report(record: LossRecord) -> None:
        records.append(record)
        print(f"{mix.name} step {record.step} loss {record.loss:.4f} {record.seconds:.0f} s", flush=True)

    model = train(tokenizer, mix, held_out_questions(), Hyperparameters(steps=steps), report)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    folder = out / mix.name
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # transformers 5 writes a class name of its own that version 4 does not know; both know this one.
    config_file = folder / "tokenizer_config.json"
    config = json.loads(config_file.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config_file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    write_losses(folder, records)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner alone


def evaluate_model(mix: Mix, out: Path, problems: int, n: int) -> None:
    """Run the arms of a trained model and write its TRAINING.md."""
    from arith.evaluation import evaluate, load
    from arith.log import write_training_md

    folder = out / mix.name
    arms, oracle = evaluate(folder, test_problems()[:problems], n, SAMPLING_SEED)
    for arm in arms:
        print(arm, flush=True)
    print(f"oracle {oracle:.3f}", flush=True)
    parameters = load(folder)[0].num_parameters()
    write_training_md(folder, mix, parameters, arms, oracle, problems, n, SAMPLING_SEED)


def main() -> None:
    """Parse the command line and run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["data", "train", "evaluate"])
    parser.add_argument("mix", nargs="?", choices=sorted(MIXES))
    parser.add_argument("--out", type=Path, default=ASSETS, help="folder that gets arith/ and the models' folders")
    parser.add_argument("--steps", type=int, help="training steps in place of the shipped model's")
    parser.add_argument("--problems", type=int, default=200, help="test problems of the evaluation")
    parser.add_argument("--n", type=int, default=32, help="samples per problem of the evaluation")
    args = parser.parse_args()
    if args.command == "data":
        write_data(args.out)
        return
    if args.mix is None:
        parser.error(f"{args.command} needs a mix: {', '.join(sorted(MIXES))}")
    import torch

    torch.set_num_threads(1)
    mix = MIXES[args.mix]
    if args.command == "train":
        train_model(mix, args.out, mix.steps if args.steps is None else args.steps)
    evaluate_model(mix, args.out, args.problems, args.n)


if __name__ == "__main__":
    main()
