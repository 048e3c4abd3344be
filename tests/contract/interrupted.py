"""Trainings that end too early, and trainings with GPUs and on several hosts: their ledgers and checkpoints are frozen.

Usage: interrupted.py FOLDER: leaves one output folder for each of `STATES` and `RECORDS` in FOLDER.
`make.py` runs it. Needs a C compiler and the right to make mount namespaces, as the tests of
clusters do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

SAVES = {"save_strategy": "steps", "save_steps": 5, "save_total_limit": 1}


def killed_twice(folder: Path) -> None:
    """One host, two legs, each ended by SIGKILL: the first with the measuring process, the second without it."""
    from support.killed_trainings import TrainingServer, last_whole_checkpoint, wait_until

    server = TrainingServer()
    for number, last in enumerate((14, 34)):
        options = {
            "args": {"max_steps": 60, "save_steps": 10, "save_total_limit": 1},
            "patient": True,
        }
        leg = server.start(
            folder, name=str(number), resume=last_whole_checkpoint(folder), **options
        )
        wait_until(lambda leg=leg, last=last: (leg.last_step or 0) >= last, 120)
        leg.kill(everything=number == 0)
    server.close()


def two_hosts_killed(folder: Path, rig: Any) -> None:
    """Two hosts with two GPUs each, two legs; all ranks are killed at the same step."""
    from support.cluster_rig import Job

    nodes = rig.nodes(2)
    for number, last in enumerate((8, 13)):
        faults = [{"rank": rank, "at": last, "do": "kill"} for rank in range(4)]
        job = Job(
            folder.parent / f"job-{number}",
            nodes,
            launcher="srun",
            patient=True,
            steps=20,
            step_s=0.4,
        )
        job.args, job.faults, job.output, job.resume = (
            SAVES,
            faults,
            folder,
            "last" if number else None,
        )
        rig.run(job)


def two_hosts(folder: Path, rig: Any) -> None:
    """Two hosts with two GPUs each, trained to the end."""
    from support.cluster_rig import Job

    job = Job(
        folder.parent / "job",
        rig.nodes(2),
        launcher="torchrun, c10d",
        patient=True,
        steps=12,
        step_s=0.4,
    )
    job.output = folder
    rig.run(job)


def gpus(folder: Path, machine: Any) -> None:
    """One host with two GPUs of which NVML has energy counters."""
    from support.gpu_program import PROGRAM
    from support.nvml_stand_in import python

    python(PROGRAM, folder, TESTS, 2, env=machine.env, timeout_s=120)


def reconciled(folder: Path, source: Path) -> None:
    """The record of *source* with what a meter of the house read."""
    shutil.copytree(source, folder)
    command = [
        sys.executable,
        "-m",
        "autocard",
        "reconcile",
        str(folder),
        "--kwh",
        "0.01",
        "--source",
        "the rack's meter",
    ]
    subprocess.run(command, check=True, capture_output=True)


STATES = ["killed-twice", "two-hosts-killed"]
RECORDS = ["two-hosts", "gpus", "reconciled"]


def main(top: Path) -> None:
    """Train and kill."""
    warnings.simplefilter("ignore")
    os.environ |= {"HF_HUB_OFFLINE": "1", "HOME": str(top), "TMPDIR": str(top)}
    tempfile.tempdir = str(top)
    from support.cluster_rig import Rig
    from support.nvml_stand_in import SOURCE, Gpu, make_machine, uuid_of

    places = {name: top / name / name for name in [*STATES, *RECORDS]}
    for place in places.values():
        place.parent.mkdir()
    library = top / "libnvidia-ml.so.1"
    compiler = shutil.which("cc") or "gcc"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True
    )
    (top / "machine").mkdir()
    (top / "rig").mkdir()
    listed = [Gpu(uuid_of(number), watts=300) for number in range(2)]
    steps: list[Callable[[], None]] = [lambda: killed_twice(places["killed-twice"])]
    rig = Rig(make_machine(library, top / "rig", []), top / "rig")
    steps += [
        lambda: two_hosts_killed(places["two-hosts-killed"], rig),
        lambda: two_hosts(places["two-hosts"], rig),
        lambda: gpus(places["gpus"], make_machine(library, top / "machine", listed)),
        lambda: reconciled(places["reconciled"], places["two-hosts"]),
    ]
    try:
        for step in steps:
            step()
    finally:
        rig.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
