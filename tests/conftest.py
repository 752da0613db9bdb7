"""What several test modules share: models, data folders, one vLLM engine."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from heartbeat import heartbeat as heartbeat
from hypothesis import HealthCheck, settings

from bon_eval.records import Pool, Problem
from bon_eval.store.reader import Run

ROOT = Path(__file__).resolve().parent.parent
HEAVY_FIXTURES = {"chromium", "hub", "open_page", "serve", "smollm2", "smollm2_lora"}
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
SLOWEST_MS = 300_000.0
"""How long the browser may take for anything, in milliseconds."""
REQUIRE_VLLM = os.environ.get("BON_EVAL_REQUIRE_VLLM") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files with the longest tests first, so that no process waits for another's at the end.

    Without vLLM its tests are skipped, unless it is required: then they must run.
    """
    engines = {item.path for item in items if item.get_closest_marker("vllm")}
    for item in items:
        if HEAVY_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.heavy)
    items.sort(key=lambda item: item.path not in engines)
    if REQUIRE_VLLM or importlib.util.find_spec("vllm") is not None:
        return
    for item in items:
        if item.get_closest_marker("vllm"):
            item.add_marker(pytest.mark.skip(reason="vLLM is not installed (BON_EVAL_REQUIRE_VLLM=1 makes this fail)"))


def pytest_collection_finish() -> None:
    """What collection imported stays to the end: no later search for garbage goes through it."""
    gc.freeze()


@pytest.fixture(scope="session")
def make_hand_run() -> Callable[[], Run]:
    """() -> the run of three problems with a pool of four that tests/analysis/test_analyse.py works out by hand."""
    types = {
        "log_likelihood": np.float64,
        "n_tokens": np.int32,
        "truncated": np.bool_,
        "correct": np.bool_,
        "unscored": np.bool_,
        "answer_class": np.int32,
        "same_as_greedy": np.bool_,
    }

    def made() -> Run:
        stored = json.loads((ROOT / "tests" / "hand_run.json").read_text(encoding="utf-8"))

        def pool(name: str) -> Pool:
            found = stored[name]
            arrays: dict[str, Any] = {k: np.array(found[k], dtype=of) for k, of in types.items() if k in found}
            told_by = "token ids" if "same_as_greedy" in found else None
            return Pool(problem_ids=tuple(found["problem_ids"]), same_told_by=told_by, **arrays)

        return Run(
            path=Path("hand run"),
            meta=stored["meta"],
            problems=tuple(Problem(p["id"], {"question": "q"}, p["gold"]) for p in stored["problems"]),
            greedy=pool("greedy"),
            pool=pool("pool"),
            grader={"name": "gsm8k", "version": "1"},
            duplicates=np.zeros(3),
        )

    return made


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The real data sets, where they lie beside the checkout."""
    folder = Path(os.environ.get("BON_EVAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder} (set BON_EVAL_DATA)")
    return folder


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as an ordinary checkpoint, made once from the package that carries it."""
    target = Path(os.environ.get("BON_EVAL_SMOLLM2", ROOT / ".cache" / "SmolLM2-135M-Instruct"))
    if not (target / "config.json").is_file():
        done = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "smollm2_checkpoint.py"), str(target)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            message = f"SmolLM2-135M-Instruct cannot be made: {done.stderr.strip().splitlines()[-1:]}"
            if REQUIRE_VLLM:
                pytest.fail(message)
            pytest.skip(message)
    return target


@pytest.fixture(scope="session")
def lora_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter on the embedded model that changes its likelihoods."""
    from bon_eval.engines.models import ASSETS

    return make_lora(ASSETS / "arith-mixed", tmp_path_factory.mktemp("lora"), scale=0.2)


@pytest.fixture(scope="session")
def smollm2_lora(smollm2: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA adapter on SmolLM2 that changes its likelihoods and leaves it a language model."""
    return make_lora(smollm2, tmp_path_factory.mktemp("smollm2-lora"), scale=0.03)


def make_lora(model_dir: Path, folder: Path, *, scale: float) -> Path:
    """A random adapter as PEFT saves it."""
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    base = transformers.AutoModelForCausalLM.from_pretrained(model_dir, dtype="float32")
    model = peft.get_peft_model(
        base, peft.LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", lora_alpha=16)
    )
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = scale * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bon_eval() -> Callable[..., subprocess.CompletedProcess[str]]:
    """(*arguments, cwd=None) -> what the command line printed, in a process of its own as a user starts it."""

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bon_eval.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=cwd,
            check=False,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )

    return run


