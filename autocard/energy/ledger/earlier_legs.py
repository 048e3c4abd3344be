"""Which legs came before this one: from the ledger, from the checkpoint, from this process.

A training continues a run if it was resumed from that run's checkpoint, or if it starts in the
folder of a run that the same scheduler's job has left unfinished. Everything else is a new run, in
a used folder too.

Rule: a leg is counted once, however many sources have it; the source that knew it longest counts. A
leg that is still open belongs to another job and is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from pydantic import ValidationError

from autocard.energy.ledger import join_hosts, ledger_files, ledger_lock, trial_marks
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.ledger_files import LedgerFolders

STATE_KEY = "autocard"
"""Of `TrainerState.stateful_callbacks`: what travels in a checkpoint."""
PRIVATE = {"readings", "window", "output_id", "job_id", "board_ids", "expects"}
"""Fields of an entry that stay private: checkpoints may be published, and a folder's pseudonym can
be guessed."""
STILL_OPEN_S = 0.5
"""Seconds that training waits for the end of a run that it continues and that seems to be open."""
STALE_TICKS = 3
"""Ticks without a sign of life after which a leg of another machine is over."""

GOES_ON = (
    "the checkpoint was made by a training that is still running: its energy is in its own card"
)
LOST = (
    "energy after the checkpoint at step {step} is lost: "
    "the files of this start were not available to the training that resumed from there"
)


@dataclass
class EarlierLegs:
    """The legs of this run before the one that begins."""

    run_id: str | None = None
    """Of the run that is continued; None: it is a new one."""
    legs: list[LedgerEntry] = field(default_factory=list)
    """The oldest first."""
    reason: str | None = None
    """Why there are none, where some could be expected."""


def travelling(past: EarlierLegs, run_id: str) -> dict[str, Any]:
    """Return what is saved in a checkpoint: the run and its legs before this one."""
    before = [without_private(entry) for entry in past.legs]
    return {"run_id": run_id, "legs": before, "current": None, "others": []}


def without_private(entry: LedgerEntry) -> dict[str, Any]:
    """Return *entry* as JSON for a checkpoint, which may be published."""
    return entry.model_dump(mode="json", exclude=PRIVATE)


def stretched(entry: LedgerEntry, step: int, wall_clock_s: float) -> LedgerEntry:
    """Return the *entry* of an open leg brought up to now: *step*, and *wall_clock_s* of it.

    The last reading is a tick old at most; since then the mean power is taken: see the sources.
    """
    leg, before_s = entry.leg, entry.leg.wall_clock_s or 0.0
    uses = leg.hosts
    if 0 < before_s < wall_clock_s:
        words = f"; last {wall_clock_s - before_s:.1f} s extrapolated"
        uses = [join_hosts.scaled(host, wall_clock_s / before_s, words) for host in uses]
    known = {"hosts": uses, "step_end": step, "wall_clock_s": wall_clock_s}
    return entry.with_leg(leg.model_copy(update=known))


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
        state: what was saved in the checkpoint (`travelling`); None: nothing.
        step: global step; 0: the training was not resumed.
        job_id: pseudonym of the workload manager's job.
        memory: legs of this process's earlier trainings by the same trainer.
    """
    if step > 0:
        saved = from_checkpoint(state)
    else:
        left = [] if job_id is None else ledger_files.read(folders.reads, job_id)
        trials = {mark.run_id for mark in trial_marks.read(folders.reads if left else ())}
        left = [entry for entry in left if entry.run_id not in trials]
        saved = EarlierLegs(run_id=_left_unfinished(left, folders, job_id))
    if saved.run_id is None:
        return EarlierLegs()
    mine = ledger_files.of_run(folders.reads, saved.run_id)
    if _any_is_open(folders, mine):
        return EarlierLegs(reason=GOES_ON if step > 0 else None)
    known = ledger_files.among(memory, saved.run_id)
    return EarlierLegs(saved.run_id, ordered([*saved.legs, *mine, *known]))


