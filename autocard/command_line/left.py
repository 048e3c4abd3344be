"""What the commands say of a run that was broken off, and which run `close` takes."""

from __future__ import annotations

import math
import shlex
from pathlib import Path

from autocard import files
from autocard import record as records
from autocard.command_line.messages import REFUSED, USAGE, fail, note
from autocard.runtime import left_runs
from autocard.runtime.closing import Closed
from autocard.runtime.end_line import EndSummary, fields_for_people
from autocard.runtime.left_runs import LeftRun, SignOfLife


def run_to_close(folder: Path, *, force: bool) -> LeftRun | None:
    """Return the run in *folder* that `close` takes; None: there is nothing to close.

    Ends the command where the run may be alive, or where there is no training at all.
    """
    left = left_runs.find(folder)
    if not left:
        _nothing(folder)
        return None
    run = left[0]
    sign = None if force else left_runs.sign_of_life(run)
    if sign is not None:
        fail(
            f"{folder}: run {run.run_id} may be alive: {sign.what}. Nothing was written. "
            f"{_when(sign)} To make the card now: {command(folder)} --force",
            REFUSED,
        )
    for other in left[1:]:
        note(f"{folder}: run {other.run_id}, which began {other.began_at}, was broken off, too.")
    return run


def _nothing(folder: Path) -> None:
    """Say that there is nothing to close in *folder*."""
    if not files.exists(folder / records.RECORD_NAME):
        fail(
            f"{folder}: no training has left anything here. "
            "Name the output folder of a training with AutoCardCallback.",
            USAGE,
        )
    note(f"{folder}: nothing to close: its record, {records.RECORD_NAME}, is complete.")


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
    measured = bool(closed.record.energy.total_kwh)
    summary = EndSummary(closed.record, card, fields_for_people(card), measured=measured)
    note(summary.line.removeprefix("autocard: "))
