"""Two texts about one fact: does one say something that the other denies?

One rule: only what can be compared is: figures of the same kind, names of devices and of formats. A
text without any is another way to say it, and no contradiction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NUMBER = r"(?P<number>\d{1,15}(?:[,\u2009\u202f]\d{3}){0,5}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,3})?)"
_UNITS: dict[str, dict[str, float]] = {
    "time": {
        "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
        "min": 60, "mins": 60, "minute": 60, "minutes": 60,
        "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
        "gpu-hours": 3600, "gpu-hour": 3600, "gpu hours": 3600, "gpu hour": 3600, "gpu-h": 3600,
        "d": 86400, "day": 86400, "days": 86400, "week": 604800, "weeks": 604800,
    },
    "energy": {"j": 1, "kj": 1e3, "mj": 1e6, "wh": 3600, "kwh": 3.6e6, "mwh": 3.6e9, "gwh": 3.6e12},
    "mass": {
        "mg": 1e-3, "g": 1, "gram": 1, "grams": 1, "kg": 1e3, "kilo": 1e3, "kilos": 1e3, "kilogram": 1e3,
        "kilograms": 1e3, "t": 1e6, "ton": 1e6, "tons": 1e6, "tonne": 1e6, "tonnes": 1e6,
        "gco2eq": 1, "gco2": 1, "kgco2eq": 1e3, "kgco2": 1e3, "tco2eq": 1e6, "tco2": 1e6,
    },
}  # fmt: skip
_DIMENSION = {
    unit: (kind, factor) for kind, units in _UNITS.items() for unit, factor in units.items()
}
_FIGURE = re.compile(
    rf"(?<![\w.,]){_NUMBER}[ \u00a0-]?(?P<unit>{'|'.join(sorted(map(re.escape, _DIMENSION), key=len, reverse=True))})"
    r"(?![\w/])",
    re.IGNORECASE,
)
_AND = re.compile(r"[ ,]{0,3}(?:and )?", re.IGNORECASE)
_NAME = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{1,12}\d{1,6}[A-Za-z0-9]{0,8}")
_NO_NAME = re.compile(r"co2|h2o", re.IGNORECASE)
_NONE = re.compile(r"\bno GPU\b|\bGPU: none\b|\bnone used\b", re.IGNORECASE)
_CLOSE = 0.05
"""Share by which two figures may differ and still be the same, rounded."""
_LONGEST = 2000


def contradicts(theirs: str, ours: str) -> bool:
    """Return whether *theirs* says something about the fact that *ours*, the record's text, denies."""
    theirs, ours = theirs[:_LONGEST], ours[:_LONGEST]
    mine, other = figures(ours), figures(theirs)
    for kind in mine.keys() & other.keys():
        if not any(_close(a, b) for a in mine[kind] for b in other[kind]):
            return True
    named, known = _names(theirs), _names(ours)
    if named and not known:
        return _NONE.search(ours) is not None
    return bool(named) and not named & known


def front_contradicts(key: str, theirs: Any, ours: Any) -> bool:
    """Return whether the front matter's value *theirs* of *key* says something else than the record's *ours*."""
    if key == "co2_eq_emissions":
        a, b = (
            value.get("emissions") if isinstance(value, Mapping) else value
            for value in (theirs, ours)
        )
        return (
            isinstance(a, int | float)
            and isinstance(b, int | float)
            and not _close(float(a), float(b))
        )
    if key == "base_model":
        a, b = (
            {value} if isinstance(value, str) else set(map(str, value or ()))
            for value in (theirs, ours)
        )
        return not a & b
    return False


def figures(text: str) -> dict[str, list[float]]:
    """Return the figures in *text* by kind: seconds, joules, grams. `12 h 24 min` is one figure."""
    found: dict[str, list[float]] = {}
    last: tuple[str, float, int] = ("", 0.0, -1)
    for match in _FIGURE.finditer(text):
        kind, factor = _DIMENSION[match["unit"].lower()]
        value = float(re.sub("[,\u2009\u202f]", "", match["number"])) * factor
        goes_on = last[2] >= 0 and _AND.fullmatch(text, last[2], match.start()) is not None
        if kind == "time" == last[0] and goes_on and factor < last[1]:
            found[kind][-1] += value
        else:
            found.setdefault(kind, []).append(value)
        last = (kind, factor, match.end())
    return found


def _names(text: str) -> set[str]:
    return {name.lower() for name in _NAME.findall(text) if not _NO_NAME.match(name)}


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= _CLOSE * max(abs(a), abs(b))
