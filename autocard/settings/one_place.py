"""Country, region and intensity are one place: the stronger source decides where they differ."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

from autocard.settings.countries import country_code, in_a_sentence, same_words
from autocard.settings.nearest import listed
from autocard.settings.regions import (
    Region,
    did_you_mean_region,
    has_regions,
    region,
    region_of_code,
    regions_called,
)
from autocard.settings.sources import Source
from autocard.settings.values import refuse

COUNTRY, REGION = "country_iso_code", "region"
INTENSITY = "carbon_intensity_g_per_kwh"


def settle_place(
    values: MutableMapping[str, Any],
    origins: MutableMapping[str, Source],
    sources: Sequence[Source],
) -> None:
    """Check the region against the country, and give it its name.

    A code such as US-CA says the country, too. The region and the grid's intensity of a weaker
    source than the country's are left out where that source means another country.

    Args:
        values: setting → value; changed in place.
        origins: setting → the source of its value; changed in place.
        sources: from the strongest to the weakest.

    Raises:
        SettingsError: the country has no such region, or no country is given.
    """
    if REGION in values:
        _settle_region(values, origins, sources)
    if INTENSITY in values and COUNTRY in values:
        source = origins[INTENSITY]
        is_weaker = _rank(source, sources) > _rank(origins[COUNTRY], sources)
        if is_weaker and _means_another(source, None, values[COUNTRY]):
            del values[INTENSITY], origins[INTENSITY]


def _settle_region(
    values: MutableMapping[str, Any],
    origins: MutableMapping[str, Source],
    sources: Sequence[Source],
) -> None:
    """Check the region against the country, and give it its name."""
    text, source = values[REGION], origins[REGION]
    by_code = region_of_code(text)
    if by_code is None and COUNTRY not in values:
        refuse(source.given_as(REGION), _without_country(text))
    rank = _rank(source, sources) - _rank(origins.get(COUNTRY), sources)
    if by_code is not None and rank < 0:
        values[COUNTRY] = by_code.country_iso_code
        origins[COUNTRY] = replace(source, values={**source.values, COUNTRY: values[COUNTRY]})
    country = values[COUNTRY]
    found = region(country, text)
    if rank > 0 and _means_another(source, by_code, country):
        del values[REGION], origins[REGION]
    elif found is None:
        where = source.given_as(REGION)
        if rank:
            where = f"{where} with {origins[COUNTRY].given_as(COUNTRY)}"
        refuse(where, _no_such_region(country, text, by_code))
    else:
        values[REGION] = _name(found, text)


def _rank(source: Source | None, sources: Sequence[Source]) -> int:
    """Return the number of *source*, 0 is the strongest; None comes after all."""
    names = [one.name for one in sources]
    return len(names) if source is None else names.index(source.name)


def _means_another(source: Source, by_code: Region | None, country: str) -> bool:
    """Return whether the region of *source* is meant for another country than *country*."""
    beside: Mapping[str, Any] = source.values
    other = country_code(str(beside.get(COUNTRY) or ""))
    if other is None and by_code is not None:
        other = by_code.country_iso_code
    return other not in (None, country)


def _name(found: Region, text: str) -> str:
    """Return the name of a region: as it was given, if it was a name."""
    names = map(same_words, (found.name, *found.names))
    return text.strip() if same_words(text) in names else found.name


def _without_country(text: str) -> str:
    regions = regions_called(text)
    if len(regions) == 1:
        one = regions[0]
        return (
            f'a region needs its country. Did you mean region="{one.code}", {one.name} in '
            f"{in_a_sentence(one.country_iso_code)}?"
        )
    countries = ""
    if regions:
        countries = f"; there is one in {listed([one.country_iso_code for one in regions], 'and')}"
    return (
        f"a region needs its country{countries}. "
        "Give country_iso_code too, or the region's ISO 3166-2 code, such as US-CA."
    )


def _no_such_region(country: str, text: str, by_code: Region | None) -> str:
    here = in_a_sentence(country)
    if not has_regions(country):
        return f"no regions of {here} are known here. Leave region out."
    if country_code(text) == country:
        return "this is the country itself. Leave region out."
    others = [by_code] if by_code is not None else regions_called(text)
    if others:
        there = in_a_sentence(others[0].country_iso_code)
        return (
            f"{others[0].name} is a region of {there}, not of {here}. "
            "Correct the country or the region."
        )
    return f"there is no such region of {here}.{did_you_mean_region(country, text)}"
