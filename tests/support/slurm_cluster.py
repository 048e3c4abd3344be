"""A real Slurm of two nodes on this machine, for tests: starts it, gives it jobs, and takes it down.

Its fixture is in slurm_fixtures.py. What it consists of, and how its nodes and meters come about:
slurm_daemons.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from support import SUPPORT, cluster_space
from support.nvml_stand_in import Machine
from support.slurm_daemons import ACCOUNT, CPUS, NODE, NODES, PARTITION, USER

DAEMONS = SUPPORT / "slurm_daemons.py"
PROGRAMS = ("slurmd", "slurmctld", "slurmdbd", "munged", "mariadbd", "mariadb-install-db")
PACKAGES = "slurm-wlm slurmdbd munge mariadb-server"
JOB_NAME = "plantedjob"
PLANTED = (USER, ACCOUNT, NODE, PARTITION, JOB_NAME, "plantedcluster")
"""Names that must be in no public file."""
PATIENCE_S = 240.0
"""Far more than each part takes: a hang, and no measure of speed."""
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
    *("OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"),
}


def why_not(folder: Path) -> str:
    """Return why no Slurm can be started here, or an empty string; *folder* is for a trial."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"needs {', '.join(absent)} (packages {PACKAGES})"
    if os.geteuid() != 0:
        return "needs root, to start Slurm's daemons"
    if (os.cpu_count() or 1) < CPUS:
        return f"needs {CPUS} CPUs"
    (folder / "boot").write_text("a boot id\n", encoding="ascii")
    if not cluster_space.permitted(folder / "boot"):
        return "needs a mount namespace for each node, which is not permitted here"
    return ""


def wait_until(what: Callable[[], Any], why: Callable[[], str] = lambda: "") -> Any:
    """Return what *what* returns as soon as that is true."""
    until_s = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < until_s, f"it took too long: {why()}"
        time.sleep(0.1)
    return found


@dataclass
class Row:
    """A line of sacct: a start of a job, or a step of it."""

    job: str
    state: str
    elapsed_s: float
    nodes: int
    energy_j: float | None


class SlurmCluster:
    """A running Slurm."""

    def __init__(self, machine: Machine) -> None:
        """Start it; the nodes have *machine*'s NVML, and a GPU each."""
        self.machine = machine
        # Paths of sockets in it may have 108 characters, which pytest's folders are too long for.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self.process = subprocess.Popen(
            [sys.executable, str(DAEMONS), str(self.folder), str(machine.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the tests first
            text=True,
        )
        answer = self.process.stdout.readline()
        if answer != "ready\n":
            answer += self.process.stdout.read()
            self.close()
            msg = f"Slurm did not start: {answer}"
            raise AssertionError(msg)

    def close(self) -> None:
        """Kill the daemons and all jobs, and remove their files."""
        self.process.stdin.close()
        self.process.wait(PATIENCE_S)
        self.process.stdout.close()

    # -- its commands --

    def environment(self) -> dict[str, str]:
        """Return the environment of a user who is logged in on the cluster."""
        own = ("AUTOCARD_", "SLURM_", "TORCHELASTIC_", "ACCELERATE_")
        environ = {
            name: value for name, value in self.machine.env.items() if not name.startswith(own)
        }
        return environ | {
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "USER": USER,
            "LOGNAME": USER,
            "TMPDIR": str(self.folder / "local"),
        }

    def run(self, *command: object) -> str:
        """Run one of Slurm's commands; return what it printed."""
        done = subprocess.run(
            [str(word) for word in command],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def submit(
        self,
        script: Path,
        *arguments: object,
        options: Sequence[object] = (),
        folder: Path,
        env: dict[str, str] | None = None,
    ) -> str:
        """Submit *script* in *folder*, as a user does; return the job's number."""
        command = [
            *("sbatch", "--parsable", f"--account={ACCOUNT}", f"--job-name={JOB_NAME}"),
            *(f"--partition={PARTITION}", f"--output={folder / 'job-%j.out'}"),
            *(*options, script, *arguments),
        ]
        done = subprocess.run(
            [str(word) for word in command],
            env={**self.environment(), **(env or {})},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def job(self, job: str) -> dict[str, str]:
        """Return what scontrol shows of a job, a task of an array included (`7_1`)."""
        words = self.run("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def wait_for(self, job: str, *states: str) -> str:
        """Wait until *job* has one of *states* (none: until it has ended); return its state."""
        wanted = set(states)
        wait_until(lambda: self.job(job)["JobState"] in wanted | ENDED, lambda: str(self.job(job)))
        shown = self.job(job)
        assert not states or shown["JobState"] in states, shown
        return shown["JobState"]

    def start_requeued(self, job: str) -> None:
        """Start a job that was requeued, which would wait for two minutes otherwise.

        Not at once: in the same second, the nodes refuse it as the start that has ended.
        """
        self.wait_for(job, "PENDING")
        self.run("scontrol", "update", f"JobId={job}", "StartTime=now+2")
        self.wait_for(job, "RUNNING")

    def sacct(self, *jobs: str) -> list[Row]:
        """Return all starts and steps of *jobs*, once the accounting knows the end of each."""

        def rows() -> list[list[str]]:
            columns = "JobID,State,ElapsedRaw,NNodes,ConsumedEnergyRaw,End"
            printed = self.run(
                *("sacct", "--noheader", "--parsable2", "--duplicates"),
                *("--jobs", ",".join(jobs), "--format", columns),
            )
            found = [line.split("|") for line in printed.splitlines()]
            return [] if any(row[-1] == "Unknown" for row in found) else found

        found = wait_until(rows)
        return [
            Row(job, state, float(elapsed), int(nodes), float(energy) if energy else None)
            for job, state, elapsed, nodes, energy, _ in found
        ]

    # -- its nodes --

    def processes(self, node: int | None = None) -> list[psutil.Process]:
        """Return what runs on a node, its slurmd included; None: all that the cluster has started."""
        everything = psutil.Process(self.process.pid).children(recursive=True)
        alive = [one for one in everything if one.status() != psutil.STATUS_ZOMBIE]
        if node is None:
            return alive
        pid = int((self.folder / f"slurmd-{node}").read_text())
        return [one for one in alive if _mounts(one.pid) == _mounts(pid)]

    def trainings(self) -> list[psutil.Process]:
        """Return the Pythons that jobs have started and that still run, autocard's workers included."""
        of_nodes = [one for number in NODES for one in self.processes(number)]
        return [one for one in of_nodes if "python" in one.name()]

    def fail_node(self, node: int) -> None:
        """Let a node lose its power, and the controller notice it at once instead of in minutes."""
        for process in self.processes(node):
            process.send_signal(signal.SIGKILL)
        self.run(
            *("scontrol", "update", f"NodeName={NODE}{node}", "State=DOWN", "Reason=no answer")
        )

    def boot_node(self, node: int) -> None:
        """Boot a node that failed."""
        self.process.stdin.write(f"node {node}\n")
        self.process.stdin.flush()
        asked = ("sinfo", "--noheader", f"--nodes={NODE}{node}", "--format=%T")
        wait_until(lambda: self.run(*asked).split() in (["idle"], ["mixed"], ["allocated"]))


def _mounts(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/mnt").readlink()
    except OSError:
        return None
