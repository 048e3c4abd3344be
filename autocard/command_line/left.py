"""What the commands say of a run that was broken off, and which run `close` takes."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from autocard import files, units
from autocard import record as records
from autocard.card import card_files
from autocard.card.fact import plain
from autocard.card.fields.summary import summary
from autocard.command_line import printing
from autocard.command_line.messages import REFUSED, USAGE, fail, note
from autocard.errors import NotWrittenError
from autocard.record import RunRecord
from autocard.runtime import closing, left_runs
from autocard.runtime.closing import Closed
from autocard.runtime.end_line import EndSummary, fields_for_people
from autocard.runtime.left_runs import LeftRun, SignOfLife
from autocard.trainers import checkpoint_folder

KILLED_S = 2.0
"""Seconds that processes which are being killed get to end."""
_FIGURES = ("Hours used", "Energy", "CO2eq")
_WRITTEN = "was written at its end, where its card is (setting card)"


def run_to_close(
    folder: Path, card: Path | None, run_id: str | None, *, force: bool
) -> LeftRun | None:
    """Return the run in *folder* that `close` takes; None: there is nothing to close.

    Ends the command where the run may be alive, where its card is of a later run, and where there
    is no training at all.

    Args:
        folder: an output folder, or a checkpoint.
        card: where the card goes; None: where training puts it.
        run_id: of the run; None: the newest one.
        force: take a run that may be alive.
    """
    left = left_runs.find(folder)
    if not left:
        _nothing(folder)
        return None
    run = _chosen(folder, left, run_id)
    sign = None if force else left_runs.sign_of_life(run, KILLED_S)
    _check_is_over(folder, sign, run.run_id)
    _check_is_newest(folder, run, card or run.card)
    if run_id is None:
        for other in left[1:]:
            if other.is_in(card_files.read_record_beside(other.card).record):
                continue
            way = f"{command(folder)} --run {other.run_id} --card FILE"
            note(f"{folder}: {_described(other)}, too. To make its card: {way}")
    return run


def _chosen(folder: Path, left: Sequence[LeftRun], run_id: str | None) -> LeftRun:
    """Return the run *run_id* of those *left* in *folder*; None: the newest one."""
    found = [run for run in left if run_id in (None, run.run_id)]
    if not found:
        known = ", ".join(run.run_id for run in left)
        fail(f"--run {plain(run_id or '')}: {folder} has {known}. Nothing was written.", USAGE)
    return found[0]


def _check_is_over(folder: Path, sign: SignOfLife | None, run_id: str) -> None:
    """Refuse to close a run that shows a *sign* of life."""
    if sign is not None:
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
    if card == run.card and not _is_later(known, run):
        return
    fail(
        f"{card}: the record beside it is of another run, {known.run.id}, which began "
        f"{known.run.started_at}. Nothing was written. "
        f"To make the card of run {run.run_id} in another folder: {_command_of(folder, run)}",
        REFUSED,
    )


def _is_later(known: RunRecord, run: LeftRun) -> bool:
    """Return whether the record *known* is of a run that began after *run*."""
    return known.run.id != run.run_id and (known.run.started_at or "") >= run.began_at


def _command_of(folder: Path, run: LeftRun) -> str:
    """Return the command that closes *run* in *folder*, whose place a later run may have taken."""
    known = card_files.read_record_beside(run.card).record
    if not run.has_successor and (known is None or not _is_later(known, run)):
        return command(folder)
    return f"{command(folder)} --run {run.run_id} --card FILE"


def _nothing(folder: Path) -> None:
    """Say that there is nothing to close in *folder*."""
    entries = left_runs.without_facts(folder)
    if checkpoint_folder.is_checkpoint(folder):
        around = folder.absolute().parent
        known = files.exists(around / records.RECORD_NAME)
        where = f"is in {around}" if known else _WRITTEN
        note(f"{folder}: nothing to close: the record of its run {where}.")
    elif files.exists(folder / records.RECORD_NAME):
        note(f"{folder}: nothing to close: {records.RECORD_NAME} is the record of its last run.")
    elif left_runs.newest_has_ended(entries):
        note(f"{folder}: nothing to close: the record of run {entries[-1].run_id} {_WRITTEN}.")
    elif entries:
        run_id = entries[-1].run_id
        fail(
            f"{folder}: only what run {run_id} used is there, and neither its working file nor a "
            "checkpoint says what it trained. Nothing was written. "
            "If it has just begun, try again in a minute.",
            REFUSED,
        )
    elif checkpoint_folder.newest(folder) is not None:
        note(f"{folder}: nothing to close: it is of a trial of a search, which has no card.")
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


def fail_not_written(folder: Path, run: LeftRun, card: Path, exc: NotWrittenError) -> NoReturn:
    """End the command: the *card* of *run* could not be written where it goes."""
    way = f"{command(folder)} --run {run.run_id} --card FILE" if run.run_id else command(folder)
    fail(f"{card}: {exc} To make the card elsewhere: {way}", REFUSED)


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
    checkpoint = None if run.has_successor else checkpoint_folder.newest(folder)
    record = closing.record_of(run, run.card)
    figures = summary(record)
    return {
        "Broken off": _described(run),
        "Hosts": units.count(len({entry.host_id for entry in run.newest})),
        **{name: text for name, text in figures.items() if name in _FIGURES},
        "Checkpoint": checkpoint.name if checkpoint is not None else "none",
        "Card": f"none; make it with: {_command_of(folder, run)}",
    }


def way_on(folder: Path) -> str:
    """Return how a broken-off run in *folder* gets its record; "": there is no such run."""
    found = left_runs.without_card(folder)
    if not found:
        return ""
    return f"But {_described(found[0])}. Make its record: {_command_of(folder, found[0])}"


def hint(folder: Path) -> None:
    """Say that a run in *folder* broke off and has no card, where there is one."""
    for run in left_runs.without_card(folder)[:1]:
        note(f"{folder}: {_described(run)} and has no card. Make it: {_command_of(folder, run)}")
