"""Figures of other meters in words, beside the sum of the components."""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.energy_figures import total_places
from autocard.card.fields.words import listed
from autocard.record import Reconciliation, RunRecord


def reconciled(record: RunRecord) -> Iterator[str]:
    """Yield what other meters read of the run, and how much of it the components are."""
    for comparison in record.reconciliations:
        yield _comparison(comparison, total_places(record))


def _comparison(comparison: Reconciliation, places: int | None) -> str:
    """Return a comparison in words; *places*: known decimals of the components' sum."""
    source = escape(comparison.source)
    if comparison.metered_kwh is None:
        return f"{source}: no figure, because {escape(comparison.reason)}."
    text = f"{source}: {units.kwh(comparison.metered_kwh)} ({escape(comparison.covers)})"
    text += _doubt(comparison)
    if comparison.components_kwh is None or comparison.ratio is None:
        return f"{text}. There is no total to compare it with."
    if places is None:
        places = units.decimals(comparison.components_kwh, units.MODELLED)
    components = f"{units.fixed(comparison.components_kwh, places)} kWh"
    parts = listed(map(escape, comparison.parts))
    text += f". The components of the same ({parts}) add up to {components}"
    text += f", {units.number(comparison.ratio, units.MODELLED)} of it"
    if comparison.unmetered_kwh is not None:
        known = min(units.decimals(comparison.metered_kwh, units.MEASURED), places)
        rest = units.fixed(comparison.unmetered_kwh, known)
        return f"{text}; {rest} kWh are not covered by the components."
    if comparison.verdict == "plausible":
        return f"{text}: the modeled parts read high."
    return f"{text}. No figure in this card uses it."


def _doubt(comparison: Reconciliation) -> str:
    reason = escape(comparison.reason)
    if comparison.verdict == "implausible":
        return f"; it cannot be the energy of the run: {reason}"
    if comparison.verdict == "doubtful":
        return f"; doubtful: {reason}"
    return ""
