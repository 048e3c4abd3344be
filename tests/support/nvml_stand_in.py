"""GPUs without GPUs: builds tests/support/nvml/stand_in.c into a libnvidia-ml.so.1 that real pynvml and real CodeCarbon load.

A process has to be started with a machine's environment: the loader reads LD_LIBRARY_PATH once. Its
fixtures are in nvml_fixtures.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parent / "nvml" / "stand_in.c"


@dataclass
class Gpu:
    uuid: str
    name: str = "NVIDIA Stand-in 80GB"
    memory: int = 80 * 1024**3
    watts: float = 300.0
    low: float = 0.0
    """Watts in the second half of each period."""
    period_s: float = 0.0
    """0: the power does not change."""
    counter: int = 1
    update_ms: int = 0
    offset_mj: int = 0
    dead: int = 0
    """1: lost; else the error code that NVML gives for everything about it."""
    processes: int = 1
    mig: str = ""
    """UUIDs of its slices, with commas between them."""

    def joules_at(self, at_s: float) -> float:
        """Return the counter at a moment of the monotonic clock, computed here and not by the library."""
        if not self.period_s:
            return self.watts * at_s + self.offset_mj / 1000
        halves, into_s = divmod(at_s, self.period_s / 2)
        highs, lows = (halves + 1) // 2, halves // 2
        done = (highs * self.watts + lows * self.low) * self.period_s / 2
        running = self.low if halves % 2 else self.watts
        return done + running * into_s + self.offset_mj / 1000


@dataclass
class Machine:
    """The GPUs that NVML reports in processes started with `env`."""

    folder: Path
    gpus: list[Gpu]
    driver: str = "580.65.06"
    cuda: int = 12080
    init: int = 0
    env: dict[str, str] = field(default_factory=dict)

    def write(self) -> None:
        """Write the changes; running processes read them, too."""
        lines = [f"driver={self.driver} cuda={self.cuda} init={self.init}"]
        for gpu in self.gpus:
            words = (
                f"{part.name}={str(getattr(gpu, part.name)).replace(' ', '_')}"
                for part in fields(gpu)
            )
            lines.append("gpu " + " ".join(word for word in words if not word.endswith("=")))
        new = self.folder / "gpus.conf.new"
        new.write_text("\n".join(lines) + "\n", encoding="ascii")
        new.replace(self.folder / "gpus.conf")


def uuid_of(number: int) -> str:
    """UUIDs that begin differently, and with letters that a careless `lstrip` would eat."""
    return f"GPU-{number:x}a1b2c3d-0000-4000-8000-{number:012x}"


def python(
    script: str, *arguments: object, env: dict[str, str] | None = None, timeout_s: float = 60
) -> Any:
    """Run *script* in a separate process, with warnings as errors; return the JSON of its last line."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        env=os.environ if env is None else env,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def make_machine(library: Path, folder: Path, gpus: list[Gpu]) -> Machine:
    """Set up *gpus* in *folder*, which has to be empty."""
    shutil.copy(library, folder)
    smi = folder / "nvidia-smi"  # CodeCarbon believes in NVIDIA GPUs only where this command runs
    smi.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    smi.chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": os.pathsep.join(
            filter(None, (str(folder), os.environ.get("LD_LIBRARY_PATH")))
        ),
    }
    machine = Machine(folder, gpus, env=env)
    machine.write()
    return machine
