"""How long autocard holds up the training thread when training begins, when it ends, and at each log entry.

Trains one tiny LoRA model with and without the callback, in turn, in one process, and times our events from outside.
Prints medians in milliseconds and the ratio of the two whole trainings. These last a few seconds only, so that the
ratio shows the worst: CodeCarbon's start in the child process, some two seconds of one core, beside training.
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

import training

from autocard import AutoCardCallback

ROUNDS = 5
STEPS = 200


class Timed(AutoCardCallback):
    """The same callback, with a clock around its events."""

    def __init__(self, spent: dict[str, list[float]]) -> None:
        """Note the seconds of each event in *spent*."""
        super().__init__(country_iso_code="FRA")
        self.spent = spent

    def _tell(self, event: str, *rest: object) -> None:
        begin = time.perf_counter()
        super()._tell(event, *rest)  # type: ignore[arg-type]
        self.spent.setdefault(event, []).append(time.perf_counter() - begin)


def train(callbacks: list[object]) -> float:
    """Return the seconds of one training."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = training.trainer(folder, callbacks=callbacks, max_steps=STEPS, logging_steps=1)
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # the trainer prints every log entry
            trainer.train()
        return time.perf_counter() - begin


def main() -> None:
    """Measure and print."""
    train([])
    spent: dict[str, list[float]] = {}
    ratios = []
    for _ in range(ROUNDS):
        without = train([])
        ratios.append(train([Timed(spent)]) / without)
    for event, seconds in spent.items():
        print(f"{event:<10} {1000 * statistics.median(seconds):9.3f} ms  longest {1000 * max(seconds):9.3f} ms")
    print(f"whole training of {STEPS} steps: ratio {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
