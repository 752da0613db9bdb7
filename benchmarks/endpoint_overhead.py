"""Wall time of a run's sampling through a server over a bare asyncio client that posts the same bodies.

    python benchmarks/endpoint_overhead.py MODEL [--task arith] [--problems 40] [--n 16] [--max-tokens 64] [--rounds 3]
        [--dtype float32]

One server (vLLM's, started here unless --base-url names one) serves both sides in turn, with the same number of
responses on their way at once. `bon-eval`: from the first request to the last stored response, checks and store
included. Bare: aiohttp, the same JSON bodies, the answers parsed as JSON and their tokens counted. The two take turns;
the ratio is that of the medians of the time per generated token. The target: at most 1.05.

A processor without bfloat16 instructions needs ``--dtype float32`` (see lm_eval.py).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bon_eval.engines.openai.wire import sampling_body
from bon_eval.engines.servers import SERVERS, ServerSettings
from bon_eval.run.execute import open_model, open_store
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.run.sampling import requests, sample
from bon_eval.run.versions import versions
from bon_eval.store.reader import iter_responses


@contextmanager
def server(model: str, dtype: str) -> Iterator[str]:
    """vLLM's server for the model on a free port; yields its base URL."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--port", str(port)]
    command += ["--served-model-name", model, "--host", "127.0.0.1", "--enforce-eager", "--dtype", dtype]
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "2"}
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | quiet, start_new_session=True
    )
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("vLLM's server does not start; try it by hand") from None
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def options(args: argparse.Namespace, url: str, out: Path) -> RunOptions:
    """The job that both sides do."""
    return RunOptions(
        model=args.model,
        task=args.task,
        n=args.n,
        limit=args.problems,
        max_tokens=args.max_tokens,
        engine="openai",
        engine_args={"base_url": url, "concurrency": args.concurrency},
        data=args.data,
        out=out,
    )


def through_bon_eval(args: argparse.Namespace, url: str) -> tuple[float, int]:
    """Seconds and tokens of a run's sampling."""
    with tempfile.TemporaryDirectory() as folder:
        ready = prepare(options(args, url, Path(folder) / "run"))
        with open_store(ready, quiet=True) as store, open_model(ready, store, quiet=True) as engine:
            store.begin_session("benchmark", versions(), engine.facts)
            began = time.perf_counter()
            sample(store, engine, ready.prompts, quiet=True)
            seconds = time.perf_counter() - began
        return seconds, sum(r.n_tokens for r in iter_responses(ready.directory))


async def bare(bodies: list[dict[str, Any]], url: str, concurrency: int) -> tuple[float, int]:
    """The same bodies by aiohttp."""
    import aiohttp

    free = asyncio.Condition()
    flying = tokens = 0

    async def one(session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
        nonlocal flying, tokens
        async with free:
            await free.wait_for(lambda: not flying or flying + body["n"] <= concurrency)
            flying += body["n"]
        async with session.post(f"{url}/completions", json=body) as answer:
            found = await answer.json()
        tokens += sum(len(c["token_ids"]) for c in found["choices"])
        async with free:
            flying -= body["n"]
            free.notify_all()

    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        began = time.perf_counter()
        await asyncio.gather(*(one(session, body) for body in bodies))
        return time.perf_counter() - began, tokens


def through_bare(args: argparse.Namespace, url: str) -> tuple[float, int]:
    """Seconds and tokens of the bare client."""
    ready = prepare(options(args, url, Path("unused")))
    settings = ServerSettings.of(ready.config.engine_args)
    bodies = []
    for request in requests(ready.config, ready.prompts):
        jobs = -(-request.n // settings.max_n)
        sizes = [(k + 1) * request.n // jobs - k * request.n // jobs for k in range(jobs)]
        bodies += [sampling_body(settings, SERVERS["vllm"], request, size) for size in sizes]
    return asyncio.run(bare(bodies, url, args.concurrency))


def main() -> None:
    """Take turns and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--task", default="arith")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--problems", type=int, default=40)
    parser.add_argument("--n", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--concurrency", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--base-url")
    parser.add_argument("--dtype", default="auto", help="Of the server that is started.")
    args = parser.parse_args()
    sides = {"bare": through_bare, "run": through_bon_eval}
    found: dict[str, list[float]] = {name: [] for name in sides}

    def measure(url: str) -> None:
        through_bare(argparse.Namespace(**vars(args) | {"problems": 4}), url)  # warm
        for turn in range(args.rounds):
            for name in ("bare", "run") if turn % 2 == 0 else ("run", "bare"):
                seconds, tokens = sides[name](args, url)
                found[name].append(seconds / tokens)
                print(f"{name:4} {seconds:7.1f} s {tokens:8d} tokens {1e3 * seconds / tokens:.3f} ms/token", flush=True)

    if args.base_url:
        measure(args.base_url)
    else:
        with server(args.model, args.dtype) as url:
            measure(url)
    ratio = statistics.median(found["run"]) / statistics.median(found["bare"])
    print(f"ratio of medians, run over bare client, time per token: {ratio:.3f} (target <= 1.05)")


if __name__ == "__main__":
    main()
