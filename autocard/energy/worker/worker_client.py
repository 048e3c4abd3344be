"""The measuring process as the training process knows it: the line to it, and what it has answered.

One such process serves the trainings of this process one after the other. A training that ended
before it had an answer keeps the `Worker` until the answer is there, also while the next training
uses it.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from typing import Any

from autocard.energy.ledger import leg_parts
from autocard.energy.worker.worker_process import WorkerProcess

OWN = frozenset(
    {"ledger", "shared", "run_id", "output_id", "job_id", "process_id", "start_s", "reading"}
)
"""Leaves of the order that may be another training's: a process that was started for one serves the
next."""


class WorkerClient:
    """One measuring process and its answers."""

    def __init__(self, order: Mapping[str, Any], owner: object) -> None:
        """Start it for *owner*; returns at once.

        Raises:
            UnavailableError: no process can be started here.
        """
        self._order = dict(order)
        self.child = WorkerProcess(order)
        self.owner = weakref.ref(owner)
        """Whose training it measures now."""
        self.spoken = False
        """Whether it has said anything."""
        self.intensity: dict[str, Any] | None = None
        """Carbon intensity of its place, or why there is none; None: it has not looked it up yet.
        """
        self.windows: dict[str, leg_parts.Window] = {}
        """Leg → what it used."""
        self.evaluations: dict[int, float | None] = {}
        """Number of a question → joules of an evaluation after training."""
        self.so_far: dict[str, Any] | None = None
        """The ledger's entry of the leg that goes on."""
        self._release = weakref.finalize(self, _release, self.child, os.getpid())

    def fits(self, order: Mapping[str, Any]) -> bool:
        """Return whether it can serve a training with *order*."""
        same = {leaf for leaf in order if leaf not in OWN}
        return self.child.alive and all(self._order[leaf] == order[leaf] for leaf in same)

    def serve(self, order: Mapping[str, Any], owner: object) -> None:
        """Serve another training."""
        self._order = dict(order)
        self.owner = weakref.ref(owner)
        self.child.tell({"do": "serve", "order": self._order})

    def take(self, wait_s: float) -> bool:
        """Take its answers, waiting for the first of them; return whether there was one."""
        messages = self.child.hear(max(wait_s, 0.0))
        for message in messages:
            self.spoken = True
            what = message.pop("what")
            if what == "ready":
                self.intensity = message["intensity"]
            elif what == "so_far":
                self.so_far = message["entry"]
            elif what == "after":
                self.evaluations[message["number"]] = message["energy_j"]
            elif what == "leg":
                window = leg_parts.Window.from_json(message)
                self.windows[window.id] = window
        return bool(messages)

    def final(self, leg_id: str) -> bool:
        """Return whether all is known of a leg that has ended."""
        window = self.windows.get(leg_id)
        return window is not None and window.final and self.intensity is not None

    def end(self) -> None:
        """End the process."""
        self._release()


def _release(child: WorkerProcess, pid: int) -> None:
    """End *child*, unless this is a fork of the process that started it: then only let go of our end of the line."""
    if os.getpid() == pid:
        child.end()
    else:
        child.disown()
