"""A log of a training's steps by a clock of the tests' own (CLOCK_MONOTONIC, which all processes of a machine share)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from transformers import TrainerCallback


class StepLog(TrainerCallback):
    """Writes a line for each event, so that it survives a SIGKILL: what (begin, step, end), the step, the moment.

    Make it run before autocard's callback.
    """

    def __init__(self, file: Path, step_s: float) -> None:
        """Write to *file*; make each step last *step_s* longer."""
        file.parent.mkdir(exist_ok=True)
        self.file, self.step_s = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), step_s

    def log(self, what: str, state) -> None:
        os.write(self.file, f"{what} {state.global_step} {time.monotonic()}\n".encode())

    def on_train_begin(self, args, state, control, **_):
        self.log("begin", state)

    def on_step_end(self, args, state, control, **_):
        time.sleep(self.step_s)
        self.log("step", state)

    def on_train_end(self, args, state, control, **_):
        self.log("end", state)


def read(file: Path) -> list[tuple[str, int, float]]:
    """Return what was logged to *file*: what, the step, the moment."""
    lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
    return [(what, int(step), float(at)) for what, step, at in lines]
