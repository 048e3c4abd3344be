"""All single figures of a record."""

from __future__ import annotations

from autocard.card.fact import Fact
from autocard.card.fields.single import cost, data, machines, model, training
from autocard.record import RunRecord

_PARTS = (training.facts, model.facts, data.facts, machines.facts, cost.facts)


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the figures that forms ask for one by one; those that are not known are None."""
    found: dict[str, Fact | None] = {}
    for part in _PARTS:
        found.update(part(record))
    return found
