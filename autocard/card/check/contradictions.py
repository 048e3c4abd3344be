"""Decide whether two texts about one fact contradict each other.

One rule: only what can be compared is: figures of the same kind, names of devices and of formats. A
text without any is other words for the same, and no contradiction.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
        "mg": 1e-3, "g": 1, "gram": 1, "grams": 1, "kg": 1e3, "kilo": 1e3, "kilos": 1e3,
        "kilogram": 1e3, "kilograms": 1e3, "t": 1e6, "ton": 1e6, "tons": 1e6, "tonne": 1e6,
        "tonnes": 1e6,
        "gco2eq": 1, "gco2": 1, "kgco2eq": 1e3, "kgco2": 1e3, "tco2eq": 1e6, "tco2": 1e6,
    },
}  # fmt: skip
"""Kind → unit → its factor to seconds, joules or grams."""
_KIND_AND_FACTOR = {
    unit: (kind, factor) for kind, units in _UNITS.items() for unit, factor in units.items()
}
_ANY_UNIT = "|".join(sorted(map(re.escape, _KIND_AND_FACTOR), key=len, reverse=True))
_FIGURE = re.compile(
    rf"(?<![\w.,]){_NUMBER}[ \u00a0-]?(?P<unit>{_ANY_UNIT})(?![\w/])", re.IGNORECASE
)
"""A figure with its unit: 25.1 kWh, 1,404g, 8-hours; not a rate (3 s/step)."""
_BETWEEN_PARTS = re.compile(r"[ ,]{0,3}(?:and )?", re.IGNORECASE)
"""What stands between two parts of one figure: 12 h 24 min; 2 hours, and 5 minutes."""
_NAME = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{1,12}\d{1,6}[A-Za-z0-9]{0,8}")
"""A name of a device or a number format: A100, bf16, RTX4090."""
_NO_NAME = re.compile(r"co2|h2o", re.IGNORECASE)
"""What has the form of a name and is none."""
_NO_GPU = re.compile(r"\bno GPU\b|\bGPU: none\b|\bnone used\b", re.IGNORECASE)
_CLOSE = 0.05
"""Share by which two figures may differ and still be the same, rounded."""
_MAX_CHARACTERS = 2000
"""Of a text that is compared."""


@dataclass(frozen=True)
class _Part:
    """A figure that was read last, to which the next one may belong: the hours of 12 h 24 min."""

    kind: str
    factor: float
    end: int
    """Offset behind it."""


def contradicts(theirs: str, ours: str) -> bool:
    """Return whether *theirs* states something about the fact that *ours*, the record's, denies."""
    theirs, ours = theirs[:_MAX_CHARACTERS], ours[:_MAX_CHARACTERS]
    our_figures, their_figures = figures(ours), figures(theirs)
    for kind in our_figures.keys() & their_figures.keys():
        if not _any_close(our_figures[kind], their_figures[kind]):
            return True
    their_names, our_names = _names(theirs), _names(ours)
    if their_names and not our_names:
        return _NO_GPU.search(ours) is not None
    return bool(their_names) and not their_names & our_names


def front_contradicts(key: str, theirs: object, ours: object) -> bool:
    """Return whether *theirs*, the value of *key*, contradicts the record's *ours*."""
    if key == "co2_eq_emissions":
        their_grams, our_grams = _grams(theirs), _grams(ours)
        if their_grams is None or our_grams is None:
            return False
        return not _close(their_grams, our_grams)
    if key == "base_model":
        return not _model_ids(theirs) & _model_ids(ours)
    return False


def _grams(value: object) -> float | None:
    """Return the emissions of `co2_eq_emissions`, which is a number or a mapping."""
    grams = value.get("emissions") if isinstance(value, Mapping) else value
    return float(grams) if isinstance(grams, int | float) else None


def _model_ids(value: object) -> set[str]:
    """Return the ids of `base_model`, which is one or a list."""
    if isinstance(value, str):
        return {value}
    return set(map(str, value)) if isinstance(value, Iterable) else set()


def figures(text: str) -> dict[str, list[float]]:
    """Return the figures in *text* by kind: seconds, joules, grams. `12 h 24 min` is one figure."""
    found: dict[str, list[float]] = {}
    last: _Part | None = None
    for match in _FIGURE.finditer(text):
        kind, factor = _KIND_AND_FACTOR[match["unit"].lower()]
        value = float(re.sub("[,\u2009\u202f]", "", match["number"])) * factor
        if last is not None and _belongs_to(last, kind, factor, text[last.end : match.start()]):
            found[kind][-1] += value
        else:
            found.setdefault(kind, []).append(value)
        last = _Part(kind, factor, match.end())
    return found


def _belongs_to(last: _Part, kind: str, factor: float, between: str) -> bool:
    """Return whether a figure goes on with *last*: a smaller unit of time right behind it."""
    if kind != "time" or last.kind != "time" or factor >= last.factor:
        return False
    return _BETWEEN_PARTS.fullmatch(between) is not None


def _names(text: str) -> set[str]:
    return {name.lower() for name in _NAME.findall(text) if not _NO_NAME.match(name)}


def _any_close(some: Iterable[float], others: Iterable[float]) -> bool:
    return any(_close(a, b) for a, b in itertools.product(some, others))


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= _CLOSE * max(abs(a), abs(b))
