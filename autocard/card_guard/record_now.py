"""What the card guard needs of the run: its record as of now. The session provides it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from autocard.record import RunRecord


@dataclass(frozen=True)
class RecordNow:
    """The record of a run, as far as it is complete.

    Attributes:
        record: None: nothing is known yet.
        ended: training has ended, finished or interrupted, so the record has its totals.
        writes: this process writes the run's card; others may save the same model.
    """

    record: RunRecord | None
    ended: bool
    writes: bool = True


class RecordSource(Protocol):
    """Provides the record to the card guard."""

    def record_now(self, saved_to: Path | None = None) -> RecordNow:
        """Return the record as of now; a training that has raised an exception has ended.

        Args:
            saved_to: folder, other than the run's own, that the model has just been saved to: the
                record then describes the weights in it.
        """
