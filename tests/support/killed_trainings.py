"""Training processes that tests start, watch, kill and resume; legs_server.py forks them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from support import SUPPORT

SERVER = SUPPORT / "legs_server.py"
RAM_W = 10.0
"""Given to autocard, so that the tests know the true power of the memory."""
OURS = {
    "country_iso_code": "FRA",
    "ram_power_w": RAM_W,
    "cpu_power_w": 10.0,
    "measure_power_secs": 1.0,
}


def wait_until(what, at_most_s=30.0):
    until_s = time.monotonic() + at_most_s
    while not (found := what()):
        assert time.monotonic() < until_s, "it took too long"
        time.sleep(0.01)
    return found


def lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@dataclass
class Leg:
    """A training process, with its events as the test reads them from its log."""

    pid: int
    log: Path
    ended_s: float = 0.0
    lines: list[list[str]] = field(default_factory=list)

    def read(self):
        self.lines = (
            [line.split() for line in self.log.read_text().splitlines()]
            if self.log.exists()
            else []
        )
        return self.lines

    @property
    def began(self):
        return next(
            ((int(line[1]), float(line[2])) for line in self.read() if line[0] == "begin"), None
        )

    @property
    def last_step(self):
        steps = [int(line[1]) for line in self.read() if line[0] in {"begin", "step"}]
        return steps[-1] if steps else None

    @property
    def alive(self):
        return lives(self.pid)

    @property
    def measuring(self):
        return [process.pid for process in psutil.Process(self.pid).children()]

    def kill(self, how=signal.SIGKILL, *, everything=False):
        """Kill the training; *everything*: the measuring process too, as the end of a job does. Wait for their end."""
        children = self.measuring
        self.ended_s = time.monotonic()
        for pid in [self.pid, *(children if everything else [])]:
            os.kill(pid, how)
        wait_until(lambda: not self.alive)
        wait_until(lambda: not any(map(lives, children)))
        return self

    def finish(self):
        wait_until(lambda: not self.alive, 60)
        ends = [float(line[2]) for line in self.read() if line[0] == "end"]
        assert ends, Path(f"{self.log}.out").read_text()
        self.ended_s = ends[0]
        return self

    @property
    def seconds(self):
        return self.ended_s - self.began[1]


class TrainingServer:
    """Starts trainings."""

    def __init__(self, env=None):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )
        assert self.process.stdout.readline() == "ready\n"

    def start(self, folder, *, name, ours=OURS, args=None, **order):
        log = folder.parent / f"{folder.name}-{name}.log"
        args = {"max_steps": 60, "save_steps": 10, "save_total_limit": 2, **(args or {})}
        order = {"folder": str(folder), "log": str(log), "ours": ours, "args": args, **order}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return Leg(int(self.process.stdout.readline()), log)

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


def checkpoints(folder):
    return sorted(int(path.name.rpartition("-")[2]) for path in folder.glob("checkpoint-*"))


def last_whole_checkpoint(folder):
    """Return the last checkpoint that was written to its end: a training may be killed while it writes one."""
    for step in reversed(checkpoints(folder)):
        if (folder / f"checkpoint-{step}" / "trainer_state.json").exists():
            return str(folder / f"checkpoint-{step}")
    return None
