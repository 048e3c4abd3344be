"""The starts of a run's jobs with the legs that they saw, and what sacct does not list of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocard import units
from autocard.errors import MeterError
from autocard.reconcile.jobs import Selection, named, names_of, whole_id
from autocard.reconcile.leg_jobs import ids_of_legs
from autocard.reconcile.leg_match import LegMatch, match_legs, starts_without_leg
from autocard.reconcile.sacct import JobStart
from autocard.record import RunRecord


@dataclass(frozen=True)
class JobsOfRun:
    """The starts of the run's jobs, the legs that they saw, and the jobs that are not listed."""

    starts: list[JobStart]
    match: LegMatch
    absent: list[str]


def match_jobs(record: RunRecord, selection: Selection, *, in_utc: bool) -> JobsOfRun:
    """Return the starts with their legs.

    A job of the record that ran at another time is another job: numbers are used again.

    Raises:
        MeterError: there is no leg in any of them.
    """
    starts, by_person = selection.starts, selection.by_person
    ids = ids_of_legs(record)
    match = match_legs(record.legs, ids, starts, by_person=by_person, in_utc=in_utc)
    if not match.legs and record.legs:
        msg = (
            f"none of the run's legs ran in the time of {names_of_jobs(starts)}: "
            "this is another job's energy. Name the run's: --job"
        )
        raise MeterError(msg)
    others, _ = starts_without_leg(starts, match)
    if by_person or not others:
        return JobsOfRun(starts, match, selection.absent)
    own = [start for start in starts if start not in others]
    match = match_legs(record.legs, ids, own, by_person=by_person, in_utc=in_utc)
    absent = [*selection.absent, *(whole_id(start) for start in others)]
    return JobsOfRun(own, match, list(dict.fromkeys(absent)))


def names_of_jobs(starts: Sequence[JobStart]) -> str:
    """Return "job 22", "jobs 22, 23"."""
    return named(start.row.job for start in starts)


def unlisted(record: RunRecord, jobs_of_run: JobsOfRun) -> Iterator[str]:
    """Yield which legs ran in jobs, or in starts of them, that sacct does not list."""
    match, absent = jobs_of_run.match, jobs_of_run.absent
    names = {name for of_start in names_of(jobs_of_run.starts) for name in of_start}
    unseen = [
        job_id
        for number, job_id in enumerate(ids_of_legs(record))
        if job_id and number not in match.legs
    ]
    of_all = f"{units.plural(len(record.legs), 'leg')} ran"
    if absent:
        in_absent = sum(job_id in absent for job_id in unseen)
        where = f", in which {units.count(in_absent)} of {of_all}" if in_absent else ""
        yield f"sacct does not list {named(absent)} (purged, or another cluster's){where}"
    in_listed = [job_id for job_id in unseen if job_id in names]
    if in_listed:
        yield (
            f"sacct lists no start of {named(in_listed)} in the time in which "
            f"{units.count(len(in_listed))} of {of_all}"
        )
