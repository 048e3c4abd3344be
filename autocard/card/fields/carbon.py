"""CO2 and water in words: what energy was multiplied by, or why there is no figure."""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.energy_figures import total_places, why_no_total
from autocard.card.fields.words import since
from autocard.record import RunRecord

COUNTRY_MEAN = "the country's mean"
"""In the source of an intensity that is not that of the region which was given."""

NO_PLACE = "CO2: not stated, because no place is known, and grids differ by a factor of 100."


def co2_digits(record: RunRecord) -> int:
    """Return the significant digits of the CO2 figure: those of the energy, three at most."""
    places, kwh = total_places(record), record.energy.total_kwh
    if places is None or not kwh:
        return units.MODELLED
    return max(1, min(units.MEASURED, places - units.decimals(kwh, 1) + 1))


def co2eq(record: RunRecord) -> str | None:
    """Return the emissions, as in "1.40 kg CO2eq (location-based)"; None: they are not known."""
    emissions = record.emissions
    if emissions.co2eq_g is None:
        return _least_co2eq(record)
    basis = "location-based"
    if is_given_intensity(record):
        basis = f"by the grid intensity {escape(emissions.intensity_source or '')}"
    notes = "; ".join(filter(None, [basis, since(record)]))
    text = f"{units.co2eq(emissions.co2eq_g, co2_digits(record))} ({notes})"
    if emissions.market_based_co2eq_g is not None:
        market_based = units.co2eq(emissions.market_based_co2eq_g, units.MEASURED)
        text += f"; {market_based} (market-based, as given by the author)"
    return text


def _least_co2eq(record: RunRecord) -> str | None:
    """Return the emissions of the processes that reported, where others did not."""
    least_g, reason = record.emissions.reported_co2eq_g, why_no_total(record)
    if not least_g or not reason:
        return None
    return f"at least {units.co2eq(least_g, units.MODELLED)} ({escape(reason)})"


def carbon(record: RunRecord) -> Iterator[str]:
    """Yield how energy became CO2, or why it did not, and the water."""
    emissions = record.emissions
    if emissions.co2eq_g is not None:
        yield from _product(record, emissions.co2eq_g)
        yield from _without_pue(record)
    elif record.energy.total_kwh is not None:
        yield _why_no_co2(record)
    if emissions.market_based_co2eq_g is not None:
        market_based = units.co2eq(emissions.market_based_co2eq_g, units.MEASURED)
        yield f"Market-based (by contracts), as given by the author: {market_based}."
    if emissions.water_l is not None:
        litres = units.number(emissions.water_l, units.MODELLED)
        wue = ""
        if emissions.wue_l_per_kwh is not None:
            wue = f" of {units.number(emissions.wue_l_per_kwh)} litres/kWh"
        yield f"Water: {litres} litres, by the water usage effectiveness{wue} that the author gave."


def _product(record: RunRecord, co2eq_g: float) -> Iterator[str]:
    """Yield energy × intensity = CO2."""
    energy = record.energy
    kwh = energy.total_kwh if energy.facility_kwh is None else energy.facility_kwh
    intensity = record.emissions.intensity_g_per_kwh
    if kwh is None or intensity is None:
        return
    yield (
        f"CO2: {units.fixed(kwh, total_places(record) or 0)} kWh "
        f"× {units.number(intensity)} g CO2eq/kWh{intensity_source(record)} "
        f"= {units.co2eq(co2eq_g, co2_digits(record))}{basis(record)}."
    )


def _without_pue(record: RunRecord) -> Iterator[str]:
    """Yield for how much of the run the building is not included."""
    without = legs_without_pue(record)
    if record.energy.facility_kwh is None:
        yield "No PUE was given, so the building's cooling and losses are not in it (PUE 1.0)."
    elif record.emissions.pue is None and without:
        legs = f"{units.count(without)} of {units.count(len(record.legs))} legs"
        yield (
            f"No PUE was given for {legs}, "
            "so the building's cooling and losses are not in theirs (PUE 1.0)."
        )


def legs_without_pue(record: RunRecord) -> int:
    """Return the number of legs for which no PUE was given."""
    return sum(leg.pue is None for leg in record.legs)


def basis(record: RunRecord) -> str:
    """Return what kind of figure the intensity is; of one that a person gave it is not known."""
    return "" if is_given_intensity(record) else ", location-based: by the mean of the grid there"


def is_given_intensity(record: RunRecord) -> bool:
    """Return whether the grid's intensity is a person's, not a table's."""
    return (record.emissions.intensity_source or "").startswith(("given by ", "given later by "))


def intensity_source(record: RunRecord) -> str:
    """Return in brackets where and when the grid had that intensity, and its source."""
    emissions = record.emissions
    source = emissions.intensity_source or ""
    # A table that does not have the region gave the country's figure: it is not the region's.
    region = None if COUNTRY_MEAN in source else emissions.region
    where = ", ".join(filter(None, [region, emissions.country_name or emissions.country_iso_code]))
    year = str(emissions.intensity_year) if emissions.intensity_year is not None else None
    words = [" ".join(filter(None, [escape(where), year])), escape(source)]
    if len({leg.intensity_g_per_kwh for leg in record.legs}) > 1:
        words.insert(0, "mean over the legs, by their energy")
    text = ", ".join(filter(None, words))
    return f" ({text})" if text else ""


def _why_no_co2(record: RunRecord) -> str:
    reason = record.why_missing("emissions.co2eq_g")
    if reason:
        return f"CO2: not stated, because {escape(reason)}."
    if reason is None and not any(leg.place.country_iso_code for leg in record.legs):
        return NO_PLACE
    return "CO2: not stated."
