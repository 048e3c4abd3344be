"""Collect what is known of a meter's figure: the legs that it saw, how long, on how many nodes.

Rule: what a figure covers is worked out from times, and where that cannot be, the figure carries
the reason; nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from autocard import units
from autocard.errors import MeterError
from autocard.reconcile import jobs
from autocard.reconcile.jobs import Selection
from autocard.reconcile.leg_match import OUT_OF_JOB_S, LegMatch, starts_without_leg
from autocard.reconcile.run_jobs import match_jobs, names_of_jobs, unlisted
from autocard.reconcile.sacct import JobStart
from autocard.reconcile.sacct_rows import NO_ENERGY
from autocard.record import RunRecord
from autocard.totals.leg_sums import J_PER_KWH

SLURM = "Slurm's job energy (sacct)"

NODE_W = 3000.0
"""Watts that no node draws without its GPUs: two processors of 500 W, memory, network, fans and
losses come to 2 kW."""
GPU_W = 2000.0
"""Watts that no GPU draws with its share of fans and losses: the largest boards are made for 1.4
kW."""


@dataclass(frozen=True)
class Metered:
    """A meter's figure, and what is known of it."""

    kind: str
    source: str
    kwh: float | None
    reason: str = ""
    """Why there is no figure."""
    covers: str = ""
    """What it covers, in words."""
    legs: list[int] = field(default_factory=list)
    """Numbers of the legs that it saw."""
    window_s: float | None = None
    nodes: int | None = None
    bound_kwh: float | None = None
    """The most that the nodes can have drawn in the window."""
    no_window: str = "its figure came without the time that it covers"
    """Why there is no window, where there is none."""
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
        reason = record.why_missing("energy.node_meter_kwh") or "not read"
        msg = f"the record has no figure of the nodes' own meters ({reason})"
        raise MeterError(msg)
    source = record.energy.sources.get("node_meter", "").partition(";")[0]
    nodes = max((len(leg.hosts) for leg in record.legs), default=0) or None
    window_s = record.time.wall_clock_s
    bound_kwh = None
    if window_s is not None and nodes is not None:
        bound_kwh = _bound_kwh(record, nodes, window_s)
    return Metered(
        "node_meter",
        source or "the nodes' own meters",
        kwh,
        covers="all that is in the nodes, while training ran",
        legs=list(range(len(record.legs))),
        window_s=window_s,
        nodes=nodes,
        bound_kwh=bound_kwh,
        training_only=True,
    )


def by_slurm(record: RunRecord, selection: Selection, *, in_utc: bool = False) -> Metered:
    """Return what Slurm's accounting has for the starts of the run's jobs.

    Args:
        record: the run's.
        selection: the starts of its jobs.
        in_utc: sacct was asked here, for times in UTC.

    Raises:
        MeterError: none of the run's legs ran in their time.
    """
    jobs_of_run = match_jobs(record, selection, in_utc=in_utc)
    starts, match = jobs_of_run.starts, jobs_of_run.match
    uses = [jobs.job_use(start) for start in starts]
    known = [use.energy_j for use in uses if use.energy_j is not None]
    unknown = [use for use in uses if use.energy_j is None]
    window = _window(record, starts)
    return Metered(
        "sacct",
        SLURM,
        sum(known) / J_PER_KWH if known else None,
        reason="" if known else unknown[0].reason,
        covers="; ".join(_covers(record, starts, uses, match, window)),
        legs=match.legs,
        window_s=window.seconds,
        nodes=window.nodes,
        bound_kwh=window.bound_kwh,
        no_window="sacct's text has no elapsed time or number of nodes for it",
        doubts=[*unlisted(record, jobs_of_run), *_doubts(starts, uses, match)],
        faults=list(_faults(record, starts, uses, match, window)),
    )


# -- time, nodes and bound of a job ----------------------------------------------------------------


@dataclass(frozen=True)
class _Window:
    """What a job's figure covers; what is not known is None."""

    seconds: float | None = None
    nodes: int | None = None
    bound_kwh: float | None = None


def _window(record: RunRecord, starts: Sequence[JobStart]) -> _Window:
    """Return time, nodes and bound of *starts*; parts of a heterogeneous job ran side by side."""
    groups = _side_by_side(starts)
    seconds = [_longest_s(group) for group in groups]
    longest_s = [length for length in seconds if length is not None]
    if len(longest_s) < len(groups):
        return _Window()
    node_counts = [_node_count(record, group) for group in groups]
    nodes = [count for count in node_counts if count is not None]
    if len(nodes) < len(groups):
        return _Window(sum(longest_s))
    bounds_kwh = [_bound_kwh(record, *group) for group in zip(nodes, longest_s, strict=True)]
    known_kwh = [bound_kwh for bound_kwh in bounds_kwh if bound_kwh is not None]
    bound_kwh = sum(known_kwh) if len(known_kwh) == len(groups) else None
    return _Window(sum(longest_s), max(nodes), bound_kwh)


