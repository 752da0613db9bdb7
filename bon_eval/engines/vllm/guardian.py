"""Ends an engine's processes when the process that started them is gone, however it went.

Run as ``python guardian.py PID:STARTED ...``: waits on standard input, whose other end the engine's owner holds. A
byte means that the owner has closed the engine itself; the end of input without one means that it was killed.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def start_time(pid: int) -> str | None:
    """When a process started, in the kernel's ticks; None when there is none. Tells a reused pid from the old one."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        return None


def main() -> None:
    """Wait, then kill what is left."""
    if sys.stdin.buffer.read(1):
        return
    for pid, _, started in (argument.partition(":") for argument in sys.argv[1:]):
        if start_time(int(pid)) == started:
            os.kill(int(pid), signal.SIGKILL)


if __name__ == "__main__":
    main()
