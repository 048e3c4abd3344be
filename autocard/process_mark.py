"""Marks that identify the process that made a file, and whether that process still runs.

A process id alone is not enough: ids are reused, and containers on one machine count their own.
Imports the standard library only.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

_START_TIME = 19
"""Field of /proc/<pid>/stat behind the name, in ticks since boot (proc(5), `starttime` is the 22nd
of all)."""


def own() -> str:
    """Return the mark of this process: machine, process id, start time.

    For example "3f9a1c20-4711-88231".
    """
    pid = os.getpid()
    return f"{_machine()}-{pid}-{_started(pid)}"


def may_run(mark: str) -> bool:
    """Return whether the process of *mark* may still run; False for those of other machines."""
    machine, _, rest = mark.partition("-")
    pid, _, started = rest.partition("-")
    if machine != _machine() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        pass  # it belongs to another user
    except (OSError, OverflowError):
        return False
    if _is_zombie(int(pid)):
        return False  # it has ended, and its parent has not taken note
    return started in ("0", _started(int(pid)))


def is_from_here(mark: str) -> bool:
    """Return whether *mark* was made on this machine, in this container, since its last boot."""
    return mark.partition("-")[0] == _machine()


@lru_cache(maxsize=1)
def _machine() -> str:
    """Return a pseudonym of this boot of this machine and of this container's process ids."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        container = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no path, but "pid:[4026531836]"
    except OSError:
        boot, container = os.uname().nodename if hasattr(os, "uname") else "", ""
    return hashlib.sha256(f"{boot} {container}".encode()).hexdigest()[:8]


def _started(pid: int) -> str:
    """Return the start time of the process *pid* in ticks since boot; "0" if it is unknown."""
    fields = _status(pid)
    return fields[_START_TIME] if len(fields) > _START_TIME else "0"


def _is_zombie(pid: int) -> bool:
    return _status(pid)[:1] == ["Z"]


def _status(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat behind the name; none if it cannot be read."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return []
    # The name in parentheses may contain blanks: "4711 (my app) S 1 …".
    return status.rpartition(")")[2].split()
