"""One rank of a training by torchrun, for each way in turn: trains, and notes the rows that it was given.

Usage: torchrun counts_ranks.py FOLDER
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from transformers import Trainer

from autocard import AutoCardCallback
from support import models

ROWS = 15

WAYS = {
    "epochs": {"num_train_epochs": 2, "max_steps": -1},
    "epochs, last batches dropped": {
        "num_train_epochs": 2,
        "max_steps": -1,
        "dataloader_drop_last": True,
    },
    "steps with accumulation": {"max_steps": 3, "gradient_accumulation_steps": 2},
    "batches that are split": {
        "num_train_epochs": 2,
        "max_steps": -1,
        "accelerator_config": {"split_batches": True},
    },
    "batches that one process draws": {
        "num_train_epochs": 2,
        "max_steps": -1,
        "accelerator_config": {"dispatch_batches": True},
    },
    "batches that one process draws and splits": {
        "num_train_epochs": 1,
        "max_steps": -1,
        "accelerator_config": {"dispatch_batches": True, "split_batches": True},
    },
    "uneven batches": {
        "num_train_epochs": 1,
        "max_steps": -1,
        "accelerator_config": {"even_batches": False},
        "rows": 16,
    },
    "a stream that one process draws": {"max_steps": 1, "stream": True},
    "a stream that each process draws": {
        "max_steps": 1,
        "stream": True,
        "accelerator_config": {"dispatch_batches": False},
    },
}


class Counting(Trainer):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.rows = []

    def training_step(self, model, inputs, *args, **kwargs):
        self.rows.append((self.state.global_step, len(inputs["input_ids"])))
        return super().training_step(model, inputs, *args, **kwargs)


def main(folder: Path) -> None:
    rank = os.environ["RANK"]
    for number, way in enumerate(WAYS):
        settings = dict(WAYS[way])
        rows = models.language(settings.pop("rows", ROWS))
        if settings.pop("stream", False):
            rows = rows.to_iterable_dataset()
        out = folder / str(number)
        host = models.train(
            models.llama(),
            rows,
            out,
            AutoCardCallback(emissions=False),
            cls=Counting,
            ddp_backend="gloo",
            **settings,
        )
        runtime_s = next(
            entry["train_runtime"]
            for entry in reversed(host.state.log_history)
            if "train_runtime" in entry
        )
        out.mkdir(parents=True, exist_ok=True)
        (out / f"rank{rank}.json").write_text(
            json.dumps({"rows": host.rows, "runtime_s": runtime_s})
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
