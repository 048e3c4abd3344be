"""One leg in the training process: what it sent to the worker, and the entry that it gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from autocard.energy.counter_mark import CounterMark
from autocard.energy.gpu.base import Counters
from autocard.energy.ledger import ledger_files, leg_builder
from autocard.energy.ledger.ledger_entry import UNKNOWN_AFTER, LedgerEntry, utc_now
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.energy.ledger.leg_builder import LegEnd
from autocard.energy.worker.ledger_writer import LedgerWriter
from autocard.energy.worker.protocol import Begin, End, WorkerOrder
from autocard.energy.worker.worker_client import WorkerClient
from autocard.record import Status


@dataclass
class MeasuredLeg:
    """A leg from its begin until its figures are known."""

    begin: Begin
    """As the worker received it."""
    order: WorkerOrder
    """Of the worker."""
    counters: Counters | None
    """Of the GPUs; None: there are none."""
    shared: set[str] = field(default_factory=set)
    """GPUs on which several processes computed, at the begin or the end."""
    worker: WorkerClient | None = None
    """That measures it; None: there is none."""
    end: End | None = None
    """As the worker received it; None: the leg is open."""
    evaluations: list[int] = field(default_factory=list)
    """Numbers of the questions about evaluations that followed it, while it waits for its own
    figures."""

    @property
    def leg_id(self) -> str:
        """Of the leg."""
        return self.begin.leg.head.id

    @property
    def uuids(self) -> list[str]:
        """Of the GPUs."""
        return self.begin.leg.uuids

    def rename(self, run_id: str, leg_id: str) -> None:
        """Give the leg, and the run that it belongs to, another id."""
        head = self.begin.leg.head.model_copy(update={"id": leg_id})
        start = replace(self.begin.leg, head=head)
        self.begin = replace(self.begin, run_id=run_id, leg=start)

    def stop(
        self, mark: CounterMark, step: int | None, max_steps: int | None, status: Status
    ) -> End:
        """Note the end of the leg; return the message to the worker.

        Args:
            mark: the counters at the end.
            step: global step.
            max_steps: planned.
            status: how it ended.
        """
        if self.counters is not None:
            self.shared |= self.counters.shared()
        end = LegEnd(mark.at_s, utc_now(), status, step, mark.boards, sorted(self.shared))
        self.end = End(self.leg_id, end, mark.host, max_steps)
        return self.end

    @property
    def is_awaited(self) -> bool:
        """Whether the worker will still send something of it."""
        worker = self.worker
        if worker is None or not worker.process.alive:
            return False
        if not worker.is_final(self.leg_id):
            return True
        return any(number not in worker.evaluations for number in self.evaluations)

    def answered(self, *, final: bool) -> LedgerEntry | None:
        """Return what the worker has sent; None: nothing.

        Args:
            final: this is the last call, and only a final answer counts.
        """
        if self.worker is None:
            return None
        if not final:
            answer = self.worker.ended.get(self.leg_id)
            return None if answer is None else answer.entry
        answer = self.worker.ended.pop(self.leg_id, None)
        return answer.entry if answer is not None and answer.is_final else None

    def from_ledger(self, why: str, intensity: Mapping[str, Any]) -> LedgerEntry:
        """Return the entry from our own counters and the ledger's last tick; the worker is silent.

        Args:
            why: the worker is silent.
            intensity: as far as it is known.
        """
        if self.end is None:
            raise ValueError(self.leg_id)
        start, end = self.begin.leg, self.end.end
        folders = LedgerFolders(self.order.ticks_folder, self.order.shared_folder)
        written = ledger_files.of_leg(folders.all, self.leg_id)
        ticked = ledger_files.find(written, self.leg_id, ledger_files.host_id())
        readings = leg_builder.from_ledger(ticked, end.at_s - start.at_s, why)
        leg, missing = leg_builder.ended(start, end, readings, intensity, self.order.given)
        writer = LedgerWriter(self.order, self.begin.run_id, self.begin.role)
        entry = writer.note(
            leg,
            missing,
            readings,
            status=end.status,
            uuids=self.uuids,
            max_steps=self.end.max_steps,
        )
        return entry.model_copy(update={"readings": None})

    def with_evaluations(self, entry: LedgerEntry) -> LedgerEntry:
        """Return *entry* with the evaluations that followed while it waited for its figures."""
        if not self.evaluations:
            return entry
        found = {} if self.worker is None else self.worker.evaluations
        joules = [found.pop(number, None) for number in self.evaluations]
        known = [part for part in joules if part is not None]
        missing, total_j = dict(entry.missing), None
        if len(known) == len(joules):
            total_j = sum(known)
        else:
            missing["evaluation_j"] = UNKNOWN_AFTER
        return entry.with_leg(entry.leg.model_copy(update={"evaluation_j": total_j}), missing)
