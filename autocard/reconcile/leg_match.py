"""Find out which legs of a run each start of a job saw: by the job's id and by their times.

Rule: a leg belongs to the one start that covers it best. Where the leg's own job is among the
starts, no other job's start is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import partial

from autocard.reconcile.jobs import names_of, whole_id
from autocard.reconcile.sacct import JobStart
from autocard.reconcile.sacct_rows import Moment
from autocard.record import Leg

OUT_OF_JOB_S = 120.0
"""A leg may reach this far out of its job: clocks differ by seconds, and Slurm notes a job as ended
up to a minute before its last process is killed."""
_MOST = 0.5
"""Share of a leg that lies in its job even so. Less is a neighbor's leg."""
_CLOCK_S = 5.0
"""By this much clocks may differ. A leg begins seconds after its job, so only at a job's end can
the difference put a short leg out of it."""

_QUARTERS = range(-14 * 4, 14 * 4 + 1)
"""Zones on Earth, in quarters of an hour from UTC; 12 hours west to 14 hours east, and the other
way round."""


@dataclass(frozen=True)
class LegMatch:
    """Which legs ran in the time of a job's starts."""

    legs: list[int]
    """Numbers of the legs that ran in the time of a start."""
    has_leg: list[bool]
    """For each start, whether a leg ran in it."""
    is_timed: bool = True
    """Whether there are times to show it; without them, all legs that may have run in the jobs are
    taken."""
    ahead: timedelta | None = None
    """How far ahead of UTC the clock would be by which this is so; None: it is UTC's, or this
    machine's own."""


@dataclass(frozen=True)
class _Zone:
    """A reading of times that came without their zone."""

    to_utc: Callable[[Moment], datetime]
    ahead: timedelta | None = None
    """How far ahead of UTC it is, where it is a mere guess."""


@dataclass(frozen=True)
class _Span:
    """The time of one start; no end: it still runs, or its end is not known."""

    begin: Moment
    end: Moment | None


@dataclass(frozen=True)
class _LegTime:
    """The time of a leg, and the starts in which it may have run."""

    begin: datetime
    end: datetime
    starts: list[int] = field(default_factory=list)
    """Numbers of the starts."""


def match_legs(
    legs: Sequence[Leg],
    ids: Sequence[str | None],
    starts: Sequence[JobStart],
    *,
    by_person: bool,
    in_utc: bool,
) -> LegMatch:
    """Return which legs ran in the time of which of *starts*.

    Slurm's times come without their zone unless we asked for them. Then the zone is looked for in
    which most legs lie inside; among equals this machine's goes first, then UTC.

    Args:
        legs: of the run.
        ids: of each leg's job, or `OUTSIDE`; None: it was not recorded.
        starts: of the jobs.
        by_person: a person named the jobs, and may know better than the record.
        in_utc: the starts' times are in UTC.
    """
    candidates = _candidates(ids, starts, by_person=by_person)
    spans, times = _spans(starts), _times(legs, candidates)
    if spans is None or times is None:
        possible = [number for number, of_leg in candidates.items() if of_leg]
        return LegMatch(possible, [True] * len(starts), is_timed=False)
    best = LegMatch([], [False] * len(starts))
    most = sum(bool(time.starts) for time in times.values())
    is_zoned = all(span.begin.zoned for span in spans)
    for zone in _zones(is_zoned=is_zoned, in_utc=in_utc):
        found = _match_in_zone(times, starts, spans, zone)
        if len(found.legs) > len(best.legs):
            best = found
        if len(best.legs) == most:
            break
    return best


def starts_without_leg(starts: Sequence[JobStart], match: LegMatch) -> tuple[list[JobStart], int]:
    """Return starts of jobs without any leg, and how many starts of the other jobs have none.

    A job that was requeued may have died in set-up; what it used until then is the run's.
    """
    if not match.is_timed or not match.legs:
        return [], 0
    jobs_with_leg = set()
    for start, has_leg in zip(starts, match.has_leg, strict=True):
        if has_leg:
            jobs_with_leg.add(whole_id(start))
    others = [start for start in starts if whole_id(start) not in jobs_with_leg]
    return others, match.has_leg.count(False) - len(others)


