"""Measure autocard's cost beside CodeCarbon's: time of a step, stalls, share of a core, memory.

Trains a tiny model in a sequence of processes: with nothing, with autocard, with CodeCarbon as
autocard runs it but in a thread of the training process, and with transformers' CodeCarbonCallback.
Prints the time of a step as a ratio to that of the first process with nothing: by the clock, and by
the processor's time, which other programs disturb less; and, measured once in a loop, the time of
our handlers in a step. The second "nothing" shows noise.

    python benchmarks/beside.py [SECONDS]      20 for each, by default
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

LOOP = """
import contextlib, io, json, statistics, sys, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
from support import training
from transformers.trainer_callback import CallbackHandler, DefaultFlowCallback, TrainerCallback, TrainerControl
from autocard import AutoCardCallback

STEPS, BLOCKS = 2000, 10

def made(callback):
    trainer = training.trainer("out", max_steps=STEPS, callbacks=[DefaultFlowCallback(), callback])
    handler = CallbackHandler([DefaultFlowCallback(), callback], trainer.model, None, None, None)
    args, state = trainer.args, trainer.state
    handler.on_train_begin(args, state, TrainerControl())
    return handler, args, state

def block(handler, args, state):
    # The events of one step with four substeps, as the trainer calls them, and a log entry at every tenth.
    control, taken = TrainerControl(), []
    for step in range(STEPS):
        state.global_step = step
        begun = time.thread_time_ns()  # what other programs take of the processor is not in it
        handler.on_step_begin(args, state, control)
        for _ in range(3):
            handler.on_substep_end(args, state, control)
        handler.on_pre_optimizer_step(args, state, control)
        handler.on_optimizer_step(args, state, control)
        handler.on_step_end(args, state, control)
        if not step % 10:
            handler.on_log(args, state, control, {"loss": 1.0})
        taken.append(time.thread_time_ns() - begun)
    return taken

def alone(callback, args, state):
    # Our own handler by itself; the other events of a step are those of an empty callback.
    control, taken = TrainerControl(), []
    for _ in range(STEPS * BLOCKS):
        begun = time.thread_time_ns()
        callback.on_step_end(args, state, control)
        taken.append(time.thread_time_ns() - begun)
    return told([taken])

def handed_over(handler, args, state):
    # A step a second after the last one: it is passed to the measuring process. By the clock, waiting included.
    taken = []
    for step in range(8):
        time.sleep(1.05)
        begun = time.perf_counter_ns()
        handler.on_step_end(args, state, TrainerControl())
        taken.append(time.perf_counter_ns() - begun)
    return statistics.median(taken) / 1e3

def told(blocks):
    taken = sorted(one for block in blocks for one in block)
    return [statistics.median(taken) / 1e3, taken[int(0.999 * len(taken))] / 1e3]

with contextlib.redirect_stdout(io.StringIO()):
    empty, ours = made(TrainerCallback()), made(AutoCardCallback(country_iso_code="FRA"))
    blocks = [(block(*empty), block(*ours)) for _ in range(BLOCKS)]
    by_itself = alone(ours[0].callbacks[1], ours[1], ours[2])
    passed = handed_over(*ours)
    ours[0].on_train_end(ours[1], ours[2], TrainerControl())
print(json.dumps([told([one for one, _ in blocks]), told([one for _, one in blocks]), by_itself, passed]))
"""  # noqa: E501 - a program of its own

TRAIN = """
import contextlib, io, json, logging, os, resource, sys, threading, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
kind, seconds = sys.argv[2], float(sys.argv[3])
import psutil, torch
from support import training
from transformers import TrainerCallback
torch.set_num_threads(1)
me = psutil.Process()

class Clock(TrainerCallback):
    marks = []
    def on_train_begin(self, *_, **__):
        self.until = time.monotonic() + seconds
        self.half = None
    def on_step_end(self, args, state, control, **_):
        now = time.monotonic()
        self.marks.append(now)
        if self.half is None and now > self.until - seconds / 2:
            self.half = costs()
        control.should_training_stop = now > self.until

def costs():
    return [time.monotonic(), time.process_time()]

callbacks = [Clock()]
if kind == "autocard":
    from autocard import AutoCardCallback
    callbacks.append(AutoCardCallback(country_iso_code="FRA"))
elif kind == "callback":
    from transformers.integrations import CodeCarbonCallback
    logging.getLogger("codecarbon").setLevel(logging.CRITICAL)
    callbacks.append(CodeCarbonCallback())
