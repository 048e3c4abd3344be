"""A region of a country as a person writes it → its ISO 3166-2 code and English name.

States, provinces and the like are pycountry's. Sweden, Norway and Finland have bidding zones of the
electricity market besides (SE3), which CodeCarbon's tables use.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from autocard.settings.countries import (
    alpha_2,
    code_of_alpha_2,
    country_name,
    same_words,
)
from autocard.settings.nearest import nearest, question

NAMES_FILE = Path(__file__).with_name("region_names.json")
"""ISO 3166-2 code → English name, where pycountry has another; made by
docs/dev/make_region_names.py."""

ZONES = {
    "SWE": ("SE1", "SE2", "SE3", "SE4"),
    "NOR": ("NO1", "NO2", "NO3", "NO4", "NO5"),
    "FIN": ("FI",),
}
"""Bidding zones of the electricity market."""

_ISO_CODE = re.compile(r"([A-Z]{2})[-_ ]([A-Z0-9]{1,3})")
"""US-CA, DE-BY, FR-75C."""
_GENERIC = re.compile(
    r"\b(state|province|prefecture|county|region|district|municipality|canton|governorate|"
    r"autonomous|community|of)\b",
    re.IGNORECASE,
)
"""What may stand beside a name: State of California, Ontario province."""
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae"})
"""Letters as they are written where keyboards lack them: Zuerich."""
_OTHER_NAMES = {
    "nrw": "DE-NW",
    "washingtondc": "US-DC",
    "neimenggu": "CN-NM",
    "normandy": "FR-NOR",
    "brittany": "FR-BRE",
    "burgundy": "FR-BFC",
    "corsica": "FR-20R",
}
"""As `same_words` has it → code."""


@dataclass(frozen=True)
class Region:
    """A state, a province, a bidding zone."""

    country_iso_code: str
    """ISO 3166-1 alpha-3."""
    code: str
    """ISO 3166-2, or the bidding zone."""
    name: str
    """In English."""
    names: tuple[str, ...]
    """Other names of it, as pycountry has them."""

    def in_words(self) -> str:
        """Return its name and its code: "California (US-CA)"."""
        return self.name if self.name == self.code else f"{self.name} ({self.code})"


def region(country: str, text: str) -> Region | None:
    """Return the region that *text* names in *country* (alpha-3); None: there is none."""
    by_key = _of_country(country)
    words = same_words(text)
    given = _ISO_CODE.fullmatch(text.strip().upper())
    keys = (_iso_key(text) if given else "", f"={words}", words, _bare(text))
    return next((by_key[key] for key in keys if key and key in by_key), None)


def region_of_code(text: str) -> Region | None:
    """Return the region of an ISO 3166-2 code or a bidding zone, US-CA or SE3; None: it is none."""
    zone = text.strip().upper()
    for zoned, zones in ZONES.items():
        if zone in zones and zone != alpha_2(zoned):
            return region(zoned, zone)
    given = _ISO_CODE.fullmatch(text.strip().upper())
    country = code_of_alpha_2(given[1]) if given else None
    return _of_country(country).get(_iso_key(text)) if country else None


def regions_called(text: str) -> list[Region]:
    """Return the regions of all countries that have the name *text*."""
    import pycountry  # noqa: PLC0415 - only where a place is given

    wanted = same_words(text)
    countries = {one.country_code for one in pycountry.subdivisions}
    found = []
    for code in sorted(filter(None, map(code_of_alpha_2, countries))):
        one = _of_country(code).get(wanted)
        if one is not None:
            found.append(one)
    return found


def proper_name(country: str | None, text: str | None) -> str | None:
    """Return *text*, the name of a region, with its usual capitals; as it is if it is not one."""
    found = region(country, text) if country and text else None
    if found is None or text is None:
        return text
    same = [name for name in (found.name, *found.names) if same_words(name) == same_words(text)]
    return same[0] if same else text


def has_regions(country: str) -> bool:
    """Return whether any region of *country* (alpha-3) is known."""
    return bool(_of_country(country))


def did_you_mean_region(country: str, text: str) -> str:
    """Return " Did you mean California (US-CA)?", or what is accepted."""
    known = {one.name: one for one in _of_country(country).values()}
    names = [known[name].in_words() for name in nearest(text, sorted(known))]
    return question(
        names,
        f"Use its name or its ISO 3166-2 code, as in {known[min(known)].in_words()}, "
        "or leave region out for the country's mean.",
    )


def own_names(name: str) -> list[str]:
    """Return the names in an entry of pycountry, such as "Catalunya [Cataluña]"."""
    names = [re.sub(r"\s*\[.*?\]", "", name), *re.findall(r"\[(.*?)\]", name), *name.split("/")]
    for one in tuple(names):
        before, comma, after = one.partition(", ")  # Madrid, Comunidad de
        if comma:
            names += [before, f"{after} {before}"]
    return list(dict.fromkeys(filter(None, (one.strip() for one in names))))


@lru_cache(maxsize=256)
def _of_country(country: str) -> dict[str, Region]:
    """Return the regions of *country*, by the keys that `region` looks for."""
    by_key: dict[str, Region] = {}
    for one in _regions(country):
        local = one.code.rpartition("-")[2]
        by_key[f"={same_words(local)}"] = one
        if "-" in one.code:
            by_key[_iso_key(one.code)] = one
        for name in (one.name, *one.names):
            by_key.setdefault(same_words(name), one)
            by_key.setdefault(_bare(name), one)
            by_key.setdefault(same_words(name.casefold().translate(_UMLAUTS)), one)
    for words, code in _OTHER_NAMES.items():
        if _iso_key(code) in by_key:
            by_key.setdefault(words, by_key[_iso_key(code)])
    return by_key


def _regions(country: str) -> Iterator[Region]:
    import pycountry  # noqa: PLC0415 - only where a place is given

    for zone in ZONES.get(country, ()):
        yield Region(country, zone, zone, (f"{country_name(country)} {zone}",))
    english = _english_names()
    entries: Any = pycountry.subdivisions.get(country_code=alpha_2(country)) or ()
    for entry in sorted(entries, key=lambda one: (one.parent_code is not None, one.code)):
        own = own_names(entry.name)
        yield Region(country, entry.code, english.get(entry.code, own[0]), tuple(own))


def _bare(name: str) -> str:
    return same_words(_GENERIC.sub(" ", name))


def _iso_key(code: str) -> str:
    return "#" + re.sub(r"[-_ ]", "-", code.strip().upper())


@lru_cache(maxsize=1)
def _english_names() -> dict[str, str]:
    names: dict[str, str] = json.loads(NAMES_FILE.read_text(encoding="utf-8"))["names"]
    return names
