"""Which legs came before this one: from the ledger, from the checkpoint, from this process.

A training goes on with a run where it was resumed from that run's checkpoint, or where it starts in
the folder of a run that the same job of a workload manager left unfinished. Everything else is a
new run, in a used folder too.

Rule: a leg is counted once, whoever tells of it; of several tellers the one who knew it longest is
believed. A leg that still goes on belongs to another job and is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from pydantic import ValidationError

from autocard.energy.ledger import join_hosts, ledger_files
from autocard.energy.ledger.ledger_files import LedgerEntry, LedgerFolders
from autocard.energy.ledger.leg_parts import NEVER_CAME, PENDING

STATE_KEY = "autocard"
"""Of `TrainerState.stateful_callbacks`: what travels in a checkpoint."""
STAYS = {"window", "output_id", "job_id", "board_ids", "expects"}
"""Of an entry, what does not travel: checkpoints may be published, and a folder's pseudonym can be
guessed."""
SHORT_S = 30.0
"""Seconds. A leg that was killed so soon may take the mean power of another leg on the same
machine."""
PATIENCE_S = 0.5
"""Seconds that training waits where it goes on with a run that seems to be running still."""
STALE_TICKS = 3
"""Ticks without a sign of life after which a leg of another machine does not go on."""

GOES_ON = "the checkpoint was made by a training that still runs: what that one uses stands in its own card"
LOST = (
    "what this leg did after the checkpoint at step {step} is lost: its ledger was not in reach of the training that "
    "went on from there"
)
LATER = "modelled: at the mean power of another leg on the same machine; this one has no second reading of its own"


@dataclass
class EarlierLegs:
    """The legs of this run before the one that begins."""

    run_id: str | None = None
    """Of the run that goes on; None: it is a new one."""
    legs: list[LedgerEntry] = field(default_factory=list)
    """The oldest first."""
    reason: str | None = None
    """Why there are none, where some could be expected."""


def travelling(past: EarlierLegs, run_id: str) -> dict[str, Any]:
    """Return what a checkpoint takes along: the run and its legs before this one."""
    before = [entry.model_dump(mode="json", exclude=STAYS) for entry in past.legs]
    return {"run_id": run_id, "legs": before, "current": None}


def stretched(measured: Mapping[str, Any], step: int, wall_clock_s: float) -> dict[str, Any]:
    """Return a ledger entry (as JSON) of the leg that goes on, brought up to now: *step*, and *wall_clock_s* of it.

    What was read last is a tick old at most; since then the mean power is taken, and that is said.
    """
    entry = LedgerEntry.model_validate(measured)
    leg, before_s = entry.leg, entry.leg.wall_clock_s or 0.0
    uses = leg.hosts
    if 0 < before_s < wall_clock_s:
        part, words = (
            wall_clock_s / before_s,
            f"; the last {wall_clock_s - before_s:.1f} s at the mean power before",
        )
        uses = [join_hosts.scaled(host, part, words) for host in uses]
    leg = leg.model_copy(update={"hosts": uses, "step_end": step, "wall_clock_s": wall_clock_s})
    return entry.model_copy(update={"leg": leg}).model_dump(mode="json", exclude=STAYS)


def find(
    folders: LedgerFolders,
    state: Mapping[str, Any] | None,
    step: int,
    *,
    job_id: str | None = None,
    memory: Sequence[LedgerEntry] = (),
) -> EarlierLegs:
    """Return the legs that came before the one that begins at *step*.

    Args:
        folders: where the ledger is.
        state: what the checkpoint took along (`travelling`); None: nothing.
        step: global step; 0: the training was not resumed.
        job_id: pseudonym of the workload manager's job.
        memory: legs of this process's earlier trainings by the same trainer.
    """
    if step > 0:
        told = _told(state)
    else:
        left = [] if job_id is None else ledger_files.read(folders.reads, job_id)
        told = EarlierLegs(run_id=_left_unfinished(left, folders, job_id))
    if told.run_id is None:
        return EarlierLegs()
    mine = ledger_files.of_run(folders.reads, told.run_id)
    if _still(folders, mine):
        return EarlierLegs(reason=GOES_ON if step > 0 else None)
    known = ledger_files.among(memory, told.run_id)
    return EarlierLegs(told.run_id, _ordered([*told.legs, *mine, *known]))


def again(
    past: EarlierLegs, folders: LedgerFolders, job_id: str | None, own_s: float
) -> EarlierLegs:
    """Return *past* as it stands when this leg ends: what was still being written then is complete now.

    Args:
        past: as it was found at the begin.
        folders: where the ledger is.
        job_id: pseudonym of this training's job.
        own_s: seconds that this leg took.
    """
    now = {
        ledger_files.key_of(entry): entry
        for entry in ledger_files.of_run(folders.reads, past.run_id or "")
    }
    legs, reason = [], past.reason
    for before in past.legs:
        after = now.get(ledger_files.key_of(before), before)
        if before.status == "running" and _moved(before, after, job_id, own_s):
            reason = GOES_ON
            continue
        legs.append(_better(before, after))
    return EarlierLegs(past.run_id, legs, reason)


def with_more(past: EarlierLegs, entries: Iterable[LedgerEntry]) -> EarlierLegs:
    """Return *past* with what other hosts tell of its legs."""
    return replace(past, legs=_ordered([*past.legs, *entries]))


def completed(legs: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Return *legs* as the record takes them: ended, and with what another leg can tell of a very short one."""
    same: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in legs:
        same.setdefault((entry.host_id, entry.part), []).append(entry)
    parts: dict[str, list[LedgerEntry]] = {}
    for entry in legs:
        filled = _filled(_ended(entry), same[entry.host_id, entry.part])
        parts.setdefault(entry.leg.id, []).append(filled)
    whole = join_hosts.joined([entry for of_leg in parts.values() for entry in of_leg])
    machines = [list(join_hosts.by_host(parts[entry.leg.id])) for entry in whole]
    order = dict.fromkeys(host_id for ids in reversed(machines) for host_id in ids)
    names = {host_id: f"h{number}" for number, host_id in enumerate(order, start=1)}
    return [
        _named(entry, [names[host_id] for host_id in ids])
        for entry, ids in zip(whole, machines, strict=True)
    ]