@pytest.fixture(scope="session")
def bon_eval_here() -> Callable[..., subprocess.CompletedProcess[str]]:
    """As `bon_eval`, but in this process, where torch is imported once for all: what a test needs of no process."""

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        from bon_eval.cli import main

        with contextlib.chdir(cwd or Path.cwd()):
            done = CliRunner().invoke(main, [*map(str, arguments)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """(name, make) -> a folder that `make` filled, once for all processes of this test run; not to be changed."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        place = place.parent

    def folder(name: str, make: Callable[[Path], None]) -> Path:
        target = place / f"made-{name}"
        with (place / f"made-{name}.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not target.is_dir():
                making = place / f"making-{name}"
                shutil.rmtree(making, ignore_errors=True)
                making.mkdir()
                make(making)
                making.rename(target)
        return target

    return folder


@pytest.fixture(scope="session")
def sampled_float32(
    bon_eval_here: Callable[..., subprocess.CompletedProcess[str]], made_once: Callable[..., Path]
) -> Path:
    """A run of the embedded model in float32, where forcing is sampling: six responses to twelve problems of arith."""

    def make(folder: Path) -> None:
        command = "run --model arith-mixed --task arith --n 6 --limit 12 --engine transformers --no-html --draws 200"
        done = bon_eval_here(*command.split(), "--dtype", "float32", "--out", folder / "run")
        assert done.returncode == 0, done.stderr

    return made_once("run-float32", make) / "run"


@pytest.fixture(scope="session")
def wait_for_parts() -> Callable[..., None]:
    """(process, folder, more=3, pattern=...) -> returns once this process has stored so many more files there."""

    def wait(process: subprocess.Popen[str], folder: Path, more: int = 3, pattern: str = "responses/part-*") -> None:
        before = len(list(folder.glob(pattern)))
        deadline = time.monotonic() + 600
        while len(list(folder.glob(pattern))) < before + more:
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    return wait


class Served:
    """vLLM's OpenAI-compatible server in a process of its own, as a user starts it."""

    def __init__(self, model_dir: Path, name: str, folder: Path, *args: str, port: int = 0) -> None:
        self.model_dir, self.name, self._folder, self._args = model_dir, name, folder, args
        self._reserved = reserved(port)
        self.port = int(self._reserved.getsockname()[1])
        self.start()

    @property
    def base_url(self) -> str:
        """As `--base-url` takes it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.model_dir)]
        command += ["--served-model-name", self.name, "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--dtype", "float32", "--enforce-eager", *self._args]
        quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
        quiet["TORCHDYNAMO_DISABLE"] = "1"  # else it compiles for seconds at the first requests
        log = self._folder / f"server-{self.port}.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, env=os.environ | quiet, start_new_session=True
            )
        deadline = time.monotonic() + 900
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=60):
                    return
            except OSError:
                assert self.process.poll() is None, log.read_text(errors="replace")[-2000:]
                assert time.monotonic() < deadline, "vLLM's server did not start"
                time.sleep(0.2)

    def kill(self) -> None:
        """kill -9 of the server and its engine."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def reserved(port: int = 0) -> socket.socket:
    """A socket on a port of the loopback address that nobody else is given as long as it is open.

    It does not listen, so that a server, which reuses addresses, may, and may again when it was killed.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", port))
    return holder


@pytest.fixture(scope="session")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """(model directory, name, *server arguments) -> a running server; all are killed at the end."""
    started: list[Served] = []

    def start(model_dir: Path, name: str, *args: str) -> Served:
        started.append(Served(model_dir, name, tmp_path_factory.mktemp("server"), *args))
        return started[-1]

    yield start
    for server in started:
        server.kill()


@pytest.fixture(scope="session")
def served_mixed(serve: Callable[..., Served]) -> Served:
    """The embedded model, served."""
    from bon_eval.engines.models import ASSETS

    return serve(ASSETS / "arith-mixed", "arith-mixed")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A real headless Chromium; without one the tests are skipped, unless BON_EVAL_REQUIRE_BROWSER=1.

    No longer than its module: Playwright leaves an event loop running in the thread as long as it is open.
    """
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        if os.environ.get("BON_EVAL_REQUIRE_BROWSER") == "1":
            pytest.fail("no Chromium found and BON_EVAL_REQUIRE_BROWSER=1")
        pytest.skip("no Chromium found (CHROMIUM names one; BON_EVAL_REQUIRE_BROWSER=1 makes this fail)")
    sync_api = pytest.importorskip("playwright.sync_api")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", *quiet], timeout=SLOWEST_MS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def open_page(chromium: Any) -> Callable[..., tuple[Any, list[str]]]:
    """(path, **options) -> the page, and everything that it complained about or asked the network for."""

    def opened(path: Path, **options: Any) -> tuple[Any, list[str]]:
        tab = chromium.new_page(**options)
        tab.set_default_timeout(SLOWEST_MS)
        trouble: list[str] = []
        tab.on("console", lambda message: trouble.append(f"console: {message.text}"))
        tab.on("pageerror", lambda error: trouble.append(f"error: {error}"))
        tab.on("dialog", lambda dialog: (trouble.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda request: trouble.append(request.url) if request.url != path.as_uri() else None)
        tab.goto(path.as_uri())
        return tab, trouble

    return opened