def again(
    past: EarlierLegs, folders: LedgerFolders, job_id: str | None, own_s: float
) -> EarlierLegs:
    """Return *past* as of now, when this leg ends: what was being written at its begin is complete.

    Args:
        past: as it was found at the begin.
        folders: where the ledger is.
        job_id: pseudonym of this training's job.
        own_s: seconds that this leg took.
    """
    now = {entry.key: entry for entry in ledger_files.of_run(folders.reads, past.run_id or "")}
    legs, reason = [], past.reason
    for before in past.legs:
        after = now.get(before.key, before)
        if before.status == "running" and _was_open(before, after, job_id, own_s):
            reason = GOES_ON
            continue
        legs.append(_better(before, after))
    return EarlierLegs(past.run_id, legs, reason)


def with_more(past: EarlierLegs, entries: Iterable[LedgerEntry]) -> EarlierLegs:
    """Return *past* with the entries that other hosts have of its legs."""
    return replace(past, legs=ordered([*past.legs, *entries]))


# -- which legs belong to the run ------------------------------------------------------------------


def from_checkpoint(state: Mapping[str, Any] | None, lost: str = LOST) -> EarlierLegs:
    """Return what was saved in a checkpoint; what cannot be read is left out.

    Args:
        state: what was saved (`travelling`).
        lost: reason for the energy of the open leg after the checkpoint at {step}.
    """
    attributes = (state or {}).get("attributes")
    if not isinstance(attributes, Mapping) or not isinstance(attributes.get("run_id"), str):
        return EarlierLegs()
    before = attributes.get("legs")
    others = attributes.get("others")
    listed = [
        *(before if isinstance(before, list) else []),
        attributes.get("current"),
        *(others if isinstance(others, list) else []),
    ]
    return EarlierLegs(
        attributes["run_id"], [entry for raw in listed if (entry := _entry(raw, lost)) is not None]
    )


def _entry(raw: Any, lost: str) -> LedgerEntry | None:
    try:
        entry = LedgerEntry.model_validate(raw)
    except ValidationError:
        return None
    if entry.status == "running" and entry.leg.status is None:
        tail = lost.format(step=entry.leg.step_end)
        return entry.model_copy(update={"missing": {**entry.missing, "tail": tail}})
    return entry


def _left_unfinished(
    written: Iterable[LedgerEntry], folders: LedgerFolders, job_id: str | None
) -> str | None:
    """Return the latest run that the same job left unfinished in this folder; None: there is none.

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


def _any_is_open(folders: LedgerFolders, entries: Sequence[LedgerEntry]) -> bool:
    """Return whether one of *entries* is open; a killed process gets a moment to end."""
    until_s = time.monotonic() + STILL_OPEN_S
    while any(_is_open(folders, entry) for entry in entries):
        if time.monotonic() > until_s:
            return True
        time.sleep(0.05)
    return False


def _is_open(folders: LedgerFolders, entry: LedgerEntry) -> bool:
    """Return whether *entry* is certainly open in another process."""
    if entry.process_id == ledger_files.process_id():
        return False
    return any(ledger_lock.is_open(folder, entry) for folder in folders.reads)


def _was_open(before: LedgerEntry, after: LedgerEntry, job_id: str | None, own_s: float) -> bool:
    """Return whether a leg, which could have been open when this one began, was open."""
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


def ordered(entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
    """Return each leg once, the oldest first."""
    best: dict[tuple[str, str, str], LedgerEntry] = {}
    for entry in entries:
        key = entry.key
        best[key] = _better(best[key], entry) if key in best else entry
    return sorted(best.values(), key=lambda entry: (entry.leg.started_at or "", entry.leg.id))


def _better(one: LedgerEntry, other: LedgerEntry) -> LedgerEntry:
    """Return the later entry, with the last step that either has: a checkpoint may have more."""
    late, early = (other, one) if _age(other) >= _age(one) else (one, other)
    if len(early.hosts) > len(late.hosts):  # a worker does not know how machines are named
        late = late.model_copy(update={"hosts": early.hosts})
    steps = [entry.leg.step_end for entry in (late, early) if entry.leg.step_end is not None]
    if not steps or late.leg.step_end == max(steps):
        return late
    return late.model_copy(update={"leg": late.leg.model_copy(update={"step_end": max(steps)})})


def _age(entry: LedgerEntry) -> tuple[bool, bool, bool, str]:
    measured = bool(entry.leg.hosts)  # an entry of the clock alone counts less
    return measured, entry.status != "running", "tail" not in entry.missing, entry.written_at
