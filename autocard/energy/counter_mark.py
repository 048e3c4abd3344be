"""The counters of host and GPUs at one moment: the bounds of a leg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from autocard.energy.gpu import backends
from autocard.energy.gpu.base import CounterReading, Counters, Device
from autocard.energy.host import host_counters
from autocard.errors import UnavailableError


@dataclass(frozen=True)
class CounterMark:
    """What was read at one moment."""

    at_s: float
    """Monotonic seconds."""
    host: host_counters.HostReading
    boards: dict[str, CounterReading] = field(default_factory=dict)
    """UUID → counter of the GPU."""


def read(at_s: float, counters: Counters | None) -> CounterMark:
    """Read *counters* and the host now, as of the moment *at_s* (monotonic seconds)."""
    boards = {} if counters is None else counters.read()
    return CounterMark(at_s, host_counters.read(), boards)


def read_all(at_s: float, *, boards: bool) -> CounterMark:
    """Read the host and, with *boards*, all visible GPUs now, as of the moment *at_s*."""
    host = host_counters.read()
    # If no driver answers, the leg has the reason for its GPUs.
    return CounterMark(at_s, host, backends.read_all() if boards else {})


def counters_of(devices: Sequence[Device]) -> Counters | None:
    """Return the counters of *devices*; None: none, or the driver does not answer."""
    if not devices:
        return None
    try:
        return backends.counters(device.uuid for device in devices)
    except UnavailableError:
        return None
