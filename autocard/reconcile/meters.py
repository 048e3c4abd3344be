"""Figures of meters, each with what is known of it: which legs it saw, for how long, on how many nodes.

Rule: what a figure covers is found out from times, and where that cannot be, it is said; nothing is
judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

from autocard import units
from autocard.errors import MeterError
from autocard.reconcile import jobs
from autocard.reconcile.jobs import whole_id
from autocard.reconcile.sacct import Moment, Start
from autocard.record import Leg, RunRecord
from autocard.totals import totals

SLURM = "Slurm's job energy (sacct)"

NODE_W = 3000.0
"""Watts that no node draws without its GPUs: two processors of 500 W, memory, network, fans and
losses come to 2 kW."""
GPU_W = 2000.0
"""Watts that no GPU draws with its share of fans and losses: the largest boards are made for 1.4
kW."""

SLACK_S = 120.0
"""Clocks of nodes and of Slurm's controller may differ so much."""

_J_PER_KWH = totals.J_PER_KWH
_QUARTERS = range(-14 * 4, 14 * 4 + 1)
"""Zones on Earth, in quarters of an hour from UTC; 12 hours west to 14 hours east, and the other
way round."""


@dataclass
class Metered:
    """A meter's figure, and what is known of it."""

    kind: str
    source: str
    kwh: float | None
    why: str = ""
    """Why there is no figure."""
    covers: str = ""
    """What it covers, in words."""
    legs: list[int] = field(default_factory=list)
    """Numbers of the legs that it saw."""
    window_s: float | None = None
    nodes: int | None = None
    bound_kwh: float | None = None
    no_window: str = "its figure came without the time that it covers"
    doubts: list[str] = field(default_factory=list)
    """What is known to be wrong with it."""
    faults: list[str] = field(default_factory=list)
    """Why it cannot be the run's."""
    training_only: bool = False
    """It saw neither set-up nor what came after training."""


def by_person(record: RunRecord, kwh: float, source: str) -> Metered:
    """Return a figure that a person has read from a meter of the house."""
    covers = "what it covers is as its source says"
    return Metered("meter", source, kwh, covers=covers, legs=list(range(len(record.legs))))


def by_nodes(record: RunRecord) -> Metered:
    """Return what the nodes' own meters read, as autocard did beside the components.

    Raises:
        MeterError: there is no such figure.
    """
    kwh = record.energy.node_meter_kwh
    if kwh is None:
        why = record.why_missing("energy.node_meter_kwh") or "not read"
        msg = f"the record has no figure of the nodes' own meters ({why})"
        raise MeterError(msg)
    source = (
        record.energy.sources.get("node_meter", "").partition(";")[0] or "the nodes' own meters"
    )
    nodes = max((len(leg.hosts) for leg in record.legs), default=0) or None
    window_s = record.time.wall_clock_s
    return Metered(
        "node_meter",
        source,
        kwh,
        covers="all that is in the nodes, while training ran",
        legs=list(range(len(record.legs))),
        window_s=window_s,
        nodes=nodes,
        bound_kwh=None
        if window_s is None or nodes is None
        else _bound_kwh(record, nodes, window_s),
        training_only=True,
    )


