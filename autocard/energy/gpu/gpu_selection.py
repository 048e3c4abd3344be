"""CUDA's variables, or torch where it runs → the boards that this process uses.

Rule: a GPU that the run does not use is never counted. torch is asked only where the run has
imported it and has set up CUDA already; else CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are read as
CUDA reads them, and doubt is said.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from autocard.energy.gpu import nvml
from autocard.energy.gpu.nvml import Device
from autocard.errors import UnavailableError

T = TypeVar("T")

ORDER_NOTE = "the machine has several kinds of GPU, which CUDA numbers by speed: which of them the run used is not certain"
SETTLES_ORDER = "CUDA_DEVICE_ORDER=PCI_BUS_ID settles which GPU is which"
"""Advice to whom it concerns: for the log and `autocard doctor`, not for a card."""
SLICE_NOTE = "the run had a MIG slice; a board has one energy counter, and the energy is that of the whole board"


def devices(
    environ: Mapping[str, str] = os.environ,
    ordinals: Iterable[int] | None = None,
    device_type: str | None = None,
) -> list[Device]:
    """Return the boards that this process uses, in CUDA's order, each once.

    Args:
        environ: where CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are looked up.
        ordinals: CUDA ordinals (0 is cuda:0) that the run uses; None: all that are visible.
        device_type: torch's name of the accelerator that the run uses, where it is known.

    Raises:
        UnavailableError: no driver, or it does not answer; the accelerator is not NVIDIA's; or not
            all are in sight.

    The meaning of the variables is that of the CUDA C++ Programming Guide, "CUDA Environment
    Variables", and in what it leaves open that of torch (`torch.cuda._parse_visible_devices`),
    which had to find out.
    """
    other = nvml.other_maker(device_type)
    if other is not None:
        raise UnavailableError(other)
    here = nvml.boards()
    found = _from_torch(here)
    certain = found is not None
    if found is None:
        found = _from_environment(here, environ)
        certain = len({device.name for device in here}) < 2 or _by_bus(environ)  # noqa: PLR2004 - of one kind
    if ordinals is not None:
        wanted = list(ordinals)
        if found and any(ordinal >= len(found) for ordinal in wanted):
            # Processes that see one board each, say: the figure of those in sight would pass for
            # that of all.
            msg = (
                f"the run uses {len(wanted)} GPUs of this host, and this process sees {len(found)}"
            )
            raise UnavailableError(msg)
        found = [found[ordinal] for ordinal in wanted if 0 <= ordinal < len(found)]
    once: dict[str, Device] = {}
    for device in found:
        once.setdefault(device.uuid, device)
    chosen = list(once.values())
    if certain or len(chosen) == len(here) or _by_name(environ):
        return chosen
    return [
        replace(device, note="; ".join(filter(None, (device.note, ORDER_NOTE))))
        for device in chosen
    ]


def _by_bus(environ: Mapping[str, str]) -> bool:
    return environ.get("CUDA_DEVICE_ORDER", "").strip().upper() == "PCI_BUS_ID"


def _by_name(environ: Mapping[str, str]) -> bool:
    """Return whether the boards are named one by one: then their order is that of the names, and not in doubt."""
    return all(
        token.strip().startswith(("GPU-", "MIG-"))
        for token in environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    )


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
            # an older torch, or a form of UUID that we do not know: the variables have to do
            return None
        found.append(device)
    return found


def _from_environment(here: Sequence[Device], environ: Mapping[str, str]) -> list[Device]:
    """Return what CUDA_VISIBLE_DEVICES leaves of *here*, in its order."""
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return [_sliced(device) for device in here]
    entries = value.split(",")
    for kind in ("GPU-", "MIG-"):
        if value.startswith(kind):
            return _named(_readable(entries, lambda name: name.startswith(kind)), here)  # noqa: B023 - used at once
    numbers = _readable([_number(entry.strip()) for entry in entries], lambda number: number >= 0)
    return [
        _sliced(here[number])
        for number in itertools.takewhile(lambda number: number < len(here), numbers)
    ]


def _readable(entries: Sequence[T], readable: Callable[[T], bool]) -> list[T]:
    """Return *entries* up to the first that CUDA cannot read; none where one stands there twice, as CUDA has it."""
    kept = list(itertools.takewhile(readable, entries))
    return kept if len(set(kept)) == len(kept) else []


def _named(names: Sequence[str], here: Sequence[Device]) -> list[Device]:
    """Return the boards that *names* mean, up to the first that means none; none where two mean the same board.

    Of one board there may be several slices: then it is there as often.
    """
    found = []
    for name in names:
        device = _by_uuid(name, here)
        if device is None:
            break
        if not name.startswith("MIG-") and device in found:
            return []
        found.append(device)
    return found


def _number(token: str) -> int:
    """Return the whole number that *token* begins with, as C's strtoul reads it; -1: it begins with none."""
    digits = re.match(r"[+-]?[0-9]+", token)
    return int(digits[0]) if digits else -1


def _sliced(board: Device) -> Device:
    """Return *board*; where it is cut into slices, CUDA shows one of them, and that is said."""
    parts = nvml.slices(board)
    if not parts:
        return board
    sizes = {part.memory_bytes for part in parts}
    return replace(board, memory_bytes=sizes.pop() if len(sizes) == 1 else None, note=SLICE_NOTE)


def _by_uuid(text: str, here: Sequence[Device]) -> Device | None:
    """Return the one board whose UUID, or whose slice's UUID, begins with *text*; None: none does, or several."""
    # before driver 470: MIG-<uuid of the board>/<GPU instance>/<compute instance>
    if text.startswith("MIG-GPU-"):
        board = _by_uuid(text.removeprefix("MIG-").partition("/")[0], here)
        return board and replace(board, note=SLICE_NOTE)
    bare = _bare(text)
    found = (
        []
        if text.startswith("MIG-")
        else [device for device in here if _bare(device.uuid).startswith(bare)]
    )
    if found:
        return _sliced(found[0]) if len(found) == 1 else None
    return _by_slice(bare, here)


def _by_slice(bare: str, here: Sequence[Device]) -> Device | None:
    """Return the board that holds the one MIG slice whose UUID begins with *bare*, with the slice's memory."""
    held = [
        (board, part)
        for board in here
        for part in nvml.slices(board)
        if _bare(part.uuid).startswith(bare)
    ]
    if len(held) != 1:
        return None
    board, part = held[0]
    return replace(board, memory_bytes=part.memory_bytes, note=SLICE_NOTE)


def _bare(uuid: str) -> str:
    """Return *uuid* without its prefix: torch writes none, NVML writes GPU- or MIG-."""
    return uuid.removeprefix("MIG-").removeprefix("GPU-").lower()
