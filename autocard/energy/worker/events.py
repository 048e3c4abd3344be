"""What the worker's loop waits for: commands of the training process, and what happens here."""

from __future__ import annotations

import queue
from dataclasses import dataclass

from autocard.energy.worker.protocol import Command


@dataclass(frozen=True)
class Look:
    """No command came: check the parent."""


@dataclass(frozen=True)
class CodeCarbonReady:
    """CodeCarbon has started, or it cannot."""


@dataclass(frozen=True)
class AllKnown:
    """The place was looked up, too."""


@dataclass(frozen=True)
class Closed:
    """The socket was closed."""


Event = Command | Look | CodeCarbonReady | AllKnown | Closed
Events = queue.SimpleQueue[Event]


def next_event(events: Events, wait_s: float) -> Event:
    """Return the next event; `Look` if none comes in *wait_s* seconds."""
    try:
        return events.get(timeout=wait_s)
    except queue.Empty:
        return Look()
