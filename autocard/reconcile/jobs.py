"""Select the run's starts of jobs, and work out what each used, the same joules never twice.

Facts of Slurm's source that this rests on: the energy of a row is that of its nodes while it ran.
With `PrologFlags=contain` the job's energy is that of the step `.extern`, which lasts as long as
the job; without it, Slurm adds up all steps, and the batch script's step runs at the same time as
those that it starts: joules are in that sum twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from autocard.errors import MeterError
from autocard.reconcile.sacct import JobStart
from autocard.reconcile.sacct_rows import CUT_OFF, EXTERN, NO_ENERGY, SacctRow

ONCE = (
    "Slurm's own sum counts steps that ran at the same time twice; "
    "here the largest that does not is taken"
)
OF_STEPS = "Slurm gives energy for steps alone, so what the job did outside of them is not in it"
TOO_LITTLE = "Slurm's figure for the whole job is less than that of a step of it, and is not taken"
OF_STEPS_STILL = f"{TOO_LITTLE}; what the job did outside of its steps is not in it"
MORE_THAN_ONCE = "steps that ran at the same time are in it more than once"

_NEARLY_ALL = 0.99
"""A job's energy below this share of its steps' is not their sum; they are rounded to three
digits."""
_NAMED_JOBS = 5
"""Jobs that a message names; more are no help."""


@dataclass(frozen=True)
class JobUse:
    """What one start of a job used."""

    energy_j: float | None
    reason: str = ""
    """Why there is no figure."""
    remark: str = ""
    """What a reader must know of the figure."""
    doubled: bool = False
    """Whether joules are in it more than once, and nothing shows how many."""


# -- which starts are the run's --------------------------------------------------------------------


@dataclass(frozen=True)
class Selection:
    """The run's starts among those that sacct lists."""

    starts: list[JobStart]
    absent: list[str] = field(default_factory=list)
    """Ids of the run's jobs that it does not list."""
    by_person: bool = False
    """A person named the jobs; else the record does."""


def select_starts(
    starts: Sequence[JobStart], wanted: Iterable[str], *, by_person: bool
) -> Selection:
    """Return the starts of the jobs *wanted*: parts of a heterogeneous job, one task of an array.

    Of the jobs that the record names, some may have been purged; a person has named all that count.

    Args:
        starts: all that sacct printed.
        wanted: ids; none: the only job that there is.
        by_person: a person named them, and may mean an array; else they are numbers that Slurm gave
            to jobs.

    Raises:
        MeterError: none is there (one is not, if a person named it), there are several, or it is an
            array's.
    """
    jobs = list(dict.fromkeys(whole_id(start) for start in starts))
    if not jobs:
        msg = "sacct's text has no job that ran"
        raise MeterError(msg)
    wanted = list(wanted)
    if wanted:
        return _wanted_starts(starts, wanted, jobs, by_person=by_person)
    if len(jobs) > 1:
        msg = f"sacct's text has {len(jobs)} jobs ({_shortened(jobs)}). Name the run's: --job ID"
        raise MeterError(msg)
    return Selection(list(starts), by_person=True)


def _wanted_starts(
    starts: Sequence[JobStart], wanted: Sequence[str], jobs: Sequence[str], *, by_person: bool
) -> Selection:
    """Return the starts of the jobs *wanted*; *jobs*: all that there are."""
    selected, absent = list[JobStart](), list[str]()
    for job in wanted:
        of_job = _starts_of(starts, job, by_person=by_person)
        if not of_job:
            absent.append(job)
        selected += [start for start in of_job if start not in selected]
    if absent and (by_person or not selected):
        are = "is" if len(absent) == 1 else "are"
        msg = (
            f"{named(absent)} {are} not in sacct's text, which has {_shortened(jobs)}. "
            "Name the run's: --job ID"
        )
        raise MeterError(msg)
    return Selection(selected, absent, by_person)


def _starts_of(starts: Sequence[JobStart], job: str, *, by_person: bool) -> list[JobStart]:
    """Return the starts of *job*, which may be its id, that of an array, or Slurm's own number."""
    exact = [start for start in starts if job in (start.row.job, whole_id(start))]
    if exact:
        return exact
    tasks = [start for start in starts if start.row.job.startswith(f"{job}_")]
    names = list(dict.fromkeys(start.row.job for start in tasks))
    if by_person and len(names) > 1:
        msg = (
            f"{job} is an array of {len(names)} tasks in sacct's text. "
            f"Name the run's: --job {names[0]}"
        )
        raise MeterError(msg)
    numbered = [start for start in starts if start.row.raw == job]
    if numbered or not by_person:
        return numbered
    return tasks


