"""Real training processes that cost no import: what a training needs is imported once here, then each one is forked.

Reads one JSON order a line (`Order`), forks, says the training's pid. The trainings can be killed
like any process. Each writes a log of its own clock (`CLOCK_MONOTONIC`, which all processes of a
machine share), a line at a time, so that it survives a SIGKILL: begin, step N, end.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import accelerate  # noqa: F401 - imported before the fork
import datasets  # noqa: F401
import peft  # noqa: F401
import torch
import transformers
from transformers import Trainer, TrainerCallback  # noqa: F401

from autocard import AutoCardCallback
from support import gpu_shown, training


class Clock(TrainerCallback):
    """Log the begin and end of training and each step; make each step last as long as the order asks."""

    def __init__(self, log: str, step_s: float, at: dict[str, str]) -> None:
        self.file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.step_s, self.at = step_s, at

    def log(self, *words: object) -> None:
        os.write(self.file, " ".join(map(str, (*words, time.monotonic()))).encode() + b"\n")

    def on_train_begin(self, args, state, control, **_):
        self.log("begin", state.global_step)

    def on_step_end(self, args, state, control, **_):
        time.sleep(self.step_s)
        self.log("step", state.global_step)
        if self.at.get("raise") == state.global_step:
            raise RuntimeError("the user's own code")  # noqa: EM101, TRY003

    def on_train_end(self, args, state, control, **_):
        self.log("end", state.global_step)


def train(order: dict) -> None:
    """Train in this process, with the settings of *order*."""
    os.environ.update(order.get("env", {}))
    torch.set_num_threads(1)
    clock = Clock(order["log"], order.get("step_s", 0.05), order.get("at", {}))
    made = AutoCardCallback
    if order.get("gpu"):
        gpu_shown.Arguments.ordinal = 0
        made, transformers.TrainingArguments = gpu_shown.callback_class(), gpu_shown.Arguments
    ours = [made(**order["ours"])] if order.get("ours") is not None else []
    patient = [training.until_ready(ours[0])] if order.get("patient") else []
    trainer = training.trainer(
        order["folder"],
        model=training.bert(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
        ),
        callbacks=[clock, *patient, *ours],
        **{"save_strategy": "steps", **order.get("args", {})},
    )
    trainer.train(resume_from_checkpoint=order.get("resume"))
    for _ in range(order.get("evaluations", 0)):
        trainer.evaluate()


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid:
            print(pid, flush=True)
            # Those that are over are taken leave of, so that nobody sees a zombie for a living
            # process.
            while True:
                try:
                    if os.waitpid(-1, os.WNOHANG)[0] == 0:
                        break
                except ChildProcessError:
                    break
            continue
        os.setsid()
        code = 1
        try:
            output = os.open(order["log"] + ".out", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(0)
            train(order)
            code = 0
        except BaseException:  # noqa: BLE001 - SystemExit and KeyboardInterrupt too
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            import atexit

            # as at the end of any process: what is to be finished then is finished
            atexit._run_exitfuncs()
            os._exit(code)


if __name__ == "__main__":
    main()
