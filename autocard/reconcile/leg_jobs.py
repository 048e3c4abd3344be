"""Which of Slurm's jobs each leg of a run ran in, as far as its record says.

The id of a job is the one that `sacct` shows: 812345, or 812345_3 for a task of an array.
"""

from __future__ import annotations

from autocard.reconcile.sacct_rows import JOB
from autocard.record import Reconciliation, RunRecord
from autocard.record.legs import JOB_NOT_RECORDED

OUTSIDE = ""
"""In the place of an id: the leg ran outside of Slurm."""
_SLURM = "slurm"


def ids_of_legs(record: RunRecord) -> list[str | None]:
    """Return of each leg the id of its job, or `OUTSIDE`; None: it was not recorded."""
    return [_id_of_leg(record, number) for number in range(len(record.legs))]


def ids_of_run(record: RunRecord) -> tuple[str, ...]:
    """Return the ids of the run's jobs, each once; empty: it ran elsewhere."""
    ids = [job_id for job_id in ids_of_legs(record) if job_id]
    job = record.job
    if job.workload_manager == _SLURM:
        ids.append(_job_id(job.job_id, job.array_job_id, job.array_task_id) or "")
    return tuple(dict.fromkeys(job_id for job_id in ids if job_id))


def unseen_without_job(record: RunRecord, comparison: Reconciliation) -> int:
    """Return how many legs are not compared, and may be in a job that the record does not name."""
    seen = set(comparison.legs)
    pairs = zip(record.legs, ids_of_legs(record), strict=True)
    return sum(job_id is None and leg.id not in seen for leg, job_id in pairs)


def _id_of_leg(record: RunRecord, number: int) -> str | None:
    leg = record.legs[number]
    manager = leg.job.workload_manager
    if manager is None:
        why = record.missing.get(f"legs.{number}.job", JOB_NOT_RECORDED)
        return None if why == JOB_NOT_RECORDED else OUTSIDE
    if manager != _SLURM:
        return OUTSIDE
    return _job_id(leg.job_id, leg.job.array_job_id, leg.job.array_task_id)


def _job_id(number: str | None, array: str | None, task: str | None) -> str | None:
    """Return the id that sacct shows; None: it is none."""
    job_id = f"{array}_{task}" if array is not None and task is not None else number or ""
    return job_id if JOB.fullmatch(job_id) else None
