"""Energy: what is in doubt and how it became CO2 in the open, the parts and the method folded.

One rule: a part that was not measured says so where its figure would stand, and a sum without it is
not shown.
"""

from __future__ import annotations

from collections.abc import Iterable

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields import coverage, trust
from autocard.card.fields.carbon import basis, carbon, intensity_source
from autocard.card.fields.comparisons import reconciled
from autocard.card.fields.energy_figures import (
    NOT_MEASURED,
    PARTS,
    kind,
    part_figure,
    part_kwh,
    too_short,
    total,
    why_no_total,
)
from autocard.card.fields.energy_table import energy_table
from autocard.card.fields.folds import folded
from autocard.card.fields.words import joined, so_far
from autocard.record import RunRecord

HOW_MEASURED = "How energy and CO2 were measured"


def energy(record: RunRecord) -> Fact | None:
    """Return the account, and in one line the total with its parts. None: nothing was measured."""
    short = too_short(record)
    if short is not None:
        return Fact(short)
    if all(part_kwh(record, part) is None for part in PARTS):
        return _least_energy(record)
    block = joined([*_in_the_open(record), folded(HOW_MEASURED, _method(record))], "\n\n")
    parts = ", ".join(f"{label} {_short(record, part)}" for part, label in PARTS.items())
    total_text = total(record)
    if total_text is None:
        return Fact(f"in kWh{_brackets(so_far(record))}: {parts}", block)
    notes = joined([parts, so_far(record)], "; ")
    return Fact(f"{total_text} kWh at the devices ({notes})", block)


def _least_energy(record: RunRecord) -> Fact | None:
    """Return what the processes used that reported, where others did not; None: not known."""
    least_kwh, reason = record.energy.reported_kwh, why_no_total(record)
    if not least_kwh or reason is None:
        return None
    least = units.kwh(least_kwh, units.MODELLED)
    open_run = so_far(record)
    first = f"The run used at least {least} {open_run}" if open_run else _whole(least)
    least_g = record.emissions.reported_co2eq_g
    if least_g:
        co2eq = joined([units.co2eq(least_g, units.MODELLED), basis(record)])
        first += f" ({co2eq}{intensity_source(record)})"
    first += f": {escape(reason)}."
    paragraphs = [first, *_in_the_open(record), folded(HOW_MEASURED, _method_words(record))]
    notes = joined([open_run, escape(reason)], "; ")
    return Fact(f"at least {least} ({notes})", joined(paragraphs, "\n\n"))


def _whole(least: str) -> str:
    return f"The whole run used at least {least}"


def _in_the_open(record: RunRecord) -> list[str]:
    """Return as paragraphs how energy became CO2, and what puts the figures in doubt."""
    doubts = [
        *coverage.going_on(record),
        *trust.boards(record),
        *trust.guessed(record),
        *coverage.not_included(record),
        *trust.codecarbon(record),
        *coverage.search(record),
    ]
    return [*_paragraph(carbon(record)), *_paragraph(doubts), *reconciled(record)]


def _method(record: RunRecord) -> str:
    return f"{energy_table(record)}\n\n{_method_words(record)}"


def _method_words(record: RunRecord) -> str:
    """Return as paragraphs what the total covers, and how sure it is."""
    covered = [*coverage.boundary(record), *coverage.apart(record), *coverage.repeated(record)]
    sure = [*trust.uncertainty(record), *trust.reads_low(record), *trust.node_meters(record)]
    return joined([*_paragraph(covered), *_paragraph(sure)], "\n\n")


def _brackets(note: str | None) -> str:
    return f" ({note})" if note else ""


def _paragraph(sentences: Iterable[str]) -> list[str]:
    """Return the sentences as one paragraph; nothing where there are none."""
    text = " ".join(sentences)
    return [text] if text else []


def _short(record: RunRecord, part: str) -> str:
    """Return the figure of *part* with its kind, as in "21.3 measured"."""
    figure = part_figure(record, part)
    return joined([figure, kind(record, part)], " ") if figure else NOT_MEASURED