# -- who belongs to the run ------------------------------------------------------------------------


def _told(state: Mapping[str, Any] | None) -> EarlierLegs:
    """Return what a checkpoint took along; whatever in it is not ours is left out."""
    attributes = (state or {}).get("attributes")
    if not isinstance(attributes, Mapping) or not isinstance(attributes.get("run_id"), str):
        return EarlierLegs()
    before = attributes.get("legs")
    listed = [*(before if isinstance(before, list) else []), attributes.get("current")]
    return EarlierLegs(
        attributes["run_id"], [entry for entry in map(_entry, listed) if entry is not None]
    )


def _entry(raw: Any) -> LedgerEntry | None:
    try:
        entry = LedgerEntry.model_validate(raw)
    except ValidationError:
        return None
    if entry.status == "running" and entry.leg.status is None:
        lost = LOST.format(step=entry.leg.step_end)
        return entry.model_copy(update={"missing": {**entry.missing, "tail": lost}})
    return entry


def _left_unfinished(
    written: Iterable[LedgerEntry], folders: LedgerFolders, job_id: str | None
) -> str | None:
    """Return the run that the same job left unfinished in the same folder, the latest one; None: there is none.

    A second training of the same process is not a requeued job.
    """
    found = [
        entry.run_id
        for entry in written
        if job_id is not None
        and entry.rank == 0
        and entry.job_id == job_id
        and entry.output_id == folders.output_id
        and entry.process_id != ledger_files.process_id()
        and entry.status in {"running", "interrupted"}
    ]
    return found[-1] if found else None


def _still(folders: LedgerFolders, entries: Sequence[LedgerEntry]) -> bool:
    """Return whether another process goes on with one of *entries*; one that was just killed gets a moment to end."""
    until_s = time.monotonic() + PATIENCE_S
    while any(_goes_on(folders, entry) for entry in entries):
        if time.monotonic() > until_s:
            return True
        time.sleep(0.05)
    return False


def _goes_on(folders: LedgerFolders, entry: LedgerEntry) -> bool:
    """Return whether another process surely goes on with *entry*."""
    if entry.process_id == ledger_files.process_id():
        return False
    return any(ledger_files.goes_on(folder, entry) for folder in folders.reads)


def _moved(before: LedgerEntry, after: LedgerEntry, job_id: str | None, own_s: float) -> bool:
    """Return whether the leg, which could not be seen to be over at the begin, has gone on since then."""
    if before.process_id == ledger_files.process_id() or before.host_id == ledger_files.host_id():
        return False  # that was known at the begin
    if after.written_at != before.written_at:
        # A leg that was killed is closed within moments by the process that wrote it.
        return (
            after.status == "running"
            or _seconds(before.written_at, after.written_at) > before.tick_s
        )
    if own_s > 2 * before.tick_s or (job_id is not None and job_id == before.job_id):
        return False  # it has missed a tick; or it is the same job, which runs once
    now = datetime.now(timezone.utc).isoformat()
    return _seconds(before.written_at, now) < STALE_TICKS * before.tick_s


