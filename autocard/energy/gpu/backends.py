"""The list of GPU backends, and which of them reads a device.

A further maker is one module beside this one and one entry in `BACKENDS`. All devices of one
training are of one maker, because a build of torch computes on one kind of accelerator.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from autocard.energy.gpu import nvml
from autocard.energy.gpu.base import CounterReading, Counters, Device, GpuBackend
from autocard.energy.gpu.torch_build import is_rocm
from autocard.errors import UnavailableError
from autocard.record.legs import COUNTER_SUFFIX, SAMPLES_SUFFIX

BACKENDS: Sequence[GpuBackend] = (nvml,)
"""If the type of the accelerator is not known, the first one with devices is taken."""


def find(device_type: str | None) -> GpuBackend | None:
    """Return the backend that reads accelerators of a type; None: there is no such backend.

    Args:
        device_type: torch's name (cuda, xpu, …); None: not known.
    """
    serving = [backend for backend in BACKENDS if backend.serves(device_type)]
    if len(serving) > 1:
        for backend in serving:
            if _devices(backend):
                return backend
    return serving[0] if serving else None


def choose(device_type: str | None) -> GpuBackend:
    """Return the backend that reads accelerators of a type.

    Raises:
        UnavailableError: no backend does.
    """
    backend = find(device_type)
    if backend is None:
        raise UnavailableError(_not_measured(device_type))
    return backend


def _not_measured(device_type: str | None) -> str:
    """Return the reason for an accelerator that no backend reads."""
    kind = f"{device_type} accelerators"
    if is_rocm():
        kind = "AMD GPUs (ROCm)"
    elif device_type == "mps":
        kind = "Apple GPUs"
    return f"no readings available for {kind}"


def of_uuid(uuid: str) -> GpuBackend:
    """Return the backend that reads the board with a UUID; the first if the prefix is unknown."""
    for backend in BACKENDS:
        if uuid.startswith(backend.UUID_PREFIXES):
            return backend
    return BACKENDS[0]


def counters(uuids: Iterable[str]) -> Counters:
    """Open the boards with these UUIDs, which are of one maker.

    Raises:
        UnavailableError: no driver, or it does not answer.
    """
    wanted = list(uuids)
    first = wanted[0] if wanted else ""
    return of_uuid(first).counters(wanted)


def all_devices() -> list[Device]:
    """Return the boards of this machine, of all makers whose driver answers."""
    return [device for backend in BACKENDS for device in _devices(backend)]


def read_all() -> dict[str, CounterReading]:
    """Return UUID → reading of each board of this machine, of all makers whose driver answers."""
    readings: dict[str, CounterReading] = {}
    for backend in BACKENDS:
        with contextlib.suppress(UnavailableError):
            opened = backend.counters(device.uuid for device in backend.devices())
            readings.update(opened.read())
    return readings


def codecarbon_ids(devices: Iterable[Device]) -> list[int]:
    """Return the indices by which CodeCarbon finds those of *devices* that it reads, too."""
    return [device.index for device in devices if of_uuid(device.uuid).IN_CODECARBON]


def no_reading(uuid: str) -> str:
    """Return the reason for a board without a reading whose driver gave no reason."""
    return f"{of_uuid(uuid).TITLE}: no reading"


def no_memory(uuid: str) -> str:
    """Return the reason for a board whose memory is not reported."""
    return f"{of_uuid(uuid).TITLE}: not reported"


def none_visible(device_type: str | None) -> str:
    """Return the reason for a training on GPUs of which the driver shows none to this process."""
    return f"{choose(device_type).TITLE} lists none of the GPUs used for training"


def counter_source(uuid: str) -> str:
    """Return the record's `source` of a board that was read by its energy counter."""
    return f"{of_uuid(uuid).NAME}{COUNTER_SUFFIX}"


def samples_source(uuid: str) -> str:
    """Return the record's `source` of a board whose power was sampled."""
    return f"{of_uuid(uuid).NAME}{SAMPLES_SUFFIX}"


def source_words() -> dict[str, str]:
    """Return each `source` that the record can have → its words for people."""
    words: dict[str, str] = {}
    for backend in BACKENDS:
        words[f"{backend.NAME}{COUNTER_SUFFIX}"] = f"{backend.TITLE} energy counters"
        words[f"{backend.NAME}{SAMPLES_SUFFIX}"] = (
            f"{backend.TITLE} power, sampled 20 times per second"
        )
    return words


def _devices(backend: GpuBackend) -> list[Device]:
    try:
        return backend.devices()
    except UnavailableError:
        return []
