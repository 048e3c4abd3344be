"""NVML → which GPUs this process uses, what they are, and their energy counters.

Rule: a GPU that the run does not use is never counted, and what NVML does not say is a reason, never a zero. Readings
are converted to joules and watts here, once. pynvml is imported inside functions; torch is looked at only where the
run has imported it and has set up CUDA already.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autocard.errors import UnavailableError

MJ_PER_J = 1000.0
MW_PER_W = 1000.0

ORDER_NOTE = (
    "several kinds of GPU in this machine, and CUDA numbers them by speed: which of them the run used is not certain. "
    "CUDA_DEVICE_ORDER=PCI_BUS_ID makes it so"
)
SLICE_NOTE = "a MIG slice; the board has one energy counter, so the energy is that of the whole board"

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
class Reading:
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
        return "no NVIDIA driver on this machine"
    if exc.value == pynvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return "NVML: the NVIDIA driver is not loaded"
    return f"NVML: {str(exc).strip() or type(exc).__name__}"


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
            device = Device(index, _text(pynvml.nvmlDeviceGetUUID(handle)), _text(pynvml.nvmlDeviceGetName(handle)))
        except pynvml.NVMLError:
            continue
        found.append(replace(device, memory_bytes=_memory(pynvml, handle)))
    return found


def devices(environ: Mapping[str, str] = os.environ, ordinals: Iterable[int] | None = None) -> list[Device]:
    """Return the boards that this process uses, in CUDA's order, each once.

    Args:
        environ: where CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are looked up.
        ordinals: CUDA ordinals (0 is cuda:0) that the run uses; None: all that are visible.

    Raises:
        UnavailableError: no driver, or it does not answer.

    The meaning of the variables is that of the CUDA C++ Programming Guide, "CUDA Environment Variables".
    """
    here = boards()
    visible = _from_torch(here)
    if visible is None:
        visible = _from_environment(here, environ)
    if ordinals is not None:
        visible = [visible[ordinal] for ordinal in ordinals if 0 <= ordinal < len(visible)]
    once: dict[str, Device] = {}
    for device in visible:
        once.setdefault(device.uuid, device)
    return list(once.values())


def _from_torch(here: Sequence[Device]) -> list[Device] | None:
    """Return what torch says it sees, matched by UUID; None where torch has not set up CUDA in this process."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    found = []
    for ordinal in range(cuda.device_count()):
        uuid = getattr(cuda.get_device_properties(ordinal), "uuid", None)
        device = _by_uuid(str(uuid), here) if uuid is not None else None
        if device is None:
            return None  # an older torch, or a form of UUID that we do not know: the variables have to do
        found.append(device)
    return found


def _from_environment(here: Sequence[Device], environ: Mapping[str, str]) -> list[Device]:
    """Return what CUDA_VISIBLE_DEVICES leaves of *here*, in its order."""
    mixed = len({device.name for device in here}) > 1
    by_bus = environ.get("CUDA_DEVICE_ORDER", "").strip().upper() == "PCI_BUS_ID"
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return list(here)  # all of them: their order does not matter
    doubtful = mixed and not by_bus
    found = []
    for token in (part.strip() for part in value.split(",")):
        device = _by_token(token, here)
        if device is None:
            break  # CUDA stops at the first entry that it cannot use: those behind it are not visible either
        if doubtful and token.isdigit():
            device = replace(device, note=ORDER_NOTE)
        found.append(device)
    return found


def _by_token(token: str, here: Sequence[Device]) -> Device | None:
    """Return the board that one entry of CUDA_VISIBLE_DEVICES means; None: none."""
    if token.isdigit():
        ordinal = int(token)
        return here[ordinal] if ordinal < len(here) else None
    return _by_uuid(token, here) if token.startswith(("GPU-", "MIG-")) else None


def _by_uuid(text: str, here: Sequence[Device]) -> Device | None:
    """Return the one board whose UUID is *text*, begins with it, or has a slice of that UUID; None: none, or several."""
    if text.startswith("MIG-GPU-"):  # before driver 470: MIG-<uuid of the board>/<GPU instance>/<compute instance>
        board = _by_uuid(text.removeprefix("MIG-").partition("/")[0], here)
        return board and replace(board, note=SLICE_NOTE)
    bare = _bare(text)
    found = [device for device in here if bare and _bare(device.uuid).startswith(bare)] if "MIG-" not in text else []
    if len(found) == 1:
        return found[0]
    return _by_slice(bare, here) if not found else None


def _by_slice(bare: str, here: Sequence[Device]) -> Device | None:
    """Return the board that holds the MIG slice whose UUID begins with *bare*."""
    pynvml = _nvml()
    for device in here:
        try:
            board = pynvml.nvmlDeviceGetHandleByIndex(device.index)
            slices = pynvml.nvmlDeviceGetMaxMigDeviceCount(board)
        except pynvml.NVMLError:
            continue
        for number in range(slices):
            try:
                handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(board, number)
                uuid = _text(pynvml.nvmlDeviceGetUUID(handle))
            except pynvml.NVMLError:
                continue
            if _bare(uuid).startswith(bare):
                return replace(device, memory_bytes=_memory(pynvml, handle), note=SLICE_NOTE)
    return None


def _bare(uuid: str) -> str:
    """Return *uuid* without its prefix: torch writes none, NVML writes GPU- or MIG-."""
    return uuid.removeprefix("MIG-").removeprefix("GPU-").lower()


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
            try:
                self._handles[uuid] = self._pynvml.nvmlDeviceGetHandleByUUID(uuid.encode())
            except self._pynvml.NVMLError as exc:
                self._reasons[uuid] = _why(self._pynvml, exc)

    def read(self) -> dict[str, Reading]:
        """Return UUID → what the board says now; it does not raise."""
        return {
            **{uuid: Reading(reason=reason) for uuid, reason in self._reasons.items()},
            **{uuid: self._read(handle) for uuid, handle in self._handles.items()},
        }

    def _read(self, handle: Any) -> Reading:
        pynvml = self._pynvml
        try:
            return Reading(energy_j=pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / MJ_PER_J)
        except pynvml.NVMLError as exc:
            reason = _why(pynvml, exc)
        return Reading(power_w=self._power_w(handle), reason=reason)

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
