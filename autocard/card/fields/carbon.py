"""CO2 and water in words: what energy was multiplied by, or why there is no figure."""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.energy_figures import total_places, why_no_total
from autocard.card.fields.words import joined, since, so_far
from autocard.record import RunRecord

COUNTRY_MEAN = "the country's mean"
"""In the source of an intensity that is not that of the region which was given."""

NO_PLACE = "CO2: not known (no place is known, and grids differ by a factor of 100)."

GIVEN_DIGITS = 6
"""Significant digits of what a person gave."""


def co2_digits(record: RunRecord) -> int:
    """Return the significant digits of the CO2 figure: those of the energy, three at most."""
    places, kwh = total_places(record), record.energy.total_kwh
    if places is None or not kwh:
        return units.MODELLED
    return max(1, min(units.MEASURED, places - units.decimals(kwh, 1) + 1))


def co2eq(record: RunRecord) -> str | None:
    """Return the emissions: "1.40 kg CO2eq (location-based, 56.0 g/kWh, France 2023)".

    None: they are not known.
    """
    emissions = record.emissions
    if emissions.co2eq_g is None:
        return _least_co2eq(record)
    notes = joined([joined(_basis(record)), since(record)], "; ")
    text = f"{units.co2eq(emissions.co2eq_g, co2_digits(record))} ({notes})"
    if emissions.market_based_co2eq_g is not None:
        text += f"; {_market_based(emissions.market_based_co2eq_g)}"
    return text


def _basis(record: RunRecord) -> Iterator[str]:
    """Yield the kind of figure, the intensity, and whose or which grid's that is."""
    emissions = record.emissions
    if not is_given_intensity(record):
        yield "location-based"
    if emissions.intensity_g_per_kwh is not None:
        yield f"{units.number(emissions.intensity_g_per_kwh)} g/kWh"
    if is_given_intensity(record):
        yield escape(emissions.intensity_source or "")
    elif emissions.intensity_g_per_kwh is not None:
        yield _grid(record)


def _market_based(grams: float) -> str:
    figure = units.co2eq(grams, units.MEASURED)
    return f"{figure} (market-based, given by the author)"


def _least_co2eq(record: RunRecord) -> str | None:
    """Return the emissions of the processes that reported, where others did not."""
    least_g, reason = record.emissions.reported_co2eq_g, why_no_total(record)
    if not least_g or not reason:
        return None
    notes = joined([so_far(record), escape(reason)], "; ")
    return f"at least {units.co2eq(least_g, units.MODELLED)} ({notes})"


def carbon(record: RunRecord) -> Iterator[str]:
    """Yield how energy became CO2, or why it did not, and the water."""
    emissions = record.emissions
    if emissions.co2eq_g is not None:
        yield from _product(record, emissions.co2eq_g)
    elif record.energy.total_kwh is not None:
        yield _why_no_co2(record)
    if emissions.market_based_co2eq_g is not None:
        yield f"By contracts: {_market_based(emissions.market_based_co2eq_g)}."
    if emissions.water_l is not None:
        liters = units.number(emissions.water_l, units.MODELLED)
        wue = ""
        if emissions.wue_l_per_kwh is not None:
            wue = f", {units.number(emissions.wue_l_per_kwh)} L/kWh"
        yield f"Water: {liters} L (water usage effectiveness given by the author{wue})."


def _product(record: RunRecord, co2eq_g: float) -> Iterator[str]:
    """Yield energy × intensity = CO2."""
    energy = record.energy
    kwh = energy.total_kwh if energy.facility_kwh is None else energy.facility_kwh
    intensity = record.emissions.intensity_g_per_kwh
    if kwh is None or intensity is None:
        return
    notes = joined([basis(record), _pue(record)])
    yield (
        f"CO2: {units.fixed(kwh, total_places(record) or 0)} kWh "
        f"× {units.number(intensity)} g CO2eq/kWh{intensity_source(record)} "
        f"= {units.co2eq(co2eq_g, co2_digits(record))} ({notes})."
    )


def _pue(record: RunRecord) -> str:
    """Return the PUE in the energy that was multiplied, as in "PUE 1.25" or "no PUE given"."""
    pue, without = record.emissions.pue, legs_without_pue(record)
    if record.energy.facility_kwh is None:
        return "no PUE given"
    if pue is not None:
        return f"PUE {units.shortest(pue, GIVEN_DIGITS)} included"
    if without:
        starts = f"{units.count(without)} of {units.count(len(record.legs))} starts"
        return f"PUE included, except for {starts} without one"
    return "PUE of each start included"


def legs_without_pue(record: RunRecord) -> int:
    """Return the number of legs for which no PUE was given."""
    return sum(leg.pue is None for leg in record.legs)


def basis(record: RunRecord) -> str:
    """Return what kind of figure the intensity is; of one that a person gave it is not known."""
    return "" if is_given_intensity(record) else "location-based"


def is_given_intensity(record: RunRecord) -> bool:
    """Return whether the grid's intensity is a person's, not a table's."""
    return (record.emissions.intensity_source or "").startswith(("given by ", "given later by "))


def _grid(record: RunRecord) -> str:
    """Return whose mean the intensity is: "France 2023", or that it is one over the starts."""
    emissions = record.emissions
    source = emissions.intensity_source or ""
    # A table that does not have the region gave the country's figure: it is not the region's.
    region = None if COUNTRY_MEAN in source else emissions.region
    where = joined([region, emissions.country_name or emissions.country_iso_code])
    year = str(emissions.intensity_year) if emissions.intensity_year is not None else None
    place = joined([escape(where), year], " ")
    if len({leg.intensity_g_per_kwh for leg in record.legs}) > 1:
        return joined(["mean over the starts, weighted by energy", place])
    return place


def intensity_source(record: RunRecord) -> str:
    """Return in brackets where and when the grid had that intensity, and its source."""
    text = joined([_grid(record), escape(record.emissions.intensity_source or "")])
    return f" ({text})" if text else ""


def _why_no_co2(record: RunRecord) -> str:
    reason = record.why_missing("emissions.co2eq_g")
    if reason:
        return f"CO2: not known ({escape(reason)})."
    if reason is None and not any(leg.place.country_iso_code for leg in record.legs):
        return NO_PLACE
    return "CO2: not known."
