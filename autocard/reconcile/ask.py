"""Run Slurm's `sacct` for what a job used.

Rule: one command, with nothing in it but numbers of jobs and names of columns, and with a time
limit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from autocard import commands
from autocard.card.fact import plain
from autocard.errors import MeterError
from autocard.reconcile.sacct_rows import COLUMNS, HOW_TO_ASK, JOB

_SHOWN_CHARACTERS = 200
"""Of sacct's own error message."""


def has_sacct() -> bool:
    """Return whether this machine has a sacct."""
    return shutil.which("sacct") is not None


def run_sacct(jobs: Iterable[str], timeout_s: float) -> str:
    """Return what sacct prints of *jobs*, all their starts, times in UTC.

    Raises:
        MeterError: there is no sacct, it fails, or it takes longer than *timeout_s*. It is killed
            then, with whatever it has started.
    """
    jobs = list(jobs)
    command = shutil.which("sacct")
    if command is None:
        there = HOW_TO_ASK.replace("ID", ",".join(jobs), 1)
        msg = (
            "there is no sacct on this machine. "
            f"Where it is: {there} > job.txt, then here: --sacct job.txt"
        )
        raise MeterError(msg)
    if not jobs or not all(JOB.fullmatch(job) for job in jobs):
        msg = f"{', '.join(jobs) or 'nothing'}: not a job's number"
        raise MeterError(msg)
    arguments = ["--jobs", ",".join(jobs), "--duplicates", "--parsable2"]
    arguments += ["--format", ",".join(COLUMNS)]
    # Times without a zone are those of TZ; a format of the user's own could not be read.
    environ = {**os.environ, "TZ": "UTC", "SLURM_TIME_FORMAT": "standard"}
    try:
        ended = commands.run([command, *arguments], timeout_s, env=environ)
    except subprocess.TimeoutExpired as exc:
        msg = (
            f"sacct did not answer within {timeout_s:g} s and was stopped. "
            "Wait longer: --timeout SECONDS. Or paste what it prints later: --sacct FILE"
        )
        raise MeterError(msg) from exc
    if ended.status != 0:
        complaint = plain(ended.err.decode("utf-8", "replace"))[:_SHOWN_CHARACTERS]
        msg = f"sacct failed (status {ended.status}){': ' if complaint else ''}{complaint}"
        raise MeterError(msg)
    return ended.out.decode("utf-8", "replace")
