"""Place → grams of CO2eq per kWh, from CodeCarbon's tables, with source and year.

Rule: an unknown place has no figure. CodeCarbon itself then takes Quebec's grid or the world's
mean; here its tables are asked only for what stands in them. Annual means, location-based; no
network. codecarbon is imported inside functions: call this from a process of its own (`carbon`),
because codecarbon sets up a logger when it is imported.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard.errors import UnavailableError
from autocard.settings.regions import region as find_region

G_PER_KG = 1000.0

NO_PLACE = "no place is known, and grids differ by a factor of 100"

_NORDIC = {"SWE": "SE", "NOR": "NO", "FIN": "FI"}  # bidding zones are named after the alpha-2 code
_MIX_YEAR = 2023  # of data/private_infra/2023/, which gives the year in the folder's name only


@dataclass(frozen=True)
class Intensity:
    """One figure, and where it came from."""

    g_per_kwh: float
    """Grams of CO2eq per kWh."""
    source: str
    """Whose figure, in words for people."""
    year: int | None = None
    """That it describes."""


def of(country_iso_code: str | None, region: str | None = None) -> Intensity:
    """Return the mean intensity of a country, or of its region if CodeCarbon has its table.

    Args:
        country_iso_code: ISO 3166-1 alpha-3.
        region: state, province or bidding zone, by name or code.

    Raises:
        UnavailableError: no place was given, or CodeCarbon's tables do not hold the country.
    """
    if country_iso_code is None:
        raise UnavailableError(NO_PLACE)
    if region is not None:
        found = _of_region(country_iso_code, region)
        if found is not None:
            return found
    table: dict[str, Any] = _tables().get_global_energy_mix_data()
    if country_iso_code not in table:
        msg = f"CodeCarbon has no carbon intensity for {country_iso_code}"
        raise UnavailableError(msg)
    source = "Our World in Data, through CodeCarbon"
    if region is not None:
        source += f", which has no figure for {region}: the country's mean"
    year = table[country_iso_code].get("year")
    return Intensity(_ask(country_iso_code, None), source, int(year) if year is not None else None)


def of_cloud(provider: str, region: str) -> Intensity:
    """Return the figure of the grid that a provider states for its region, from CodeCarbon's table.

    Raises:
        UnavailableError: the table does not hold the region.
    """
    row = _cloud_row(provider, region)
    if row is None:
        msg = f"CodeCarbon has no carbon intensity for the cloud region {region}"
        raise UnavailableError(msg)
    return Intensity(
        float(row["impact"]), f"{row['providerName']}'s figure for {region}, through CodeCarbon"
    )


def country_of_cloud(provider: str, region: str) -> tuple[str | None, str | None]:
    """Return country (ISO 3166-1 alpha-3) and state of a provider's region, if in that table."""
    row = _cloud_row(provider, region) or {}
    return row.get("countryIsoCode") or None, row.get("state") or None


def _cloud_row(provider: str, region: str) -> dict[str, str] | None:
    with Path(_tables().cloud_emissions_path).open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        return next(
            (row for row in rows if (row["provider"], row["region"]) == (provider, region)), None
        )


def _tables() -> Any:
    from codecarbon.input import DataSource  # noqa: PLC0415

    return DataSource()


def _ask(country_iso_code: str, region: str | None) -> float:
    """Return what CodeCarbon reckons for one kWh at a place that its tables hold, in grams."""
    from codecarbon.core.emissions import Emissions  # noqa: PLC0415
    from codecarbon.core.units import Energy  # noqa: PLC0415
    from codecarbon.external.geography import GeoMetadata  # noqa: PLC0415

    place = GeoMetadata(country_iso_code=country_iso_code, region=region)
    kg = Emissions(_tables()).get_private_infra_emissions(Energy.from_energy(kWh=1.0), place)
    return round(float(kg) * G_PER_KG, 6)  # grams with more digits than any table has


def _of_region(country_iso_code: str, region: str) -> Intensity | None:
    """Return the figure of a region that one of CodeCarbon's tables has; None: there is none."""
    known = find_region(country_iso_code, region)
    name = " ".join((known.name if known else region).lower().split())
    if country_iso_code == "USA":
        return _of_state(name)
    if country_iso_code == "CAN":
        return _of_canadian_province(name)
    if country_iso_code in _NORDIC:
        return _of_bidding_zone(country_iso_code, name)
    if country_iso_code == "CHN":
        return _of_chinese_province(name)
    return None


def _of_state(name: str) -> Intensity | None:
    states = _tables().get_country_emissions_data("usa")
    if name not in states or name.startswith("_"):  # "_source" is no state
        return None
    return Intensity(_ask("USA", name), f"{_egrid(states)}, through CodeCarbon", _MIX_YEAR)


def _of_canadian_province(name: str) -> Intensity | None:
    if name not in _tables().get_country_energy_mix_data("can"):
        return None
    source = "provincial fuel mix, combustion only (hydro, nuclear, wind as 0), through CodeCarbon"
    return Intensity(_ask("CAN", name), source, _MIX_YEAR)


def _of_bidding_zone(country_iso_code: str, name: str) -> Intensity | None:
    zone = _tables().get_nordic_country_energy_mix_data()["data"].get(name.upper())
    if zone is None or not name.upper().startswith(_NORDIC[country_iso_code]):
        return None
    source = "the bidding zone's mix, through CodeCarbon"
    return Intensity(_ask(country_iso_code, name), source, zone.get("year"))


def _of_chinese_province(name: str) -> Intensity | None:
    for province in _tables().get_china_provincial_emissions_data()["data"].values():
        if name in province["names"]:
            source = "MEE and NBS (CO2 only), through CodeCarbon"
            return Intensity(_ask("CHN", name), source, province.get("year"))
    return None


def _egrid(states: dict[str, Any]) -> str:
    """Return the source of CodeCarbon's table of US states, up to the first comma."""
    name = states.get("_source", {}).get("name", "EPA eGRID")
    return str(name).partition(",")[0]