def _seconds(one: str, other: str) -> float:
    moments = [datetime.fromisoformat(text.replace("Z", "+00:00")) for text in (one, other)]
    return (moments[1] - moments[0]).total_seconds()


def _ordered(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Return each leg once, the oldest first."""
    best: dict[tuple[str, str, str], LedgerEntry] = {}
    for entry in entries:
        key = ledger_files.key_of(entry)
        best[key] = _better(best[key], entry) if key in best else entry
    return sorted(best.values(), key=lambda entry: (entry.leg.started_at or "", entry.leg.id))


def _better(one: LedgerEntry, other: LedgerEntry) -> LedgerEntry:
    """Return the one that was written later, with the last step that either knows: a checkpoint may know more."""
    late, early = (other, one) if _age(other) >= _age(one) else (one, other)
    steps = [entry.leg.step_end for entry in (late, early) if entry.leg.step_end is not None]
    if not steps or late.leg.step_end == max(steps):
        return late
    return late.model_copy(update={"leg": late.leg.model_copy(update={"step_end": max(steps)})})


def _age(entry: LedgerEntry) -> tuple[bool, bool, bool, str]:
    measured = bool(entry.leg.hosts)  # what the clock alone tells stands behind it
    return measured, entry.status != "running", "tail" not in entry.missing, entry.written_at


# -- what the record takes -------------------------------------------------------------------------


def _ended(entry: LedgerEntry) -> LedgerEntry:
    if entry.status != "running":
        return entry
    # Nobody was left to see its end: what it did after the last entry is not known.
    leg = entry.leg.model_copy(update={"status": "interrupted", "steps_unseen": True})
    return entry.model_copy(update={"status": "interrupted", "leg": leg})


def _named(entry: LedgerEntry, names: Sequence[str]) -> LedgerEntry:
    """Return *entry* with the pseudonyms of its machines in this record: h1 is that of the last leg."""
    if [host.host for host in entry.leg.hosts] == list(names):
        return entry
    renamed = []
    for host, name in zip(entry.leg.hosts, names, strict=False):
        devices = [
            device.model_copy(update={"device": f"{name}.{device.device.rpartition('.')[2]}"})
            for device in host.devices
        ]
        renamed.append(host.model_copy(update={"host": name, "devices": devices}))
    return entry.model_copy(update={"leg": entry.leg.model_copy(update={"hosts": renamed})})


def _filled(entry: LedgerEntry, legs: Sequence[LedgerEntry]) -> LedgerEntry:
    """Return *entry* with CPU, RAM and intensity at another leg's, where it was killed before they could be read.

    Args:
        entry: of one leg.
        legs: all entries of the same host.
    """
    leg, missing = entry.leg, dict(entry.missing)
    cut_off = leg.status == "interrupted" or not {PENDING, NEVER_CAME}.isdisjoint(missing.values())
    if not cut_off or not leg.hosts or not leg.wall_clock_s or leg.wall_clock_s > SHORT_S:
        return entry
    for other in legs:
        if other.leg.id == leg.id or not other.leg.hosts or not other.leg.wall_clock_s:
            continue
        host, theirs, part = (
            leg.hosts[0],
            other.leg.hosts[0],
            leg.wall_clock_s / other.leg.wall_clock_s,
        )
        for leaf in ("cpu_j", "ram_j"):
            joules = getattr(theirs, leaf)
            if (
                getattr(host, leaf) is None
                and joules is not None
                and theirs.cpu_share == host.cpu_share
            ):
                sources = {**host.sources, leaf.removesuffix("_j"): LATER}
                host = host.model_copy(update={leaf: joules * part, "sources": sources})
                missing.pop(f"hosts.0.{leaf}", None)
        leg = leg.model_copy(update={"hosts": [host, *leg.hosts[1:]]})
        if leg.intensity_g_per_kwh is None and other.leg.place == leg.place:
            names = ("intensity_g_per_kwh", "intensity_source", "intensity_year")
            leg = leg.model_copy(update={name: getattr(other.leg, name) for name in names})
            for name in names:
                missing.pop(name, None)
                if getattr(leg, name) is None and name in other.missing:
                    missing[name] = other.missing[name]
    return entry.model_copy(update={"leg": leg, "missing": missing})
