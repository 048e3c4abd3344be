"""The working file of a run that has begun and not ended: what `autocard close` makes its card of.

It lies in the private folder of working files (`_autocard/`), is replaced as a whole at each
checkpoint, and is removed when the run's own record has been written.
"""

from __future__ import annotations

import contextlib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from autocard import files
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.record import Frozen, RunRecord
from autocard.settings import Settings

PARTS = (
    "model",
    "adapters",
    "precision",
    "training",
    "data",
    "evaluation",
    "hardware",
    "software",
    "code",
    "job",
)
"""Keys of the record whose parts were captured when training began."""
_BYTES = 32_000_000
"""Of one file."""
_NAMES = "run-*.json"
_NOT_KEPT = {"given_as", "remote_hosts"}
"""Settings that neither the card nor the sums need."""


class CardPlan(Frozen):
    """Where the run's card goes, and how it is made."""

    path: str | None = None
    """From the root; None: README.md of the output folder."""
    template: str | None = None
    """A shipped template's name, or a path from the root."""
    withheld: list[str] = Field(default_factory=list)
    """Names that the card may not show as the base model."""
    tags: list[str] = Field(default_factory=list)
    """Tags for the front matter, besides those of the record."""


class UnfinishedRun(Frozen):
    """A run as of its begin or its newest checkpoint."""

    version: int = 1
    """Of this format."""
    written_at: str
    """ISO 8601, UTC."""
    process: str = ""
    """Mark of the process that trains (`process_mark`)."""
    leg_id: str
    """Of the leg that is open."""
    entries: list[LedgerEntry] = Field(default_factory=list)
    """Of the run's legs, as far as this process knows them."""
    why_earlier_missing: str | None = None
    """Why the run's earlier legs are not among them; None: they are, or there are none."""
    batches: dict[str, Any] = Field(default_factory=dict)
    """Leg → what its optimizer steps consume."""
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    """Leg → its allow-listed settings."""
    ledger_folders: list[str] = Field(default_factory=list)
    """From the root: where else than beside this file the legs' entries lie."""
    node_folder: str | None = None
    """The node's own folder for readings (`ledger_dir`), from the root; None: there is none."""
    output: str | None = None
    """The output folder from the root, when this was written; None: autocard did not keep it."""
    card: CardPlan = Field(default_factory=CardPlan)
    settings: dict[str, Any] = Field(default_factory=dict)
    """Those of the user that the card and the sums need."""
    record: RunRecord
    """What was known of the run."""

    @property
    def run_id(self) -> str:
        """Of the run."""
        return self.record.run.id or ""

    def own_settings(self) -> Settings:
        """Return the settings of the training."""
        known = {field.name for field in fields(Settings)}
        values = {name: value for name, value in self.settings.items() if name in known}
        listed = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return Settings(**{**values, **listed})


def kept_settings(settings: Settings) -> dict[str, Any]:
    """Return the settings of a training that its working file keeps."""
    values = asdict(settings)
    return {name: value for name, value in values.items() if name not in _NOT_KEPT}


def path_of(output: Path, run_id: str) -> Path:
    """Return the working file of a run in the folder *output*."""
    return output / files.PRIVATE / f"run-{run_id}.json"


def write(path: Path, run: UnfinishedRun) -> None:
    """Write the working file.

    Raises:
        NotWrittenError: it could not be written.
    """
    files.write_text(path, run.model_dump_json() + "\n")


def remove(path: Path) -> None:
    """Remove the working file; if that fails, it stays."""
    with contextlib.suppress(OSError):
        path.unlink()


def read(output: Path) -> list[UnfinishedRun]:
    """Return the runs whose working files lie in *output*; what cannot be read is left out."""
    found = []
    for file in files.listed(output / files.PRIVATE, _NAMES):
        with contextlib.suppress(OSError, UnicodeDecodeError, ValidationError):
            found.append(UnfinishedRun.model_validate_json(files.read_text(file, _BYTES)))
    return found
