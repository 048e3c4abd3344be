"""Find out which legs of a run each start of a job saw, by their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import partial

from autocard.reconcile.jobs import whole_id
from autocard.reconcile.sacct import JobStart
from autocard.reconcile.sacct_rows import Moment
from autocard.record import Leg

SLACK_S = 120.0
"""Clocks of nodes and of Slurm's controller may differ by this much."""

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
    """Whether there are times to show it; without them, all legs are taken."""
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


def match_legs(legs: Sequence[Leg], starts: Sequence[JobStart], *, in_utc: bool) -> LegMatch:
    """Return which legs ran in the time of which of *starts*.

    Slurm's times come without their zone unless we asked for them. Then the zone is looked for in
    which most legs lie inside; among equals this machine's goes first, then UTC.
    """
    spans = _spans(starts)
    if spans is None or any(instant(leg.started_at) is None for leg in legs):
        return LegMatch(list(range(len(legs))), [True] * len(starts), is_timed=False)
    best = LegMatch([], [False] * len(starts))
    is_zoned = all(span.begin.zoned for span in spans)
    for zone in _zones(is_zoned=is_zoned, in_utc=in_utc):
        within = [_legs_within(legs, span, zone) for span in spans]
        seen = sorted({number for numbers in within for number in numbers})
        if len(seen) > len(best.legs):
            best = LegMatch(seen, [bool(numbers) for numbers in within], ahead=zone.ahead)
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


def _spans(starts: Sequence[JobStart]) -> list[_Span] | None:
    """Return the time of each start; None: one of them has no begin."""
    spans = []
    for start in starts:
        if start.row.start is None:
            return None
        spans.append(_Span(start.row.start, None if start.is_running else start.row.end))
    return spans


def _legs_within(legs: Sequence[Leg], span: _Span, zone: _Zone) -> list[int]:
    begin = zone.to_utc(span.begin)
    end = zone.to_utc(span.end) if span.end else None
    return [number for number, leg in enumerate(legs) if _is_within(leg, begin, end)]


def _is_within(leg: Leg, begin: datetime, end: datetime | None) -> bool:
    slack = timedelta(seconds=SLACK_S)
    started, ended = instant(leg.started_at), instant(leg.ended_at or leg.started_at)
    if started is None or ended is None or started < begin - slack:
        return False
    return end is None or ended <= end + slack


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
