"""What the card guard asks of the run: its record as it stands now. The session answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from autocard.record import RunRecord


@dataclass(frozen=True)
class RecordNow:
    """The record of a run as far as it is known.

    Attributes:
        record: None: nothing is known yet.
        ended: training has ended, finished or interrupted, so the record says what it took.
    """

    record: RunRecord | None
    ended: bool


class RecordSource(Protocol):
    """Where the card guard gets the record from."""

    def record_now(self, saved_to: Path | None = None) -> RecordNow:
        """Return the record as it stands now; a training that has raised has ended.

        Args:
            saved_to: another folder than the run's own that the model has just been saved to: the
                record then tells of the weights in it.
        """
