"""This process among those of its training: what it measures, reports and receives.

Rule: the session calls every method under its guard. If one fails, this process goes on as if it
were alone, and what it could not receive is a gap with a reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from autocard.capture.environment import hardware
from autocard.capture.observed import Observed
from autocard.distributed import reports
from autocard.distributed.reports import Report
from autocard.distributed.team import Assignment, Team, meet, next_training
from autocard.energy.gpu import backends, gpu_selection
from autocard.energy.gpu.base import Device
from autocard.energy.ledger import ledger_files
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.errors import UnavailableError
from autocard.record import Hardware

RETRY_S = 15.0
"""Seconds after which a process that could not reach the others tries again, each time twice as
many: a try may take as long as its piece of work is allowed."""
EVALUATION_S = 2.0
"""Seconds that the process which writes the card waits for the others' figure of an evaluation
after training."""


class OpenLeg(Protocol):
    """The leg that goes on."""

    id: str


class RunLegs(Protocol):
    """What the coordinator reads and writes of the run's legs; `runtime.run_history` has them."""

    run_id: str
    own: list[LedgerEntry]
    """Of this process's legs."""
    reported: list[LedgerEntry]
    """Of the same leg, of the other processes that measure."""
    role: ProcessRole | None
    folders: LedgerFolders
    """Of the ledger."""

    @property
    def open(self) -> OpenLeg:
        """The leg that goes on."""

    def take_reports(
        self, entries: list[LedgerEntry], earlier: list[LedgerEntry], processes: int
    ) -> None:
        """Take what other processes report."""

    def go_on(self) -> None:
        """Take the run's earlier legs from the ledger."""

    def last(self) -> LedgerEntry:
        """Return the entry of the leg that has ended, of all hosts."""