elif kind == "thread":
    os.environ["CODECARBON_LOG_LEVEL"] = "critical"
    def measure():
        from autocard.energy.host.codecarbon_reader import CodeCarbonReader as Engine
        engine = Engine([], None, None)
        while True:
            time.sleep(15)
            engine.read()
    threading.Thread(target=measure, daemon=True).start()
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    trainer = training.trainer("out", callbacks=callbacks, max_steps=10**6, logging_steps=50)
    before = me.memory_info().rss
    class End(TrainerCallback):
        def on_train_end(self, *_, **__):
            End.found = [costs(), me.memory_info().rss, [c.memory_info().rss for c in me.children(recursive=True)]]
    trainer.callback_handler.callbacks.insert(0, End())
    trainer.train()
print(json.dumps([Clock.marks, callbacks[0].half, *End.found, before]))
"""  # noqa: E501 - a program of its own

ALONE = """
import json, os, sys, time
os.environ["CODECARBON_LOG_LEVEL"] = "critical"
from autocard.energy.host.codecarbon_reader import CodeCarbonReader as Engine
engine = Engine([], None, None)
time.sleep(6)
begun, used = time.monotonic(), time.process_time()
while time.monotonic() < begun + float(sys.argv[2]):
    time.sleep(15)
    engine.read()
print(json.dumps((time.process_time() - used) / (time.monotonic() - begun)))
"""

MEASURING = """
import json, sys, time
from pathlib import Path
import psutil
from autocard.energy.meter import Meter
from autocard.settings import Settings
meter = Meter(Settings(), folder=Path("out"))
meter.begin(0)
time.sleep(8)
child = psutil.Process(meter.worker_pid)
used = lambda: sum(child.cpu_times()[:2])
begun, before, ours = time.monotonic(), used(), time.process_time()
for step in range(int(float(sys.argv[2]))):
    time.sleep(1)
    meter.progress(step)
seconds = time.monotonic() - begun
print(json.dumps([(used() - before) / seconds, (time.process_time() - ours) / seconds]))
"""

IDLE_S = 45.0
"""Seconds over which shares of a core are measured: the system counts in hundredths of a second."""

STALL_S = 0.005
TESTS = str(Path(__file__).parent.parent / "tests")


def start(script: str, *arguments: object, folder: Path) -> subprocess.Popen[str]:
    """Start *script* in a process of its own."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "HOME": os.devnull}
    command = [sys.executable, "-c", script, TESTS, *map(str, arguments)]
    return subprocess.Popen(
        command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def said(process: subprocess.Popen[str]) -> Any:
    """Return what the last line of its output says."""
    output, _ = process.communicate()
    return json.loads(output.splitlines()[-1])


def table(seconds: float, folder: Path) -> None:
    """Train with each kind in turn and print a line of figures for each."""
    base = base_cpu = 0.0
    print(
        "steps with:    median  its CPU  99.9 %  longest  over 5 ms late  "
        "memory (measuring process)",
        flush=True,
    )
    for kind in ("nothing", "autocard", "thread", "callback", "nothing", "autocard"):
        marks, half, end, rss, children, before = said(start(TRAIN, kind, seconds, folder=folder))
        steps = sorted(after - one for one, after in itertools.pairwise(marks))
        median = statistics.median(steps)
        cpu = (end[1] - half[1]) / max(sum(mark > half[0] for mark in marks), 1)
        base, base_cpu = base or median, base_cpu or cpu
        columns = [
            f"{kind:<14}",
            f"{median / base:6.3f}",
            f"{cpu / base_cpu:8.3f}",
            f"{1e3 * steps[int(0.999 * len(steps))]:5.1f} ms",
            f"{1e3 * steps[-1]:6.1f} ms",
            f"{100 * sum(step > median + STALL_S for step in steps) / len(steps):9.1f} %",
            f"{(rss - before) / 2**20:+5.0f} MiB ({sum(children) / 2**20:.0f} MiB)",
        ]
        print(" ".join(columns), flush=True)


def main() -> None:
    """Measure and print."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        nothing, ours, by_itself, passed = said(start(LOOP, folder=folder))
        print(f"handlers of one step: median {ours[0]:.1f} µs, 99.9 % {ours[1]:.1f} µs; ", end="")
        print(f"those of an empty callback: {nothing[0]:.1f} µs, {nothing[1]:.1f} µs")
        print(
            f"our own handler by itself: median {by_itself[0]:.2f} µs, 99.9 % {by_itself[1]:.2f} µs"
        )
        print(f"a step that is passed on, once a second: {passed:.0f} µs")
        alone, both = start(ALONE, IDLE_S, folder=folder), start(MEASURING, IDLE_S, folder=folder)
        theirs, (child, parent) = said(alone), said(both)
        print(
            f"share of a core, a reading every 15 s: CodeCarbon alone {100 * theirs:.2f} %, ",
            end="",
        )
        print(
            f"autocard's measuring process {100 * child:.2f} %, "
            f"in the training process {100 * parent:.3f} %\n"
        )
        table(seconds, folder)


if __name__ == "__main__":
    main()
