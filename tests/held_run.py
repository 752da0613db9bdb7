"""Runs in processes of their own that stand still in the midst of storing until they are let go.

What a test does to a run that is not finished happens while it is not, however slow or fast the machine is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONG_S = 900.0
"""Longest wait for what must come, in seconds."""
HELD = """
import sys, time
from pathlib import Path
from bon_eval.store.writer import RunStore
place, folder, left = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
append = RunStore.append
def held(store, responses):
    global left
    append(store, responses)
    if folder in (store.directory.resolve(), *store.directory.resolve().parents):
        left -= 1
    if left == 0:
        (place / "held").touch()
        while not (place / "go on").exists():
            time.sleep(0.01)
        left = -1
RunStore.append = held
from bon_eval.cli import main
main(sys.argv[4:])
"""


class HeldRun:
    """`bon-eval` with these arguments, in a process group of its own, held after so many appends in a folder.

    Args:
        folder: a run's directory, or one above it.
        appends: each is a part on disk, until some are merged.
        arguments: of the command line.
        cwd, environment: of the process.
    """

    def __init__(self, folder: Path, appends: int, *arguments: str, cwd: Path | None = None, **environment: str):
        self._place = Path(tempfile.mkdtemp())
        self._said = self._place / "stderr"
        command = [sys.executable, "-c", HELD, str(self._place), str(folder.resolve()), str(appends), *arguments]
        with self._said.open("w") as stderr:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
                process_group=0,
            )

    @property
    def stderr(self) -> str:
        """What it has said so far."""
        return self._said.read_text(encoding="utf-8")

    def wait_until_held(self) -> None:
        """Return once it stands still."""
        self._wait_for((self._place / "held").exists)

    def wait_until_said(self, text: str) -> None:
        """Return once standard error has this text: a signal, say, was taken in."""
        self._wait_for(lambda: text in self.stderr)

    def go_on(self) -> None:
        """Let it go on."""
        (self._place / "go on").touch()

    def end(self) -> tuple[int, str]:
        """Let it go on to its end; exit code and standard error."""
        self.go_on()
        code = self.process.wait(LONG_S)
        return code, self.stderr

    def signalled(self, signum: int) -> tuple[int, str]:
        """As `end`, once it was held, got this signal and took it in."""
        self.wait_until_held()
        self.process.send_signal(signum)
        self.wait_until_said("stopping:")
        return self.end()

    def killed(self) -> None:
        """Kill it while it is held."""
        self.wait_until_held()
        self.process.kill()
        self.process.wait()

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LONG_S
        while not condition():
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < end, self.stderr
            time.sleep(0.01)
