"""What the commands say of a run that was broken off, and which run `close` takes."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

from autocard import files, units
from autocard import record as records
from autocard.card import card_files
from autocard.card.fields.summary import summary
from autocard.command_line import printing
from autocard.command_line.messages import REFUSED, USAGE, fail, note
from autocard.runtime import closing, left_runs
from autocard.runtime.closing import Closed
from autocard.runtime.end_line import EndSummary, fields_for_people
from autocard.runtime.left_runs import LeftRun, SignOfLife
from autocard.trainers import checkpoint_folder

_FIGURES = ("Hours used", "Energy", "CO2eq")


def run_to_close(folder: Path, card: Path | None, *, force: bool) -> LeftRun | None:
    """Return the run in *folder* that `close` takes; None: there is nothing to close.

    Ends the command where the run may be alive, where its *card* (None: its own) is of a later run,
    and where there is no training at all.
    """
    left = left_runs.find(folder)
    if not left:
        _nothing(folder)
        return None
    run = left[0]
    _check_is_over(folder, left_runs.sign_of_life(run), run.run_id, force=force)
    _check_is_newest(folder, run, card or run.card)
    for other in left[1:]:
        note(f"{folder}: {_described(other)}, too; only the newest one was closed.")
    return run


def _check_is_over(folder: Path, sign: SignOfLife | None, run_id: str, *, force: bool) -> None:
    """Refuse to close a run that shows a *sign* of life."""
    if sign is not None and not force:
        fail(
            f"{folder}: run {run_id} may be alive: {sign.what}. Nothing was written. "
            f"{_when(sign)} To make the card now: {command(folder)} --force",
            REFUSED,
        )


def _check_is_newest(folder: Path, run: LeftRun, card: Path) -> None:
    """Refuse to replace the record of a later run, or of any other one where a person names it."""
    known = card_files.read_record_beside(card).record
    if known is None or known.run.id == run.run_id:
        return
    if card == run.card and (known.run.started_at or "") < run.began_at:
        return
    fail(
        f"{card}: the record beside it is of another run, {known.run.id}, which began "
        f"{known.run.started_at}. Nothing was written. "
        f"To make the card of run {run.run_id} elsewhere: {command(folder)} --card FILE",
        REFUSED,
    )


def _nothing(folder: Path) -> None:
    """Say that there is nothing to close in *folder*."""
    entries = left_runs.without_facts(folder)
    if files.exists(folder / records.RECORD_NAME):
        note(f"{folder}: nothing to close: {records.RECORD_NAME} is the record of its last run.")
    elif checkpoint_folder.is_checkpoint(folder):
        note(f"{folder}: nothing to close: the record of its run is in {folder.absolute().parent}.")
    elif entries:
        run_id = entries[-1].run_id
        fail(
            f"{folder}: only what run {run_id} used is there, and neither its working file nor a "
            "checkpoint says what it trained. Nothing was written. "
            "If it has just begun, try again in a minute.",
            REFUSED,
        )
    else:
        fail(
            f"{folder}: no training has left anything here. "
            "Name the output folder of a training with AutoCardCallback.",
            USAGE,
        )


def _described(run: LeftRun) -> str:
    planned = run.unfinished.record.run.max_steps
    reached = f"step {units.count(run.step)}"
    if planned:
        reached += f" of {units.count(planned)}"
    began = f", which began {run.began_at}," if run.began_at else ""
    return f"run {run.run_id}{began} broke off at {reached}"


def command(folder: Path) -> str:
    """Return the command that closes the run in *folder*."""
    return f"autocard close {shlex.quote(str(folder))}"


def _when(sign: SignOfLife) -> str:
    if sign.again_in_s is None:
        return "Try again when that process has ended."
    return f"Try again in {math.ceil(sign.again_in_s)} s."


def report_closed(closed: Closed) -> None:
    """Print what closing a run did."""
    card = closed.outcome.card
    if not closed.changed:
        note(f"{card}: nothing changed: run {closed.record.run.id} was closed before.")
        return
    summary = EndSummary(closed.record, card, fields_for_people(card), measured=closed.wants_energy)
    note(summary.line.removeprefix("autocard: "))


def show(folder: Path) -> bool:
    """Print which runs in *folder* broke off and have no card; return whether there are any."""
    found = left_runs.without_card(folder)
    for run in found:
        printing.print_labelled(_lines(folder, run))
    return bool(found)


def _lines(folder: Path, run: LeftRun) -> dict[str, str]:
    """Return label → text of what is there of *run*."""
    checkpoint = checkpoint_folder.newest(folder)
    record = closing.record_of(run, run.card)
    figures = summary(record)
    return {
        "Broken off": _described(run),
        "Hosts": units.count(len({entry.host_id for entry in run.newest})),
        **{name: text for name, text in figures.items() if name in _FIGURES},
        "Checkpoint": checkpoint.name if checkpoint is not None else "none",
        "Card": f"none; make it with: {command(folder)}",
    }


def way_on(folder: Path) -> str:
    """Return how a broken-off run in *folder* gets its record; "": there is no such run."""
    found = left_runs.without_card(folder)
    return f"But {_described(found[0])}. Make its record: {command(folder)}" if found else ""


def hint(folder: Path) -> None:
    """Say that a run in *folder* broke off and has no card, where there is one."""
    for run in left_runs.without_card(folder)[:1]:
        note(f"{folder}: {_described(run)} and has no card. Make it: {command(folder)} --card FILE")
