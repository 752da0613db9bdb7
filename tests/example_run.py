"""A small run of an embedded model as the command line takes it."""

N, LIMIT = 6, 12
RUN = f"run --model arith-mixed --task arith --n {N} --limit {LIMIT} --engine transformers".split()
FAST = ["--draws", "500"]
