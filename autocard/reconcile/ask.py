"""Have Slurm's `sacct` print what a job used.

Rule: one command, with nothing in it but numbers of jobs and names of columns, and never waited for
without end.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from autocard import commands
from autocard.card.fact import plain
from autocard.errors import MeterError
from autocard.reconcile import sacct

_SHOWN = 200
"""Characters of sacct's own complaint."""


def is_there() -> bool:
    """Return whether this machine has a sacct."""
    return shutil.which("sacct") is not None


def ask(jobs: Iterable[str], timeout_s: float) -> str:
    """Return what sacct prints of *jobs*, all their starts, times in UTC.

    Raises:
        MeterError: there is no sacct, it fails, or it takes longer than *timeout_s*. It is killed
            then, with whatever it has started.
    """
    jobs = list(jobs)
    command = shutil.which("sacct")
    if command is None:
        way = f"Where it is: {sacct.HOW_TO_ASK.replace('ID', ','.join(jobs), 1)} > job.txt, then here: --sacct job.txt"
        msg = f"there is no sacct on this machine. {way}"
        raise MeterError(msg)
    if not jobs or not all(sacct.JOB.fullmatch(job) for job in jobs):
        msg = f"{', '.join(jobs) or 'nothing'}: not a job's number"
        raise MeterError(msg)
    words = [
        *(command, "--jobs", ",".join(jobs), "--duplicates", "--parsable2"),
        *("--format", ",".join(sacct.COLUMNS)),
    ]
    # Times without a zone are those of TZ; a format of the user's own could not be read.
    environ = {**os.environ, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    try:
        done = commands.run(words, timeout_s, env=environ)
    except subprocess.TimeoutExpired as exc:
        way = "Wait longer: --timeout SECONDS. Or paste what it prints later: --sacct FILE"
        msg = f"sacct did not answer within {timeout_s:g} s and was stopped. {way}"
        raise MeterError(msg) from exc
    if done.status != 0:
        said = plain(done.err.decode("utf-8", "replace"))[:_SHOWN]
        msg = f"sacct failed (status {done.status}){': ' if said else ''}{said}"
        raise MeterError(msg)
    return done.out.decode("utf-8", "replace")
