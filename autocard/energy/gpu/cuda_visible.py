"""CUDA's variables, or torch where it has set up CUDA → the NVIDIA boards that this process sees.

Rule: torch is asked only where the run has imported it and it has set up CUDA; else
CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are read as CUDA reads them, and doubt becomes a note.

The meaning of the variables is that of the CUDA C++ Programming Guide, "CUDA Environment
Variables", and in what it leaves open that of torch (`torch.cuda._parse_visible_devices`).
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from autocard.energy.gpu.base import Device, Visible

ORDER_NOTE = (
    "the machine has several GPU models, which CUDA numbers by speed: "
    "which of them the run used is uncertain"
)
SETTLES_ORDER = "CUDA_DEVICE_ORDER=PCI_BUS_ID settles which GPU is which"
"""Advice for the person at the machine: for `autocard doctor`, not for a card."""
SLICE_NOTE = (
    "the run used a MIG slice; the energy counter is that of the whole GPU, and so is the energy"
)

_GPU, _MIG = "GPU-", "MIG-"
"""How UUIDs of boards and of MIG slices begin."""
_OLD_MIG = "MIG-GPU-"
"""How a slice was named before driver 470: MIG-<uuid of the board>/<GPU instance>/<compute
instance>."""


def visible(
    here: Sequence[Device],
    slices: Callable[[Device], Sequence[Device]],
    environ: Mapping[str, str],
) -> Visible:
    """Return the devices that CUDA shows to this process.

    Args:
        here: all boards of the machine, ordered by their PCI bus ids.
        slices: returns the MIG slices of a board.
        environ: where CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER are looked up.
    """
    machine = _Machine(here, slices)
    found = machine.seen_by_torch()
    if found is not None:
        return Visible(found, on_machine=len(here))
    found = machine.seen_by_cuda(environ.get("CUDA_VISIBLE_DEVICES"))
    note = "" if _is_certain(here, environ) else ORDER_NOTE
    return Visible(found, order_note=note, on_machine=len(here))


def _is_certain(here: Sequence[Device], environ: Mapping[str, str]) -> bool:
    """Return whether CUDA's order is known: one kind of GPU, by bus ids, or named one by one."""
    if len({device.name for device in here}) <= 1:
        return True
    if environ.get("CUDA_DEVICE_ORDER", "").strip().upper() == "PCI_BUS_ID":
        return True
    tokens = environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return all(token.strip().startswith((_GPU, _MIG)) for token in tokens)


@dataclass(frozen=True)
class _Machine:
    """The boards of the machine, and how to find their slices."""

    here: Sequence[Device]
    slices: Callable[[Device], Sequence[Device]]

    def seen_by_torch(self) -> list[Device] | None:
        """Return the devices that torch sees; None: it has not set up CUDA, or gives no UUIDs."""
        cuda = getattr(sys.modules.get("torch"), "cuda", None)
        if cuda is None or not cuda.is_initialized():
            return None
        found = []
        for ordinal in range(cuda.device_count()):
            uuid = getattr(cuda.get_device_properties(ordinal), "uuid", None)
            device = self._with_uuid(str(uuid)) if uuid is not None else None
            if device is None:
                # An older torch, or an unknown form of UUID: the variables have to do.
                return None
            found.append(device)
        return found

    def seen_by_cuda(self, variable: str | None) -> list[Device]:
        """Return what CUDA_VISIBLE_DEVICES (None: not set) leaves of the boards, in its order."""
        if variable is None:
            return [self._as_slice(device) for device in self.here]
        entries = variable.split(",")
        for prefix in (_GPU, _MIG):
            if variable.startswith(prefix):
                return self._with_names(_names(entries, prefix))
        return [self._as_slice(self.here[number]) for number in _numbers(entries, len(self.here))]

    def _with_names(self, names: Sequence[str]) -> list[Device]:
        """Return the boards that *names* mean, up to the first that means none.

        Where two names mean the same board, there is none, as in CUDA; but two slices of it may be
        named, and then it is repeated.
        """
        found: list[Device] = []
        for name in names:
            device = self._with_uuid(name)
            if device is None:
                break
            if device in found and not name.startswith(_MIG):
                return []
            found.append(device)
        return found

    def _with_uuid(self, text: str) -> Device | None:
        """Return the one board whose UUID, or whose slice's UUID, begins with *text*, if any."""
        if text.startswith(_OLD_MIG):
            board = self._with_uuid(text.removeprefix(_MIG).partition("/")[0])
            return None if board is None else replace(board, note=SLICE_NOTE)
        found: list[Device] = []
        if not text.startswith(_MIG):
            found = [device for device in self.here if _bare(device.uuid).startswith(_bare(text))]
        if not found:
            return self._with_slice(_bare(text))
        return self._as_slice(found[0]) if len(found) == 1 else None

    def _with_slice(self, bare: str) -> Device | None:
        """Return the board of the one slice whose UUID begins with *bare*, with its memory."""
        slices = [(board, part) for board in self.here for part in self.slices(board)]
        found = [(board, part) for board, part in slices if _bare(part.uuid).startswith(bare)]
        if len(found) != 1:
            return None
        board, part = found[0]
        return replace(board, memory_bytes=part.memory_bytes, note=SLICE_NOTE)

    def _as_slice(self, board: Device) -> Device:
        """Return *board*; if it has slices, CUDA shows one of them, which becomes a note."""
        parts = self.slices(board)
        if not parts:
            return board
        sizes = {part.memory_bytes for part in parts}
        memory_bytes = sizes.pop() if len(sizes) == 1 else None
        return replace(board, memory_bytes=memory_bytes, note=SLICE_NOTE)


def _names(entries: Sequence[str], prefix: str) -> list[str]:
    """Return the entries up to the first without *prefix*; empty if one is repeated, as in CUDA."""
    names = list(itertools.takewhile(lambda entry: entry.startswith(prefix), entries))
    return names if len(set(names)) == len(names) else []


def _numbers(entries: Sequence[str], boards: int) -> list[int]:
    """Return the indices up to the first that is not one; empty if one is repeated, as in CUDA."""
    read = [_number(entry.strip()) for entry in entries]
    numbers = list(itertools.takewhile(lambda number: number >= 0, read))
    if len(set(numbers)) < len(numbers):
        return []
    return list(itertools.takewhile(lambda number: number < boards, numbers))


def _number(token: str) -> int:
    """Return the whole number that *token* begins with, as C's strtoul reads it; -1: none."""
    digits = re.match(r"[+-]?[0-9]+", token)  # 2, +2, "2 and more"
    return int(digits[0]) if digits else -1


def _bare(uuid: str) -> str:
    """Return *uuid* without its prefix: torch writes none, NVML writes GPU- or MIG-."""
    return uuid.removeprefix(_MIG).removeprefix(_GPU).lower()
