"""What a GPU backend provides: the devices of a machine, which of them are visible, their counters.

A backend is a module that reads the GPUs of one maker. It has the attributes and functions of
`GpuBackend`, and an entry in `backends.BACKENDS`. It converts to joules and watts, once.

Rule: what a driver does not report is a reason, never a zero, and one dead GPU does not hide the
others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from autocard.errors import UnavailableError


class NoDriverError(UnavailableError):
    """The machine has no driver of this maker, so it probably has no GPU of this maker either."""


@dataclass(frozen=True)
class Device:
    """One board that the process can use."""

    index: int
    """Of the board, in the driver's order (NVML's is that of PCI bus ids)."""
    uuid: str
    """Of the board, as the driver writes it. It begins with a prefix of the backend."""
    name: str
    """Product name."""
    memory_bytes: int | None = None
    """Memory that the process can use: the board's, or the slice's."""
    note: str = ""
    """What a reader must know of the choice or the figure; empty: nothing."""


@dataclass(frozen=True)
class CounterReading:
    """What one board reports at one moment."""

    energy_j: float | None = None
    """Joules since a fixed moment; None: the board has no counter, or does not answer."""
    power_w: float | None = None
    """Watts now; only read where there is no counter."""
    reason: str | None = None
    """Why there is no counter reading."""


@dataclass(frozen=True)
class Visible:
    """The devices that a process can use."""

    devices: Sequence[Device]
    """In the order of torch's ordinals; a board of which several slices are visible is repeated."""
    order_note: str = ""
    """Why the order is not certain; empty: it is."""
    on_machine: int = 0
    """Boards of this maker in the machine, visible or not."""


class Counters(Protocol):
    """The energy counters of some boards."""

    def read(self) -> dict[str, CounterReading]:
        """Return UUID → reading of each board now; it does not raise."""
        ...

    def power_w(self, uuid: str) -> float | None:
        """Return the power of one board now; None: not reported."""
        ...

    def shared(self) -> set[str]:
        """Return the UUIDs of the boards on which more than one process computes, if reported."""
        ...


class GpuBackend(Protocol):
    """A module that reads the GPUs of one maker."""

    NAME: str
    """In the record's `source`: nvml gives nvml-counter and nvml-power-samples."""
    TITLE: str
    """In texts for people: "NVML energy counters"."""
    UUID_PREFIXES: tuple[str, ...]
    """How the UUIDs of its boards begin. No other backend has such UUIDs."""
    IN_CODECARBON: bool
    """Whether CodeCarbon reads these boards, too, and numbers them by `Device.index`."""

    def serves(self, device_type: str | None) -> bool:
        """Return whether it reads accelerators of this type.

        Args:
            device_type: torch's name (cuda, xpu, …); None: not known, and the machine decides.
        """
        ...

    def devices(self) -> list[Device]:
        """Return the boards of this machine that answer, in the driver's order.

        Raises:
            NoDriverError: no driver.
            UnavailableError: it does not answer.
        """
        ...

    def visible(self, environ: Mapping[str, str]) -> Visible:
        """Return the devices that this process can use.

        Args:
            environ: where the maker's variables (CUDA_VISIBLE_DEVICES, …) are looked up.

        Raises:
            NoDriverError: no driver.
            UnavailableError: it does not answer.
        """
        ...

    def counters(self, uuids: Iterable[str]) -> Counters:
        """Open the boards with these UUIDs; a board that does not answer has a reason in `read`.

        Raises:
            NoDriverError: no driver.
            UnavailableError: it does not answer.
        """
        ...

    def driver_version(self) -> str:
        """Return the version of the driver.

        Raises:
            UnavailableError: there is none, or it is not reported.
        """
        ...

    def cuda_driver_version(self) -> str:
        """Return the newest CUDA version that the driver supports, such as 12.8.

        Raises:
            UnavailableError: there is none, or it is not reported.
        """
        ...
