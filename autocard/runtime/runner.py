"""Runs the pieces of work of a stage: each under a guard of its own, in the order of the table."""

from __future__ import annotations

from functools import partial
from typing import Any

from autocard.guard import Budget, attempted, guarded, name_work
from autocard.record.gaps import Gaps, Part
from autocard.runtime import deadlines
from autocard.runtime.pieces import table
from autocard.runtime.pieces.failure_words import FAILURE_WORDS
from autocard.runtime.pieces.piece import Piece, Stage
from autocard.runtime.run_state import Event, RunState

name_work(FAILURE_WORDS)


def budget(total_s: float) -> Budget:
    """Return the time budget of an event."""
    return Budget(total_s, deadlines.LEAST_S)


def go(run: RunState, stage: Stage, event: Event, time_left: Budget) -> None:
    """Do the pieces of *stage* that apply; pieces with a deadline share *time_left*."""
    for piece in table.PIECES:
        if piece.stage is stage and piece.when(run, event):
            do(run, piece, event, time_left)


def do(run: RunState, piece: Piece, event: Event, time_left: Budget) -> None:
    """Do a piece of work, note its gaps and store its result."""
    failed: dict[str, str] = {}
    work = partial(piece.work, run, event)
    if piece.asks_s is not None:
        time_left = budget(piece.asks_s)
    result: Any
    if piece.may_hang:
        result = guarded(piece.label, failed, work, time_left)
    else:
        result = attempted(piece.label, failed, work)
    gaps: Gaps = {"": failed[piece.label]} if failed else {}
    if isinstance(result, Part):
        gaps, result = result.gaps, result.value
    if piece.fact:
        _note_gaps(run, piece, gaps)
    if piece.fills:
        _store(run, piece, event, result, failed=bool(failed))
    if piece.asks_s is not None:
        run.coordinator.team.let_go()


def _note_gaps(run: RunState, piece: Piece, gaps: Gaps) -> None:
    """Replace the gaps of the piece's previous call by *gaps*."""
    before = run.facts.gaps.get(piece.fact, {}) if piece.adds_gaps else {}
    run.facts.gaps[piece.fact] = {**before, **gaps}


def _store(run: RunState, piece: Piece, event: Event, result: Any, *, failed: bool) -> None:
    place, _, name = piece.fills.partition(".")
    if place == "parts":
        if not failed:
            run.facts.parts[name] = result
        return
    holder = {"run": run, "facts": run.facts, "event": event}[place]
    setattr(holder, name, result)
