"""A figure that can stand in another unit: what a form asks for in brackets behind a label.

One rule: the value is the record's; the unit is converted here, and the figure keeps its digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from autocard import units


class Unit(NamedTuple):
    """One unit of a dimension.

    Attributes:
        factor: how many of the dimension's own unit it is.
        shown: how it is written.
    """

    factor: float
    shown: str


def _named(*rows: tuple[float, str, str]) -> dict[str, Unit]:
    """Return name → unit of (factor, how it is written, names with blanks between them)."""
    found = {}
    for factor, shown, names in rows:
        for name in (shown, *names.split(", ")):
            found[name] = Unit(factor, shown)
    return found


DIMENSIONS: Mapping[str, Mapping[str, Unit]] = {
    # Own unit: grams of CO2eq.
    "mass": _named(
        (1e-3, "mg", "milligram, milligrams"),
        (1, "g", "gram, grams, gr"),
        (1e3, "kg", "kilogram, kilograms, kilos, kgs"),
        (1e6, "t", "ton, tons, tonne, tonnes, metric ton, metric tons, metric tonnes"),
        (453.59237, "lb", "lbs, pound, pounds"),
    ),
    # Own unit: kWh.
    "energy": _named(
        (1, "kWh", "kilowatt hour, kilowatt hours, kw h"),
        (1e-3, "Wh", "watt hour, watt hours"),
        (1e3, "MWh", "megawatt hour, megawatt hours"),
        (1e6, "GWh", "gigawatt hour, gigawatt hours"),
        (1 / 3.6e6, "J", "joule, joules"),
        (1 / 3.6e3, "kJ", "kilojoule, kilojoules"),
        (1 / 3.6, "MJ", "megajoule, megajoules"),
        (1e3 / 3.6, "GJ", "gigajoule, gigajoules"),
    ),
    # Own unit: seconds.
    "time": _named(
        (1, "s", "sec, secs, second, seconds"),
        (60, "min", "mins, minute, minutes"),
        (3600, "h", "hr, hrs, hour, hours"),
        (86400, "days", "d, day"),
        (604800, "weeks", "week"),
    ),
    # Own unit: seconds of one GPU.
    "GPU time": _named(
        (3600, "GPU-hours", "gpu hours, gpu hour, gpu h, gpuh, gpu hrs"),
        (86400, "GPU-days", "gpu days, gpu day"),
    ),
    # Own unit: bytes.
    "memory": _named(
        (1, "B", "byte, bytes"),
        (1e3, "kB", "KB, kilobyte, kilobytes"),
        (1e6, "MB", "megabyte, megabytes"),
        (1e9, "GB", "gigabyte, gigabytes"),
        (1e12, "TB", "terabyte, terabytes"),
        (2**10, "KiB", "kibibyte, kibibytes"),
        (2**20, "MiB", "mebibyte, mebibytes"),
        (2**30, "GiB", "gibibyte, gibibytes"),
    ),
    # Own unit: watts.
    "power": _named(
        (1, "W", "watt, watts"),
        (1e3, "kW", "kilowatt, kilowatts"),
    ),
    # Own unit: grams of CO2eq per kWh.
    "intensity": _named(
        (1, "g CO2eq/kWh", "g/kwh, gco2/kwh, gco2eq/kwh, gco2e/kwh, g co2/kwh, g co2e/kwh"),
        (1e3, "kg CO2eq/kWh", "kg/kwh, kgco2/kwh, kgco2eq/kwh, kgco2e/kwh, kg co2/kwh"),
        (1e3, "t CO2eq/MWh", "t/mwh, tco2/mwh, tco2eq/mwh, t co2/mwh"),
        (1, "kg CO2eq/MWh", "kg/mwh, kgco2/mwh, kgco2eq/mwh, kg co2/mwh"),
    ),
    # Own unit: one.
    "count": _named(
        (1e3, "k", "K, thousand, thousands"),
        (1e6, "M", "m, million, millions, m params, m parameters"),
        (1e9, "B", "b, billion, billions, b params, b parameters"),
        (1e12, "T", "trillion, trillions"),
        (1, "parameters", "params, parameter"),
    ),
    "samples per second": _named(
        (1, "samples/s", "samples/sec, samples per second, samples/second, examples/s, it/s"),
    ),
    "tokens per second": _named(
        (1, "tokens/s", "tokens/sec, tokens per second, tokens/second, tok/s, tok/sec"),
    ),
    "steps per second": _named(
        (1, "steps/s", "steps/sec, steps per second, steps/second"),
    ),
}  # fmt: skip
"""Dimension → name of a unit → the unit. Names are those that people write, as `_lookup` has them.
"""

_CO2 = re.compile(r"[ -]?(?:of )?co2(?:[ -]?(?:equivalents?|eq|e))?\.?\Z", re.IGNORECASE)
"""What may follow a mass: kg CO2eq, tCO2, grams of CO2 equivalent."""
_BRACKETS = re.compile(r"\(([^()]{1,60})\)|\[([^\[\]]{1,60})\]")
"""Units behind a label: (kg), [GPU hours], (in minutes)."""
_IN = re.compile(r"\bin ([^\W\d_][\w /-]{0,30})\Z")
"""Energy in kWh."""
_LAST = re.compile(r"[ _,]([A-Za-z]{1,8}\d?[A-Za-z]{0,2})\Z")
"""energy_kwh, CO2 kg."""
_LAST_UNITS = frozenset(
    ("kwh", "mwh", "wh", "kg", "tons", "tonnes", "grams", "gb", "gib", "mb", "mib", "minutes")
)
"""Of units without brackets, those that are nothing else."""
_GPU_TIME = re.compile(r"\bgpu[ -]?(hours?|days?|h)\b", re.IGNORECASE)
_LONGEST_LABEL = 200


@dataclass(frozen=True)
class Quantity:
    """The figure of a fact.

    Attributes:
        value: in the own unit of its dimension.
        dimension: a key of `DIMENSIONS`.
        digits: significant digits that are known; 0: it is exact.
        before: what stands before it in a sentence ("at least ").
        after: what follows the unit (" CO2eq (location-based)").
    """

    value: float
    dimension: str
    digits: int = units.MEASURED
    before: str = ""
    after: str = ""

    def text(self, unit: Unit) -> str:
        """Return it in *unit*, in words."""
        if not self.digits and unit.factor == 1:
            shown = units.count(round(self.value))
        else:
            shown = units.figure(self.value / unit.factor, self.digits or units.MEASURED)
        return f"{self.before}{shown} {unit.shown}{self.after}"

    def unit(self, name: str) -> Unit | None:
        """Return the unit of its dimension that people call *name*; None: there is none."""
        return _lookup(self.dimension, name)


def asked_units(label: str) -> Iterator[str]:
    """Yield the units that a label names, the most explicit first.

    >>> list(asked_units("Carbon Emitted (kg CO2eq)")), list(asked_units("GPU hours"))
    (['kg CO2eq'], ['gpu hours'])
    """
    text = unicodedata.normalize("NFKC", label[:_LONGEST_LABEL]).strip()
    for found in _BRACKETS.finditer(text):
        inner = (found[1] or found[2]).strip()
        yield inner.removeprefix("in ")
        if "," in inner:
            yield from (piece.strip().removeprefix("in ") for piece in inner.split(","))
    gpu_time = _GPU_TIME.search(text)
    if gpu_time:
        yield f"gpu {gpu_time[1].lower()}"
    outside = _BRACKETS.sub("", text).strip()
    named = _IN.search(outside)
    if named:
        yield named[1]
    last = _LAST.search(outside)
    if last and last[1].lower() in _LAST_UNITS:
        yield last[1]


def without_unit(label: str) -> str:
    """Return *label* without a unit that stands outside of brackets: "CO2 in kg" is "CO2"."""
    found = _IN.search(label)
    if found and is_unit(found[1]):
        return label[: found.start()].rstrip()
    last = _LAST.search(label)
    if last and last[1].lower() in _LAST_UNITS:
        return label[: last.start()]
    return label


def is_unit(name: str) -> bool:
    """Return whether people call some unit *name*."""
    return any(_lookup(dimension, name) is not None for dimension in DIMENSIONS)


def _lookup(dimension: str, name: str) -> Unit | None:
    """Return the unit of *dimension* that is called *name*: as it is written, else in any case."""
    known = DIMENSIONS[dimension]
    text = " ".join(unicodedata.normalize("NFKC", name).split())
    if dimension == "mass":
        text = _CO2.sub("", text)
    if text in known:
        return known[text]
    lower = text.lower().replace("-", " ")
    return _LOWER[dimension].get(lower)


_LOWER = {
    dimension: {
        name.lower().replace("-", " "): unit for name, unit in reversed(list(named.items()))
    }
    for dimension, named in DIMENSIONS.items()
}
"""The names in lower case; of two that differ in case only ("M", "m") the first one counts."""
