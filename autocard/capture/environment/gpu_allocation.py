"""How many GPUs a job was given, from the workload manager's variables.

Each variable describes the request, the step or the job. Where they agree, the number is recorded;
where they contradict each other, the fact is a gap with that reason. Only Slurm has such variables.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from autocard.capture.environment import scheduler
from autocard.errors import UnavailableError

_KINDS = re.compile(r"(?:[\w.-]+:)*(\d+)(?:\(S:[\d,-]+\))?")
"""One request for GPUs: 4, a100:4, gpu:a100:4."""
_PLACES = re.compile(r"\d+(?:-\d+)?")


def count(environ: Mapping[str, str]) -> int:
    """Return the GPUs that the workload manager gave to the job, all nodes together.

    What the job asked for (SLURM_GPUS, SLURM_GPUS_PER_NODE, SLURM_GPUS_PER_TASK) and what it has on
    this node (SLURM_JOB_GPUS, SLURM_GPUS_ON_NODE, which may be the step's) have to agree; a job
    that asked for GPUs of a node (--gres) has as many on each. A job that has one node,
    exclusively, may have more than it asked for.

    Raises:
        UnavailableError: there is no manager, it does not say, or its variables contradict each
            other.
    """
    one = scheduler.known(environ, "no workload manager")
    if one.name != "slurm":
        manager = scheduler.TITLES[one.name]
        msg = f"{manager}'s variables do not show how many GPUs were allocated to the job"
        raise UnavailableError(msg)
    scheduler.of_one_part(environ)
    if scheduler.number(environ, "SLURM_SHARDS_ON_NODE"):
        msg = "the job was given parts of GPUs (shards), which Slurm does not count as GPUs"
        raise UnavailableError(msg)
    if "MIG-" in environ.get("CUDA_VISIBLE_DEVICES", ""):
        msg = "the job was given slices of GPUs (MIG), which Slurm counts like whole ones"
        raise UnavailableError(msg)
    here = max(
        scheduler.number(environ, "SLURM_GPUS_ON_NODE") or 0,
        _listed(environ.get("SLURM_JOB_GPUS", "")),
    )
    there = scheduler.nodes(environ)
    asked, most_here = _asked(environ, there)
    if asked is None:
        if not here:
            msg = "Slurm's variables do not show how many GPUs were allocated to the job"
            raise UnavailableError(msg)
        return here * there
    if there == 1 and here > asked:
        return here  # the node is the job's alone, with all that it has
    even = there == 1 or asked == most_here * there
    # Inside of a step, what is on this node may be the step's, and less.
    if here > most_here or (even and 0 < here < most_here and not scheduler.in_step(environ)):
        msg = (
            f"Slurm's variables contradict each other: {asked} GPUs were asked for on "
            f"{there} nodes, and this node has {here}"
        )
        raise UnavailableError(msg)
    return asked


def _asked(environ: Mapping[str, str], there: int) -> tuple[int | None, int]:
    """Return how many GPUs the job asked for, and the most that one of *there* nodes can have."""
    per_node = _requested(environ, "SLURM_GPUS_PER_NODE")
    total = _requested(environ, "SLURM_GPUS")
    per_task, tasks_there = (
        _requested(environ, "SLURM_GPUS_PER_TASK"),
        scheduler.number(environ, "SLURM_NTASKS"),
    )
    if total is None and per_node:
        return per_node * there, per_node
    if total is None and per_task and tasks_there:
        total = per_task * tasks_there
    return total, (total or 0) - (there - 1)  # Slurm gives each node at least one


def _requested(environ: Mapping[str, str], variable: str) -> int | None:
    """Return the sum of a request for GPUs by kind, as in a100:2,v100:1; None: there is none."""
    text = environ.get(variable, "").strip()
    kinds = [_KINDS.fullmatch(kind.strip()) for kind in text.split(",")]
    return sum(int(kind[1]) for kind in kinds if kind) or None if text and all(kinds) else None


def _listed(text: str) -> int:
    """Return how many numbers Slurm's list has (0-2,5 has 4); 0: it is something else."""
    entries = [entry.strip() for entry in text.split(",")]
    if not all(_PLACES.fullmatch(entry) for entry in entries):
        return 0
    ends = [entry.partition("-")[::2] for entry in entries]
    return len({place for begin, end in ends for place in range(int(begin), int(end or begin) + 1)})
