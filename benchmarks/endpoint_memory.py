"""Peak memory of a run of 1,000 problems x 256 samples through a server, in the harness's own process.

    python benchmarks/endpoint_memory.py [--problems 1000] [--n 256] [--tokens 300] [--latency 0.5]

The server is a stand-in on the loopback address: it waits and answers with made-up responses in the shape of vLLM's, so
that hours of generation take minutes; what is measured is the client side, a real `bon-eval run` in a process of its
own, report included (VmHWM of that process). The target: under 500 MB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from run_memory import peaks, write_problems

from bon_eval.engines.models import ASSETS

_KINDS = 509
_TOP = {"1": -0.5, "2": -1.5, "3": -4.0}


def choices(tokens: int) -> list[tuple[str, str]]:
    """Made-up choices as JSON, each in two pieces around its index."""
    rng = random.Random(0)
    made = []
    for _ in range(_KINDS):
        length = max(1, min(2 * tokens, round(rng.gauss(tokens, tokens / 4))))
        ids = [*(rng.randrange(5, 50) for _ in range(length - 1)), 0]
        logprobs = [-rng.expovariate(3.0) for _ in ids]
        text = " ".join(map(str, ids)) + f"\n#### {rng.randrange(100)}"
        body = {
            "text": text,
            "logprobs": {"tokens": [str(i) for i in ids], "token_logprobs": logprobs, "top_logprobs": [_TOP] * 1},
            "finish_reason": "stop",
            "stop_reason": None,
            "token_ids": ids,
        }
        made.append(('{"index": ', ", " + json.dumps(body)[1:]))
    return made


def serve(port: int, tokens: int, latency: float) -> None:
    """Answer until killed."""
    made = choices(tokens)
    rng = random.Random(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def _send(self, content: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            model = {"id": "arith-mixed", "owned_by": "vllm", "max_model_len": 100_000}
            self._send(json.dumps({"data": [model]}).encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            usage = f'"usage": {{"prompt_tokens": {len(body["prompt"])}}}'
            if body["max_tokens"] <= 8:  # a trial request: as long as asked for
                n = body["max_tokens"]
                logprobs = {"tokens": ["1"] * n, "token_logprobs": [-0.5] * n, "top_logprobs": [_TOP] * n}
                one = {"text": "1" * n, "logprobs": logprobs, "finish_reason": "length", "token_ids": [6] * n}
                self._send(f'{{"choices": [{", ".join([json.dumps(one)] * body["n"])}], {usage}}}'.encode())
                return
            time.sleep(latency * rng.uniform(0.5, 1.5))
            picked = [made[rng.randrange(_KINDS)] for _ in range(body["n"])]
            listed = ", ".join(f"{head}{i}{tail}" for i, (head, tail) in enumerate(picked))
            self._send(f'{{"choices": [{listed}], {usage}}}'.encode())

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


def main() -> None:
    """One run and its peak."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--n", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=300)
    parser.add_argument("--latency", type=float, default=0.5)
    parser.add_argument("--port", type=int, default=8797)
    args = parser.parse_args()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(args.port, args.tokens, args.latency), daemon=True
    )
    process.start()
    time.sleep(2)
    try:
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder) / "problems.jsonl"
            write_problems(data, args.problems)
            model = Path(folder) / "model"
            shutil.copytree(ASSETS / "arith-mixed", model, ignore=shutil.ignore_patterns("*.safetensors"))
            config = json.loads((model / "config.json").read_text(encoding="utf-8"))
            config["max_position_embeddings"] = 100_000
            (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
            command = [sys.executable, "-m", "bon_eval.cli", "run", "--model", str(model), "--task", "arith"]
            command += ["--base-url", f"http://127.0.0.1:{args.port}/v1", "--engine-arg", "served_model=arith-mixed"]
            command += ["--n", str(args.n), "--data", str(data), "--max-tokens", str(4 * args.tokens)]
            command += ["--engine-arg", "patience=1", "--out", f"{folder}/run"]
            began = time.perf_counter()
            own, _ = peaks(command)
            seconds = time.perf_counter() - began
            size = subprocess.run(["du", "-sk", f"{folder}/run/responses"], capture_output=True, text=True, check=True)
            kilobytes = int(size.stdout.split()[0])
    finally:
        process.kill()
    responses = args.problems * (args.n + 1)
    print(f"{args.problems} problems x {args.n}, about {args.tokens} tokens each: {seconds:.0f} s in all")
    print(f"responses on disk: {kilobytes / 1024:.0f} MiB, {1024 * kilobytes / responses:.0f} bytes each")
    print(f"peak of the process: {own * 2**20 / 1e6:.0f} MB (target < 500)")


if __name__ == "__main__":
    main()
