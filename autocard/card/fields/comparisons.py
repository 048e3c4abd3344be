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
        return f"{text}. What was metered here has no sum to compare."
    if places is None:
        places = units.decimals(comparison.components_kwh, units.MODELLED)
    components = f"{units.fixed(comparison.components_kwh, places)} kWh"
    parts = listed(map(escape, comparison.parts))
    text += f". What was metered here of the same ({parts}) comes to {components}"
    text += f", {units.number(comparison.ratio, units.MODELLED)} of it"
    if comparison.unmetered_kwh is not None:
        known = min(units.decimals(comparison.metered_kwh, units.MEASURED), places)
        rest = units.fixed(comparison.unmetered_kwh, known)
        return f"{text}; {rest} kWh were not metered here."
    if comparison.verdict == "plausible":
        return f"{text}: what is modelled of it reads high."
    return f"{text}. No figure here rests on it."


def _doubt(comparison: Reconciliation) -> str:
    reason = escape(comparison.reason)
    if comparison.verdict == "implausible":
        return f"; it cannot be what the run took: {reason}"
    if comparison.verdict == "doubtful":
        return f"; it need not be this run's alone: {reason}"
    return ""
