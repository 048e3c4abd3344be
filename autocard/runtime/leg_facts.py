"""Batches and settings of the legs of a run, which are saved in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from autocard.record import Batch, Leg
from autocard.record.gaps import Part, under

NO_BATCH = (
    "what its optimizer steps consumed was not recorded with it, or batches have no fixed size"
)
NO_EPOCH = "the data loader does not show how long an epoch is"


class LegFacts:
    """Batches and settings of the legs of a run, by the id of the leg."""

    def __init__(self) -> None:
        """Begin without legs."""
        self.batches: dict[str, Any] = {}
        """Leg → fields of `record.Batch`."""
        self.settings: dict[str, dict[str, Any]] = {}
        """Leg → allow-listed hyperparameters."""

    def take_batches(self, from_checkpoint: Any) -> None:
        """Add the batches of earlier legs from a checkpoint, whose value may be of any type."""
        for leg_id, batch in _mappings(from_checkpoint).items():
            self.batches[leg_id] = batch

    def take_settings(self, from_checkpoint: Any) -> None:
        """Add the settings of earlier legs from a checkpoint, whose value may be of any type."""
        for leg_id, settings in _mappings(from_checkpoint).items():
            self.settings[leg_id] = dict(settings)

    def describe(self, leg: Leg, latest_id: str) -> Part[Leg]:
        """Return *leg* with its batch and the settings that differ from those of *latest_id*."""
        leg = self._with_settings(self._with_batch(leg), latest_id)
        return Part(leg, under("batch", _gaps(leg.batch)))

    def _with_batch(self, leg: Leg) -> Leg:
        raw = self.batches.get(leg.id)
        if raw is None:
            return leg
        try:
            return leg.model_copy(update={"batch": Batch.model_validate(raw)})
        except ValidationError:  # a checkpoint's, which another program may have written
            return leg

    def _with_settings(self, leg: Leg, latest_id: str) -> Leg:
        latest, own = self.settings.get(latest_id), self.settings.get(leg.id)
        if latest is None or own is None:
            return leg
        names = [*own, *(name for name in latest if name not in own)]
        other = {name: own.get(name) for name in names if own.get(name) != latest.get(name)}
        try:
            return Leg.model_validate({**leg.model_dump(), "other_hyperparameters": other})
        except ValidationError:  # a checkpoint's, which another program may have written
            return leg


def _mappings(value: Any) -> dict[str, Mapping[str, Any]]:
    """Return the items of *value* whose values are mappings; leave out everything else."""
    if not isinstance(value, Mapping):
        return {}
    return {str(key): one for key, one in value.items() if isinstance(one, Mapping)}


def _gaps(batch: Batch) -> dict[str, str]:
    if batch.step_samples is None:
        return {"": NO_BATCH}
    names = ("epoch_samples", "epoch_steps")
    return {name: NO_EPOCH for name in names if getattr(batch, name) is None}
