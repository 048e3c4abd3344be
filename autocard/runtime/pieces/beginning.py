"""Pieces of work when training begins: which run it goes on with, what has trained the weights, the captures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from autocard.capture.model import base_weights, initial_weights, prior_training
from autocard.capture.model.base_weights import UnderAdapters
from autocard.capture.observed import Observed, OwnLoss, Start
from autocard.capture.training import consumed_samples
from autocard.errors import UnavailableError
from autocard.record.gaps import Part
from autocard.runtime import search
from autocard.runtime.pieces.piece import Work
from autocard.runtime.run_state import Event, RunState

Capture: TypeAlias = Callable[[Observed], Part[Any]]
"""Reads one part of the record from what is observed."""
TRAVELLED = ("earlier", "fresh")
"""What a checkpoint says of its weights."""


def searches(run: RunState, event: Event) -> None:
    """Find out whether this training is a trial of a search, or follows one."""
    run.trials, run.searches = None, []
    if event.in_search:
        run.trials = search.of(run, event.folder, event.observed.trainer)
    else:
        run.searches = search.related(run, event.folder, event.observed.trainer)


def past(run: RunState, event: Event) -> bool:
    """Find out which run this training goes on with; return whether that is another than before."""
    trainer, step = event.observed.trainer, run.history.open.step
    state = trainer.checkpoint_state()
    return run.history.find(event.folder, state, step, trainer.resumed_from())


def travelled(run: RunState, event: Event) -> dict[str, Any]:
    """Return what the checkpoint says of its weights."""
    state = event.observed.trainer.checkpoint_state()
    return {key: run.history.travelled(state, key) for key in TRAVELLED}


def batches(run: RunState, event: Event) -> None:
    """Take the batches of earlier legs from the checkpoint."""
    state = event.observed.trainer.checkpoint_state()
    run.history.take_batches(run.history.travelled(state, "batches"))


def settings(run: RunState, event: Event) -> None:
    """Take the settings of earlier legs from the checkpoint."""
    state = event.observed.trainer.checkpoint_state()
    run.history.take_settings(run.history.travelled(state, "settings"))


def pack(run: RunState, event: Event) -> None:
    """Put what is known of the run into the trainer's state, which its checkpoints take along."""
    state = event.observed.trainer.checkpoint_state()
    if state is not None:
        run.history.pack(state)


def start(run: RunState, event: Event) -> Start:
    """Find out what has trained the weights before in this process; note that this run does now."""
    model = event.observed.model
    if model is None:
        return Start()
    opened, facts = run.history.open, run.facts
    resumed = opened.step > 0
    said: Mapping[str, Any] = facts.travelled or {}
    # After a resume they are those of the checkpoint, which says what had trained them before.
    if resumed:
        facts.earlier = prior_training.unpacked(said.get("earlier"))
    else:
        facts.earlier = prior_training.find(model)
    run.history.take_along("earlier", prior_training.packed(facts.earlier))
    if resumed:
        is_fresh = said.get("fresh") is True
    elif facts.earlier is not None:
        is_fresh = facts.earlier.fresh
    else:
        is_fresh = _is_fresh(run, model)
    run.history.take_along("fresh", is_fresh)
    training = prior_training.PriorTraining(run.history.run_id, opened, facts.earlier, is_fresh)
    prior_training.note(model, training)
    return Start(is_fresh, resumed, trained_before=facts.earlier is not None)


def _is_fresh(run: RunState, model: Any) -> bool:
    """Return whether the weights are freshly initialized; of several processes, before they met."""
    if run.fresh is not None and not run.coordinator.alone:
        return run.fresh
    return initial_weights.is_fresh(model) is True


def own_loss(_run: RunState, event: Event) -> OwnLoss | None:
    """Return the code of the run's own that computes the loss."""
    return event.observed.trainer.own_loss()


def learning_rate(run: RunState, event: Event) -> None:
    """Note the learning rate of the first step."""
    run.facts.rates.look(event.step, event.observed.optimizer)


def renamed(_run: RunState, event: Event) -> dict[str, str]:
    """Return key of the log → key under which it is kept."""
    return event.observed.trainer.renamed_figures()


def capture(of_part: Capture) -> Work:
    """Return the work of the capture *of_part*."""

    def work(_run: RunState, event: Event) -> Part[Any]:
        return of_part(event.observed)

    return work


def batch(run: RunState, event: Event) -> None:
    """Note what the optimizer steps of this leg consume, and its settings, for the legs that go on with it.

    Batches of no fixed size are a gap of `training`.
    """
    training = run.facts.parts.get("training")
    if training is not None:
        run.history.trains_with(training.hyperparameters)
    with contextlib.suppress(UnavailableError):
        run.history.consumes(consumed_samples.plan(event.observed).leaves())


def adapters_in_use(run: RunState, event: Event) -> None:
    """Note which adapters take part in the training."""
    run.facts.evaluated.begun(event.observed.model)


def base(_run: RunState, event: Event) -> None:
    """Remember some of the weights that training begins with."""
    base_weights.remember(event.observed.model)


def under_adapters(_run: RunState, event: Event) -> UnderAdapters:
    """Return some of the weights under adapters."""
    return UnderAdapters(event.observed.model)


def card_before(run: RunState, event: Event) -> None:
    """Read the card that is there, and restore one that a killed process left behind."""
    run.card_guard.look(event.folder)
