"""NVML → the GPUs of this machine, their driver, their energy counters.

Rule: what NVML does not say is a reason, never a zero, and a dead GPU does not hide the others.
Readings are converted to joules and watts here, once. pynvml (of nvidia-ml-py) is imported inside
functions.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from autocard.errors import UnavailableError

MJ_PER_J = 1000.0
MW_PER_W = 1000.0

NO_DRIVER = "no NVIDIA driver on this machine"

_ready_in: int | None = None
_lock = threading.Lock()


@dataclass(frozen=True)
class Device:
    """One board that the process can use."""

    index: int
    """Of the board, in NVML's order (that of PCI bus ids)."""
    uuid: str
    """Of the board, as NVML writes it: GPU-…"""
    name: str
    """Product name."""
    memory_bytes: int | None = None
    """Memory that the process can use: the board's, or the slice's."""
    note: str = ""
    """What a reader must know of the choice or the figure; empty: nothing."""


@dataclass(frozen=True)
class CounterReading:
    """What one board says at one moment."""

    energy_j: float | None = None
    """Joules since the driver was loaded; None: the board has no counter, or does not answer."""
    power_w: float | None = None
    """Watts now; asked for only where there is no counter."""
    reason: str | None = None
    """Why there is no counter reading."""


def _nvml() -> Any:
    """Return pynvml, initialised in this process.

    Raises:
        UnavailableError: no driver, or it does not answer.
    """
    global _ready_in  # noqa: PLW0603 - NVML is one per process, and so is its state
    try:
        import pynvml  # noqa: PLC0415
    except ImportError as exc:
        msg = "the package nvidia-ml-py is not installed"
        raise UnavailableError(msg) from exc
    with _lock:
        if _ready_in == os.getpid():
            return pynvml
        try:
            pynvml.nvmlInit()
        except pynvml.NVMLError as exc:
            raise UnavailableError(_why(pynvml, exc)) from exc
        _ready_in = os.getpid()
    return pynvml


def _why(pynvml: Any, exc: Any) -> str:
    """Return *exc*, an NVMLError, in words for people."""
    if exc.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return NO_DRIVER
    if exc.value == pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "NVML: the NVIDIA driver is not loaded"
    return f"NVML: {str(exc).strip() or type(exc).__name__}"


def other_maker(device_type: str | None) -> str | None:
    """Return why an accelerator that is not NVIDIA's is not measured; None: it may be one of NVIDIA's.

    NVML is not to be asked then: it would tell of boards that stand beside the one which the
    training uses.

    Args:
        device_type: torch's name of it.
    """
    if device_type == "cpu":
        return None
    if getattr(getattr(sys.modules.get("torch"), "version", None), "hip", None):
        return "this version of autocard does not measure AMD GPUs (ROCm)"
    if device_type == "mps":
        return "this version of autocard does not measure Apple GPUs"
    if device_type not in {None, "cuda"}:
        return f"this version of autocard does not measure {device_type} accelerators"
    return None


def driver_version() -> str:
    """Return the version of the NVIDIA driver.

    Raises:
        UnavailableError: there is none, or it does not say.
    """
    pynvml = _nvml()
    try:
        return _text(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as exc:
        raise UnavailableError(_why(pynvml, exc)) from exc


def cuda_driver_version() -> str:
    """Return the newest CUDA version that the driver supports, such as 12.8.

    Raises:
        UnavailableError: there is no driver, or it does not say.
    """
    pynvml = _nvml()
    try:
        number = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
    except pynvml.NVMLError as exc:
        raise UnavailableError(_why(pynvml, exc)) from exc
    return f"{number // 1000}.{number % 1000 // 10}"  # NVML: 1000 × major + 10 × minor


def boards() -> list[Device]:
    """Return the boards of this machine that answer, in NVML's order; a dead one is left out, as CUDA does.

    Raises:
        UnavailableError: no driver, or it does not answer.
    """
    pynvml = _nvml()
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as exc:
        raise UnavailableError(_why(pynvml, exc)) from exc
    found = []
    for index in range(count):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            device = Device(
                index,
                _text(pynvml.nvmlDeviceGetUUID(handle)),
                _text(pynvml.nvmlDeviceGetName(handle)),
            )
        except pynvml.NVMLError:
            continue
        found.append(replace(device, memory_bytes=_memory(pynvml, handle)))
    return found


def slices(board: Device) -> list[Device]:
    """Return the MIG slices of *board*: their own UUIDs and memory, the board's index and name; none: no MIG."""
    pynvml = _nvml()
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(board.index)
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:
        return []
    found = []
    for number in range(count):
        with contextlib.suppress(pynvml.NVMLError):
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, number)
            uuid = _text(pynvml.nvmlDeviceGetUUID(part))
            found.append(replace(board, uuid=uuid, memory_bytes=_memory(pynvml, part)))
    return found


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value


def _memory(pynvml: Any, handle: Any) -> int | None:
    """Return the bytes of memory behind *handle*; None where NVML cannot say (boards that share the host's)."""
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:
        return None


class Counters:
    """Energy counters of some boards, found by UUID once."""

    def __init__(self, uuids: Iterable[str]) -> None:
        """Open the boards.

        Raises:
            UnavailableError: no driver, or it does not answer.
        """
        self._pynvml = _nvml()
        self._handles: dict[str, Any] = {}
        self._reasons: dict[str, str] = {}
        for uuid in uuids:
            self._open(uuid)

    def _open(self, uuid: str) -> None:
        try:
            self._handles[uuid] = self._pynvml.nvmlDeviceGetHandleByUUID(uuid.encode())
        except self._pynvml.NVMLError as exc:
            self._reasons[uuid] = _why(self._pynvml, exc)

    def read(self) -> dict[str, CounterReading]:
        """Return UUID → what the board says now; it does not raise."""
        return {
            **{uuid: CounterReading(reason=reason) for uuid, reason in self._reasons.items()},
            **{uuid: self._read(handle) for uuid, handle in self._handles.items()},
        }

    def _read(self, handle: Any) -> CounterReading:
        pynvml = self._pynvml
        try:
            return CounterReading(
                energy_j=pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / MJ_PER_J
            )
        except pynvml.NVMLError as exc:
            reason = _why(pynvml, exc)
        return CounterReading(power_w=self._power_w(handle), reason=reason)

    def power_w(self, uuid: str) -> float | None:
        """Return the power of one board now; None: it does not say."""
        handle = self._handles.get(uuid)
        return None if handle is None else self._power_w(handle)

    def _power_w(self, handle: Any) -> float | None:
        try:
            return float(self._pynvml.nvmlDeviceGetPowerUsage(handle) / MW_PER_W)
        except self._pynvml.NVMLError:
            return None

    def shared(self) -> set[str]:
        """Return the UUIDs of boards on which more than one process computes, as far as NVML tells."""
        return {uuid for uuid, handle in self._handles.items() if self._processes(handle) > 1}

    def _processes(self, handle: Any) -> int:
        pynvml = self._pynvml
        try:
            return len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
        except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError):  # the latter: an older driver
            return 0
