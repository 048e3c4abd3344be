"""Plays srun: starts one task on each "node" of the job, with the variables that srun sets, and waits for all of them.

Usage: srun [--option…] COMMAND…, in the environment of a batch script. A node is a mount namespace
with a boot id of its own where that is permitted, else only a number. Signals go on to the tasks;
one that fails ends the others.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

ENTER = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from support import cluster_space
cluster_space.enter({{cluster_space.BOOT_ID: cluster_space.Path(sys.argv[1])}})
os.execvp(sys.argv[2], sys.argv[2:])
"""
"""Goes into a node's namespace and becomes the task."""


def install(folder: Path) -> None:
    """Put srun, scontrol and apptainer into *folder*; what the last two were asked is noted in files beside them."""
    folder.mkdir()
    programs = {
        "srun": f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n',
        "scontrol": f'#!/bin/sh\necho "$@" >> "{folder}/scontrol.asked"\n',
        # What stands behind the image is run as it is.
        "apptainer": (
            f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/apptainer.asked"\n'
            'while [ $# -gt 0 ]; do case "$1" in *.sif) shift; exec "$@";; esac; shift; done\n'
        ),
    }
    for name, text in programs.items():
        (folder / name).write_text(text, encoding="ascii")
        (folder / name).chmod(stat.S_IRWXU)


def batch(folder: Path, job: str, nodes: int, restarts: int) -> dict[str, str]:
    """Return what sbatch gives to a script that was submitted in *folder*."""
    return {
        "SLURM_JOB_ID": job,
        "SLURM_JOBID": job,
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_NNODES": str(nodes),
        "SLURM_NTASKS": str(nodes),
        "SLURM_TASKS_PER_NODE": f"1(x{nodes})",
        "SLURM_JOB_NODELIST": f"plantednode[1-{nodes}]",
        "SLURM_JOB_USER": "planteduser",
        "SLURM_JOB_ACCOUNT": "plantedaccount",
        "SLURM_SUBMIT_DIR": str(folder),
        **({"SLURM_RESTART_COUNT": str(restarts)} if restarts else {}),
    }


def task(
    number: int, count: int, boot_ids: Path | None, command: list[str]
) -> subprocess.Popen[bytes]:
    """Start *command* as the task *number* of *count*, each on a node of its own."""
    environ = {
        **os.environ,
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_NODES": str(count),
        "SLURM_STEP_NUM_TASKS": str(count),
        "SLURM_NTASKS": str(count),
        "SLURM_PROCID": str(number),
        "SLURM_NODEID": str(number),
        "SLURM_LOCALID": "0",
    }
    on_node = [] if boot_ids is None else [sys.executable, "-c", ENTER, str(boot_ids / str(number))]
    return subprocess.Popen([*on_node, *command], env=environ)


def main() -> int:
    command = sys.argv[1:]
    while command[0].startswith("-"):
        command = command[1:]
    given = os.environ.get("STAND_IN_BOOT_IDS")
    count = int(os.environ["SLURM_JOB_NUM_NODES"])
    tasks = [
        task(number, count, Path(given) if given else None, command) for number in range(count)
    ]
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda which, _: [one.send_signal(which) for one in tasks])
    worst = 0
    while any(one.poll() is None for one in tasks):
        time.sleep(0.05)
        for one in tasks:
            if one.poll() and not worst:
                worst = one.returncode
                for other in tasks:
                    other.terminate()
    return worst if worst >= 0 else 128 - worst


if __name__ == "__main__":
    sys.exit(main())
