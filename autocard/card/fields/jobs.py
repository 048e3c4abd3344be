"""Which jobs the starts of a run ran in, and what launched them.

Rule: `record.job` describes the last start. Nothing is said of the others that their legs do not
have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.words import joined, listed
from autocard.record import Job, Leg, RunRecord
from autocard.record.legs import JOB_NOT_RECORDED

MANAGERS = {
    "slurm": "Slurm",
    "kubernetes": "Kubernetes",
    "pbs": "PBS",
    "lsf": "LSF",
    "sge": "Grid Engine",
    "flux": "Flux",
}

_JobKey = tuple[str | None, ...]
"""What distinguishes a job under its manager: number, array and task of it."""


@dataclass
class _Group:
    """Starts of a run under the same workload manager, or under none."""

    manager: str | None
    starts: int = 0
    jobs: set[_JobKey] = field(default_factory=set)
    """Jobs that have a number."""
    launchers: dict[str | None, None] = field(default_factory=dict)
    """What launched the starts, each once; None: what launched one of them is unknown."""

    def in_words(self) -> str:
        """Return "by torchrun in 2 Slurm jobs (5 starts)", "without a workload manager (1 start)".

        A launcher is named only where that of each start is known.
        """
        names = [escape(name) for name in self.launchers if name]
        by = f"by {listed(names)}" if len(names) == len(self.launchers) else None
        starts = f"({units.plural(self.starts, 'start')})"
        if self.manager is None:
            return joined([by, "without a workload manager", starts], " ")
        title = manager_title(self.manager)
        if not self.jobs:
            return joined([f"{by} under" if by else "by", title, starts], " ")
        if by is None:
            jobs = f"by {title} in {units.plural(len(self.jobs), 'job')}"
        else:
            jobs = f"{by} in {units.plural(len(self.jobs), f'{title} job')}"
        return f"{jobs} {starts}" if self.starts > len(self.jobs) else jobs


def manager_title(name: str) -> str:
    """Return a workload manager's name as its authors write it."""
    return MANAGERS.get(name.lower()) or escape(name)


def launched(record: RunRecord) -> str | None:
    """Return what launched the processes and in which jobs, of all starts; None: unknown."""
    known = list(_legs_with_job(record))
    groups = _groups(known)
    is_one_job = len(groups) <= 1 and all(
        len(group.jobs) <= 1 and len(group.launchers) <= 1 for group in groups
    )
    if is_one_job:
        text = _launched_in_one_job(record.job)
    else:
        text = f"launched {listed(group.in_words() for group in groups)}"
    unrecorded = len(record.legs) - len(known)
    if not known or not unrecorded:
        return text
    whose = "the job" if unrecorded == 1 else "the jobs"
    return joined([text, f"{whose} of {units.plural(unrecorded, 'start')} not recorded"])


def job_numbers(record: RunRecord) -> list[str]:
    """Return the numbers of the run's jobs, each once, the first one first."""
    numbers = [leg.job_id for leg in _legs_with_job(record) if leg.job_id]
    return list(dict.fromkeys([*numbers, *filter(None, [record.job.job_id])]))


def managers(record: RunRecord) -> list[str]:
    """Return the workload managers of the run's starts, each once, the first one first."""
    names = [leg.job.workload_manager for leg in _legs_with_job(record)]
    return list(dict.fromkeys(filter(None, [*names, record.job.workload_manager])))


def launchers(record: RunRecord) -> list[str]:
    """Return what launched the run's starts, each once, the first one first."""
    names = [leg.job.launcher for leg in _legs_with_job(record)]
    return list(dict.fromkeys(filter(None, [*names, record.job.launcher])))


def _legs_with_job(record: RunRecord) -> Iterator[Leg]:
    """Yield the legs of which it is known in which job they ran, or that it was in none."""
    for number, leg in enumerate(record.legs):
        why = record.missing.get(f"legs.{number}.job")  # records of version 0.1.0 have none
        is_outside = why is not None and why != JOB_NOT_RECORDED
        if leg.job.workload_manager is not None or is_outside:
            yield leg


def _groups(legs: Iterable[Leg]) -> list[_Group]:
    groups: dict[str | None, _Group] = {}
    for leg in legs:
        job = leg.job
        group = groups.setdefault(job.workload_manager, _Group(job.workload_manager))
        group.starts += 1
        group.launchers[job.launcher] = None
        if leg.job_id:
            group.jobs.add((leg.job_id, job.array_job_id, job.array_task_id))
    return list(groups.values())


def _launched_in_one_job(job: Job) -> str | None:
    """Return what launched the processes of one job, and how often again."""
    manager = manager_title(job.workload_manager) if job.workload_manager else None
    launcher = escape(job.launcher) if job.launcher else None
    if not (manager or launcher):
        return None
    restarts = []
    if job.restarts and manager:
        restarts.append(f"{_times(job.restarts)} by {manager}")
    if job.launcher_restarts:
        restarts.append(f"{_times(job.launcher_restarts)} by {launcher or 'the launcher'}")
    again = f", restarted {' and '.join(restarts)}" if restarts else ""
    return f"launched by {joined([launcher, manager], ' under ')}{again}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{units.count(count)} times"
