"""The run: all its legs together."""

from __future__ import annotations

from autocard.record.base import Frozen, Status


class Run(Frozen):
    """One training run: all its legs together."""

    id: str | None = None
    """Made at the first start (12 hexadecimal digits); `co2_eq_emissions.source` in the card names
    it."""
    started_at: str | None = None
    """ISO 8601, UTC."""
    ended_at: str | None = None
    """ISO 8601, UTC; training's end, not the writing of the card."""
    status: Status | None = None
    """finished: all steps were done; stopped: training ended regularly before that; interrupted: it
    did not end."""
    global_step: int | None = None
    """Optimizer steps done, those of earlier legs included."""
    max_steps: int | None = None
    """Optimizer steps planned."""
    stop_reason: str = ""
    """Why training stopped before its planned end: early stopping (patience …); "": it did not, or
    not known."""
    epochs: float | None = None
    """Epochs done."""
    earlier_run: str = ""
    """Id of an earlier training of the same process that had trained these weights; empty: none is
    known."""
    earlier_steps: int = 0
    """Optimizer steps of it, and of those before it on the same weights; neither they nor their
    energy are in here."""