class Coordinator:
    """The processes of a training, for as long as one session lasts."""

    def __init__(self, book: RunLegs) -> None:
        """Be alone."""
        self._book = book
        self.team = Team()
        self.watch = Assignment()
        self.met = False
        """Whether the other processes were looked for."""
        self._local_rank = 0
        self._number = 0
        self._unnamed = False
        self._cpus = 0
        self._evaluations = 0
        self._reports: list[Report] = []
        self._missed = False
        """Whether the others could not be reached, although there are some."""
        self.is_late_part = False
        """Whether this process measured its host before it learned that another one does: its
        worker's file keeps the name that it has, or it would take that of the other one."""
        self._next_try_s = 0.0
        self._pause_s = RETRY_S
        self._showed: LedgerEntry | None = None
        self._before: dict[str, Any] = {}
        """Parts of the record as this process saw them, before the reports of the others."""

    @property
    def alone(self) -> bool:
        """Whether there are no other processes, as far as is known."""
        return self.team.alone

    def writes(self, observed: Observed) -> bool:
        """Return whether this process writes the card."""
        return observed.processes.is_first and self.team.writes

    @property
    def measures(self) -> bool:
        """Whether this process measures anything in the leg."""
        return self.watch.measures

    def join(self, observed: Observed) -> None:
        """Join the other processes, and report which GPUs this one uses.

        Raises:
            UnavailableError: they cannot be met.
        """
        self.met, self._local_rank = True, observed.processes.local_index
        self.team = _joined(observed)
        self._miss(observed)

    def give_up(self, observed: Observed) -> None:
        """Go on without the others: the process that is the first of its host measures."""
        self.team = Team(observed.processes.index, observed.processes.count)
        self.team.lead(leads=observed.processes.is_first_on_host)
        self._miss(observed)

    def _miss(self, observed: Observed) -> None:
        self._missed = self.team.alone and observed.processes.count > 1
        self._next_try_s = time.monotonic() + RETRY_S if self._missed else 0.0
        self._pause_s = RETRY_S

    def is_due(self, *, last: bool = False) -> bool:
        """Return whether it is time to try to reach the others again; *last*: training ends."""
        return self._missed and (last or time.monotonic() >= self._next_try_s)

    def meet_again(self, observed: Observed) -> None:
        """Try to reach the others in mid-training: what this process measures is not lost then.

        What it measures stays as it was: the others have shared out the rest without it.

        Raises:
            UnavailableError: they still cannot be reached.
        """
        self._pause()
        team = _joined(observed)
        if team.alone or not team.together:
            return
        self._missed, self.team = False, team
        self._answered()
        book = self._book
        if team.rank == 0:
            team.publish(self._number, book.run_id, book.open.id)
        else:
            self._unnamed = True
        if not team.leads and book.role is not None and self.measures:
            # Another process has measured this host: of this one only the GPUs are new.
            self.watch = replace(self.watch, part=f"r{team.rank}", ranks=[team.rank])
            self.is_late_part = True
            book.role = replace(book.role, part=self.watch.part, ranks=self.watch.ranks)

    def _pause(self) -> None:
        """Let time pass before the next try, or training would wait for it again and again."""
        self._next_try_s = time.monotonic() + self._pause_s
        self._pause_s *= 2

    def _answered(self) -> None:
        self._next_try_s, self._pause_s = 0.0, RETRY_S

    # -- readings for checkpoints ------------------------------------------------------------------

    def shows(self, observed: Observed, entry: LedgerEntry | None) -> bool:
        """Return whether this process has a new reading for the checkpoints of another one."""
        return (
            entry is not None
            and entry is not self._showed
            and self.team.together
            and not self.team.alone
            and self.measures
            and not self.writes(observed)
            and time.monotonic() >= self._next_try_s
        )

    def show_reading(self, entry: LedgerEntry) -> None:
        """Show the newest reading of the open leg to the process that writes the checkpoints.

        Raises:
            UnavailableError: the others do not answer.
        """
        self._pause()
        shown = entry.model_copy(update={"readings": None})
        self.team.show(f"{self._number}/reading", shown.model_dump_json())
        self._showed = entry
        self._answered()

    def takes_readings(self, observed: Observed) -> bool:
        """Return whether this process puts the readings of others into its checkpoints."""
        of_several = self.team.together and not self.team.alone
        return of_several and self.writes(observed) and time.monotonic() >= self._next_try_s

    def readings(self) -> list[LedgerEntry]:
        """Return the newest known readings of the open leg by other processes.

        Raises:
            UnavailableError: the others do not answer.
        """
        self._pause()
        shown = self.team.shown(f"{self._number}/reading")
        self._answered()
        return reports.readings_of(shown, self._book.open.id)

    def open(self) -> str | None:
        """Agree on the ids of run and leg; return the leg's, None: it was not agreed on.

        Raises:
            UnavailableError: the others do not answer.
        """
        self._number = next_training()
        self._evaluations, self._reports, self._before = 0, [], {}
        if self.team.alone:
            return None
        if self.team.opens:
            return self.team.open(self._number, self._book.run_id)
        said = self.team.opened(self._number)
        self._unnamed = said is None
        if said is None:
            return None
        self._book.run_id = said[0]
        return said[1]

    def named_late(self) -> tuple[str, str] | None:
        """Return the ids of run and leg if they were late and are there now.

        Raises:
            UnavailableError: the others do not answer.
        """
        if not self._unnamed:
            return None
        said = self.team.opened(self._number, 0.0)
        self._unnamed = said is None
        return said

    def share_out(self, nodes: int | None) -> None:
        """Find out what this process measures in the leg.

        Args:
            nodes: of the launcher's plan.

        Raises:
            UnavailableError: the others do not answer.
        """
        self.watch = Assignment(ranks=self._beside(), measures=self.team.leads)
        try:
            if not self.team.alone:
                self.watch = self.team.share_out(self._number, _on_host())
        finally:
            self._book.role = self._role(nodes)

    def _beside(self) -> list[int]:
        """Return the ranks on this host as its launcher has numbered them."""
        first = self.team.rank - self._local_rank
        return list(range(first, min(first + max(_on_host(), 1), self.team.size))) or [
            self.team.rank
        ]

    def _role(self, nodes: int | None) -> ProcessRole:
        watch = self.watch
        return ProcessRole(
            rank=self.team.rank,
            part=watch.part,
            apart=not self.team.together,
            ranks=watch.ranks if watch.measures else [self.team.rank],
            expects=[ledger_files.pseudonym(uuid) for uuid in watch.expects],
            processes=self.team.size,
            nodes_expected=nodes,
        )

    def send_report(self, observed: Observed, hardware: Hardware | None) -> None:
        """Send the report of this process to the one that writes the card.

        Raises:
            UnavailableError: it cannot be sent.
        """
        if self.team.alone or (self.team.together and self.writes(observed)):
            return
        book, entry, earlier = self._book, None, list[LedgerEntry]()
        if self.measures:
            entry = book.own[-1]
            earlier = reports.earlier(book.folders, book.run_id, book.open.id)
        report = Report(
            rank=self.team.rank,
            entry=entry,
            earlier=earlier,
            node=reports.node_fields(hardware),
            boards=reports.named(self.team.own),
            peaks=reports.by_pseudonym(_own_peaks(observed)),
        )
        self.team.report(f"{self._number}/end", report.to_json())

    def gather_reports(self, observed: Observed) -> None:
        """Wait for the reports of the others; for those without one, read what they have written.

        Raises:
            UnavailableError: no report can be received.
        """
        if self.team.alone or not self.writes(observed):
            return
        book, received = self._book, list[Report]()
        try:
            self._cpus = self.team.cpus()
            notes = self.team.collect(f"{self._number}/end")
            self._reports = received = [Report.from_json(note) for note in notes]
        finally:
            entries = reports.entries_of(received, book.open.id)
            own = book.own[-1:] if self.measures else []
            took_s = book.own[-1].leg.wall_clock_s or 0.0
            known = [*own, *entries]
            written = reports.from_folder(book.folders.reads, book.open.id, known, took_s)
            earlier = [entry for report in received for entry in report.earlier]
            book.take_reports([*entries, *written], earlier, self.team.size)
            if not self.team.opens:
                book.go_on()

    def report_again(self, observed: Observed, hardware: Hardware | None) -> None:
        """Report once more: of trainings of their own, the last one to end writes the card.

        Raises:
            UnavailableError: nothing can be sent or received.
        """
        if not self.team.together:
            self.send_report(observed, hardware)
            self.gather_reports(observed)

    def of_all(
        self, observed: Observed, parts: Mapping[str, Any], hardware_gaps: dict[str, str]
    ) -> dict[str, Any]:
        """Return the parts of the record that describe all nodes.

        *hardware_gaps*, those of the hardware of this node, become those of all nodes' hardware.
        """
        if self.team.alone or not self.writes(observed):
            return {}
        entry, found = self._book.last(), dict[str, Any]()
        if not self._before:
            self._before = {key: parts[key] for key in ("hardware", "job") if key in parts}
        own = self._before
        if "hardware" in own:
            hardware = reports.hardware_of_all(
                own["hardware"], entry, self._reports, hardware_gaps, self.team.own
            )
            cpus = max(self._cpus, hardware.cpu_count or 0)  # processes are bound to some each
            found["hardware"] = hardware.model_copy(update={"cpu_count": cpus or None})
        if "job" in own:
            role = self._book.role
            planned = own["job"].launcher_nodes if role is None else role.nodes_expected
            found["job"] = reports.job_of_all(own["job"], entry.leg, self._reports, planned)
        if parts.get("peaks") is not None:
            devices = reports.peaks_of_all(entry, _own_peaks(observed), self._reports)
            found["peaks"] = (devices, parts["peaks"][1])
        return found

    def speaks(self, what: str) -> bool:
        """Return whether this process says *what* for the whole job.

        Of trainings of their own it is the first one that has the reports of all.

        Raises:
            UnavailableError: the others cannot be met.
        """
        if self.team.alone or self.team.together:
            return True
        has_all = len(self._reports) >= self.team.size - 1
        return has_all and self.team.first_to(f"{self._number}/{what}")

    def evaluated(self, observed: Observed, joules: float | None) -> dict[int, float | None]:
        """Report what an evaluation used; return rank → joules of the others, if this one writes.

        Raises:
            UnavailableError: the others cannot be met.
        """
        self._evaluations += 1
        what = f"{self._number}/evaluation {self._evaluations}"
        if not self.team.together or self.team.alone:
            return {}  # trainings of their own report their evaluations in `report_again`
        if not self.writes(observed):
            if self.measures:
                self.team.report(what, {"joules": joules})
            return {}
        notes = self.team.collect(what, EVALUATION_S, enough=len(self._book.reported))
        return {note["rank"]: note["joules"] for note in notes}


def _joined(observed: Observed) -> Team:
    """Return the processes of the training; this one has joined them.

    Raises:
        UnavailableError: they cannot be met.
    """
    team = meet(observed.processes, observed.output_dir)
    if team.alone:
        return team
    try:
        boards, reason = _own_boards(observed), None
    except UnavailableError as exc:
        boards, reason = [], str(exc)
    team.join(boards, reason)
    return team


def _on_host() -> int:
    """Return how many processes the launcher has started on this host; 1: it does not say."""
    local = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(local) if local.isascii() and local.isdigit() else 1


def _own_boards(observed: Observed) -> list[Device]:
    """Return the GPUs that this process uses.

    Raises:
        UnavailableError: they cannot be told.
    """
    used = hardware.own_accelerators(observed)
    if not used.uses_gpu:
        return []
    found = gpu_selection.devices(ordinals=used.ordinals, device_type=used.device_type)
    if not found:
        raise UnavailableError(backends.none_visible(used.device_type))
    return found


def _own_peaks(observed: Observed) -> dict[str, int]:
    try:
        return hardware.own_peaks(observed)
    except UnavailableError:
        return {}
