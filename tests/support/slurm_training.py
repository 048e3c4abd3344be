"""Runs the example's train_lora.py as it is, with steps of a given length, a log of them, and a GPU.

Each process of each start has a log of its own in the folder `STEP_LOG`, NODE-JOB-RESTARTS-RANK.log.
"""

from __future__ import annotations

import os
import runpy
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import transformers.trainer

import autocard
from support.gpu_shown import Arguments, callback_class
from support.step_log import StepLog


def step_log() -> StepLog:
    job, start = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_RESTART_COUNT", "0")
    name = f"{socket.gethostname()}-{job}-{start}-{os.environ.get('RANK', '0')}.log"
    return StepLog(Path(os.environ["STEP_LOG"]) / name, float(os.environ["STEP_S"]))


transformers.trainer.DEFAULT_CALLBACKS.append(step_log())
Arguments.ordinal = 0
transformers.TrainingArguments, autocard.AutoCardCallback = Arguments, callback_class()
runpy.run_path(str(Path.cwd() / "train_lora.py"), run_name="__main__")
