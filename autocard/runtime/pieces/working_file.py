"""Pieces of work that keep the working file of the run, in the process that writes the card."""

from __future__ import annotations

from pathlib import Path

from autocard import files, process_mark
from autocard.card.fill import new_card
from autocard.energy.ledger.ledger_entry import LedgerEntry, utc_now
from autocard.record import RunRecord
from autocard.record.finite import finite
from autocard.runtime import unfinished_run
from autocard.runtime.run_state import Event, RunState
from autocard.runtime.unfinished_run import CardPlan, UnfinishedRun

OFF = "measuring was turned off (emissions=False)"
NO_READING = "not measured: training was killed before its first reading"


def has_record(_run: RunState, event: Event) -> bool:
    """Return whether the record so far could be assembled."""
    return event.record is not None


def write(run: RunState, event: Event) -> None:
    """Write the working file: at the begin of training and at each checkpoint."""
    if event.record is None:
        return
    before = run.working_file
    run.working_file = unfinished_run.path_of(event.folder, run.history.run_id)
    unfinished_run.write(run.working_file, _as_of_now(run, event, finite(event.record)))
    if before is not None and before != run.working_file:
        # the other processes gave the run another id
        unfinished_run.remove(before)


def _as_of_now(run: RunState, event: Event, record: RunRecord) -> UnfinishedRun:
    history, settings = run.history, run.settings
    legs = history.facts_of_legs
    why = NO_READING if settings.emissions else OFF
    past = history.past
    return UnfinishedRun(
        written_at=utc_now(),
        process=process_mark.own(),
        leg_id=history.open.id,
        entries=history.as_known(event.step, _measured(run), why),
        why_earlier_missing=None if past is None else past.reason,
        batches=legs.batches,
        hyperparameters=legs.settings,
        ledger_folders=[str(folder) for folder in history.folders.reads],
        node_folder=None if history.folders.node is None else str(history.folders.node),
        output=_from_root(str(event.folder)),
        card=_card(run, record),
        settings=unfinished_run.kept_settings(settings),
        record=record,
    )


def _measured(run: RunState) -> LedgerEntry | None:
    """Return what the meter has read of the open leg; None: nothing."""
    measured = None if run.meter is None else run.meter.so_far
    if measured is None or measured.leg.id != run.history.open.id:
        return None
    return measured


def _card(run: RunState, record: RunRecord) -> CardPlan:
    template = run.settings.template
    return CardPlan(
        path=None if run.no_card_there else _from_root(run.settings.card),
        template=template if template in new_card.SHIPPED else _from_root(template),
        withheld=sorted(run.card_guard.withheld),
        tags=run.card_guard.tags_beside(record),
    )


def _from_root(path: str | None) -> str | None:
    found = None if path is None else files.absolute(Path(path))
    return path if found is None else str(found)


def is_over(run: RunState, event: Event) -> bool:
    """Return whether the record was written, and holds what all processes of the training know."""
    whole = run.coordinator.alone or not run.facts.running
    return bool(event.written) and run.working_file is not None and whole


def remove(run: RunState, _event: Event) -> None:
    """Remove the working file."""
    path, run.working_file = run.working_file, None
    if path is not None:
        unfinished_run.remove(path)
