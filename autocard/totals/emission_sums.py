"""The emissions of a run: grams of each leg, by its energy, PUE and carbon intensity; water."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pycountry

from autocard.record import Emissions, Leg
from autocard.record.gaps import Part, PartBuilder, why
from autocard.settings import Settings
from autocard.totals.energy_sums import facility_kwh, reported_j, some_silent
from autocard.totals.leg_sums import (
    J_PER_KWH,
    NO_LEGS,
    GapError,
    Legs,
    all_j,
    put_sum,
    reason_at,
    require_legs,
)

T = TypeVar("T")

NO_WUE = "no water usage effectiveness was given"
NO_INTENSITY = "no carbon intensity is known"
DIFFERS = "it differs between the starts"

_OF_PLACE = {
    "intensity_source": "intensity_source",
    "intensity_year": "intensity_year",
    "pue": "pue",
    "country_iso_code": "place.country_iso_code",
    "region": "place.region",
    "cloud_provider": "place.cloud_provider",
    "cloud_region": "place.cloud_region",
    "place_source": "place.source",
}
"""Field of `Emissions` → where a leg has it."""


def of_legs(legs: Legs, settings: Settings) -> Part[Emissions]:
    """Return the emissions of *legs*, and what they have in common of their places."""
    part = PartBuilder(Emissions, "emissions")
    for name, path in _OF_PLACE.items():
        _take_common(part, name, legs, path)
    code = part.fields["country_iso_code"]
    part.put("country_name", _country_name(code), reason_at(part.gaps, "country_iso_code"))
    part.put(
        "market_based_co2eq_g",
        settings.market_based_co2eq_g,
        "not given: it is set by contracts and cannot be metered",
    )
    put_sum(part, "co2eq_g", lambda: co2eq_g(legs))
    put_sum(part, "reported_co2eq_g", lambda: _reported_g(legs))
    put_sum(part, "intensity_g_per_kwh", lambda: _intensity_g_per_kwh(legs))
    part.put("wue_l_per_kwh", settings.wue_l_per_kwh, NO_WUE)
    put_sum(part, "water_l", lambda: _water_l(legs, settings))
    return part.build()


def _take_common(part: PartBuilder[Emissions], name: str, legs: Legs, path: str) -> None:
    """Set the field *name* to what all legs have at *path*."""
    values = [_at(leg.value, path) for leg in legs]
    if not values:
        part.put(name, None, NO_LEGS)
    elif any(value != values[0] for value in values):
        part.put(name, None, DIFFERS)
    else:
        part.put(name, values[0], reason_at(legs[0].gaps, path))


def _at(leg: Leg, path: str) -> object:
    value: object = leg
    for name in path.split("."):
        value = getattr(value, name)
    return value


def co2eq_g(legs: Legs) -> float:
    """Return the grams: each leg's energy at the devices × its PUE × its intensity.

    The PUE is 1 where none was given.

    Raises:
        GapError: a part was not measured, or a leg has no intensity.
    """
    require_legs(legs)
    total_g = 0.0
    reasons: dict[str, None] = {}
    for leg in legs:
        kwh = _or_reason(facility_kwh, [leg], reasons)
        g_per_kwh = _or_reason(_intensity_of, leg, reasons)
        total_g += (kwh or 0.0) * (g_per_kwh or 0.0)
    if reasons:
        raise GapError("; and ".join(reasons))
    return total_g


def _or_reason(work: Callable[[T], float], of: T, reasons: dict[str, None]) -> float | None:
    """Return *work* of *of*; None where it is a gap, whose reason is added to *reasons*."""
    try:
        return work(of)
    except GapError as gap:
        reasons[str(gap)] = None
        return None


def _intensity_of(leg: Part[Leg]) -> float:
    intensity = leg.value.intensity_g_per_kwh
    if intensity is None:
        raise GapError(why(leg.gaps, "intensity_g_per_kwh") or NO_INTENSITY)
    return intensity


def _reported_g(legs: Legs) -> float:
    """Return the grams of what was measured, by each leg's PUE and intensity.

    Raises:
        GapError: the totals are known, or a leg has no intensity.
    """
    total_g = 0.0
    for leg in some_silent(legs):
        kwh = reported_j(leg.value) / J_PER_KWH * (leg.value.pue or 1.0)
        total_g += kwh * _intensity_of(leg)
    return total_g


def _intensity_g_per_kwh(legs: Legs) -> float:
    """Return the intensity of the legs' place; of several, the mean weighted by energy × PUE.

    Raises:
        GapError: a leg has none, or there are several and their energy is not known.
    """
    values = {leg.value.intensity_g_per_kwh for leg in legs}
    if len(values) == 1:
        return _intensity_of(legs[0])
    total_g, total_kwh = co2eq_g(legs), facility_kwh(legs)
    if not total_kwh:
        raise GapError(DIFFERS)
    return total_g / total_kwh


def _country_name(code: object) -> str | None:
    if not isinstance(code, str):
        return None
    country = pycountry.countries.get(alpha_3=code)
    return None if country is None else str(country.name)


def _water_l(legs: Legs, settings: Settings) -> float:
    """Return liters: energy at the devices × the water usage effectiveness that was given.

    WUE is defined over the energy of the IT equipment (The Green Grid, White Paper 35), so the PUE
    is not in it.
    """
    if settings.wue_l_per_kwh is None:
        raise GapError(NO_WUE)
    return all_j(legs) / J_PER_KWH * settings.wue_l_per_kwh
