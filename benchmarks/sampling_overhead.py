"""Wall time of a run's sampling on vLLM over the same requests given to a bare `LLM.generate`.

    python benchmarks/sampling_overhead.py MODEL [--task arith] [--problems 40] [--n 16] [--max-tokens 64] [--rounds 3]

Each measurement is a fresh process with the same engine settings and environment: `bon-eval` from its first request
to its last stored response (store, checks and progress included), the other side from the same prompts in one
`LLM.generate` call with log-probs, whose outputs are only counted. The two take turns; the ratio is that of their
medians. The target: at most 1.05 with SmolLM2-135M on the CPU build. Both sides make the same number of responses; the
tokens differ with the random stream, so times are compared per generated token.
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
from pathlib import Path

from bon_eval.engines.base import EngineSpec
from bon_eval.engines.vllm import VllmEngine
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare


def options(args: argparse.Namespace, out: Path) -> RunOptions:
    """The job that both sides do."""
    return RunOptions(
        model=args.model,
        task=args.task,
        n=args.n,
        limit=args.problems,
        max_tokens=args.max_tokens,
        engine="vllm",
        data=args.data,
        out=out,
        seed=args.seed,
    )


def measure(args: argparse.Namespace) -> dict[str, float]:
    """One side, in this process."""
    import pyarrow as pa

    from bon_eval.run.sampling import requests, sample
    from bon_eval.run.versions import versions
    from bon_eval.store.writer import RunStore

    with tempfile.TemporaryDirectory() as folder:
        ready = prepare(options(args, Path(folder) / "run"))
        config = ready.config
        spec = EngineSpec(
            model_dir=str(ready.model_dir),
            seed=args.seed,
            max_length=max(len(p.token_ids) for p in ready.prompts) + config.max_tokens,
            log_path=os.devnull,
        )
        table = pa.table(
            {
                "prompt": pa.array([p.text for p in ready.prompts]),
                "prompt_token_ids": pa.array([list(p.token_ids) for p in ready.prompts], pa.list_(pa.int32())),
            }
        )
        with VllmEngine(spec) as engine:
            if args.side == "bare":
                wanted = list(requests(config, ready.prompts))
                params = [engine._sampling_params(r) for r in wanted]
                for asked, request in zip(params, wanted, strict=True):
                    asked.n = request.n
                prompts = [engine._prompt(r.prompt_token_ids) for r in wanted]
                began = time.perf_counter()
                outputs = engine._llm.generate(prompts, params, use_tqdm=False)
                seconds = time.perf_counter() - began
                tokens = sum(len(c.token_ids) for o in outputs for c in o.outputs)
            else:
                with RunStore(ready.directory, config, ready.problems, table) as store:
                    store.begin_session("benchmark", versions(), engine.facts)
                    began = time.perf_counter()
                    sample(store, engine, ready.prompts)
                    seconds = time.perf_counter() - began
                from bon_eval.store.reader import iter_responses

                tokens = sum(r.n_tokens for r in iter_responses(ready.directory))
    return {"seconds": seconds, "tokens": tokens}


def main() -> None:
    """Take turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--task", default="arith")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", choices=["bare", "run"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        print("RESULT " + json.dumps(measure(args)))
        return
    found: dict[str, list[float]] = {"bare": [], "run": []}
    for turn in range(args.rounds):
        for side in ("bare", "run") if turn % 2 == 0 else ("run", "bare"):
            command = [sys.executable, __file__, *sys.argv[1:], "--side", side, "--seed", str(turn)]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            result = json.loads(next(line for line in text.splitlines() if line.startswith("RESULT "))[7:])
            per_token = result["seconds"] / result["tokens"]
            found[side].append(per_token)
            print(f"{side:4} {result['seconds']:7.1f} s {result['tokens']:8.0f} tokens {1e3 * per_token:.3f} ms/token")
    ratio = statistics.median(found["run"]) / statistics.median(found["bare"])
    print(f"ratio of medians, run over bare LLM.generate, time per token: {ratio:.3f} (target <= 1.05)")


if __name__ == "__main__":
    main()