def names_of(starts: Sequence[JobStart]) -> list[set[str]]:
    """Return of each of *starts* all ids by which its job may be known."""
    names: dict[str, set[str]] = {}
    for start in starts:
        of_job = names.setdefault(whole_id(start), {whole_id(start)})
        of_job |= {start.row.job, start.row.raw}
    return [names[whole_id(start)] for start in starts]


def named(ids: Iterable[str]) -> str:
    """Return "job 22", "jobs 22, 23"."""
    once = list(dict.fromkeys(ids))
    return f"job{'s' if len(once) > 1 else ''} {', '.join(once)}"


def whole_id(start: JobStart) -> str:
    """Return the id of the job that *start* is one of: parts of a heterogeneous job are one."""
    return start.row.job.partition("+")[0]


def _shortened(jobs: Sequence[str]) -> str:
    more = " …" if len(jobs) > _NAMED_JOBS else ""
    return ", ".join(jobs[:_NAMED_JOBS]) + more


# -- what a start used -----------------------------------------------------------------------------


def job_use(start: JobStart) -> JobUse:
    """Return what *start* used, without counting the same joules twice."""
    steps = [step for step in start.steps if step.energy_j and step.step not in (CUT_OFF, EXTERN)]
    least_j = _NEARLY_ALL * max((step.energy_j or 0.0 for step in steps), default=0.0)
    extern_j = _extern_energy_j(start)
    if extern_j and extern_j >= least_j:
        # It lasts as long as the job, on all its nodes: it includes what the other steps used.
        return JobUse(extern_j)
    figure = _figure_of_job(start, extern_j, least_j)
    if not steps:
        return JobUse(figure.energy_j, figure.reason)
    if figure.energy_j is None:
        return _use_of_steps(start, steps, figure)
    is_no_sum = figure.energy_j < _NEARLY_ALL * _sum_j(steps)
    if is_no_sum or _have_nodes_of_their_own(steps, start):
        return JobUse(figure.energy_j)
    largest_j = _largest_sum_j(start, steps)
    if largest_j is None:
        return JobUse(figure.energy_j, remark=MORE_THAN_ONCE, doubled=True)
    return JobUse(largest_j, remark=ONCE)


def _figure_of_job(start: JobStart, extern_j: float | None, least_j: float) -> JobUse:
    """Return Slurm's figure for the job itself; its remark is for a sum of steps in its place."""
    job_j = start.row.energy_j if start.has_job_row else None
    if (job_j or extern_j) and (job_j or 0.0) < least_j:
        return JobUse(None, TOO_LITTLE, OF_STEPS_STILL)
    if job_j is not None:
        return JobUse(job_j)
    return JobUse(None, NO_ENERGY, OF_STEPS)


def _use_of_steps(start: JobStart, steps: Sequence[SacctRow], figure: JobUse) -> JobUse:
    """Return what the steps used, of a start for which Slurm gives no figure that can be taken."""
    largest_j = _largest_sum_j(start, steps)
    if largest_j is None:
        return JobUse(None, figure.reason, MORE_THAN_ONCE)
    return JobUse(largest_j, remark=figure.remark)


def _extern_energy_j(start: JobStart) -> float | None:
    for step in start.steps:
        if step.step == EXTERN:
            return step.energy_j
    return None


def _largest_sum_j(start: JobStart, steps: Sequence[SacctRow]) -> float | None:
    """Return the largest sum of steps in which no joule is twice; None: there is none.

    The sums are of all steps, of all but the batch step, and of the batch step alone.
    """
    batch = [step for step in steps if step.step == "batch"]
    others = [step for step in steps if step.step != "batch"]
    sums = [
        _sum_j(some)
        for some in (steps, others, batch)
        if some and _have_nodes_of_their_own(some, start)
    ]
    return max(sums, default=None)


def _sum_j(steps: Iterable[SacctRow]) -> float:
    return sum(step.energy_j or 0.0 for step in steps)


def _have_nodes_of_their_own(steps: Sequence[SacctRow], start: JobStart) -> bool:
    """Return whether the job has nodes for all *steps* side by side: none shares a meter."""
    if len(steps) == 1:
        return True
    nodes = start.row.nodes if start.has_job_row else None
    for step in steps:
        together = _running_at_the_start_of(step, steps)
        if together is None:
            return False
        if len(together) == 1:
            continue
        if nodes is None or sum(other.nodes or nodes for other in together) > nodes:
            return False
    return True


def _running_at_the_start_of(step: SacctRow, steps: Sequence[SacctRow]) -> list[SacctRow] | None:
    """Return which of *steps* ran when *step* began, with itself; None: its begin is not known."""
    if step.start is None:
        return None
    begin = step.start.when
    return [other for other in steps if other is step or _runs_at(other, begin)]


def _runs_at(step: SacctRow, when: datetime) -> bool:
    if step.start is None or step.start.when > when:
        return False
    return step.end is None or step.end.when > when
