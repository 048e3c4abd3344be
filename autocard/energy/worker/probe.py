"""What a worker would find on this machine: started once, for `autocard doctor`.

Rule: the same clean environment, the same CodeCarbon and the same tables as in a worker.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autocard import commands
from autocard.energy.location import geolocation
from autocard.energy.worker.child_process import leave, settle
from autocard.energy.worker.worker_process import environment, search_path
from autocard.errors import UnavailableError

APART_S = 1.0
"""Seconds between the two readings that tell a power."""
MOST_S = 60.0
"""Seconds that all of it may take."""

_BOOT = (
    "import json, sys; order = json.loads(sys.stdin.readline()); sys.path[:] = order.pop('path'); "
    "from autocard.energy.worker.probe import main; main(order)"
)


def ask(order: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a process that is given *order* (gpu_ids, cpu_power_w, ram_power_w, place) finds.

    Returns:
        about (leaves of `engine.About`, or None with a reason), watts (part → power now), intensity
        (as `where.LookUp.result`).
    """
    path = search_path()
    try:
        done = commands.run(
            [sys.executable, "-I", "-c", _BOOT],
            MOST_S,
            data=json.dumps({**order, "path": path}).encode() + b"\n",
            cwd=Path("/"),
            env=environment(),
        )
        found: dict[str, Any] = json.loads(done.out)  # a process that failed has printed nothing
    except (OSError, ValueError, subprocess.SubprocessError) as exc:
        why = f"the measuring process fails here ({type(exc).__name__})"
        found = {"about": None, "reason": why, "watts": {}, "intensity": {"reason": why}}
    return found


def main(order: Mapping[str, Any]) -> None:
    """Find out, and print it as JSON."""
    settle()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print is not the answer
    looking = geolocation.LookUp(order["place"])
    found: dict[str, Any] = {"about": None, "reason": None, "watts": {}}
    try:
        found |= _engine(order)
    except UnavailableError as exc:
        found["reason"] = str(exc)
    except Exception as exc:  # noqa: BLE001 - to be told, whatever it is
        found["reason"] = f"CodeCarbon failed ({type(exc).__name__})"
    found["intensity"] = looking.result()
    with out:
        json.dump(found, out)
    leave(0)


def _engine(order: Mapping[str, Any]) -> dict[str, Any]:
    from autocard.energy.host.codecarbon_reader import CodeCarbonReader  # noqa: PLC0415 - heavy

    engine = CodeCarbonReader(order["gpu_ids"], order["cpu_power_w"], order["ram_power_w"])
    time.sleep(APART_S)
    first, last = engine.first, engine.read()
    seconds = last.at_s - first.at_s
    watts = {part: (last.joules[part] - joules) / seconds for part, joules in first.joules.items()}
    return {"about": asdict(engine.about()), "watts": watts}
