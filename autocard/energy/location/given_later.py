"""A place, an intensity or a PUE that a person gives after training → the record with its CO2.

The energy of each leg is in the record; grams are energy × PUE × intensity, summed by `totals`.
What is given is marked as given later, and what the run had recorded stays in the leg beside it.
Imports codecarbon where an intensity is looked up, from the tables that it ships: no network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autocard.energy.location import intensity
from autocard.errors import UnavailableError
from autocard.record import Leg, Place, RecordedPlace, RunRecord
from autocard.record.gaps import Gaps, Part, gaps_at, gaps_in, under, without
from autocard.settings import Settings
from autocard.settings.regions import proper_name
from autocard.totals import emission_sums, energy_sums, totals

LATER = "given later by the author"
"""Source of a place or an intensity."""

_INTENSITY = ("intensity_g_per_kwh", "intensity_source", "intensity_year")
_OF_PERSON = ("country_iso_code", "region", "carbon_intensity_g_per_kwh", "pue")
"""Settings that may be given later."""


@dataclass(frozen=True)
class _Change:
    """The fields of a leg that something given later sets, and why some of them are None."""

    fields: Mapping[str, Any]
    reasons: Gaps


def with_given(record: RunRecord, given: Settings) -> RunRecord:
    """Return *record* with the place, intensity and PUE of *given*, and the CO2 that follows.

    They are set in the legs that have none, or have one that was given later; where each leg has
    its own, in all legs.

    Args:
        record: of a run.
        given: country, region, intensity and PUE; the rest of it is not used.
    """
    parts = [Part(leg, _gaps(record, number)) for number, leg in enumerate(record.legs)]
    if given.country_iso_code or given.carbon_intensity_g_per_kwh is not None:
        figures = _figures(given)
        parts = _changed(parts, _has_intensity, lambda leg: _of_place(leg, given, figures))
    if given.pue is not None:
        pue = _Change({"pue": given.pue}, {})
        parts = _changed(parts, _has_pue, lambda _leg: pue)
    settings = {name: LATER for name in _OF_PERSON if getattr(given, name) is not None}
    record = record.model_copy(update={"settings": {**record.settings, **settings}})
    return _summed(record, parts)


def carried(legs: Sequence[Part[Leg]], earlier: RunRecord | None) -> list[Part[Leg]]:
    """Return *legs* of a run with what was given later in its *earlier* record.

    A new leg without a place that ran on the same machines as a leg with a given place was there,
    too.
    """
    before = {} if earlier is None else {leg.id: leg for leg in earlier.legs if leg.recorded_place}
    if earlier is None or not before:
        return list(legs)
    numbers = {leg.id: number for number, leg in enumerate(earlier.legs)}
    found = []
    for part in legs:
        other = before.get(part.value.id)
        if other is not None:
            change = _change_of(other, _gaps(earlier, numbers[other.id]))
            part = _with_change(part, change)  # noqa: PLW2901 - the same leg
        found.append(part)
    return [_as_neighbors(part, found) for part in found]


# -- which legs ------------------------------------------------------------------------------------


def _changed(
    parts: list[Part[Leg]], has_own: Callable[[Leg], bool], change: Callable[[Leg], _Change]
) -> list[Part[Leg]]:
    """Return *parts* with the *change* of those that do not have their own; if all do, of all."""
    every = all(has_own(part.value) for part in parts)
    return [
        part if has_own(part.value) and not every else _with_change(part, change(part.value))
        for part in parts
    ]


def _has_intensity(leg: Leg) -> bool:
    return leg.intensity_g_per_kwh is not None and not _is_given_later(leg)


def _is_given_later(leg: Leg) -> bool:
    return LATER in (leg.place.source, leg.intensity_source)


def _has_pue(leg: Leg) -> bool:
    recorded = leg.recorded_place[0].pue if leg.recorded_place else leg.pue
    return recorded is not None


def _as_neighbors(part: Part[Leg], parts: Sequence[Part[Leg]]) -> Part[Leg]:
    """Return *part* with what was given for a leg on the same machines, if it has nothing."""
    leg = part.value
    machines = {host.host for host in leg.hosts}
    if not machines or leg.intensity_g_per_kwh is not None or leg.place.country_iso_code:
        return part
    for other in parts:
        there = {host.host for host in other.value.hosts}
        if _is_given_later(other.value) and machines <= there:
            return _with_change(part, _change_of(other.value, other.gaps))
    return part


# -- one leg ---------------------------------------------------------------------------------------


def _of_place(leg: Leg, given: Settings, figures: _Change) -> _Change:
    """Return the change of *leg* by the place that was *given*, and the *figures* of its grid."""
    if given.country_iso_code is None:
        return figures
    country = given.country_iso_code
    region = proper_name(country, given.region)
    update = {"country_iso_code": country, "region": region, "source": LATER}
    return _Change(
        {**figures.fields, "place": leg.place.model_copy(update=update)}, figures.reasons
    )


def _figures(given: Settings) -> _Change:
    """Return the intensity that was *given*, or that of the place."""
    if given.carbon_intensity_g_per_kwh is not None:
        values: tuple[Any, ...] = (given.carbon_intensity_g_per_kwh, LATER, None)
        reasons = {"intensity_year": "the intensity was given without a year"}
    else:
        values, reasons = _looked_up(given.country_iso_code, given.region)
    return _Change(dict(zip(_INTENSITY, values, strict=True)), reasons)


def _looked_up(country: str | None, region: str | None) -> tuple[tuple[Any, ...], dict[str, str]]:
    """Return grams, source and year of a place in CodeCarbon's tables, and reasons of gaps."""
    try:
        found = intensity.of(country, region)
    except UnavailableError as exc:
        return (None, None, None), dict.fromkeys(_INTENSITY, str(exc))
    reasons = {}
    if found.year is None:
        reasons["intensity_year"] = "CodeCarbon's table does not give it"
    return (found.g_per_kwh, found.source, found.year), reasons


