"""Group the rows that Slurm's `sacct` prints into starts of jobs, each with its steps.

Facts of Slurm's manual that this rests on: a job has a row, and below it one for each step; a job
that was requeued has one for each start (`--duplicates`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from autocard.reconcile.sacct_rows import SacctRow, read_rows

_RUNNING = {
    "RUNNING",
    "COMPLETING",
    "CONFIGURING",
    "SUSPENDED",
    "RESIZING",
    "STAGE_OUT",
    "SIGNALING",
    "STOPPED",
}
_WAITING = {"PENDING", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"}


@dataclass
class JobStart:
    """One start of a job: its row, and those of its steps."""

    row: SacctRow
    steps: list[SacctRow] = field(default_factory=list)
    has_job_row: bool = True
    """Whether the job's own row is there; without it, *row* is the first step's."""

    @property
    def is_running(self) -> bool:
        """Whether it had not ended when sacct was asked."""
        return self.row.state in _RUNNING

    @property
    def elapsed_s(self) -> float | None:
        """How long it ran."""
        row = self.row
        if row.elapsed_s is None and row.start and row.end:
            return (row.end.when - row.start.when).total_seconds()
        return row.elapsed_s


def read(text: str) -> list[JobStart]:
    """Return the starts of jobs in sacct's *text*, in its order, without those that have not run.

    Raises:
        MeterError: it is no output of sacct with a header, or lacks a column.
    """
    starts: list[JobStart] = []
    for row in read_rows(text):
        _add_row(starts, row)
    for start in starts:
        if not start.has_job_row:
            start.steps.insert(0, start.row)
    return [start for start in starts if _has_run(start)]


def _has_run(start: JobStart) -> bool:
    if start.row.state in _WAITING:
        return False
    rows = (start.row, *start.steps)
    return start.elapsed_s != 0 or any(row.energy_j for row in rows)


def _add_row(starts: list[JobStart], row: SacctRow) -> None:
    """Add *row* to *starts*: a job's row opens a start, a step's goes to its job's last start."""
    of_job = [start for start in starts if start.row.job == row.job]
    if not row.step:
        _add_job_row(starts, of_job, row)
    elif not of_job:
        starts.append(JobStart(row, has_job_row=False))
    elif row not in (of_job[-1].row, *of_job[-1].steps):
        of_job[-1].steps.append(row)


def _add_job_row(starts: list[JobStart], of_job: list[JobStart], row: SacctRow) -> None:
    for start in of_job:
        if start.has_job_row and start.row == row:
            # The same text was pasted twice: what follows are the steps of this start once more.
            starts.remove(start)
            starts.append(start)
            return
    starts.append(JobStart(row))
