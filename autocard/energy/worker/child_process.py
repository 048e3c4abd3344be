"""How a process that runs CodeCarbon begins and ends: default signals, no process left behind."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NoReturn


def settle() -> None:
    """Undo the inherited signal settings: a SIGCHLD that is ignored, signals that are blocked.

    Where SIGCHLD is ignored, no exit status can be read, and py-cpuinfo, which CodeCarbon asks for
    the CPU's name, waits for ever for a process of its own.
    """
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())


def leave(status: int) -> NoReturn:
    """End this process and all that it has started, without waiting for CodeCarbon's programs."""
    with contextlib.suppress(Exception):
        import psutil  # noqa: PLC0415 - CodeCarbon brings it

        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    os._exit(status)
