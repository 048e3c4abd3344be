"""The legs of one trainer's run: those before this process, this one, and what of them travels in checkpoints.

Rule: a leg is known by clock and step counter at least, whatever fails to measure it. Nothing here
measures; nothing here is guarded: the session does that.
"""

from __future__ import annotations

import datetime as dt
import time
import uuid
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autocard.record import Leg
from autocard.record.gaps import Part, under
from autocard.runtime.clock import STEP_S, later, running_s
from autocard.settings import Settings

NOT_YET = "not measured: nothing had been read when the checkpoint was written"
BROKEN_OFF = "not measured: training was broken off, so its last readings are missing"
UNKNOWN_AFTER = "not measured: the measuring process had ended, or had hardly started"
OWN_CLOCK = ("started_at", "ended_at", "wall_clock_s", "step_begin", "step_end", "status")
"""Leaves of a leg that our own clock tells; it was read before the meter's, and stands even where
the meter failed."""
OF_METER = (
    "hosts",
    "checkpoints",
    "setup_j",
    "evaluation_j",
    "place",
    "intensity_g_per_kwh",
    "intensity_source",
    "intensity_year",
)
"""Leaves of a leg that its meter tells."""


def now() -> str:
    """Return the time: ISO 8601, UTC, milliseconds."""
    return (
        dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


@dataclass
class StartedLeg:
    """The leg that goes on, by our own clock."""

    step: int = 0
    """Global step at its begin."""
    at: str = ""
    """ISO 8601, UTC."""
    at_s: float = 0.0
    """Monotonic seconds."""
    running_s: float = field(default_factory=running_s)
    """Seconds of a clock that is never set."""
    id: str = ""
    """Of the leg."""
    last_s: float = 0.0
    """Monotonic seconds of its last sign of life."""
    reached: int = 0
    """Global step that it has done."""
    batch: dict[str, int | None] | None = None
    """What its optimizer steps consume: leaves of `record.Batch`; None: not known."""


class RunHistory:
    """What is known of the run's legs. pydantic is loaded when the first one begins."""

    def __init__(self, settings: Settings) -> None:
        """Begin a run without legs."""
        self._settings = settings
        self._memory: list[Any] = []
        self.job_id: str | None = None
        """Pseudonym of the workload manager's job."""
        self.run_id = uuid.uuid4().hex[:12]
        self.past: Any = None
        """`energy.past.Past`; None: no leg has begun."""
        self.own: list[Any] = []
        """Ledger entries of this process's legs since the last begin: one, once it has ended."""
        self.open = StartedLeg()
        self.heard: list[Any] = []
        """Ledger entries of the same leg, of the other processes that measure."""
        self.team: dict[str, Any] = {}
        """Of this process's entry: rank, part, ranks, expects; of its leg: processes,
        nodes_expected."""
        self.boards: list[str] = []
        """Pseudonyms of the GPUs that this process measures, in the order of its leg's devices."""
        self._where: Any = None
        self._travels: dict[str, Any] | None = None
        self._batches: dict[str, Any] = {}
        self._hyperparameters: dict[str, dict[str, Any]] = {}
        self._checkpoint: str | None = None

    def know_job(self, told: str | None) -> None:
        """Note what tells this job of the workload manager from others."""
        from autocard.energy.ledger.ledger_files import pseudonym  # noqa: PLC0415 - with pydantic

        self.job_id = None if told is None else pseudonym(told)

    def begin(self, opened: StartedLeg) -> None:
        """A leg begins; those that this process had before belong to the past."""
        self._memory += [*self.own, *self.heard]
        self.own, self.heard, self.open = [], [], opened
        opened.last_s, opened.reached = opened.at_s, opened.step

    def broken_off(self, step: int) -> None:
        """The leg that was open has ended at *step* without our being told."""
        self._memory.append(
            self._entry(self.clock(step, "interrupted", self.open.last_s), {"": BROKEN_OFF})
        )

    def cut_off(self, step: int) -> None:
        """The open leg was broken off at *step*, and is told by the clock, up to its last sign of life."""
        self.own = [
            self._entry(self.clock(step, "interrupted", self.open.last_s), {"": BROKEN_OFF})
        ]

    def find(
        self, folder: Path, state: Mapping[str, Any] | None, step: int, checkpoint: Any = None
    ) -> bool:
        """Find out which run this leg goes on with, and after which legs; return whether it is another than before.

        Args:
            folder: output folder.
            state: what the checkpoint took along.
            step: global step.
            checkpoint: `TrainingArguments.resume_from_checkpoint`: whose folder may be another one.
        """
        self._checkpoint = (
            checkpoint
            if step and isinstance(checkpoint, str) and Path(checkpoint).is_dir()
            else None
        )
        from autocard.energy.ledger import earlier_legs  # noqa: PLC0415

        told = (state or {}).get(earlier_legs.STATE_KEY)
        found = earlier_legs.find(
            self._folders(folder), told, step, job_id=self.job_id, memory=self._memory
        )
        changed, self.past = self.past is not None and found.run_id != self.run_id, found
        if found.run_id is not None:
            self.run_id = found.run_id
        elif changed:
            self.run_id = uuid.uuid4().hex[:12]
        return changed

    def pack(self, callbacks: MutableMapping[str, Any]) -> None:
        """Put what is known of the run into the trainer's state, which its checkpoints take along."""
        from autocard.energy.ledger import earlier_legs  # noqa: PLC0415

        self._travels = earlier_legs.travelling(
            self.past or earlier_legs.EarlierLegs(), self.run_id
        )
        callbacks[earlier_legs.STATE_KEY] = {"args": {}, "attributes": self._travels}

    @staticmethod
    def travelled(state: Mapping[str, Any] | None, key: str) -> Any:
        """Return what the checkpoint took along under *key*, before `pack` makes the next one's; None: nothing."""
        from autocard.energy.ledger import earlier_legs  # noqa: PLC0415

        told = (state or {}).get(earlier_legs.STATE_KEY)
        attributes = told.get("attributes") if isinstance(told, Mapping) else None
        return attributes.get(key) if isinstance(attributes, Mapping) else None

    def take_along(self, key: str, value: Any) -> None:
        """Put something more into the trainer's state."""
        if self._travels is not None:
            self._travels[key] = value

    def know_batches(self, travelled: Any) -> None:
        """Take from the checkpoint what the steps of the earlier legs consumed: id of the leg → leaves of `Batch`."""
        if isinstance(travelled, Mapping):
            self._batches |= {
                str(leg_id): batch
                for leg_id, batch in travelled.items()
                if isinstance(batch, Mapping)
            }

    def know_settings(self, travelled: Any) -> None:
        """Take from the checkpoint what the earlier legs were trained with: id of the leg → hyperparameters."""
        if isinstance(travelled, Mapping):
            found = {
                str(leg_id): dict(one)
                for leg_id, one in travelled.items()
                if isinstance(one, Mapping)
            }
            self._hyperparameters |= found

    def trains_with(self, hyperparameters: Mapping[str, Any]) -> None:
        """Note the allow-listed settings of the open leg; checkpoints take them along."""
        self._hyperparameters[self.open.id] = dict(hyperparameters)
        self.take_along("settings", self._hyperparameters)

    def consumes(self, batch: dict[str, int | None]) -> None:
        """Note what the optimizer steps of the open leg consume; checkpoints take it along."""
        self.open.batch = batch
        self._batches[self.open.id] = batch
        self.take_along("batches", self._batches)

    def so_far(self, step: int, measured: Mapping[str, Any] | None, *, saving: bool) -> None:
        """Renew what travels of the leg that goes on: what was *measured*, or the clock alone where it counts."""
        self.open.last_s = time.monotonic()
        if self._travels is None:
            return
        from autocard.energy.ledger import earlier_legs  # noqa: PLC0415

        if measured is not None and not saving:
            self._travels["current"] = {
                key: value for key, value in measured.items() if key not in earlier_legs.STAYS
            }
        elif measured is not None:
            self._travels["current"] = earlier_legs.stretched(
                measured, step, self.open.last_s - self.open.at_s
            )
        elif saving:
            entry = self._entry(self.clock(step, None, self.open.last_s), {"": NOT_YET})
            self._travels["current"] = entry.model_dump(mode="json", exclude=earlier_legs.STAYS)

    def clock(self, step: int, status: Any, at_s: float) -> Any:
        """Return what clock and step counter alone tell of the open leg, up to *at_s* (monotonic seconds)."""
        from autocard.record import Leg  # noqa: PLC0415

        return Leg(
            id=self.open.id,
            started_at=self.open.at,
            ended_at=self._ended_at(at_s),
            wall_clock_s=at_s - self.open.at_s,
            step_begin=self.open.step,
            step_end=step,
            status=status,
        )

    def _ended_at(self, at_s: float) -> str:
        """Return the moment *at_s* (monotonic seconds) of the open leg.

        That is the present moment, but for a leg that was broken off a while ago. Where the
        machine's clock was set in between, the time that has passed says it.
        """
        told = now()
        if not self.open.at:
            return told
        if time.monotonic() - at_s > STEP_S:
            return later(self.open.at, at_s - self.open.at_s)
        expected = later(self.open.at, running_s() - self.open.running_s)
        apart_s = abs(
            (
                dt.datetime.fromisoformat(told[:-1]) - dt.datetime.fromisoformat(expected[:-1])
            ).total_seconds()
        )
        return expected if apart_s > STEP_S else told

    def end(self, clock: Any, measured: Any, missing: dict[str, str]) -> None:
        """The open leg has ended, by *clock*; *measured* (None: it was not) came with *missing*."""
        if measured is not None:
            clock = measured.model_copy(update={leaf: getattr(clock, leaf) for leaf in OWN_CLOCK})
        self.own = [self._entry(clock, missing)]

    def completed(self, measured: Any, missing: Mapping[str, str]) -> Any:
        """Note the figures of a leg that has ended, which came late; return its entry, None: it is not known here."""
        from autocard.energy.ledger import ledger_files  # noqa: PLC0415

        key, found = (measured.id, ledger_files.host_id(), self.team.get("part", "")), None
        for entries in (self.own, self._memory, [] if self.past is None else self.past.legs):
            for number, entry in enumerate(entries):
                if ledger_files.key_of(entry) == key and entry.leg.hosts:
                    entries[number] = found = _with_figures(entry, measured, missing)
        return found

    def entries_of(self, leg_id: str) -> list[Any]:
        """Return what this process knows of a leg of this process, of all hosts."""
        return [
            entry for entry in (*self.own, *self.heard, *self._memory) if entry.leg.id == leg_id
        ]

    def folders_of(self, folder: Path) -> Any:
        """Return the folders of the ledger of a training that writes into *folder*."""
        from autocard.energy.ledger.ledger_files import folders_of  # noqa: PLC0415

        return folders_of(folder, self._settings.ledger_dir)

    @property
    def awaited(self) -> list[Any]:
        """Entries reported by other processes, whose figures are still to come."""
        return [entry for entry in self.heard if _is_pending(entry)]

    @property
    def awaited_here(self) -> bool:
        """Whether figures that are still to come are written where this process can read them."""
        from autocard.energy.ledger import ledger_files  # noqa: PLC0415

        written = (
            {ledger_files.key_of(entry) for entry in self._written()} if self.awaited else set()
        )
        return any(ledger_files.key_of(entry) in written for entry in self.awaited)

    def _written(self) -> list[Any]:
        """Return what the ledger holds of the leg that ended last."""
        from autocard.energy.ledger import ledger_files  # noqa: PLC0415

        return [] if self._where is None else ledger_files.of_leg(self._where.reads, self.open.id)

    def look_for_awaited(self) -> bool:
        """Take the figures that other processes have written since they reported; return whether there were any."""
        from autocard.energy.ledger import ledger_files  # noqa: PLC0415

        awaited = {ledger_files.key_of(entry) for entry in self.awaited}
        written = self._written() if awaited else []
        found = {ledger_files.key_of(entry): entry for entry in written if not _is_pending(entry)}
        for number, reported in enumerate(self.heard):
            later = found.get(ledger_files.key_of(reported))
            if later is not None:
                self.heard[number] = self._with_later_figures(reported, later)
        return bool(awaited & found.keys())

    @staticmethod
    def _with_later_figures(reported: Any, later: Any) -> Any:
        """Return the *reported* entry with the figures of the *later* one, its evaluation energy excepted.

        Evaluations after training come through `evaluated_elsewhere`.
        """
        leg = later.leg.model_copy(update={"evaluation_j": reported.leg.evaluation_j})
        reasons = {path: why for path, why in later.missing.items() if path != "evaluation_j"}
        if "evaluation_j" in reported.missing:
            reasons["evaluation_j"] = reported.missing["evaluation_j"]
        return reported.model_copy(update={"leg": leg, "missing": reasons})

    def give_up_awaited(self) -> bool:
        """Note that figures of other processes will not come; return whether there were any to wait for."""
        waited = bool(self.awaited)
        self.heard = [_never_completed(entry) for entry in self.heard]
        return waited

    @property
    def waits(self) -> bool:
        """Whether figures of an earlier leg of this process are still to come."""
        before = [] if self.past is None else self.past.legs
        return any(_is_pending(entry) and self._is_own(entry) for entry in before)

    @staticmethod
    def _is_own(entry: Any) -> bool:
        """Return whether this process measured what *entry* holds."""
        from autocard.energy.ledger import ledger_files  # noqa: PLC0415

        return bool(entry.process_id == ledger_files.process_id())

    def holds(self, leg_id: str) -> bool:
        """Return whether a leg is one of the run that is recorded now."""
        before = [] if self.past is None else self.past.legs
        return any(entry.leg.id == leg_id for entry in (*before, *self.own))

    def repeated_unknown(self, reason: str) -> None:
        """Note that what was repeated of the leg is not known."""
        leaves = ("repeated_steps", "repeated_s", "repeated_j")
        entry = self.own[-1]
        leg = entry.leg.model_copy(update=dict.fromkeys(leaves))
        missing = {**entry.missing, **dict.fromkeys(leaves, reason)}
        self.own[-1] = entry.model_copy(update={"leg": leg, "missing": missing})

    def evaluated(self, joules: float | None) -> None:
        """Book an evaluation after training beside the leg that it followed; None: it was not measured."""
        entry = self.own[-1]
        before_j, missing = entry.leg.evaluation_j, dict(entry.missing)
        after_j = None if joules is None or before_j is None else before_j + joules
        if after_j is None:
            missing["evaluation_j"] = UNKNOWN_AFTER
        leg = entry.leg.model_copy(update={"evaluation_j": after_j})
        self.own[-1] = entry.model_copy(update={"leg": leg, "missing": missing})

    def evaluated_elsewhere(self, told: Mapping[int, float | None]) -> None:
        """Book what the other processes measured of an evaluation: rank → joules; who told nothing did not measure."""
        for number, entry in enumerate(self.heard):
            before_j, joules = entry.leg.evaluation_j, told.get(entry.rank)
            after_j = None if joules is None or before_j is None else before_j + joules
            missing = (
                entry.missing
                if after_j is not None
                else {**entry.missing, "evaluation_j": UNKNOWN_AFTER}
            )
            leg = entry.leg.model_copy(update={"evaluation_j": after_j})
            self.heard[number] = entry.model_copy(update={"leg": leg, "missing": missing})

    @property
    def folders(self) -> Any:
        """Of the ledger."""
        return self._where

    def hear(self, now: list[Any], past: list[Any], processes: int) -> None:
        """Take what other processes tell.

        Args:
            now: their entries of the leg that has ended.
            past: of earlier legs, on their hosts.
            processes: that there are.
        """
        self.heard = now
        if self.own:
            leg = self.own[-1].leg.model_copy(update={"processes": processes})
            self.own[-1] = self.own[-1].model_copy(update={"leg": leg})
        if past and self.past is not None:
            from autocard.energy.ledger import earlier_legs as legs  # noqa: PLC0415

            known = {entry.leg.id for entry in self.past.legs}
            self.past = legs.with_more(
                self.past, [entry for entry in past if entry.leg.id in known]
            )

    def go_on(self) -> None:
        """Take the run's earlier legs from the ledger: another process had found out which they are."""
        from autocard.energy.ledger import earlier_legs, ledger_files  # noqa: PLC0415

        before = [
            one
            for one in ledger_files.of_run(self._where.reads, self.run_id)
            if one.leg.id != self.open.id
        ]
        self.past = earlier_legs.with_more(earlier_legs.EarlierLegs(self.run_id), before)

    def last(self) -> Any:
        """Return the entry of the leg that has ended, of all hosts."""
        from autocard.energy.ledger.earlier_legs import completed  # noqa: PLC0415

        return completed([*self.own, *self.heard])[-1]

    def look_again(self, folder: Path) -> None:
        """Read the earlier legs again: what was still being written when this one began is complete now."""
        from autocard.energy.ledger import earlier_legs  # noqa: PLC0415

        if self.past is not None and self.past.legs:
            took_s = self.own[-1].leg.wall_clock_s or 0.0
            self.past = earlier_legs.again(self.past, self._folders(folder), self.job_id, took_s)

    def keep(self, folder: Path, entry: Any = None) -> None:
        """Put this process's last word on a leg into the ledger: a later leg will count it.

        Args:
            folder: output folder.
            entry: of the leg; None: the one that ended last.
        """
        from autocard.energy.ledger import ledger_files  # noqa: PLC0415
        from autocard.errors import NotWrittenError  # noqa: PLC0415

        folders = self._folders(folder)
        entry = self.own[-1] if entry is None else entry
        try:
            ledger_files.keep(folders, entry.model_copy(update={"output_id": folders.output_id}))
        except NotWrittenError as exc:
            entry.missing.setdefault("ledger", f"a later leg will not count this one: {exc}")

    def legs(self) -> list[Part[Leg]]:
        """Return all legs of the run, the oldest first."""
        from autocard.energy.ledger.earlier_legs import completed  # noqa: PLC0415

        before = [] if self.past is None else self.past.legs
        before = [entry if self._is_own(entry) else _never_completed(entry) for entry in before]
        entries = completed([*before, *self.own, *self.heard])
        parts = []
        for entry in entries:
            leg = self._with_settings(self._with_batch(entry.leg))
            parts.append(Part(leg, {**entry.missing, **under("batch", _why_no_batch(leg))}))
        return parts

    def why_earlier_missing(self, legs: Iterable[Leg]) -> str | None:
        """Return why legs before *legs*, those that are known, are not recorded; None: there are none."""
        earlier = None if self.past is None else self.past.reason
        reached = 0
        for leg in legs:
            if (leg.step_begin or 0) > reached:
                why = earlier or "what came before was not recorded here"
                earlier = f"training was resumed at step {leg.step_begin}; {why}"
                break
            reached = max(reached, leg.step_end or 0)
        return earlier

    def _with_batch(self, leg: Any) -> Any:
        """Return *leg* with what its optimizer steps consumed, where that is known."""
        from pydantic import ValidationError  # noqa: PLC0415 - loaded with the first leg

        from autocard.record import Batch  # noqa: PLC0415

        told = self._batches.get(leg.id)
        try:
            return (
                leg
                if told is None
                else leg.model_copy(update={"batch": Batch.model_validate(told)})
            )
        except ValidationError:  # a checkpoint's, which somebody else may have written
            return leg

    def _with_settings(self, leg: Any) -> Any:
        """Return *leg* with those of its settings that differ from the ones of the leg that began last."""
        from pydantic import ValidationError  # noqa: PLC0415 - loaded with the first leg

        latest, own = self._hyperparameters.get(self.open.id), self._hyperparameters.get(leg.id)
        if latest is None or own is None:
            return leg
        names = [*own, *(name for name in latest if name not in own)]
        other = {name: own.get(name) for name in names if own.get(name) != latest.get(name)}
        try:
            return type(leg).model_validate({**leg.model_dump(), "other_hyperparameters": other})
        except ValidationError:  # a checkpoint's, which another program may have written
            return leg

    def _folders(self, folder: Path) -> Any:
        from autocard.energy.ledger.ledger_files import folders_of  # noqa: PLC0415

        self._where = folders_of(folder, self._settings.ledger_dir, self._checkpoint)
        return self._where

    def _entry(self, leg: Any, missing: dict[str, str]) -> Any:
        from autocard.energy.ledger import ledger_files  # noqa: PLC0415

        team = dict(self.team)
        of_leg = {leaf: team.pop(leaf) for leaf in ("processes", "nodes_expected") if leaf in team}
        leg = leg.model_copy(update=of_leg)
        return ledger_files.LedgerEntry(
            run_id=self.run_id,
            host_id=ledger_files.host_id(),
            process_id=ledger_files.process_id(),
            job_id=self.job_id,
            status=leg.status or "running",
            written_at=now(),
            tick_s=self._settings.measure_power_secs,
            leg=leg,
            missing=missing,
            board_ids=self.boards,
            **team,
        )


def _why_no_batch(leg: Any) -> dict[str, str]:
    """Return the gaps of the batch of *leg*."""
    if leg.batch.step_samples is None:
        return {
            "": "what its optimizer steps consumed was not recorded with it, or batches have no fixed size"
        }
    reason = "the data loader does not tell how long an epoch is"
    return {
        leaf: reason
        for leaf in ("epoch_samples", "epoch_steps")
        if getattr(leg.batch, leaf) is None
    }


def _is_pending(entry: Any) -> bool:
    from autocard.energy.ledger.leg_parts import PENDING  # noqa: PLC0415

    return PENDING in entry.missing.values()


def _never_completed(entry: Any) -> Any:
    """Return *entry* of another process without the promise that its figures will be added."""
    from autocard.energy.ledger.leg_parts import NEVER_CAME, PENDING  # noqa: PLC0415

    if not _is_pending(entry):
        return entry
    missing = {path: NEVER_CAME if why == PENDING else why for path, why in entry.missing.items()}
    hosts = [
        host.model_copy(
            update={
                "sources": {
                    part: NEVER_CAME if how == PENDING else how
                    for part, how in host.sources.items()
                }
            }
        )
        for host in entry.leg.hosts
    ]
    return entry.model_copy(
        update={"missing": missing, "leg": entry.leg.model_copy(update={"hosts": hosts})}
    )


def _with_figures(entry: Any, measured: Any, missing: Mapping[str, str]) -> Any:
    """Return *entry* with the figures of *measured*, and with the reasons of what both do not hold."""
    leg = entry.leg.model_copy(update={leaf: getattr(measured, leaf) for leaf in OF_METER})
    reasons = {
        path: why for path, why in entry.missing.items() if path.partition(".")[0] not in OF_METER
    }
    reasons.update(
        {path: why for path, why in missing.items() if path.partition(".")[0] in OF_METER}
    )
    return entry.model_copy(update={"leg": leg, "missing": reasons, "written_at": now()})
