"""Pieces of work at the begin of training: its run, earlier training of its weights, captures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from autocard.capture.model import base_weights, initial_weights, prior_training
from autocard.capture.model.base_weights import UnderAdapters
from autocard.capture.observed import Observed, OwnLoss, Start
from autocard.capture.training import consumed_samples
from autocard.energy.ledger import trial_marks
from autocard.energy.ledger.trial_marks import TrialMark
from autocard.errors import UnavailableError
from autocard.record.gaps import Part
from autocard.runtime import places as places_
from autocard.runtime import search
from autocard.runtime.pieces.piece import Work
from autocard.runtime.run_state import Event, RunState

Capture: TypeAlias = Callable[[Observed], Part[Any]]
"""Reads one part of the record from what is observed."""
TRAVELLED = ("earlier", "fresh")
"""Keys of a checkpoint's statements about its weights."""


def searches(run: RunState, event: Event) -> None:
    """Find out whether this training is a trial of a search, or follows a search."""
    run.trials, run.searches, run.written_trials = None, [], []
    if event.in_search:
        run.trials = search.of(run, event.folder, event.observed.trainer)
    else:
        run.searches = search.related(run, event.folder, event.observed.trainer)


def places(run: RunState, event: Event) -> None:
    """Find out which places of files cannot be used; warn of each, and use another one instead."""
    writes, leads = run.writes(event.observed), run.coordinator.team.leads
    folders = run.history.folders_of(event.folder)
    found = dict(places_.problems(run.settings, folders, event.folder, writes=writes, leads=leads))
    run.no_card_there = "card" in found
    if writes:
        found |= {sentence: sentence for sentence in run.settings.unread}
    for setting, sentence in found.items():
        run.warn_of(setting, sentence)


def uses_places(run: RunState, event: Event) -> bool:
    """Return whether this process writes working files or the card."""
    return run.coordinator.team.leads or run.writes(event.observed)


def mark_trial(run: RunState, event: Event) -> None:
    """Mark the run as a trial in the ledger: the run that follows may be in another process."""
    backend = event.observed.trainer.search_backend()
    mark = TrialMark(run_id=run.history.run_id, search_id=run.origin.id, backend=backend)
    folder = run.history.folders_of(event.folder).shared
    if folder is not None:
        trial_marks.write(folder, mark)


def is_trial(run: RunState, event: Event) -> bool:
    """Return whether this process writes the ledger of a trial."""
    return event.in_search and run.writes(event.observed)


def past(run: RunState, event: Event) -> bool:
    """Find the run that this training continues; return whether it is another run than before."""
    trainer, step = event.observed.trainer, run.history.open.step
    state = trainer.checkpoint_state()
    return run.history.find(event.folder, state, step, trainer.resumed_from())


def travelled(run: RunState, event: Event) -> dict[str, Any]:
    """Return the checkpoint's statements about its weights."""
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
    """Put the known facts of the run into the trainer's state, which checkpoints contain."""
    state = event.observed.trainer.checkpoint_state()
    if state is not None:
        run.history.pack(state)


def start(run: RunState, event: Event) -> Start:
    """Find earlier training of the weights in this process; note that this run trains them."""
    model = event.observed.model
    if model is None:
        return Start()
    opened, facts = run.history.open, run.facts
    resumed = opened.step > 0
    said: Mapping[str, Any] = facts.travelled or {}
    # After a resume they are those of the checkpoint, which names their earlier training.
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
    """Return whether the weights are freshly initialized, as of before the processes met."""
    if run.fresh is not None and not run.coordinator.alone:
        return run.fresh
    return initial_weights.is_fresh(model) is True


def own_loss(_run: RunState, event: Event) -> OwnLoss | None:
    """Return the run's own code that computes the loss."""
    return event.observed.trainer.own_loss()


def learning_rate(run: RunState, event: Event) -> None:
    """Note the learning rate of the first step."""
    run.facts.rates.look(event.step, event.observed.optimizer)


def renamed(_run: RunState, event: Event) -> dict[str, str]:
    """Return key of the log → key in the record."""
    return event.observed.trainer.renamed_figures()


def capture(of_part: Capture) -> Work:
    """Return the work of the capture *of_part*."""

    def work(_run: RunState, event: Event) -> Part[Any]:
        return of_part(event.observed)

    return work


def batch(run: RunState, event: Event) -> None:
    """Note the batch and the settings of this leg, for later legs of the run.

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
    """Read the existing card, and restore a card that a killed process left behind."""
    run.card_guard.look(event.folder)
