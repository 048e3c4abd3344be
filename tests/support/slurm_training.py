"""Runs the example's train_lora.py as it is, with steps of a given length, a log by a clock of the test's own, and a GPU.

A line for each event: what (begin, step, end), the step, and the moment (CLOCK_MONOTONIC, which all
processes of a machine share). Each process of a training has a file, `NODE-LEG-RANK.log` in `STEP_LOG`.
"""

from __future__ import annotations

import os
import runpy
import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import transformers.trainer
from transformers import TrainerCallback

import autocard
from support.gpu_shown import Arguments, callback_class


class StepLog(TrainerCallback):
    """Logs begin, steps and end; runs before autocard's callback."""

    def __init__(self) -> None:
        job, start = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_RESTART_COUNT", "0")
        name = f"{socket.gethostname()}-{job}-{start}-{os.environ.get('RANK', '0')}.log"
        folder = Path(os.environ["STEP_LOG"])
        folder.mkdir(exist_ok=True)
        self.file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def log(self, what: str, state: transformers.TrainerState) -> None:
        os.write(self.file, f"{what} {state.global_step} {time.monotonic()}\n".encode())

    def on_train_begin(self, args, state, control, **_):
        self.log("begin", state)

    def on_step_end(self, args, state, control, **_):
        time.sleep(float(os.environ["STEP_S"]))
        self.log("step", state)

    def on_train_end(self, args, state, control, **_):
        self.log("end", state)


transformers.trainer.DEFAULT_CALLBACKS.append(StepLog)
Arguments.ordinal = 0
transformers.TrainingArguments, autocard.AutoCardCallback = Arguments, callback_class()
runpy.run_path(str(Path.cwd() / "train_lora.py"), run_name="__main__")
