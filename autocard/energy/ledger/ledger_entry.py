"""The ledger entry: one leg on one host, as of one moment.

The worker makes it. The same type goes to disk (`ledger_files`), to the training process, into
checkpoints and to the process that writes the card. It holds no name of a host, a user or a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import Field

from autocard.energy.ledger.leg_readings import LegReadings
from autocard.record import Frozen, Leg, LegJob
from autocard.record.gaps import Gaps

Status = Literal["running", "finished", "stopped", "interrupted"]

PENDING = (
    "not known when this was written: training ended before CodeCarbon had started. "
    "autocard adds it at the next evaluation or save, or when the process exits, "
    "unless the process is killed"
)
"""Reason of a figure that a worker which is still starting will add."""
NOT_STARTED = "not known yet: CodeCarbon had not started when this was written"
"""Reason of the same figure while the leg goes on."""
NEVER_CAME = (
    "not measured: training ended before CodeCarbon had started, "
    "and its process did not complete the figures"
)
"""Reason of the same figure where that worker has ended without it."""
UNKNOWN_AFTER = "not measured: the measuring process had ended, or had hardly started"
"""Reason of the energy of an evaluation after training."""


def utc_now() -> str:
    """Return the time: ISO 8601, UTC, milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class ProcessRole:
    """Which process of the training measures, and for which others."""

    rank: int = 0
    """World rank; 0 writes the card."""
    part: str = ""
    """Empty: CPU, memory and GPUs of a host; else GPUs of it that only the process of this name
    sees."""
    apart: bool = False
    """Whether each process is a training of its own, which ends when it ends."""
    ranks: list[int] = field(default_factory=lambda: [0])
    """Training processes on the host, as far as they were known when the leg began."""
    expects: list[str] = field(default_factory=list)
    """Pseudonyms of the GPUs that those processes use."""
    processes: int = 1
    """Of the training, on all hosts."""
    nodes_expected: int | None = 1
    """Nodes of the launcher's plan."""


@dataclass(frozen=True)
class StartedJob:
    """The workload manager's job in which this process trains."""

    pseudonym: str | None = None
    """Distinguishes it from all other jobs; None: there is nothing that does."""
    job_id: str | None = None
    """The manager's number of it."""
    details: LegJob = field(default_factory=LegJob)
    """What is known of it beside its number."""
    gaps: Gaps = field(default_factory=dict)
    """Path inside a leg → why it is not there."""

    def of_leg(self) -> dict[str, Any]:
        """Return the fields of a leg that say which job it runs in."""
        return {"job_id": self.job_id, "job": self.details}


class LedgerEntry(Frozen):
    """One leg on one host, as of its last tick."""

    version: int = 2
    """Of this format. Version 1 (autocard 0.1.0) has `window` instead of `readings`."""
    run_id: str
    """`run.id`."""
    host_id: str
    """Pseudonym of the machine since it was started; all containers on it have the same one."""
    process_id: str = ""
    """Made up once in each training process: tells a second training of one process from that of
    another."""
    output_id: str = ""
    """Pseudonym of the output folder: a node's ledger folder may serve several."""
    job_id: str | None = None
    """Pseudonym of the workload manager's job; None: there is none. Its number is `leg.job_id`."""
    hosts: list[str] = Field(default_factory=list)
    """Pseudonyms of the run's machines in the order of their names in records (h1, h2, …), as far
    as the process that writes the card knew them."""
    board_ids: list[str] = Field(default_factory=list)
    """Pseudonyms of the GPUs, in the order of the leg's devices."""
    rank: int = 0
    """As in `ProcessRole`, with the four after it."""
    part: str = ""
    ranks: list[int] = Field(default_factory=lambda: [0])
    apart: bool = False
    expects: list[str] = Field(default_factory=list)
    status: Status = "running"
    """running: the leg goes on, or was killed together with the process that wrote this."""
    written_at: str
    """ISO 8601, UTC: the last tick."""
    tick_s: float = 15.0
    """Seconds between two ticks."""
    locked: bool = False
    """Whether the process that wrote this held the lock beside it."""
    max_steps: int | None = None
    """Optimizer steps planned."""
    leg: Leg
    """With one host."""
    missing: dict[str, str] = Field(default_factory=dict)
    """Path inside the leg → why it is not there."""
    readings: LegReadings | None = None
    """What the worker had read, GPUs excepted, while the leg was open: from it the leg is completed
    where that worker is lost."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What no other entry has: leg, host, part."""
        return self.leg.id, self.host_id, self.part

    @property
    def is_pending(self) -> bool:
        """Whether figures are still to come."""
        return PENDING in self.missing.values()

    def with_leg(self, leg: Leg, missing: dict[str, str] | None = None) -> LedgerEntry:
        """Return this entry with another *leg* and, where they are given, its reasons."""
        changed = {"leg": leg} if missing is None else {"leg": leg, "missing": missing}
        return self.model_copy(update=changed)

    def never_completed(self) -> LedgerEntry:
        """Return this entry without the promise that its figures will be added."""
        return self._with_reason(NEVER_CAME)

    def going_on(self) -> LedgerEntry:
        """Return this entry of a leg that goes on, without saying that training has ended."""
        return self._with_reason(NOT_STARTED)

    def _with_reason(self, reason: str) -> LedgerEntry:
        """Return this entry with *reason* in the place of the promise of later figures."""
        if not self.is_pending:
            return self
        hosts = []
        for host in self.leg.hosts:
            sources = _without_promise(host.sources, reason)
            hosts.append(host.model_copy(update={"sources": sources}))
        leg = self.leg.model_copy(update={"hosts": hosts})
        return self.with_leg(leg, _without_promise(self.missing, reason))


def _without_promise(texts: dict[str, str], reason: str) -> dict[str, str]:
    return {key: reason if text == PENDING else text for key, text in texts.items()}
