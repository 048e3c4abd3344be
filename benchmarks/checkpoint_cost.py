"""Measure how long the card of a checkpoint holds up the training.

Trains a tiny LoRA that saves at each step, with a log of 2,000 entries, as of a long training.
Prints milliseconds of wall-clock time and of CPU time of the process for each card: median and
maximum. The aim is at most 200 ms.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

SAVES = 20
ENTRIES = 2_000
AIM_MS = 200.0


def main() -> None:
    """Train, and print what each card took."""
    from transformers import TrainerCallback

    from autocard import AutoCardCallback
    from autocard.card_guard.card_guard import CardGuard
    from support import training

    class LongLog(TrainerCallback):  # type: ignore[misc]
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            log = ({"loss": 0.7, "epoch": 0.1, "step": step} for step in range(ENTRIES))
            state.log_history.extend(log)

    taken: list[tuple[float, float]] = []
    write = CardGuard._card_so_far  # noqa: SLF001 - this is what is timed

    def timed(guard: CardGuard, folder: Path, **more: Any) -> None:
        began, used = time.perf_counter(), time.process_time()
        write(guard, folder, **more)
        taken.append((time.perf_counter() - began, time.process_time() - used))

    CardGuard._card_so_far = timed  # type: ignore[method-assign]  # noqa: SLF001
    with tempfile.TemporaryDirectory() as folder:
        trainer = training.trainer(
            folder,
            callbacks=[AutoCardCallback(emissions=False), LongLog()],
            max_steps=SAVES,
            save_strategy="steps",
            save_steps=1,
            save_total_limit=2,
        )
        trainer.train()
    for name, seconds in zip(("wall-clock", "CPU"), zip(*taken, strict=True), strict=True):
        median_ms, most_ms = statistics.median(seconds) * 1000, max(seconds) * 1000
        print(
            f"{name}: median {median_ms:.0f} ms, maximum {most_ms:.0f} ms of {len(seconds)} cards"
        )
    print(f"aim: {AIM_MS:.0f} ms")


if __name__ == "__main__":
    main()