def _side_by_side(starts: Sequence[JobStart]) -> list[list[JobStart]]:
    """Return *starts* in groups that ran at the same time: the parts of a heterogeneous job."""
    groups: dict[object, list[JobStart]] = {}
    for number, start in enumerate(starts):
        job_id, _, part = start.row.job.partition("+")
        key = (job_id, start.row.start) if part else (job_id, number)
        groups.setdefault(key, []).append(start)
    return list(groups.values())


def _longest_s(group: Sequence[JobStart]) -> float | None:
    """Return how long the longest of *group* ran; None: of one of them it is not known."""
    lengths_s = []
    for start in group:
        if start.elapsed_s is None:
            return None
        lengths_s.append(start.elapsed_s)
    return max(lengths_s)


def _node_count(record: RunRecord, group: Sequence[JobStart]) -> int | None:
    """Return the nodes of *group* together; None: of one of them it is not known."""
    nodes = 0
    for start in group:
        own = start.row.nodes or record.hardware.nodes
        if not own:
            return None
        nodes += own
    return nodes


def _bound_kwh(record: RunRecord, nodes: int, seconds: float) -> float | None:
    """Return the most that *nodes* with the run's GPUs can have drawn; None: GPUs not known.

    The legs may have had different numbers of them; the largest counts.
    """
    hardware = record.hardware
    if "hardware.gpus" in record.missing and hardware.gpus_allocated is None:
        return None
    of_legs = [sum(len(host.devices) for host in leg.hosts) for leg in record.legs]
    of_record = sum(kind.count for kind in hardware.gpus)
    gpus = max([of_record, hardware.gpus_allocated or 0, *of_legs])
    return (nodes * NODE_W + gpus * GPU_W) * seconds / J_PER_KWH


# -- words -----------------------------------------------------------------------------------------


def _covers(
    record: RunRecord,
    starts: Sequence[JobStart],
    uses: Sequence[jobs.JobUse],
    match: LegMatch,
    window: _Window,
) -> Iterator[str]:
    """Yield what Slurm's figure holds, in words."""
    text = names_of_jobs(starts)
    if len(starts) > 1:
        text += f", {units.count(len(starts))} starts"
    if window.seconds:
        text += f", {units.duration(window.seconds)}"
    if window.nodes:
        text += f" on {units.plural(window.nodes, 'node')}"
    yield f"{text}, set-up and all else that ran in it included"
    _, without_leg = starts_without_leg(starts, match)
    if without_leg:
        yield f"in {units.count(without_leg)} of these starts no leg ran"
    yield from dict.fromkeys(use.remark for use in uses if use.remark)
    if len(match.legs) < len(record.legs):
        yield f"it saw {units.count(len(match.legs))} of {units.count(len(record.legs))} legs"


def _doubts(
    starts: Sequence[JobStart], uses: Sequence[jobs.JobUse], match: LegMatch
) -> Iterator[str]:
    """Yield what is in doubt: that each job is the run's, the zone of its times, and its sum."""
    other_jobs, _ = starts_without_leg(starts, match)
    if other_jobs:
        yield f"none of the legs ran in {names_of_jobs(other_jobs)}"
    if match.ahead:
        side = "ahead of" if match.ahead > timedelta(0) else "behind"
        by = units.duration(abs(match.ahead).total_seconds())
        yield (
            f"its times fit the legs only by a clock {by} {side} UTC, and it is not known that "
            "Slurm's is such a one: it may be another job"
        )
    if any(use.doubled for use in uses):
        yield "steps that ran at the same time on the same nodes are in it more than once"


def _faults(
    record: RunRecord,
    starts: Sequence[JobStart],
    uses: Sequence[jobs.JobUse],
    match: LegMatch,
    window: _Window,
) -> Iterator[str]:
    """Yield why the figure cannot be what the whole run took."""
    unknown = [start for start, use in zip(starts, uses, strict=True) if use.energy_j is None]
    if unknown and len(unknown) < len(uses):
        is_requeued = all(start.row.state == "REQUEUED" for start in unknown)
        # Slurm leaves the line of such a start blank, with any plugin.
        why = "it was requeued, and none of its steps has energy" if is_requeued else NO_ENERGY
        yield f"of {len(uses)} starts of the job it has no figure for {len(unknown)}: {why}"
    if any(start.is_running for start in starts):
        yield "the job still ran when sacct was asked, and Slurm adds a step's energy when it ends"
    training_s = record.time.wall_clock_s or 0.0
    if match.is_timed or window.seconds is None:
        return
    if window.seconds + OUT_OF_JOB_S < training_s:
        yield (
            f"the job ran for {units.duration(window.seconds)}, the training for "
            f"{units.duration(training_s)}: a part of it ran in other jobs or starts"
        )
