"""What a training run knew about itself: typed, frozen, serialisable.

Captures make the parts, `job` sums them up, cards and exports read them; nothing here computes a
fact. Imports the standard library and pydantic only. A fact that could not be had is None, and
`RunRecord.missing` says why, under the path of the leaf or of a part that holds it; zero is a
measured zero. Names carry units.
"""

from __future__ import annotations

from pydantic import Field

from autocard._version import __version__
from autocard.record.base import Frozen, Scalar
from autocard.record.data import Data
from autocard.record.energy import Emissions, Energy, Reconciliation, Search, Time
from autocard.record.evaluation import Evaluation
from autocard.record.hardware import Hardware
from autocard.record.job import Code, Job
from autocard.record.legs import Leg
from autocard.record.model import Adapter, Model
from autocard.record.run import Run
from autocard.record.training import Precision, Training

SCHEMA_VERSION = 1
"""Raised when a key changes its meaning or goes away; new keys alone do not raise it."""

RECORD_NAME = "autocard.json"
"""The record's file name, beside the card."""


class RunRecord(Frozen):
    """Everything a run knew about itself: the truth of which a card is a view."""

    schema_version: int = SCHEMA_VERSION
    """Of this file's format."""
    autocard_version: str = __version__
    """That wrote it."""
    run: Run = Field(default_factory=Run)
    legs: list[Leg] = Field(default_factory=list)
    model: Model = Field(default_factory=Model)
    adapters: list[Adapter] = Field(default_factory=list)
    """Empty for a full fine-tune."""
    precision: Precision = Field(default_factory=Precision)
    training: Training = Field(default_factory=Training)
    data: Data = Field(default_factory=Data)
    evaluation: Evaluation = Field(default_factory=Evaluation)
    hardware: Hardware = Field(default_factory=Hardware)
    software: dict[str, str] = Field(default_factory=dict)
    """Name to version."""
    code: Code = Field(default_factory=Code)
    job: Job = Field(default_factory=Job)
    time: Time = Field(default_factory=Time)
    energy: Energy = Field(default_factory=Energy)
    emissions: Emissions = Field(default_factory=Emissions)
    search: Search = Field(default_factory=Search)
    reconciliations: list[Reconciliation] = Field(default_factory=list)
    """What `autocard reconcile` compared; empty: nothing yet."""
    pictures: dict[str, str] = Field(default_factory=dict)
    """File name of a picture beside the card to what one sees on it; its dark twin ends in
    _dark.png."""
    facts: dict[str, Scalar] = Field(default_factory=dict)
    """What a person supplied: template variable to text."""
    settings: dict[str, str] = Field(default_factory=dict)
    """Setting that shaped a figure to where it came from."""
    missing: dict[str, str] = Field(default_factory=dict)
    """Path of the fact to the reason why it is not there."""
    slots: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Card's file name to slot to the text that autocard wrote into it; "place:" and a slot to
    where it stands."""

    def why_missing(self, path: str) -> str | None:
        """Return why the fact at *path* is None; None where there is no reason.

        A path has dots between keys and indices of lists: legs.0.hosts.1.cpu_j.
        """
        while path:
            if path in self.missing:
                return self.missing[path]
            path = path.rpartition(".")[0]
        return None
