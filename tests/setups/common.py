"""What the set-ups share: their list, tiny models and data of each kind, and the usual end of a script."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers
from datasets import Dataset

from support import models


@dataclass(frozen=True)
class Setup:
    """One way to train."""

    name: str
    kind: str
    """What it is about: its table in the page."""
    run: Callable[[Path, list[Any]], Any]
    """(folder, callbacks) → the trainer, after training, saving and evaluation."""
    needs: tuple[str, ...] = ()
    """Modules that it needs beside those of the suite."""


SETUPS: dict[str, Setup] = {}


def setup(name: str, kind: str, *needs: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add a function to the list of set-ups."""

    def add(run: Callable[..., Any]) -> Callable[..., Any]:
        if name in SETUPS:
            raise ValueError(name)
        SETUPS[name] = Setup(name, kind, run, needs)
        return run

    return add


def go(trainer: Any, *, resume: str | None = None, evaluate: bool = True) -> Any:
    """Train, save and evaluate, as most scripts do."""
    with quiet():
        trainer.train(resume_from_checkpoint=resume)
        trainer.save_model()
        if evaluate and trainer.eval_dataset is not None:
            trainer.evaluate()
    return trainer


@contextlib.contextmanager
def quiet() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def train(
    out: Path,
    callbacks: list[Any],
    model: Any,
    data: Any,
    *,
    trainer: Any = None,
    evaluation: Any = None,
    **settings: Any,
) -> Any:
    """Train with transformers' Trainer; *trainer* may be (class, more arguments)."""
    cls, more = trainer or (transformers.Trainer, {})
    made = cls(
        model=model,
        args=models.arguments(out, **{"learning_rate": 0.01, **settings}),
        train_dataset=data,
        eval_dataset=data if evaluation is None else evaluation,
        callbacks=list(callbacks),
        **more,
    )
    return go(made)


def words_and_padding() -> dict[str, Any]:
    """A tokenizer for the trainer, which pads by it."""
    words = models.tokenizer()
    return {"processing_class": words, "data_collator": transformers.DataCollatorWithPadding(words)}


def ragged(count: int = 15) -> Dataset:
    """Rows of unlike lengths: token ids, attention mask, label."""
    rows = [[5 + (row + place) % 9 for place in range(3 + row % 5)] for row in range(count)]
    return Dataset.from_list(
        [
            {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": row % 2}
            for row, ids in enumerate(rows)
        ]
    )


def padded(count: int = 15, length: int = 12) -> Dataset:
    """The same rows, padded before the training."""
    return ragged(count).map(
        lambda row: {
            "input_ids": row["input_ids"] + [0] * (length - len(row["input_ids"])),
            "attention_mask": row["attention_mask"] + [0] * (length - len(row["input_ids"])),
        }
    )
