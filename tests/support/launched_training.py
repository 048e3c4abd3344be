"""One process of a tiny training that a launcher starts: launched_training.py OUTPUT LOGS STEPS.

It has a GPU of nvml_stand_in.py, saves every four steps of half a second, continues from the newest
checkpoint, and logs its steps to LOGS/RANK-HOSTPID.log.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import transformers.trainer
from transformers.trainer_utils import get_last_checkpoint

from support import training
from support.gpu_shown import Arguments, callback_class
from support.step_log import StepLog

MPI = {"RANK": "RANK", "WORLD_SIZE": "SIZE", "LOCAL_RANK": "LOCAL_RANK"}
"""Variables by which torch makes its process group, and Open MPI's names of them."""

output, logs, steps = sys.argv[1:]
for name, of_mpi in MPI.items():
    if name not in os.environ:
        os.environ[name] = os.environ[f"OMPI_COMM_WORLD_{of_mpi}"]
Arguments.ordinal = 0
transformers.TrainingArguments = Arguments
log = StepLog(Path(logs) / f"{os.environ['RANK']}-{os.getpid()}.log", 0.5)
card = callback_class()(measure_power_secs=1, country_iso_code="FRA")
trainer = training.trainer(
    output, callbacks=[log, card], max_steps=int(steps), save_strategy="steps", save_steps=4
)
Path(output).mkdir(exist_ok=True)
trainer.train(resume_from_checkpoint=get_last_checkpoint(output))
