"""Starts of jobs → those of the run, and what each used, the same joules never twice.

Facts of Slurm's source that this rests on: the energy of a line is that of its nodes while it ran.
With `PrologFlags=contain` the job's energy is that of the step `.extern`, which lasts as long as
the job; without it, Slurm adds up all steps, and the batch script's step runs at the same time as
those that it starts: joules are in that sum twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autocard.errors import MeterError
from autocard.reconcile.sacct import BLANK, Line, Start

ONCE = "Slurm's own sum counts steps that ran at the same time twice; here the largest that does not is taken"
OF_STEPS = "Slurm gives energy for steps alone, so what the job did outside of them is not in it"
TOO_LITTLE = "Slurm's figure for the whole job is less than that of a step of it, and is not taken"
OF_STEPS_STILL = f"{TOO_LITTLE}; what the job did outside of its steps is not in it"
_SUM = 0.99
"""A job's energy that is smaller than this share of its steps' is not their sum; they are rounded
to three digits."""


@dataclass(frozen=True)
class JobUse:
    """What one start of a job used."""

    energy_j: float | None
    why: str = ""
    """Why there is no figure."""
    remark: str = ""
    """What a reader must know of the figure."""
    doubled: bool = False
    """Whether joules are in it more than once, and nothing tells how many."""


def chosen(starts: Sequence[Start], wanted: Iterable[str], *, by_person: bool) -> list[Start]:
    """Return the starts of the jobs *wanted*: of all parts of a heterogeneous job, of one task of an array.

    Args:
        starts: what sacct told.
        wanted: ids; none: the only job that there is.
        by_person: a person named them, and may mean an array; else they are numbers that Slurm gave
            to jobs.

    Raises:
        MeterError: one is not there, there are several, or it is an array's.
    """
    jobs = list(dict.fromkeys(whole_id(start) for start in starts))
    if not jobs:
        msg = "sacct's text tells of no job that ran"
        raise MeterError(msg)
    wanted = list(wanted)
    if not wanted:
        if len(jobs) > 1:
            msg = (
                f"sacct's text tells of {len(jobs)} jobs ({_some(jobs)}). Name the run's: --job ID"
            )
            raise MeterError(msg)
        return list(starts)
    found: list[Start] = []
    for job in wanted:
        fits = _of_job(starts, job, by_person=by_person)
        if not fits:
            msg = f"job {job} is not in sacct's text, which tells of {_some(jobs)}. Name the run's: --job ID"
            raise MeterError(msg)
        found += [start for start in fits if start not in found]
    return found


def _of_job(starts: Sequence[Start], job: str, *, by_person: bool) -> list[Start]:
    exact = [start for start in starts if job in (start.line.job, whole_id(start))]
    if exact:
        return exact
    tasks = [start for start in starts if start.line.job.startswith(f"{job}_")]
    names = list(dict.fromkeys(start.line.job for start in tasks))
    if by_person and len(names) > 1:
        msg = f"{job} is an array of {len(names)} tasks in sacct's text. Name the run's: --job {names[0]}"
        raise MeterError(msg)
    return [start for start in starts if start.line.raw == job] or (tasks if by_person else [])


def whole_id(start: Start) -> str:
    """Return the id of the job that *start* is one of: parts of a heterogeneous job are one."""
    return start.line.job.partition("+")[0]


def _some(jobs: Sequence[str]) -> str:
    return ", ".join(jobs[:5]) + (" …" if len(jobs) > 5 else "")  # noqa: PLR2004 - more are no help


def used(start: Start) -> JobUse:
    """Return what *start* used, without counting the same joules twice."""
    job_j, why = (start.line.energy_j, start.line.why) if start.whole else (None, BLANK)
    known = [step for step in start.steps if step.energy_j and step.step not in ("?", "extern")]
    least_j = _SUM * max((step.energy_j or 0.0 for step in known), default=0.0)
    extern_j = next((step.energy_j for step in start.steps if step.step == "extern"), None)
    if extern_j and extern_j >= least_j:
        # It lasts as long as the job, on all its nodes: what other steps say is in it.
        return JobUse(extern_j)
    remark = OF_STEPS
    if (job_j or extern_j) and (job_j or 0.0) < least_j:
        job_j, why, remark = None, TOO_LITTLE, OF_STEPS_STILL
    if not known:
        return JobUse(job_j, "" if job_j is not None else why)
    if job_j is not None and (
        _fits(known, start) or job_j < _SUM * sum(step.energy_j or 0.0 for step in known)
    ):
        return JobUse(job_j)
    numbered = [step for step in known if step.step != "batch"]
    sets = [
        steps
        for steps in (known, numbered, [step for step in known if step.step == "batch"])
        if steps
    ]
    sums = [sum(step.energy_j or 0.0 for step in steps) for steps in sets if _fits(steps, start)]
    if not sums:
        return JobUse(
            job_j,
            why,
            "steps that ran at the same time are in it more than once",
            doubled=job_j is not None,
        )
    return JobUse(max(sums), remark=ONCE if job_j is not None else remark)


def _fits(steps: Sequence[Line], start: Start) -> bool:
    """Return whether the job's nodes are enough for all *steps* side by side, so that none shares a node's meter."""
    if len(steps) == 1:
        return True
    nodes = start.line.nodes if start.whole else None
    for one in steps:
        if one.start is None:
            return False
        together = [
            other
            for other in steps
            if other.start
            and other.start.when <= one.start.when
            and (other is one or other.end is None or other.end.when > one.start.when)
        ]
        if len(together) > 1 and (
            nodes is None or sum(step.nodes or nodes for step in together) > nodes
        ):
            return False
    return True
