"""``run --config``: the same run as by options, from YAML and from run.json, and one clear line for what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from bon_eval.cli import main

OPTIONS = ["--model", "arith-mixed", "--task", "arith", "--limit", "4", "--n", "2", "--engine", "transformers"]
OPTIONS += ["--engine-arg", "batch_size=8", "--stop", "\n\n", "--system", ""]
OPTIONS += ["--max-tokens", "24", "--temperature", "1.5"]
FILE = {
    "model": "arith-mixed",
    "task": "arith",
    "limit": 4,
    "n": 2,
    "engine": "transformers",
    "engine-arg": {"batch_size": 8},
    "stop": ["\n\n"],
    "system": "",
    "max_tokens": 24,
    "temperature": 1.5,
    "draws": 100,
    "ns": [1, 2],
    "fresh": False,
    "adapter": None,
    "html": False,
}


def run(*args: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["run", *map(str, args)])
    return done.exit_code, done.stderr + done.stdout


@pytest.fixture(scope="module")
def by_options(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("config") / "run"
    code, said = run(*OPTIONS, "--draws", "100", "--no-html", "--out", out, "--quiet")
    assert code == 0, said
    return out


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(FILE), encoding="utf-8")
    return path


def test_a_file_is_the_run_that_its_options_are(by_options: Path, file: Path) -> None:
    before = (by_options / "run.json").read_bytes()
    code, said = run("--config", file, "--out", by_options)
    assert code == 0, said
    assert "nothing to sample" in said
    assert {"best-of-1", "best-of-2"} <= {line.split()[0] for line in said.splitlines() if line.strip()}
    assert json.loads((by_options / "run.json").read_bytes())["identity"] == json.loads(before)["identity"]
    assert not (by_options / "report.html").exists()


def test_the_command_line_wins_whatever_stands_first(by_options: Path, file: Path) -> None:
    for args in (("--temperature", 0.5, "--config", file), ("--config", file, "--temperature", 0.5)):
        code, said = run(*map(str, args), "--out", by_options)
        assert code == 2
        assert "holds another run (temperature: " in said
        assert " -> 0.5)" in said


@pytest.mark.parametrize("given", [["low=temperature:0.5,n:2"], "low=temperature:0.5,n:2", {"low": 1}])
def test_named_draws_under_the_name_of_bootstrap_draws(tmp_path: Path, given: object) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump({"draws": given}), encoding="utf-8")
    code, said = run("--config", path, "--model", "arith-mixed", "--task", "arith")
    assert code == 2
    assert "draws is " in said
    assert "`draw:`" in said


def test_a_stored_configuration_is_the_run_again(by_options: Path) -> None:
    stored = json.loads((by_options / "run.json").read_text(encoding="utf-8"))
    assert stored["config"]["stop_token_ids"]
    code, said = run("--config", by_options / "run.json", "--draws", "100", "--no-html", "--out", by_options)
    assert code == 0, said
    assert "nothing to sample" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n", "must be a mapping of option names to values"),
        ("n: [\n", "is not YAML in UTF-8"),
        ("n: 2\nn: 3\n", "'n' stands there twice"),
        ("modle: x\n", "unknown option 'modle'; valid: adapter, "),
        ("config: other.yaml\n", "unknown option 'config'"),
        ("n: many\n", "n: 'many' is not a valid integer"),
        ("n: 2.5\n", "n: '2.5' is not a valid integer"),
        ("n: yes\n", "n is True; it must be one value"),
        ("n: [1, 2]\n", "n is [1, 2]; it must be one value"),
        ("stop: {a: 1}\n", "stop is {'a': 1}; it must be a list or one value"),
        ("quiet: 1\n", "quiet is 1; it must be true or false"),
        ("token-stats: all\n", "token-stats: 'all' is not one of 'none', 'topk'"),
    ],
)
def test_what_is_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    code, said = run("--model", "arith-mixed", "--task", "arith", "--config", path, "--out", tmp_path / "out")
    assert code == 2
    [line] = [line for line in said.splitlines() if line.startswith("error: ")]
    assert str(path) in line
    assert message in line
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    code, said = run("--config", tmp_path / "none.yaml")
    assert code == 2
    assert "cannot be read: No such file or directory; give a YAML file or a run.json" in said