def by_slurm(record: RunRecord, starts: Sequence[Start], *, in_utc: bool = False) -> Metered:
    """Return what Slurm's accounting says of the starts of the run's jobs.

    Args:
        record: the run's.
        starts: those of its jobs.
        in_utc: sacct was asked here, for times in UTC.

    Raises:
        MeterError: none of the run's legs ran in their time.
    """
    figures = [jobs.used(start) for start in starts]
    known = [one.energy_j for one in figures if one.energy_j is not None]
    short = [one for one in figures if one.energy_j is None]
    fit = _seen(record.legs, starts, in_utc=in_utc)
    if not fit.legs and record.legs:
        names = _names(starts)
        msg = f"none of the run's legs ran in the time of {names}: this is another job's energy. Name the run's: --job"
        raise MeterError(msg)
    found = Metered("sacct", SLURM, sum(known) / _J_PER_KWH if known else None, legs=fit.legs)
    found.why = short[0].why if not known else ""
    found.no_window = "sacct's text has no elapsed time or number of nodes for it"
    _span(record, starts, found)
    found.covers = "; ".join(_covers(record, starts, figures, fit, found))
    found.doubts += _doubts(starts, fit)
    if known and short:
        found.faults.append(
            f"of {len(figures)} starts of the job it has no figure for {len(short)}: {short[0].why}"
        )
    if any(start.goes_on for start in starts):
        found.faults.append(
            "the job still ran when sacct was asked, and Slurm adds a step's energy when it ends"
        )
    if any(one.doubled for one in figures):
        found.doubts.append(
            "steps that ran at the same time on the same nodes are in it more than once"
        )
    if (
        not fit.timed
        and found.window_s is not None
        and found.window_s + SLACK_S < (record.time.wall_clock_s or 0.0)
    ):
        found.faults.append(
            f"the job ran for {units.duration(found.window_s)}, the training for "
            f"{units.duration(record.time.wall_clock_s or 0.0)}: a part of it ran in other jobs or starts"
        )
    return found


def _span(record: RunRecord, starts: Sequence[Start], found: Metered) -> None:
    """Put time, nodes and bound of *starts* into *found*; parts of a heterogeneous job ran side by side."""
    together: dict[object, list[Start]] = {}
    for number, start in enumerate(starts):
        job_id, _, part = start.line.job.partition("+")
        together.setdefault((job_id, start.line.start if part else number), []).append(start)
    elapsed_s = [[start.elapsed_s for start in side] for side in together.values()]
    if any(seconds is None for side in elapsed_s for seconds in side):
        return
    longest_s = [max(seconds or 0.0 for seconds in side) for side in elapsed_s]
    found.window_s = sum(longest_s)
    nodes = [
        [start.line.nodes or record.hardware.nodes for start in side] for side in together.values()
    ]
    if all(number for side in nodes for number in side):
        counts = [sum(number or 0 for number in side) for side in nodes]
        found.nodes = max(counts)
        bounds = [_bound_kwh(record, *one) for one in zip(counts, longest_s, strict=True)]
        found.bound_kwh = None if None in bounds else sum(kwh or 0.0 for kwh in bounds)


def _bound_kwh(record: RunRecord, nodes: int, seconds: float) -> float | None:
    """Return the most that *nodes* with the run's GPUs can have drawn; None: it is not known how many GPUs there were.

    The legs may have had different numbers of them; the largest counts.
    """
    hardware = record.hardware
    if "hardware.gpus" in record.missing and hardware.gpus_allocated is None:
        return None
    used = max((sum(len(host.devices) for host in leg.hosts) for leg in record.legs), default=0)
    gpus = max(sum(kind.count for kind in hardware.gpus), hardware.gpus_allocated or 0, used)
    return (nodes * NODE_W + gpus * GPU_W) * seconds / _J_PER_KWH


def _names(starts: Sequence[Start]) -> str:
    ids = list(dict.fromkeys(start.line.job for start in starts))
    return f"job{'s' if len(ids) > 1 else ''} {', '.join(ids)}"


def _doubts(starts: Sequence[Start], fit: _Fit) -> Iterator[str]:
    """Yield what the times leave in doubt: whether each job is the run's, and whose clock they are of."""
    idle, _ = _idle(starts, fit)
    if idle:
        yield f"none of the legs ran in {_names(idle)}"
    if fit.ahead:
        side = "ahead of" if fit.ahead > timedelta(0) else "behind"
        by = units.duration(abs(fit.ahead).total_seconds())
        yield (
            f"its times fit the legs only by a clock {by} {side} UTC, and it is not known that Slurm's is such a one: "
            "it may be another job"
        )


def _idle(starts: Sequence[Start], fit: _Fit) -> tuple[list[Start], int]:
    """Return the starts of jobs that saw no leg at all, and how many starts of the other jobs saw none.

    A job that was requeued may have died in set-up; what it used until then is the run's.
    """
    if not fit.timed or not fit.legs:
        return [], 0
    ours = {whole_id(start) for start, busy in zip(starts, fit.busy, strict=True) if busy}
    others = [start for start in starts if whole_id(start) not in ours]
    return others, fit.busy.count(False) - len(others)


