"""The legs of a trainer's run, and which of their facts are saved in checkpoints.

Rule: every leg has at least its times and steps, even if no measurement succeeded. Nothing here
measures, and nothing here is guarded: the session does that.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from autocard import files
from autocard.energy.ledger import earlier_legs, ledger_files, left_behind, record_legs
from autocard.energy.ledger.earlier_legs import EarlierLegs
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole, StartedJob, utc_now
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.errors import NotWrittenError
from autocard.record import Leg
from autocard.record.gaps import Part
from autocard.runtime import entry_updates
from autocard.runtime.leg_facts import LegFacts
from autocard.runtime.started_leg import StartedLeg
from autocard.settings import Settings

NOT_YET = "not measured: no reading before the checkpoint was written"
TURNED_OFF = "not measured: measuring was turned off (emissions=False)"
BROKEN_OFF = "not measured: training was interrupted, so its last readings are missing"
OWN_CLOCK = ("started_at", "ended_at", "wall_clock_s", "step_begin", "step_end", "status")
"""Fields of a leg that come from our own clock, which was read before the meter's and is valid even
if the meter failed."""


class RunHistory:
    """The known legs of a run."""

    def __init__(self, settings: Settings) -> None:
        """Begin a run without legs."""
        self._settings = settings
        self._memory: list[LedgerEntry] = []
        """Legs of this process before the open leg, of this and of other runs."""
        self.job = StartedJob()
        """The workload manager's, in which this process trains."""
        self.run_id = uuid.uuid4().hex[:12]
        self.past: EarlierLegs | None = None
        """Legs of the run before the open leg; None: no leg has begun."""
        self._hosts: list[str] = []
        """Pseudonyms of the run's machines in the order of their names in the record."""
        self.own: list[LedgerEntry] = []
        """Entries of this process's legs since the last begin: a single entry after its end."""
        self.open = StartedLeg()
        self.reported: list[LedgerEntry] = []
        """Entries of the same leg, of the other processes that measure."""
        self.beside: list[LedgerEntry] = []
        """Newest known entries of the open leg, of the other processes that measure."""
        self.role: ProcessRole | None = None
        """Role of this process; None: not agreed on yet."""
        self.boards: list[str] = []
        """Pseudonyms of the GPUs that this process measures, in the order of its leg's devices."""
        self.folders = LedgerFolders(None, None)
        """Folders of the ledger, after a leg has begun."""
        self._facts = LegFacts()
        self._travels: dict[str, Any] | None = None
        self._travels_entry: LedgerEntry | None = None
        self._checkpoint: str | None = None

    # -- a leg begins ------------------------------------------------------------------------------

    def begin(self, opened: StartedLeg) -> None:
        """Begin a leg; earlier legs of this process belong to the past."""
        self._memory += [*self.own, *self.reported]
        self.own, self.reported, self.open, self.beside = [], [], opened, []
        opened.last_s, opened.reached = opened.at_s, opened.step

    def find(
        self, folder: Path, state: Mapping[str, Any] | None, step: int, checkpoint: Any = None
    ) -> bool:
        """Find the run that this leg continues, and its legs; return whether the run changed.

        Args:
            folder: output folder.
            state: values that were saved in the checkpoint.
            step: global step.
            checkpoint: `TrainingArguments.resume_from_checkpoint`, perhaps in another folder.
        """
        is_folder = isinstance(checkpoint, str) and Path(checkpoint).is_dir()
        self._checkpoint = checkpoint if step and is_folder else None
        saved_state = (state or {}).get(earlier_legs.STATE_KEY)
        found = earlier_legs.find(
            self._find_folders(folder),
            saved_state,
            step,
            job_id=self.job.pseudonym,
            memory=self._memory,
        )
        changed, self.past = self.past is not None and found.run_id != self.run_id, found
        if found.run_id is not None:
            self.run_id = found.run_id
        elif changed:
            self.run_id = uuid.uuid4().hex[:12]
        if changed:
            self._hosts = []
        return changed

    def go_on(self) -> None:
        """Read the run's earlier legs from the ledger; another process has found them."""
        entries = ledger_files.of_run(self.folders.reads, self.run_id)
        before = [entry for entry in entries if entry.leg.id != self.open.id]
        self.past = earlier_legs.with_more(EarlierLegs(self.run_id), before)

    def folders_of(self, folder: Path) -> LedgerFolders:
        """Return the ledger folders of a training that writes into *folder*."""
        return ledger_files.folders_of(folder, self._settings.ledger_dir)

    def _find_folders(self, folder: Path) -> LedgerFolders:
        """Return these folders, with that of the checkpoint from which training was resumed."""
        self.folders = ledger_files.folders_of(folder, self._settings.ledger_dir, self._checkpoint)
        return self.folders

    # -- what checkpoints contain ------------------------------------------------------------------

    def pack(self, callbacks: MutableMapping[str, Any]) -> None:
        """Put the known facts of the run into the state that the trainer saves in checkpoints."""
        self._travels = earlier_legs.travelling(self.past or EarlierLegs(), self.run_id)
        self._travels_entry = None
        callbacks[earlier_legs.STATE_KEY] = {"args": {}, "attributes": self._travels}

    @staticmethod
    def travelled(state: Mapping[str, Any] | None, key: str) -> Any:
        """Return the checkpoint's value of *key*, until `pack` replaces it, or None."""
        saved_state = (state or {}).get(earlier_legs.STATE_KEY)
        attributes = saved_state.get("attributes") if isinstance(saved_state, Mapping) else None
        return attributes.get(key) if isinstance(attributes, Mapping) else None

    def take_along(self, key: str, value: Any) -> None:
        """Put another value into the trainer's state."""
        if self._travels is not None:
            self._travels[key] = value

    def take_batches(self, travelled: Any) -> None:
        """Take the batches of earlier legs from the checkpoint."""
        self._facts.take_batches(travelled)

    def take_settings(self, travelled: Any) -> None:
        """Take the settings of earlier legs from the checkpoint."""
        self._facts.take_settings(travelled)

    def trains_with(self, hyperparameters: Mapping[str, Any]) -> None:
        """Note the allow-listed settings of the open leg, which are saved in checkpoints."""
        self._facts.settings[self.open.id] = dict(hyperparameters)
        self.take_along("settings", self._facts.settings)

    def consumes(self, batch: Mapping[str, int | None]) -> None:
        """Note the batch of the open leg's optimizer steps, which is saved in checkpoints."""
        self._facts.batches[self.open.id] = dict(batch)
        self.take_along("batches", self._facts.batches)

    def so_far(self, step: int, measured: LedgerEntry | None, *, saving: bool) -> None:
        """Update the open leg in the trainer's state: as *measured*, or with our own clock only."""
        self.open.last_s = time.monotonic()
        if self._travels is None or (measured is self._travels_entry and not saving):
            return
        entry, self._travels_entry = measured, None if saving else measured
        if saving:
            entry = self._open_entry(step, measured, self.open.last_s)
            entry = self._with_hosts(entry, [*self._before, entry, *self.beside])
        if entry is not None:
            self._travels["current"] = earlier_legs.without_private(entry)
        if saving:
            self._travels["others"] = [
                earlier_legs.without_private(self._open_entry(step, other, self.open.last_s))
                for other in self.beside
            ]

    def _open_entry(self, step: int, measured: LedgerEntry | None, at_s: float) -> LedgerEntry:
        """Return the open leg at *step*, from *measured* up to *at_s* (monotonic seconds)."""
        if measured is None:
            return self._entry(self.open.as_leg(step, None, at_s), {"": NOT_YET})
        return earlier_legs.stretched(measured, step, at_s - self.open.at_s)

    # -- what the working file contains ------------------------------------------------------------

    def as_known(self, step: int, measured: LedgerEntry | None, why: str) -> list[LedgerEntry]:
        """Return the entries of all legs of the run, the open one at *step* as *measured*.

        Args:
            step: global step.
            measured: the meter's entry of the open leg; None: it has none.
            why: reason for a missing entry.
        """
        if measured is None:
            clock = self.open.as_leg(step, None, time.monotonic())
            measured = self._entry(clock, {"": why})
        own = measured.model_copy(update={"run_id": self.run_id})
        others = [*self._before, own, *self.beside]
        return [*self._before, self._with_hosts(own, others), *self.beside]

    @property
    def facts_of_legs(self) -> LegFacts:
        """Batches and settings of the run's legs."""
        return self._facts

    def take_up(self, past: EarlierLegs, run_id: str, leg_id: str, facts: LegFacts) -> None:
        """Take up a run that another process has left; its last leg is *leg_id*."""
        self.run_id, self.past, self._facts = run_id, past, facts
        self.open.id = leg_id

    # -- a leg ends --------------------------------------------------------------------------------

    def broken_off(self, step: int) -> None:
        """Note that the open leg has ended at *step* without an event."""
        self._memory.append(self._broken_off(step))

    def _broken_off(self, step: int) -> LedgerEntry:
        leg = self.open.as_leg(step, "interrupted", self.open.last_s)
        return self._entry(leg, {"": BROKEN_OFF})

    def end(self, clock: Leg, measured: LedgerEntry | None, why: str) -> None:
        """End the open leg.

        Args:
            clock: the leg by our own clock.
            measured: the meter's entry; None: it has none.
            why: reason for a missing entry.
        """
        if measured is None:
            self.own = [self._entry(clock, {"": why})]
            return
        known = {name: getattr(clock, name) for name in OWN_CLOCK}
        leg = self._with_role(measured.leg.model_copy(update={**known, "id": self.open.id}))
        role = self.role
        changed = {
            # agreed on after the worker began, where the other processes were reached late
            "part": measured.part if role is None else role.part,
            "ranks": measured.ranks if role is None else role.ranks,
            "run_id": self.run_id,
            "leg": leg,
            "status": leg.status or "running",
            "written_at": utc_now(),
        }
        self.own = [measured.model_copy(update=changed)]

    def _entry(self, leg: Leg, missing: dict[str, str]) -> LedgerEntry:
        """Return an entry without measurements."""
        role = self.role or ProcessRole()
        return LedgerEntry(
            run_id=self.run_id,
            host_id=ledger_files.host_id(),
            process_id=ledger_files.process_id(),
            job_id=self.job.pseudonym,
            status=leg.status or "running",
            written_at=utc_now(),
            tick_s=self._settings.measure_power_secs,
            leg=self._with_role(leg).model_copy(update=self.job.of_leg()),
            missing={**missing, **self.job.gaps},
            board_ids=self.boards,
            rank=role.rank,
            part=role.part,
            apart=role.apart,
            ranks=role.ranks,
            expects=role.expects,
        )

    def _with_role(self, leg: Leg) -> Leg:
        if self.role is None:
            return leg
        known = {"processes": self.role.processes, "nodes_expected": self.role.nodes_expected}
        return leg.model_copy(update=known)

    def repeated_unknown(self, reason: str) -> None:
        """Note that the repeated part of the leg is not known."""
        names = ("repeated_steps", "repeated_s", "repeated_j")
        entry = self.own[-1]
        leg = entry.leg.model_copy(update=dict.fromkeys(names))
        self.own[-1] = entry.with_leg(leg, {**entry.missing, **dict.fromkeys(names, reason)})

    def look_again(self, folder: Path) -> None:
        """Read the earlier legs again: entries that were being written are complete now."""
        if self.past is not None and self.past.legs:
            took_s = self.own[-1].leg.wall_clock_s or 0.0
            folders = self._find_folders(folder)
            self.past = earlier_legs.again(self.past, folders, self.job.pseudonym, took_s)

    def keep(self, folder: Path, entry: LedgerEntry | None = None) -> None:
        """Write this process's last entry of a leg into the ledger, for the sums of later legs.

        Args:
            folder: output folder.
            entry: of the leg; None: the entry of the leg that ended last.
        """
        folders = self._find_folders(folder)
        entry = self.own[-1] if entry is None else entry
        named = self._with_hosts(entry, [*self._before, *self.own, *self.reported])
        written = named.model_copy(update={"output_id": folders.output_id})
        try:
            ledger_files.write_last(folders, written)
        except NotWrittenError as exc:
            why = files.reason(exc)
            entry.missing.setdefault("ledger", f"a later start will not count this one: {why}")

    def clear_node(self) -> None:
        """Leave nothing of the run's earlier legs on this node but what is in the output folder."""
        left_behind.clear(self.folders, self.run_id, self.open.id)

    def take_written(self) -> None:
        """Take the entries of the ended leg that the other processes have written."""
        own = {entry.key for entry in self.own}
        self.reported = [entry for entry in self._written() if entry.key not in own]

    # -- evaluations after training ----------------------------------------------------------------

    def evaluated(self, joules: float | None) -> None:
        """Add an evaluation to the leg before it; *joules* None: it was not measured."""
        self.own[-1] = entry_updates.with_evaluation(self.own[-1], joules)

    def evaluated_elsewhere(self, joules_of: Mapping[int, float | None]) -> None:
        """Add what other processes measured of an evaluation: rank → joules."""
        self.reported = [
            entry_updates.with_evaluation(entry, joules_of.get(entry.rank))
            for entry in self.reported
        ]

    # -- figures that come late --------------------------------------------------------------------

    def completed(self, measured: LedgerEntry) -> LedgerEntry | None:
        """Add the late figures of a leg; return its entry, or None if the leg is not known here."""
        part = "" if self.role is None else self.role.part
        key, found = (measured.leg.id, ledger_files.host_id(), part), None
        for entries in (self.own, self._memory, self._before):
            for number, entry in enumerate(entries):
                if entry.key == key and entry.leg.hosts:
                    entries[number] = found = entry_updates.with_figures(entry, measured)
        return found

    @property
    def _before(self) -> list[LedgerEntry]:
        return [] if self.past is None else self.past.legs

    @property
    def awaited(self) -> list[LedgerEntry]:
        """Entries reported by other processes whose figures are not complete yet."""
        return [entry for entry in self.reported if entry.is_pending]

    @property
    def awaited_here(self) -> bool:
        """Whether missing figures will be written where this process can read them."""
        awaited = {entry.key for entry in self.awaited}
        return bool(awaited) and any(entry.key in awaited for entry in self._written())

    def _written(self) -> list[LedgerEntry]:
        """Return the ledger's entries of the leg that ended last."""
        return ledger_files.of_leg(self.folders.reads, self.open.id)

    def look_for_awaited(self) -> bool:
        """Read late figures of other processes from the ledger; return whether there were any."""
        awaited = {entry.key for entry in self.awaited}
        written = self._written() if awaited else []
        found = {entry.key: entry for entry in written if not entry.is_pending}
        for number, reported in enumerate(self.reported):
            later = found.get(reported.key)
            if later is not None:
                self.reported[number] = entry_updates.with_later_figures(reported, later)
        return bool(awaited & found.keys())

    def give_up_awaited(self) -> bool:
        """Note that late figures of other processes will not arrive; return whether any are due."""
        waited = bool(self.awaited)
        self.reported = [entry.never_completed() for entry in self.reported]
        return waited

    @property
    def waits(self) -> bool:
        """Whether figures of an earlier leg of this process are still to come."""
        return any(entry.is_pending and _is_own(entry) for entry in self._before)

    # -- what other processes report ---------------------------------------------------------------

    def take_reports(
        self, entries: list[LedgerEntry], earlier: list[LedgerEntry], processes: int
    ) -> None:
        """Take the reports of other processes.

        Args:
            entries: entries of the leg that has ended.
            earlier: entries of earlier legs, on their hosts.
            processes: number of the training's processes.
        """
        self.reported = entries
        if self.own:
            last = self.own[-1]
            self.own[-1] = last.with_leg(last.leg.model_copy(update={"processes": processes}))
        if earlier and self.past is not None:
            known = {entry.leg.id for entry in self.past.legs}
            of_run = [entry for entry in earlier if entry.leg.id in known]
            self.past = earlier_legs.with_more(self.past, of_run)

    # -- what the record takes ---------------------------------------------------------------------

    def entries_of(self, leg_id: str) -> list[LedgerEntry]:
        """Return the known entries of a leg of this process, of all hosts."""
        known = (*self.own, *self.reported, *self._memory)
        return [entry for entry in known if entry.leg.id == leg_id]

    def holds(self, leg_id: str) -> bool:
        """Return whether a leg belongs to the run that is recorded now."""
        return any(entry.leg.id == leg_id for entry in (*self._before, *self.own))

    def last(self) -> LedgerEntry:
        """Return the entry of the leg that has ended, of all hosts."""
        self._name_hosts([*self._before, *self.own, *self.reported])
        return record_legs.completed([*self.own, *self.reported], hosts=self._hosts)[-1]

    def legs(self) -> list[Part[Leg]]:
        """Return all legs of the run, the oldest first."""
        entries = [*self._before_now(), *self.own, *self.reported]
        self._name_hosts(entries)
        found = record_legs.completed(entries, hosts=self._hosts)
        return [self._described(entry) for entry in found]

    def legs_so_far(
        self, step: int, measured: LedgerEntry | None, why_open: str
    ) -> list[Part[Leg]]:
        """Return all legs of the run, the last of which goes on.

        Args:
            step: global step.
            measured: the meter's newest entry of the open leg; None: it has none.
            why_open: reason for the open leg's missing status.
        """
        own = self._open_entry(step, measured, time.monotonic()).going_on()
        if measured is None and not self._settings.emissions:
            own = own.with_leg(own.leg, {**own.missing, "": TURNED_OFF})
        entries = [*self._before_now(), own, *self._others_so_far(own)]
        self._name_hosts(entries)
        found = record_legs.completed(entries, own.leg.id, self._hosts)
        for number, entry in enumerate(found):
            if entry.leg.id == own.leg.id:
                leg = entry.leg.model_copy(update={"ended_at": utc_now(), "status": None})
                found[number] = entry.with_leg(leg, {**entry.missing, "status": why_open})
        return [self._described(entry) for entry in found]

    def name_here(self) -> str:
        """Return the name that this machine has in the record, as in "h1"."""
        here = ledger_files.host_id()
        self._name_hosts([*self._before, *self.own, *self.reported])
        if here not in self._hosts:
            self._hosts.append(here)
        return f"h{self._hosts.index(here) + 1}"

    def _name_hosts(self, entries: Sequence[LedgerEntry]) -> None:
        """Give the machines of *entries* names; those that have one keep it."""
        self._hosts = record_legs.host_order(entries, self._hosts)

    def _with_hosts(self, entry: LedgerEntry, entries: Sequence[LedgerEntry]) -> LedgerEntry:
        """Return *entry* with the order in which the machines of *entries* are named.

        Only the first process has the entries of all; another run's entry has an order of its own.
        """
        if entry.rank != 0 or entry.run_id != self.run_id:
            return entry
        self._name_hosts(entries)
        return entry.model_copy(update={"hosts": self._hosts})

    def _before_now(self) -> list[LedgerEntry]:
        return [_as_known_now(entry) for entry in self._before]

    def _described(self, entry: LedgerEntry) -> Part[Leg]:
        described = self._facts.describe(entry.leg, self.open.id)
        return Part(described.value, {**entry.missing, **described.gaps})

    def _others_so_far(self, own: LedgerEntry) -> list[LedgerEntry]:
        """Return the open leg's entries of other processes, as far as they can be read here."""
        if own.leg.processes <= 1:
            return []
        found = []
        for entry in earlier_legs.ordered([*self._written(), *self.beside]):
            # Another process of this host may be the one that measures it.
            if entry.key != own.key or not own.leg.hosts:
                step = entry.leg.step_end if entry.apart else own.leg.step_end
                found.append(
                    earlier_legs.stretched(entry, step or 0, own.leg.wall_clock_s or 0.0).going_on()
                )
        return found

    def why_earlier_missing(self, legs: Iterable[Leg]) -> str | None:
        """Return why legs before the known legs are not recorded; None: there are none."""
        reason = None if self.past is None else self.past.reason
        reached = 0
        for leg in legs:
            if (leg.step_begin or 0) > reached:
                why = reason or "earlier steps were not recorded here"
                return f"training was resumed at step {leg.step_begin}; {why}"
            reached = max(reached, leg.step_end or 0)
        return reason


def _is_own(entry: LedgerEntry) -> bool:
    """Return whether this process measured *entry*."""
    return entry.process_id == ledger_files.process_id()


def _as_known_now(entry: LedgerEntry) -> LedgerEntry:
    """Return *entry*; if it is another process's, without the note that figures will follow."""
    return entry if _is_own(entry) else entry.never_completed()
