"""Run programs of the system, each in a session of its own that ends with all it has started.

Rule: each has a time limit, and none outlives its call: not after a timeout, an error, or the exit
of this process.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_GRACE_S = 1.0
"""Seconds that a killed process may take to end."""

_running: set[subprocess.Popen[bytes]] = set()
_owner = os.getpid()


@dataclass(frozen=True)
class Done:
    """A program that has ended.

    Attributes:
        status: its exit status; negative: the signal that ended it.
        out: what it wrote to standard output.
        err: what it wrote to standard error.
    """

    status: int
    out: bytes
    err: bytes


def run(
    command: Sequence[str],
    timeout_s: float,
    *,
    data: bytes | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run *command* and return how it ended, whatever its exit status.

    Args:
        command: the program and its arguments.
        timeout_s: seconds that it may take.
        data: for its standard input, which is empty otherwise.
        cwd: the folder that it runs in.
        env: its environment variables, instead of this process's.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it took too long.
    """
    process = subprocess.Popen(  # noqa: S603 - the callers' commands are fixed, their arguments are checked there
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL if data is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _running.add(process)
    try:
        out, err = process.communicate(data, timeout_s)
        return Done(process.returncode, out, err)
    finally:
        _running.discard(process)
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill *process* and the processes it has started, which would run on without it."""
    _kill(process)
    if process.returncode is None:
        with contextlib.suppress(subprocess.TimeoutExpired, OSError, ValueError):
            process.communicate(timeout=_GRACE_S)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # its own session, so its own group
        else:
            process.kill()


@atexit.register
def _kill_all() -> None:
    """Kill what still runs when this process exits; a fork of this process owns none of it."""
    if os.getpid() == _owner:
        for process in list(_running):
            _kill(process)
