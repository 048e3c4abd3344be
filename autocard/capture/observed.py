"""Trainer objects, drivers and environment → parts of the record. One module per source.

Each module has `capture(observed, missing)`, which returns its part and notes in *missing* (path of the
leaf → reason) every fact that it could not get. Heavy libraries are imported inside functions, and
only when the run has imported them already. Captures read; they never change the objects of the
run, run the model or draw random numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autocard.settings import Settings


@dataclass(frozen=True)
class OwnLoss:
    """A loss that the run's own code computes."""

    where: str
    """Where it is computed, in words: compute_loss_func, training_step overridden, forward of
    MyModel."""
    calls_library: bool
    """Whether that code names the library's own loss too, which then may be a part of it."""
    runs_model: bool = False
    """Whether code of the run's own calls the model, and so decides how many passes a batch takes.
    """


@dataclass(frozen=True)
class Start:
    """What is known of the weights that training starts from, besides the model itself."""

    fresh: bool | None = None
    """Whether they were freshly initialized before anything changed them; None: it was not looked
    at."""
    resumed: bool = False
    """Whether a checkpoint of the run has replaced them since the model was made."""
    trained_before: bool = False
    """Whether an earlier training of this process has trained them, which the record says
    elsewhere."""


@dataclass(frozen=True)
class Observed:
    """What the Trainer shows a callback in one event, and the settings."""

    settings: Settings
    """What the user decided."""
    args: Any
    """`TrainingArguments` or a subclass."""
    state: Any
    """`TrainerState`: new in each train()."""
    model: Any = None
    """`trainer.model`; may be wrapped (FSDP) or compiled."""
    processing_class: Any = None
    """Tokenizer, processor, feature extractor, or None."""
    optimizer: Any = None
    """As accelerate wrapped it."""
    lr_scheduler: Any = None
    """As the Trainer made it."""
    train_dataloader: Any = None
    """Its `dataset` is what the run trains on."""
    eval_dataloader: Any = None
    """None until the first evaluation; then that of the current set."""
    own_loss: OwnLoss | None = None
    """Code of the run's own in the trainer that computes the loss; None: there is none, or no
    trainer was found."""
    trainer: Any = None
    """The trainer, where an event of the calling thread found it. Not kept beyond the event."""
    start: Start = Start()
    """What is known of the weights that training starts from."""
