"""Pieces of work that say what autocard does: a line at the begin of training, one at its end."""

from __future__ import annotations

import shlex

from autocard import console, units
from autocard.guard import log_warning
from autocard.runtime import begin_line, end_line, left_runs
from autocard.runtime.run_state import Event, RunState


def announces_begin(run: RunState, event: Event) -> bool:
    """Return whether this process speaks for the job, and has not done so for this search."""
    if run.settings.quiet or not run.writes(event.observed) or not run.coordinator.team.opens:
        return False
    return not event.in_search or (run.trials is not None and not run.trials.announced)


def begin(run: RunState, event: Event) -> None:
    """Say what is measured, what is modeled and what will be missing."""
    if event.in_search and run.trials is not None:
        run.trials.announced = True
    console.say(begin_line.text(run, event))


def may_find_left_runs(run: RunState, event: Event) -> bool:
    """Return whether this process writes the card of the training that begins."""
    return run.is_unfinished(event)


def left(run: RunState, event: Event) -> None:
    """Say once that other runs in the folder broke off and have no card."""
    others = [
        other
        for other in left_runs.without_card(event.folder)
        if other.run_id != run.history.run_id
    ]
    if others:
        log_warning(
            "autocard: %s in this output folder and %s no card. Their working files are kept. "
            "To make the card of the newest one: autocard close %s --run %s --card FILE",
            f"{units.plural(len(others), 'earlier run')} broke off",
            "has" if len(others) == 1 else "have",
            shlex.quote(str(event.folder)),
            others[0].run_id,
        )


def announces_end(run: RunState, event: Event) -> bool:
    """Return whether this process has written a card that the user has not heard of."""
    if run.settings.quiet or event.in_search or not run.writes(event.observed):
        return False
    return run.latest.record is not None and run.latest.card is not None


def end(run: RunState, _event: Event) -> None:
    """Say what the training took, where the card is, and what waits for a person."""
    record, card = run.latest.record, run.latest.card
    if record is None or card is None or not run.coordinator.speaks("end"):
        return
    run.latest.awaited = run.latest.awaited and record.energy.total_kwh is None
    measured, awaited = run.settings.emissions, run.latest.awaited
    fields = end_line.fields_for_people(card)
    said = end_line.EndSummary(record, card, fields, measured=measured, awaited=awaited)
    console.say(said.line, said.html)


def has_news(run: RunState, event: Event) -> bool:
    """Return whether the card has the figures now that it lacked when training ended."""
    return run.latest.awaited and announces_end(run, event)


def late(run: RunState, _event: Event) -> None:
    """Say the figures that had not arrived when training ended."""
    record, card = run.latest.record, run.latest.card
    if record is not None and card is not None and run.coordinator.speaks("late figures"):
        run.latest.awaited = False
        said = end_line.EndSummary(record, card)
        console.say(said.line, said.html)
