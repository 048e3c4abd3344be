"""Energy, written out like an account: the parts, their sum, and what has to be read beside it.

One rule: a part that was not measured says so where its figure would stand, and a sum without it is
not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields import trust
from autocard.card.fields.carbon import basis, carbon, intensity_source, legs_without_pue
from autocard.card.fields.comparisons import reconciled
from autocard.card.fields.coverage import apart, boundary
from autocard.card.fields.energy_figures import (
    NOT_MEASURED,
    PARTS,
    part_figure,
    part_kwh,
    total,
    total_places,
    why_no_total,
)
from autocard.card.fields.words import table
from autocard.record import RunRecord

_HEAD = ["Part", "kWh", "How"]
"""Not "Energy": a form's table with a row of that name asks for the fact, and the head would look
like it."""

_GIVEN_DIGITS = 6
"""Significant digits of what a person gave."""


def energy(record: RunRecord) -> Fact | None:
    """Return the account, and in one line the total with its parts. None: nothing was measured."""
    if all(part_kwh(record, part) is None for part in PARTS):
        return _least_energy(record)
    rows = [_row(record, part) for part in PARTS]
    rows += _sums(record)
    paragraphs = _paragraphs(
        carbon(record), boundary(record), apart(record), reconciled(record), _trust(record)
    )
    block = "\n\n".join([table(_HEAD, rows, frozenset({1})), *paragraphs])
    parts = ", ".join(f"{label} {_short(record, part)}" for part, label in PARTS.items())
    total_text = total(record)
    if total_text is None:
        return Fact(f"in kWh: {parts}", block)
    return Fact(f"{total_text} kWh at the devices ({parts})", block)


def _least_energy(record: RunRecord) -> Fact | None:
    """Return what the processes used that reported, where others did not; None: not known."""
    least_kwh, reason = record.energy.reported_kwh, why_no_total(record)
    if not least_kwh or reason is None:
        return None
    least = units.kwh(least_kwh, units.MODELLED)
    first = f"There is no total: {escape(reason)}. What was heard of used {least}"
    least_g = record.emissions.reported_co2eq_g
    if least_g:
        co2eq = units.co2eq(least_g, units.MODELLED)
        first += f" ({co2eq}{basis(record)}{intensity_source(record)})"
    first += "; the whole run used at least that."
    paragraphs = _paragraphs(boundary(record), apart(record), reconciled(record), _trust(record))
    return Fact(f"at least {least} ({escape(reason)})", "\n\n".join([first, *paragraphs]))


def _paragraphs(*parts: Iterable[str]) -> Iterator[str]:
    """Yield the sentences of each part as a paragraph; a part without a sentence has none."""
    for sentences in parts:
        text = " ".join(sentences)
        if text:
            yield text


def _trust(record: RunRecord) -> Iterator[str]:
    """Yield what the figures rest on, and how far they can be trusted."""
    yield from trust.boards(record)
    yield from trust.uncertainty(record)
    yield from trust.other_meters(record)


# -- rows of the table -----------------------------------------------------------------------------


def _row(record: RunRecord, part: str) -> list[str]:
    return [PARTS[part], part_figure(record, part) or "", _how(record, part)]


def _how(record: RunRecord, part: str) -> str:
    """Return how *part* was measured, or why it was not."""
    if part_kwh(record, part) is not None:
        source = record.energy.sources.get(part)
        return escape(source) if source else "how is not recorded"
    reason = record.why_missing(f"energy.{part}_kwh")
    if not reason or reason == NOT_MEASURED:
        return NOT_MEASURED
    return f"{NOT_MEASURED}: {escape(reason.removeprefix(NOT_MEASURED).lstrip(': '))}"


def _short(record: RunRecord, part: str) -> str:
    """Return the figure of *part* with its kind, as in "21.3 measured"."""
    figure = part_figure(record, part)
    if not figure:
        return NOT_MEASURED
    source = record.energy.sources.get(part, "")
    for kind in ("measured", "modelled"):
        if source.startswith(kind):
            return f"{figure} {kind}"
    return figure


def _sums(record: RunRecord) -> Iterator[list[str]]:
    total_text, energy = total(record), record.energy
    if total_text is None:
        least = ""
        if energy.reported_kwh:
            least = f"at least {units.number(energy.reported_kwh, units.MODELLED)}"
        yield ["**At the devices**", least, "no sum, because one of its parts was not measured"]
        return
    yield ["**At the devices**", f"**{total_text}**", "the sum of these"]
    if energy.facility_kwh is not None:
        with_building = units.fixed(energy.facility_kwh, total_places(record) or 0)
        yield ["With the building", with_building, _pue(record)]


def _pue(record: RunRecord) -> str:
    """Return the PUE that the total was multiplied by; legs may have had different ones."""
    pue = record.emissions.pue
    if pue is not None:
        return f"× PUE {units.shortest(pue, _GIVEN_DIGITS)}, as given"
    if legs_without_pue(record):
        return "× the PUE of each leg that has one"
    return "× the PUE given for each leg"
