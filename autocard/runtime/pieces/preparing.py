"""Pieces of work when a trainer is made, before the model is sharded or changed."""

from __future__ import annotations

from autocard.capture.model import base_model, initial_weights, model
from autocard.card.fill.new_card import label_files
from autocard.card.form import label_files as labels_reader
from autocard.errors import SettingsError
from autocard.guard import log_warning
from autocard.runtime.run_state import Event, RunState


def labels(run: RunState, event: Event) -> None:
    """Report mistakes in the labels file beside the card, whose folder is known only now."""
    run.labels_checked = True
    try:
        labels_reader.load(label_files(run.settings.template, run.card(event.folder)))
    except SettingsError as exc:
        log_warning("autocard: %s The card is left as it is until this is corrected.", exc)


def counted(_run: RunState, event: Event) -> tuple[int | None, int | None]:
    """Count the parameters (total, trainable) before anything shards them."""
    observed = event.observed
    return model.count(observed.model, is_trl=observed.trainer.method() is not None)


def fresh(_run: RunState, event: Event) -> bool | None:
    """Return whether the weights are freshly initialized."""
    return initial_weights.is_fresh(event.observed.model)


def names(run: RunState, event: Event) -> None:
    """Find the names to keep out of cards: local paths that the model was loaded from."""
    observed = event.observed
    found = base_model.withheld(observed.model, run.settings.base_model, observed.processing_class)
    run.card_guard.withhold(found)


def hold(run: RunState, event: Event) -> None:
    """Wrap the methods of trainer and model that write cards."""
    run.card_guard.hold(event.held_trainer, event.observed.model, event.callback)