def _covers(
    record: RunRecord,
    starts: Sequence[Start],
    figures: Sequence[jobs.JobUse],
    fit: _Fit,
    found: Metered,
) -> Iterator[str]:
    """Yield what Slurm's figure holds, in words."""
    text = _names(starts)
    if len(starts) > 1:
        text += f", {units.count(len(starts))} starts"
    if found.window_s:
        text += f", {units.duration(found.window_s)}"
    if found.nodes:
        text += f" on {units.plural(found.nodes, 'node')}"
    yield f"{text}, set-up and all else that ran in it included"
    _, idle = _idle(starts, fit)
    if idle:
        yield f"in {units.count(idle)} of these starts no leg ran"
    yield from dict.fromkeys(one.remark for one in figures if one.remark)
    if len(found.legs) < len(record.legs):
        yield f"it saw {units.count(len(found.legs))} of {units.count(len(record.legs))} legs"


# -- which legs a job saw --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fit:
    """What the times of a job's starts say of the legs."""

    legs: list[int]
    """Numbers of the legs that ran in the time of a start."""
    busy: list[bool]
    """For each start, whether a leg ran in it."""
    timed: bool = True
    """Whether there are times to tell it; without them, all legs are taken."""
    ahead: timedelta | None = None
    """How far ahead of UTC the clock would be by which this is so; None: it is UTC's, or this
    machine's own."""


def _seen(legs: Sequence[Leg], starts: Sequence[Start], *, in_utc: bool) -> _Fit:
    """Return which legs ran in the time of which of *starts*.

    Slurm's times come without their zone unless we asked for them. Then the zone is looked for in
    which most legs lie inside; among equals this machine's goes first, then UTC.
    """
    spans = [(start.line.start, None if start.goes_on else start.line.end) for start in starts]
    begins = [_instant(leg.started_at) for leg in legs]
    if any(begin is None for begin, _ in spans) or not all(begins):
        return _Fit(list(range(len(legs))), [True] * len(starts), timed=False)
    best = _Fit([], [False] * len(starts))
    for ahead, utc in _zones(
        zoned=all(begin is not None and begin.zoned for begin, _ in spans), in_utc=in_utc
    ):
        within = [
            [
                number
                for number, leg in enumerate(legs)
                if begin and _inside(leg, utc(begin), utc(end) if end else None)
            ]
            for begin, end in spans
        ]
        inside = sorted({number for numbers in within for number in numbers})
        if len(inside) > len(best.legs):
            best = _Fit(inside, [bool(numbers) for numbers in within], ahead=ahead)
    return best


def _zones(
    *, zoned: bool, in_utc: bool
) -> Iterator[tuple[timedelta | None, Callable[[Moment], datetime]]]:
    """Yield ways to make UTC of a moment, and how far ahead of UTC the clock is if it is a mere guess."""
    if zoned:
        yield None, lambda moment: moment.when
        return
    if not in_utc:
        yield None, lambda moment: moment.when.replace(tzinfo=None).astimezone(timezone.utc)
    for quarters in sorted(_QUARTERS, key=abs):
        ahead = timedelta(minutes=15 * quarters)
        yield ahead or None, lambda moment, by=ahead: moment.when - by  # type: ignore[misc]


def _inside(leg: Leg, begin: datetime, end: datetime | None) -> bool:
    slack = timedelta(seconds=SLACK_S)
    started, ended = _instant(leg.started_at), _instant(leg.ended_at or leg.started_at)
    if started is None or ended is None:
        return False
    return begin - slack <= started and (end is None or ended <= end + slack)


def _instant(iso: str | None) -> datetime | None:
    if iso is None:
        return None
    try:
        when = datetime.fromisoformat(iso.replace("Z", "+00:00"))
    except ValueError:
        return None
    return when if when.tzinfo is not None else when.replace(tzinfo=timezone.utc)
