"""Measure the wait at the end of a training with 1, 2, 4, 8 and 16 processes on two nodes.

Processes with a process group as srun starts them (tests/support/cluster_rig.py), gloo, a tiny
model, a stand-in for NVIDIA's library; each count with and without autocard, in turn. Prints
medians: autocard's seconds at the end in the process that writes the card and in the others, the
same for the begin, and the ratio of the whole trainings' durations. All processes share this
machine's cores, while nodes of a cluster have their own: work of a process while another computes
costs twice here.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from support.cluster_rig import OURS, Job, Rig
from support.nvml_stand_in import SOURCE, make_machine

COUNTS = (1, 2, 4, 8, 16)
ROUNDS = 2
STEPS, STEP_S = 30, 0.15


def build(folder: Path) -> Rig:
    """Return a rig in *folder*."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        message = "needs a C compiler (cc or gcc), to build the stand-in for NVIDIA's library"
        raise SystemExit(message)
    library, machine = folder / "libnvidia-ml.so.1", folder / "machine"
    subprocess.run(
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True
    )
    machine.mkdir()
    return Rig(make_machine(library, machine, []), folder)


def train(rig: Rig, name: str, ranks: int, *, ours: bool) -> Job:
    """Return a training of *ranks* processes that has ended."""
    nodes = rig.nodes(min(ranks, 2), max(ranks // 2, 1))
    return rig.run(
        Job(rig.folder / name, nodes, "srun", OURS if ours else None, steps=STEPS, step_s=STEP_S)
    )


def whole_s(job: Job) -> float:
    """Return seconds from the first moment of training to the last."""
    return max(rank.at("ended") for rank in job.ranks) - min(rank.at("begin") for rank in job.ranks)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        rig = build(Path(name))
        if rig.refused:
            print(f"not measured: {rig.refused}")
            return
        for ranks in COUNTS:
            ratios, writer, others, begin = [], [], [], []
            for turn in range(ROUNDS):
                without = whole_s(train(rig, f"{ranks}-{turn}-without", ranks, ours=False))
                job = train(rig, f"{ranks}-{turn}-with", ranks, ours=True)
                ratios.append(whole_s(job) / without)
                writer.append(job.ranks[0].ending_s)
                others += [rank.ending_s for rank in job.ranks[1:]] or [0.0]
                begin += [rank.beginning_s for rank in job.ranks]
            median = statistics.median
            print(
                f"{ranks:3} processes: "
                f"end {1000 * median(writer):6.0f} ms where the card is written, "
                f"{1000 * median(others):5.0f} ms elsewhere (longest {1000 * max(others):5.0f}); "
                f"begin {1000 * median(begin):5.0f} ms; "
                f"training of {STEPS} steps × {median(ratios):.3f}",
                flush=True,
            )
        rig.close()


if __name__ == "__main__":
    main()
