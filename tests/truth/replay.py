"""One batch of a training again, on a copy of its model: the loss that it trained, its logits, its operations.

Random numbers are put back, and the training's model, optimizer and log are left alone.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SEED = 7


@dataclass
class Replay:
    """What came of one batch."""

    loss: float
    """As the trainer's own step worked it out; not divided by the accumulation's steps."""
    logits: Any
    labels: Any
    problem_type: str | None
    operations: int
    """Of the trainer's own step, forward and backward, by torch's counter."""
    tokens: int | None
    """Entries of `input_ids` in the batch."""


@contextlib.contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Put the states of all random number generators back at the end."""
    import numpy as np
    import torch

    python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the legacy state is what trainers use
    with torch.random.fork_rng(devices=[]):
        yield
    random.setstate(python)
    np.random.set_state(of_numpy)  # noqa: NPY002


def _alone(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch that may be taken apart without changing the first."""
    return {
        name: value.clone() if hasattr(value, "clone") else copy.copy(value)
        for name, value in batch.items()
    }


def replay(trainer: Any, batch: Any) -> Replay | None:
    """Do one step with *batch* on a copy of the model; None: it cannot be done."""

    if not isinstance(batch, Mapping) or "labels" not in batch:
        return None
    counted = getattr(trainer, "_metrics", None)
    kept = copy.deepcopy(counted), getattr(trainer, "current_gradient_accumulation_steps", 1)
    try:
        with random_numbers_kept():
            return _replay(trainer, batch)
    except (RuntimeError, TypeError, ValueError, NotImplementedError, KeyError):
        return None
    finally:
        if counted is not None:
            counted.clear()
            counted.update(kept[0])
        trainer.current_gradient_accumulation_steps = kept[1]


def answer(trainer: Any, batch: Any) -> float | None:
    """Return the loss of the model as it is now for *batch*, without dropout; None: it cannot be had."""
    import torch

    if (
        not isinstance(batch, Mapping)
        or "labels" not in batch
        or not hasattr(trainer.model, "eval")
    ):
        return None
    was_training = trainer.model.training
    try:
        with random_numbers_kept(), torch.no_grad():
            outputs = trainer.model.eval()(**_alone(batch))
            return float(outputs["loss"])
    except (RuntimeError, TypeError, ValueError, NotImplementedError, KeyError, AttributeError):
        return None
    finally:
        trainer.model.train(was_training)


def _replay(trainer: Any, batch: Mapping[str, Any]) -> Replay:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = copy.deepcopy(getattr(trainer.model, "_orig_mod", None) or trainer.model)
    trainer.current_gradient_accumulation_steps = 1
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    # torch's counter does not know grouped products
    if hasattr(inner, "set_experts_implementation"):
        inner.set_experts_implementation("eager")
    torch.manual_seed(SEED)
    with FlopCounterMode(display=False) as counter:
        loss = float(trainer.training_step(model, _alone(batch)))
    torch.manual_seed(SEED)
    model.train()
    inputs = _alone(batch)
    labels = inputs["labels"]
    with torch.no_grad():
        outputs = model(**inputs)
    logits = outputs.get("logits") if isinstance(outputs, Mapping) else None
    ids = batch.get("input_ids")
    return Replay(
        loss=loss,
        logits=logits,
        labels=labels,
        problem_type=getattr(getattr(inner, "config", None), "problem_type", None),
        operations=counter.get_total_flops(),
        tokens=ids.numel() if hasattr(ids, "numel") else None,
    )
