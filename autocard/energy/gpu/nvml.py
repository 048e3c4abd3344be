"""The GPU backend for NVIDIA: NVML → devices, driver, energy counters.

Rule: that of `base`. pynvml (of the package nvidia-ml-py) is imported inside functions.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from autocard.energy.gpu import cuda_visible
from autocard.energy.gpu.base import CounterReading, Device, NoDriverError, Visible
from autocard.energy.gpu.torch_build import is_rocm
from autocard.errors import UnavailableError

NAME = "nvml"
TITLE = "NVML"
UUID_PREFIXES: tuple[str, ...] = ("GPU-", "MIG-")
IN_CODECARBON = True

MJ_PER_J = 1000.0
MW_PER_W = 1000.0

NO_DRIVER = "no NVIDIA driver on this machine"

_ready_in: int | None = None
_lock = threading.Lock()


def _nvml() -> Any:
    """Return pynvml, initialized in this process.

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
            raise _unavailable(pynvml, exc) from exc
        _ready_in = os.getpid()
    return pynvml


def _unavailable(pynvml: Any, exc: Any) -> UnavailableError:
    """Return *exc*, an NVMLError, as an exception of this package."""
    reason = _reason(pynvml, exc)
    return NoDriverError(reason) if reason == NO_DRIVER else UnavailableError(reason)


def _reason(pynvml: Any, exc: Any) -> str:
    """Return *exc*, an NVMLError, in words for people."""
    if exc.value == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return NO_DRIVER
    if exc.value == pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "NVML: the NVIDIA driver is not loaded"
    return f"NVML: {str(exc).strip() or type(exc).__name__}"


def serves(device_type: str | None) -> bool:
    """Return whether the accelerator may be an NVIDIA GPU.

    Where it is not, NVML is not asked: it would report boards that the training does not use.
    """
    if device_type == "cpu":
        return True
    return device_type in {None, "cuda"} and not is_rocm()


def driver_version() -> str:
    """Return the version of the NVIDIA driver.

    Raises:
        UnavailableError: there is none, or it does not report it.
    """
    pynvml = _nvml()
    try:
        return _text(pynvml.nvmlSystemGetDriverVersion())
    except pynvml.NVMLError as exc:
        raise _unavailable(pynvml, exc) from exc


def cuda_driver_version() -> str:
    """Return the newest CUDA version that the driver supports, such as 12.8.

    Raises:
        UnavailableError: there is no driver, or it does not report it.
    """
    pynvml = _nvml()
    try:
        number = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
    except pynvml.NVMLError as exc:
        raise _unavailable(pynvml, exc) from exc
    return f"{number // 1000}.{number % 1000 // 10}"  # NVML: 1000 × major + 10 × minor


def devices() -> list[Device]:
    """Return the boards of this machine that answer, in NVML's order.

    A dead one is left out, as CUDA does.

    Raises:
        UnavailableError: no driver, or it does not answer.
    """
    pynvml = _nvml()
    try:
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError as exc:
        raise _unavailable(pynvml, exc) from exc
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


def visible(environ: Mapping[str, str]) -> Visible:
    """Return the devices that CUDA shows to this process.

    Raises:
        UnavailableError: no driver, or it does not answer.
    """
    return cuda_visible.visible(devices(), slices, environ)


def slices(board: Device) -> list[Device]:
    """Return the MIG slices of *board*, with its index and name; empty: it has none."""
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
    """Return the bytes of memory of a board or slice; None: it shares the host's memory."""
    try:
        return int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
    except pynvml.NVMLError:
        return None


def counters(uuids: Iterable[str]) -> NvmlCounters:
    """Open the boards with these UUIDs.

    Raises:
        UnavailableError: no driver, or it does not answer.
    """
    return NvmlCounters(uuids)


class NvmlCounters:
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
            self._reasons[uuid] = _reason(self._pynvml, exc)

    def read(self) -> dict[str, CounterReading]:
        """Return UUID → reading of each board now; it does not raise."""
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
            reason = _reason(pynvml, exc)
        return CounterReading(power_w=self._power_w(handle), reason=reason)

    def power_w(self, uuid: str) -> float | None:
        """Return the power of one board now; None: not reported."""
        handle = self._handles.get(uuid)
        return None if handle is None else self._power_w(handle)

    def _power_w(self, handle: Any) -> float | None:
        try:
            return float(self._pynvml.nvmlDeviceGetPowerUsage(handle) / MW_PER_W)
        except self._pynvml.NVMLError:
            return None

    def shared(self) -> set[str]:
        """Return the UUIDs of the boards on which more than one process computes, if reported."""
        return {uuid for uuid, handle in self._handles.items() if self._processes(handle) > 1}

    def _processes(self, handle: Any) -> int:
        pynvml = self._pynvml
        try:
            return len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
        except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError):  # the latter: an older driver
            return 0
