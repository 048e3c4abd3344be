"""The end of a training: assemble the record and write it, in the process that writes the card."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from autocard.capture.observed import Observed
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.guard import Budget
from autocard.runtime import deadlines, runner
from autocard.runtime.pieces.piece import LEG, Stage
from autocard.runtime.run_state import Event, RunState


@contextlib.contextmanager
def turn(run: RunState, event: Event, budget: Budget) -> Iterator[None]:
    """Gather the reports of other processes; in the body, no other process writes the card."""
    runner.go(run, Stage.TURN, event, budget)
    try:
        yield
    finally:
        if event.release is not None:
            event.release()


def observe_trainer(run: RunState, event: Event, budget: Budget) -> None:
    """Add the loss that the trainer's own code computes to the event's observed facts."""
    runner.go(run, Stage.TRAINER, event, budget)
    if event.observed.trainer.found:
        run.facts.own_loss = event.own_loss
    event.observed = replace(event.observed, own_loss=event.own_loss)


def finish(run: RunState, observed: Observed, budget: Budget) -> None:
    """Assemble the record and write it with the card."""
    event = Event(observed)
    run.facts.shown = observed.without_objects()
    for stage in (Stage.RESULTS, Stage.SAVED, Stage.ALL_NODES):
        runner.go(run, stage, event, budget)
    run.facts.parts.update(event.of_all_nodes or {})
    if not run.writes(observed) or event.in_search:
        return
    runner.go(run, Stage.PICTURES, event, budget)
    write(run, event, budget)


def write(run: RunState, event: Event, budget: Budget) -> None:
    """Write record and card."""
    run.news = False
    runner.go(run, Stage.RECORD, event, budget)
    runner.go(run, Stage.CARD, event, budget)


def measured(run: RunState, event: Event) -> tuple[LedgerEntry | None, str]:
    """Return the meter's entry of the leg, or None with the reason."""
    gaps = run.facts.gaps.pop(LEG, {})
    if event.measured:
        return event.measured[-1], ""
    off = "measuring was turned off (emissions=False)"
    return None, gaps.get("") or ("not measured" if run.settings.emissions else off)


def raised(run: RunState) -> None:
    """End the leg of a training that raises an exception now, and write record and card."""
    shown = run.facts.shown
    if shown is None:
        return
    event, budget = Event(shown), runner.budget(deadlines.END_S)
    clock = run.history.open.as_leg(event.step, "interrupted", event.at_s)
    run.facts.ended, run.ended_s = True, event.at_s
    run.clock_was_set = run.wall_clock.was_set(run.history.open.at_s)
    runner.go(run, Stage.STOP, event, budget)
    run.history.end(clock, *measured(run, event))
    for stage in (Stage.EARLIER, Stage.LEDGER, Stage.LEFT_BY_OTHERS):
        runner.go(run, stage, event, budget)
    finish(run, shown, budget)
    runner.go(run, Stage.END_LINE, Event(shown), runner.budget(deadlines.EVENT_S))
