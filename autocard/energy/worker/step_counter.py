"""A count of steps in shared memory: training writes it at each step, the worker reads it.

Rule: a step costs a store into memory, no system call and no wait. What was stored survives a
SIGKILL of the training, so the leg's last step is exact where the measuring process outlives it.
Where the system has no such memory there is no count, and what is told once a second stands.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile

_BOTH = struct.Struct("@qq")
_STEP = struct.Struct("@q")


class StepCounter:
    """The number of a leg, and the global step that it has reached."""

    def __init__(self, file: int | None = None) -> None:
        """Map the memory behind a descriptor, which stays open; without one, make new memory.

        Raises:
            OSError: there is no such memory.
        """
        self.file = _memory() if file is None else file
        """Descriptor of the memory."""
        try:
            self._map = mmap.mmap(self.file, _BOTH.size)
        except BaseException:
            os.close(self.file)
            raise

    def begin(self, leg: int, step: int) -> None:
        """Count the steps of another leg."""
        _BOTH.pack_into(self._map, 0, leg, step)

    def reach(self, step: int) -> None:
        """Note that *step* is done."""
        _STEP.pack_into(self._map, _STEP.size, step)

    def of(self, leg: int) -> int | None:
        """Return the step that *leg* has reached; None: the count is another leg's."""
        found, step = _BOTH.unpack_from(self._map)
        return step if found == leg else None

    def drop(self) -> None:
        """Close the descriptor once the other process has it; the memory stays."""
        with contextlib.suppress(OSError):
            os.close(self.file)
        self.file = -1


def attached(descriptor: int | None) -> StepCounter | None:
    """Return the counter in the memory behind *descriptor*; None: there is none."""
    if descriptor is None:
        return None
    with contextlib.suppress(OSError):
        return StepCounter(descriptor)
    return None


def _memory() -> int:
    """Return a descriptor of new memory, which is there: writing to it cannot fail later."""
    make = getattr(os, "memfd_create", None)
    if make is not None:
        file: int = make("autocard")
    else:
        with tempfile.TemporaryFile() as unnamed:  # macOS: a file without a name
            file = os.dup(unnamed.fileno())
    try:
        os.write(file, bytes(_BOTH.size))
    except BaseException:
        os.close(file)
        raise
    return file
