"""Figures that arrive after training: from the worker, other processes and other sessions."""

from __future__ import annotations

import time

from autocard.runtime import completion, deadlines, finish, runner
from autocard.runtime.pieces.piece import Stage
from autocard.runtime.run_state import Event, RunState


def incomplete(run: RunState) -> bool:
    """Return whether figures of a leg that has ended are still to come."""
    own = run.meter is not None and run.meter.unfinished
    return run.news or run.history.waits or own or bool(run.history.awaited)


def receive(run: RunState, leg_id: str) -> None:
    """Note that another session's leg has figures now, if this card has it as a leg or trial."""
    trials = [trial.leg_id for search in run.searches for trial in search.done]
    run.news = run.news or leg_id in trials or run.history.holds(leg_id)


def take(run: RunState, wait_s: float = 0.0, *, last: bool = False) -> None:
    """Note the figures that have arrived since a leg ended.

    Args:
        run: the run.
        wait_s: seconds to wait for them.
        last: this is the last call: figures that are still missing get their reason.
    """
    shown = run.facts.shown
    if shown is None:
        return
    event = Event(shown, wait_s=wait_s, last=last)
    _take_own(run, event)
    if not run.history.awaited:
        return
    event.wait_s = max(event.at_s + wait_s - time.monotonic(), 0.0)
    budget = runner.budget(event.wait_s + deadlines.EVENT_S)
    runner.go(run, Stage.LATE_ELSEWHERE, event, budget)
    run.news = run.news or bool(event.late_elsewhere)


def _take_own(run: RunState, event: Event) -> None:
    """Note the figures of this process."""
    if run.meter is None or not run.meter.unfinished:
        return
    budget = runner.budget(event.wait_s + deadlines.EVENT_S)
    runner.go(run, Stage.LATE, event, budget)
    for measured in event.late_figures or ():
        leg_id = measured.leg.id
        entry = run.history.completed(measured)
        if entry is None:
            continue
        receive(run, leg_id)
        completion.publish(leg_id)
        runner.go(run, Stage.LATE_LEG, Event(event.observed, entry=entry), budget)


def complete(run: RunState) -> bool:
    """Write the card again if figures have arrived since training; return whether it was."""
    take(run)
    shown, news = run.facts.shown, run.news
    run.news = False
    if shown is None or not news or not run.facts.ended or not run.writes(shown):
        return False
    event, budget = Event(shown), runner.budget(deadlines.EVENT_S)
    if event.in_search:
        return False
    runner.go(run, Stage.NEWEST, event, budget)
    if not event.newest:
        return False
    runner.go(run, Stage.EARLIER, event, budget)
    runner.go(run, Stage.SAVED, event, budget)
    with finish.turn(run, event, budget):
        finish.write(run, event, budget)
    runner.go(run, Stage.LATE_LINE, event, runner.budget(deadlines.EVENT_S))
    return True
