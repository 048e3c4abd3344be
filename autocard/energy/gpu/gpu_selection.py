"""The devices that a process can see, and the ordinals of a run → the devices that the run uses.

Rule: a GPU that the run does not use is never counted; where that is not certain, the device has a
note.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from autocard.energy.gpu import backends
from autocard.energy.gpu.base import Device
from autocard.errors import UnavailableError


def devices(
    environ: Mapping[str, str] = os.environ,
    ordinals: Iterable[int] | None = None,
    device_type: str | None = None,
) -> list[Device]:
    """Return the boards that the run uses, in the order of torch's ordinals, each once.

    Args:
        environ: where the maker's variables (CUDA_VISIBLE_DEVICES, …) are looked up.
        ordinals: torch's ordinals (0 is cuda:0) that the run uses; None: all that are visible.
        device_type: torch's name of the accelerator that the run uses, where it is known.

    Raises:
        UnavailableError: no driver, or it does not answer; no backend reads such an accelerator; or
            this process does not see all GPUs that the run uses.
    """
    visible = backends.choose(device_type).visible(environ)
    found = visible.devices
    if ordinals is not None:
        found = _at_ordinals(found, list(ordinals))
    chosen = _once(found)
    # If all boards of the machine are used, their order does not matter.
    if not visible.order_note or len(chosen) == visible.on_machine:
        return chosen
    return [_noted(device, visible.order_note) for device in chosen]


def _at_ordinals(found: Sequence[Device], ordinals: Sequence[int]) -> list[Device]:
    """Return the devices with these ordinals.

    Raises:
        UnavailableError: some are not visible, for example because each process sees one board. The
            energy of the visible ones must not pass for that of all.
    """
    if not found:
        return []
    if any(ordinal >= len(found) for ordinal in ordinals):
        msg = f"the run uses {len(ordinals)} GPUs of this host, and this process sees {len(found)}"
        raise UnavailableError(msg)
    return [found[ordinal] for ordinal in ordinals if ordinal >= 0]


def _once(found: Iterable[Device]) -> list[Device]:
    """Return *found* without repetitions of a board, of which several slices may be visible."""
    by_uuid: dict[str, Device] = {}
    for device in found:
        by_uuid.setdefault(device.uuid, device)
    return list(by_uuid.values())


def _noted(device: Device, note: str) -> Device:
    notes = [device.note, note] if device.note else [note]
    return replace(device, note="; ".join(notes))
