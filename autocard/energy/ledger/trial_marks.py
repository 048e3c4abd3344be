"""Which runs of a ledger are trials of a hyperparameter search: a small file beside their legs.

A search may train its trials in processes of their own; the run that follows it finds them by these
files.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from autocard import files
from autocard.record import Frozen


class TrialMark(Frozen):
    """A trial of a search."""

    run_id: str
    """Of the trial's legs."""
    search_id: str
    """What all trials of the search have, and the process that started it."""
    backend: str = ""
    """What searches, as the trainer names it; empty: it is not known."""


def write(folder: Path, mark: TrialMark) -> None:
    """Write *mark* into the ledger's *folder*.

    Raises:
        NotWrittenError: it could not be written.
    """
    files.write_text(folder / f"trial-{mark.run_id}.json", mark.model_dump_json() + "\n")


def read(folders: Iterable[Path]) -> list[TrialMark]:
    """Return the trials in *folders*, each once; a file that is no mark is left out."""
    found: dict[str, TrialMark] = {}
    for folder in folders:
        for file in files.listed(folder, "trial-*.json"):
            try:
                mark = TrialMark.model_validate_json(files.read_text(file))
            except (OSError, ValueError, ValidationError):
                continue
            found.setdefault(mark.run_id, mark)
    return list(found.values())
