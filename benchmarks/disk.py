"""Bytes on disk per response against its text compressed by zstd and 4 bytes for each token.

    python benchmarks/disk.py [RUN...]

Without RUN: runs of the embedded model on the transformers engine, 100 problems x 32 and, as the hard case, 100 x 4.
Counted are all files in the run's responses/ (text, token ids, log-probs and everything else). The texts are
compressed three ways, at zstd's level 3: each pool as one stream (as a store that knows nothing of other problems
would), all of the run in one stream (which no store that is written as it goes can reach), and each text on its own.
The target: at most 1.3 times zstd's bytes plus 4 bytes per token.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pyarrow as pa

from bon_eval.run.execute import execute
from bon_eval.run.options import RunOptions
from bon_eval.run.prepare import prepare
from bon_eval.store.reader import iter_responses


def measure(run: Path) -> None:
    """Print one run's sizes."""
    codec = pa.Codec("zstd", compression_level=3)
    pools: dict[tuple[str, str], list[bytes]] = {}
    tokens = 0
    for r in iter_responses(run):
        pools.setdefault((r.problem_id, r.arm), []).append(r.text.encode())
        tokens += r.n_tokens
    responses = sum(map(len, pools.values()))
    size = sum(p.stat().st_size for p in (run / "responses").iterdir())
    texts = [text for pool in pools.values() for text in pool]
    ways = {
        "each pool": sum(len(codec.compress(b"\n".join(pool), asbytes=True)) for pool in pools.values()),
        "the whole run": len(codec.compress(b"\n".join(texts), asbytes=True)),
        "each text": sum(len(codec.compress(text, asbytes=True)) for text in texts),
    }
    print(f"{run.name}: {responses} responses, {tokens / responses:.1f} tokens each: {size / responses:.1f} bytes each")
    for name, zstd in ways.items():
        allowed = 1.3 * zstd + 4 * tokens
        print(f"  zstd of {name:13} {zstd / responses:7.1f} bytes each; size over the bound: {size / allowed:.3f}")


def main() -> None:
    """Measure the runs named, or make some."""
    if len(sys.argv) > 1:
        for run in sys.argv[1:]:
            measure(Path(run))
        return
    with tempfile.TemporaryDirectory() as folder:
        for n in (32, 4):
            out = Path(folder) / f"arith-mixed-100x{n}"
            options = RunOptions("arith-mixed", "arith", n=n, limit=100, engine="transformers", out=out)
            measure(execute(prepare(options), quiet=True))


if __name__ == "__main__":
    main()