def _change_of(leg: Leg, gaps: Gaps) -> _Change:
    """Return what was given later for *leg*."""
    fields: dict[str, Any] = {}
    if _is_given_later(leg):
        fields = {name: getattr(leg, name) for name in ("place", *_INTENSITY)}
    if leg.recorded_place and leg.recorded_place[0].pue != leg.pue:
        fields["pue"] = leg.pue
    reasons = {name: gaps[name] for name in _INTENSITY if name in gaps}
    return _Change(fields, reasons)


def _with_change(part: Part[Leg], change: _Change) -> Part[Leg]:
    """Return *part* with a *change*; what the run had recorded is kept beside it."""
    leg, gaps = part.value, dict(part.gaps)
    recorded = leg.recorded_place
    if not recorded:
        names = RecordedPlace.model_fields
        recorded = [RecordedPlace(**{name: getattr(leg, name) for name in names})]
        for name in names:
            gaps.update(under(f"recorded_place.0.{name}", gaps_in(gaps, name)))
    for name in change.fields:
        gaps = without(gaps, name)
    leg = leg.model_copy(update={**change.fields, "recorded_place": recorded})
    gaps.update({name: why for name, why in change.reasons.items() if getattr(leg, name) is None})
    if "place" in change.fields:
        gaps.update(_gaps_of_place(leg.place))
    return Part(leg, gaps)


def _gaps_of_place(place: Place) -> dict[str, str]:
    reasons = {
        "country_iso_code": "only an intensity was given",
        "region": "no region was given",
        "cloud_provider": "the machine's firmware names no cloud",
        "cloud_region": "no cloud is known",
        "source": "no place is known",
    }
    return {f"place.{leaf}": why for leaf, why in reasons.items() if getattr(place, leaf) is None}


# -- sums ------------------------------------------------------------------------------------------


def _gaps(record: RunRecord, number: int) -> dict[str, str]:
    return gaps_at(record.missing, f"legs.{number}")


def _summed(record: RunRecord, parts: Sequence[Part[Leg]]) -> RunRecord:
    """Return *record* with the legs *parts*, and with the sums that depend on place and PUE."""
    parts = totals.with_emissions(
        [Part(part.value, without(part.gaps, "co2eq_g")) for part in parts]
    )
    recorded = Settings(
        market_based_co2eq_g=record.emissions.market_based_co2eq_g,
        wue_l_per_kwh=record.emissions.wue_l_per_kwh,
    )
    emissions = emission_sums.of_legs(parts, recorded)
    energy = energy_sums.of_legs(parts)
    missing = dict(record.missing)
    for number, part in enumerate(parts):
        path = f"legs.{number}"
        whole = {name: why for name, why in missing.items() if name == path}
        missing = {**without(missing, path), **whole}
        missing.update(under(path, {name: why for name, why in part.gaps.items() if name}))
    for name in emissions.value.model_fields_set:
        missing = without(missing, f"emissions.{name}")
    missing = without(missing, "energy.facility_kwh")
    missing.update(under("emissions", emissions.gaps))
    missing.update(under("energy", {n: w for n, w in energy.gaps.items() if n == "facility_kwh"}))
    new = {name: getattr(emissions.value, name) for name in emissions.value.model_fields_set}
    facility = {"facility_kwh": energy.value.facility_kwh}
    update = {
        "legs": [part.value for part in parts],
        "emissions": record.emissions.model_copy(update=new),
        "energy": record.energy.model_copy(update=facility),
        "missing": dict(sorted(missing.items())),
    }
    return record.model_copy(update=update)