def _candidates(
    ids: Sequence[str | None], starts: Sequence[JobStart], *, by_person: bool
) -> dict[int, list[int]]:
    """Return number of the leg → numbers of the starts in which it may have run."""
    names = names_of(starts)
    found = {}
    for number, job_id in enumerate(ids):
        own = [index for index, of_start in enumerate(names) if job_id and job_id in of_start]
        may_be_any = job_id is None or by_person
        found[number] = own or (list(range(len(starts))) if may_be_any else [])
    return found


# -- times -----------------------------------------------------------------------------------------


def _spans(starts: Sequence[JobStart]) -> list[_Span] | None:
    """Return the time of each start; None: one of them has no begin."""
    spans = []
    for start in starts:
        if start.row.start is None:
            return None
        spans.append(_Span(start.row.start, None if start.is_running else start.row.end))
    return spans


def _times(legs: Sequence[Leg], candidates: Mapping[int, list[int]]) -> dict[int, _LegTime] | None:
    """Return the time of each leg; None: that of one is not known."""
    times = {}
    for number, leg in enumerate(legs):
        begin, end = instant(leg.started_at), instant(leg.ended_at or leg.started_at)
        if begin is None or end is None:
            return None
        times[number] = _LegTime(begin, max(begin, end), candidates[number])
    return times


def _match_in_zone(
    times: Mapping[int, _LegTime],
    starts: Sequence[JobStart],
    spans: Sequence[_Span],
    zone: _Zone,
) -> LegMatch:
    """Return the legs in the starts, the times of which are read in *zone*."""
    seen, has_leg = [], [False] * len(starts)
    in_utc = [
        (zone.to_utc(span.begin), None if span.end is None else zone.to_utc(span.end))
        for span in spans
    ]
    for number, time in times.items():
        shares = {index: _share_within(time, *in_utc[index]) for index in time.starts}
        best = max(shares, key=lambda index: shares[index], default=None)
        if best is None or not shares[best]:
            continue
        seen.append(number)
        for index in time.starts:
            has_leg[index] |= _is_part_of(starts[index], starts[best])
    return LegMatch(seen, has_leg, ahead=zone.ahead)


def _is_part_of(start: JobStart, other: JobStart) -> bool:
    """Return whether two rows are one start: parts of a heterogeneous job run side by side."""
    return start is other or (
        "+" in start.row.job
        and whole_id(start) == whole_id(other)
        and start.row.start == other.row.start
    )


def _share_within(time: _LegTime, begin: datetime, end: datetime | None) -> float:
    """Return which share of a leg lies between *begin* and *end*; 0: it did not run there."""
    end = max(time.end, begin) if end is None else end
    out_s = max((begin - time.begin).total_seconds(), (time.end - end).total_seconds())
    if out_s > OUT_OF_JOB_S:
        return 0.0
    whole_s = (time.end - time.begin).total_seconds()
    inside_s = (min(time.end, end) - max(time.begin, begin)).total_seconds()
    if whole_s and inside_s > _MOST * whole_s:
        return inside_s / whole_s
    is_late = begin <= time.begin <= end + timedelta(seconds=_CLOCK_S)
    return _MOST if is_late else 0.0


# -- zones -----------------------------------------------------------------------------------------


def _zones(*, is_zoned: bool, in_utc: bool) -> Iterator[_Zone]:
    """Yield the ways to read a moment in UTC, the likeliest first."""
    if is_zoned:
        yield _Zone(_as_it_is)
        return
    if not in_utc:
        yield _Zone(_of_this_machine)
    for quarters in sorted(_QUARTERS, key=abs):
        ahead = timedelta(minutes=15 * quarters)
        yield _Zone(partial(_of_clock_ahead, ahead=ahead), ahead or None)


def _as_it_is(moment: Moment) -> datetime:
    return moment.when


def _of_this_machine(moment: Moment) -> datetime:
    return moment.when.replace(tzinfo=None).astimezone(timezone.utc)


def _of_clock_ahead(moment: Moment, ahead: timedelta) -> datetime:
    return moment.when - ahead


def instant(iso: str | None) -> datetime | None:
    """Return the time of *iso* (ISO 8601, UTC where it has no zone), or None where it is none."""
    if iso is None:
        return None
    try:
        when = datetime.fromisoformat(iso.replace("Z", "+00:00"))
    except ValueError:
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)
