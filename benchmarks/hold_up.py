"""Measure how long autocard blocks the training thread at begin, end and each log entry.

Trains one tiny LoRA model with and without the callback, in turn, in one process, and times our
events from outside. Prints medians and the longest in milliseconds, over 20 trainings, and the
ratio of the two whole trainings. These last a few seconds only, so that the ratio shows the worst:
CodeCarbon's start in the child process, some two seconds of one core, beside training. Then prints
what the end costs where the log has a million entries, over one with ten thousand.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from transformers import TrainerCallback, TrainerState

from autocard import AutoCardCallback
from support import training

ROUNDS = 20
STEPS = 50
LOGS = (10_000, 1_000_000)


class Timed(AutoCardCallback):
    """The same callback, with a clock around its events."""

    def __init__(self, spent: dict[str, list[float]]) -> None:
        """Note the seconds of each event in *spent*."""
        super().__init__(country_iso_code="FRA")
        self.spent = spent

    def _handle(self, event: str, *rest: object) -> None:
        begin = time.perf_counter()
        super()._handle(event, *rest)  # type: ignore[arg-type]
        self.spent.setdefault(event, []).append(time.perf_counter() - begin)


def train(callbacks: list[object]) -> float:
    """Return the seconds of one training."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = training.trainer(folder, callbacks=callbacks, max_steps=STEPS, logging_steps=1)
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # the trainer prints every log entry
            trainer.train()
        return time.perf_counter() - begin


class LongLog(TrainerCallback):  # type: ignore[misc]
    """Fills the trainer's log before training ends, as a run does that logs each step."""

    def __init__(self, entries: int) -> None:
        """Add *entries* of training steps."""
        self.entries = entries

    def on_train_end(self, args: object, state: TrainerState, control: object, **_: object) -> None:
        """Add them."""
        state.log_history += [
            {"loss": 1.0, "grad_norm": 0.5, "learning_rate": 1e-4, "epoch": 0.1, "step": step}
            for step in range(self.entries)
        ]


def end_with_a_log_of(entries: int) -> float:
    """Return the seconds of the end of a training whose log has so many entries."""
    spent: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        trainer = training.trainer(folder, callbacks=[LongLog(entries), Timed(spent)], max_steps=2)
        with contextlib.redirect_stdout(io.StringIO()):
            trainer.train()
    return spent["end"][0]


def main() -> None:
    """Measure and print."""
    train([])
    spent: dict[str, list[float]] = {}
    ratios = []
    for _ in range(ROUNDS):
        without = train([])
        ratios.append(train([Timed(spent)]) / without)
    for event, seconds in spent.items():
        print(
            f"{event:<10} {1000 * statistics.median(seconds):9.3f} ms  "
            f"longest {1000 * max(seconds):9.3f} ms"
        )
    print(f"whole training of {STEPS} steps: ratio {statistics.median(ratios):.3f}")
    ends = [end_with_a_log_of(entries) for entries in LOGS]
    print(
        f"end with {LOGS[1]:,} entries in the log, over that with {LOGS[0]:,}: "
        f"ratio {ends[1] / ends[0]:.2f}"
    )


if __name__ == "__main__":
    main()
