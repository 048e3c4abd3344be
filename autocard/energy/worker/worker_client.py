"""A worker and its answers, in the training process.

One worker serves the trainings of this process one after the other. A training that ended before
it had an answer keeps its client until the answer is there, also while the next training uses it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.worker.protocol import (
    Evaluated,
    Handover,
    LegEnded,
    LegSoFar,
    Ready,
    Serve,
    WorkerOrder,
)
from autocard.energy.worker.worker_process import WorkerProcess
from autocard.record import Leg

OF_ONE_TRAINING = (
    "ticks_folder",
    "shared_folder",
    "run_id",
    "output_id",
    "job_id",
    "process_id",
    "start_s",
    "reading",
)
"""Fields of the order in which two trainings that share a worker may differ."""


class WorkerClient:
    """One worker and its answers."""

    def __init__(self, order: WorkerOrder, owner: object) -> None:
        """Start the worker for *owner*; returns at once.

        Raises:
            UnavailableError: no process can be started here.
        """
        self._order = order
        self.process = WorkerProcess(order)
        self.owner = weakref.ref(owner)
        """Whose training it measures now."""
        self.has_answered = False
        """Whether any answer has come."""
        self.intensity: dict[str, Any] | None = None
        """Carbon intensity of its place, or why there is none; None: not yet looked up."""
        self.ended: dict[str, LegEnded] = {}
        """Leg → the last answer for it."""
        self.evaluations: dict[int, float | None] = {}
        """Number of a question → joules of an evaluation after training."""
        self.so_far: LedgerEntry | None = None
        """Of the open leg."""
        self._release = weakref.finalize(self, _release, self.process, os.getpid())

    def fits(self, order: WorkerOrder) -> bool:
        """Return whether it can serve a training with *order*."""
        own = {name: getattr(self._order, name) for name in OF_ONE_TRAINING}
        return self.process.alive and replace(order, **own) == self._order

    def serve(self, order: WorkerOrder, owner: object) -> None:
        """Serve another training."""
        self._order = order
        self.owner = weakref.ref(owner)
        self.process.send(Serve(order))

    def take(self, wait_s: float) -> bool:
        """Take the answers, waiting for the first of them; return whether there was one."""
        answers = self.process.receive(max(wait_s, 0.0))
        for answer in answers:
            self.has_answered = True
            match answer:
                case Ready():
                    self.intensity = answer.intensity
                case LegSoFar():
                    self.so_far = answer.entry
                case LegEnded():
                    self.ended[answer.entry.leg.id] = answer
                case Evaluated():
                    self.evaluations[answer.number] = answer.energy_j
        return bool(answers)

    def is_final(self, leg_id: str) -> bool:
        """Return whether all is known of a leg that has ended."""
        answer = self.ended.get(leg_id)
        return answer is not None and answer.is_final

    def end(self) -> None:
        """End the worker."""
        self._release()


def _release(process: WorkerProcess, pid: int) -> None:
    """End the worker; in a fork of its parent, only close our end of the socket."""
    if os.getpid() == pid:
        process.end()
    else:
        process.disown()


def handover(entry: LedgerEntry | None, head: Leg, uuids: Sequence[str], death: str) -> Handover:
    """Return what a new worker receives of a leg that another one had measured until its *death*.

    Args:
        entry: the other worker's last one. If there is none, or it has no CPU and memory, the new
            worker begins without readings.
        head: of the leg.
        uuids: of its GPUs, in the order of its devices.
        death: how the other one ended, in words.
    """
    readings = None if entry is None else entry.readings
    if entry is None or readings is None:
        return Handover(death, head.step_begin)
    host = entry.leg.hosts[0]
    if host.cpu_j is None or host.ram_j is None:
        return Handover(death, head.step_begin)
    joules = dict(readings.host.joules)
    for uuid, device in zip(uuids, host.devices, strict=True):
        if device.energy_j is not None:
            joules[uuid] = device.energy_j
    return Handover(
        death,
        step=entry.leg.step_end,
        covered_s=entry.leg.wall_clock_s or 0.0,
        joules=joules,
        checkpoints=entry.leg.checkpoints,
    )
