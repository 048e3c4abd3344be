"""Figures with units in a text: times, energies, masses, powers, sizes, as people write them.

One rule: a figure is what the writer commits to. "about 3 h" is no 3.00 h, "2-3 h" is a range,
"< 1 kg" has no lower end, and a rate (3 s/step) is no figure of the whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from autocard.card.check.measure_units import UNITS

DIGITS = r"\d{1,15}(?:[,\u2009\u202f]\d{3}){0,5}(?:\.\d{1,12})?(?:[eE][+-]?\d{1,3})?"
"""1,404.2; 2e-4."""
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d{1,6}),(\d{1,2})(?![\d,.])")
"""12,4: a comma with one or two digits behind it is no thousand."""
_POWER_OF_TEN = re.compile(r"(?<=\d)\s?[×x*·]\s?10(?:\^|\*\*)\{?([+-]?\d{1,3})\}?")
"""2 × 10^-4."""
_SUPERSCRIPT = re.compile("10([⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4})")
_RAISED = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "thousand": 1e3, "million": 1e6, "billion": 1e9}

_KIND_AND_FACTOR = {
    unit: (kind, factor) for kind, units in UNITS.items() for unit, factor in units.items()
}
_ANY_UNIT = "|".join(sorted(map(re.escape, _KIND_AND_FACTOR), key=len, reverse=True))
_RATE = r"(?!\s?/|\s(?:per|each|an?|pro)\s(?!gpu|device|node|run\b|training))"
"""Behind a figure of the whole: not 3 s/step, 3 h per epoch."""
FIGURE = re.compile(
    rf"(?<![\w.,^/])(?:(?P<from>{DIGITS})\s?(?:-|–|—|to|bis|and)\s?)?(?P<number>{DIGITS})"
    rf"(?:\s?(?P<scale>k|M|thousand|million|billion))?[ \u00a0-]?"
    rf"(?P<unit>{_ANY_UNIT})(?![\w/-]){_RATE}",
    re.IGNORECASE,
)
"""25.1 kWh, 1,404g, 8-hours, 2-3 h, 1.7M GPU hours."""
_CLOCK = re.compile(r"(?<![\d:.])(?P<h>\d{1,4}):(?P<m>[0-5]\d):(?P<s>[0-5]\d)(?:\.\d+)?(?![\d:])")
"""12:24:00."""
_COMPACT = re.compile(
    r"(?<![\w.,])(?:(?P<d>\d{1,3})\s?d\s?)?(?P<h>\d{1,4})\s?h\s?(?P<m>[0-5]?\d)(?!\s?min)\s?m?"
    r"(?:\s?(?P<s>[0-5]?\d)\s?s)?(?![\w.])|"
    r"(?<![\w.,])(?P<m2>\d{1,4})\s?m\s?(?P<s2>[0-5]?\d)\s?s(?![\w.])"
)
"""2h30, 2h30m, 18m04s, 1d 2h 3m."""
_JOINED = re.compile(r"(?<=\d)(d|h|min)(?=\d)")
"""2h30min, which is 2h 30min."""
_BETWEEN_PARTS = re.compile(r"[ ,]{0,3}(?:and )?", re.IGNORECASE)
"""What stands between two parts of one figure: 12 h 24 min; 2 hours, and 5 minutes."""
_HEDGE = re.compile(
    r"(?:~|≈|\b(?:about|around|approx(?:imately|\.)?|roughly|circa|ca\.?|c\.|some|nearly|almost|"
    r"estimated|est\.|etwa|environ|unos|rund))\s*$",
    re.IGNORECASE,
)
_AT_MOST = re.compile(
    r"(?:<|≤|\b(?:less than|under|below|up to|at most|max(?:imum|\.)?|no more than|within))\s*$",
    re.IGNORECASE,
)
_AT_LEAST = re.compile(
    r"(?:>|≥|\b(?:more than|over|above|at least|minimum|min\.))\s*$", re.IGNORECASE
)
_LEAD = 24
"""Characters before a figure that say how exact it is."""

_CLOSE = 0.05
"""Share by which two figures may differ and still be the same, rounded."""
_HEDGED = 0.25
"""The same of a figure that its writer calls an estimate."""
_LARGEST_ROUNDING = 0.2
"""Share that a rounding to whole units may change."""


@dataclass(frozen=True)
class Figure:
    """A figure in the unit of its kind.

    Attributes:
        low: its lower end; of a single figure, itself.
        high: its upper end.
        rounding: half of what one in its last digit is worth.
        hedged: its writer calls it an estimate.
    """

    low: float
    high: float
    rounding: float = 0.0
    hedged: bool = False

    def agrees(self, value: float) -> bool:
        """Return whether *value*, an exact one, can be meant."""
        share = _HEDGED if self.hedged else _CLOSE
        nearest = min(max(value, self.low), self.high)
        if math.isinf(nearest):
            return False
        allowed = max(
            share * max(abs(nearest), abs(value)), min(self.rounding, _LARGEST_ROUNDING * nearest)
        )
        return abs(value - nearest) <= allowed * (1 + 1e-9)


def normal(text: str) -> str:
    """Return *text* with powers of ten as `2e-4` and decimal points."""
    text = _SUPERSCRIPT.sub(lambda found: "10^" + found[1].translate(_RAISED), text)
    text = text.replace("−", "-").replace("\u00a0", " ").replace("₂", "2")
    text = _POWER_OF_TEN.sub(r"e\1", text)
    text = _JOINED.sub(r"\1 ", text)
    return _DECIMAL_COMMA.sub(r"\1.\2", text)


def number(digits: str) -> float:
    """Return the value of *digits*: 1,404.2."""
    return float(re.sub("[,\u2009\u202f]", "", digits))


def last_digit(digits: str) -> float:
    """Return what one in the last digit of *digits* that is not 0 is worth: 100 for 300."""
    mantissa, _, exponent = digits.lower().partition("e")
    mantissa = re.sub("[,\u2009\u202f]", "", mantissa)
    decimals = len(mantissa.partition(".")[2])
    if not decimals:
        decimals = len(mantissa.rstrip("0")) - len(mantissa)
    return float(10.0 ** (int(exponent or 0) - decimals))


@dataclass(frozen=True)
class _Part:
    """A figure that was read last, to which the next one may belong: the hours of 12 h 24 min."""

    kind: str
    factor: float
    end: int


def figures(text: str) -> dict[str, list[Figure]]:
    """Return the figures in *text* by kind. `12 h 24 min` is one figure."""
    found: dict[str, list[Figure]] = {}
    text = normal(text)
    for seconds in _clock_times(text):
        found.setdefault("time", []).append(Figure(seconds, seconds, 30.0))
    text = _COMPACT.sub(lambda match: " " * len(match[0]), text)
    last: _Part | None = None
    for match in FIGURE.finditer(text):
        kind, factor = _KIND_AND_FACTOR[match["unit"].lower()]
        if is_scale(match["unit"]):
            continue
        figure = _figure(match, factor, text[max(0, match.start() - _LEAD) : match.start()])
        if last is not None and _belongs_to(last, kind, factor, text[last.end : match.start()]):
            before = found[kind][-1]
            found[kind][-1] = Figure(
                before.low + figure.low, before.high + figure.high, figure.rounding, before.hedged
            )
        else:
            found.setdefault(kind, []).append(figure)
        last = _Part(kind, factor, match.end())
    return found


def is_scale(unit: str) -> bool:
    """Return whether *unit* is a capital letter that stands for something else: `2 T` tokens."""
    return unit in ("D", "T", "S", "H", "G", "M")


def _clock_times(text: str) -> Iterator[float]:
    for match in _CLOCK.finditer(text):
        yield int(match["h"]) * 3600.0 + int(match["m"]) * 60 + int(match["s"])
    for match in _COMPACT.finditer(text):
        minutes = int(match["m"] or match["m2"] or 0)
        seconds = int(match["s"] or match["s2"] or 0)
        hours = int(match["h"] or 0) + 24 * int(match["d"] or 0)
        yield hours * 3600.0 + minutes * 60 + seconds


def _figure(match: re.Match[str], factor: float, lead: str) -> Figure:
    scale = factor * _SCALES.get((match["scale"] or "").lower(), 1.0)
    value = number(match["number"]) * scale
    rounding = last_digit(match["number"]) * scale / 2
    if match["from"]:
        low = number(match["from"]) * scale
        if low < value:
            return Figure(low, value, rounding)
    if _AT_MOST.search(lead):
        return Figure(0.0, value, rounding)
    if _AT_LEAST.search(lead):
        return Figure(value, math.inf, rounding)
    return Figure(value, value, rounding, _HEDGE.search(lead) is not None)


def _belongs_to(last: _Part, kind: str, factor: float, between: str) -> bool:
    """Return whether a figure goes on with *last*: a smaller unit of time right behind it."""
    if kind != "time" or last.kind != "time" or factor >= last.factor:
        return False
    return _BETWEEN_PARTS.fullmatch(between) is not None


def unit_of_label(label: str) -> tuple[str, float] | None:
    """Return the kind and the factor of the unit that *label* asks for: "CO2 (kg)", "Hours used".

    None: it names none.
    """
    lower = normal(label).lower().replace("co2eq", "").replace("co2e", "").replace("co2", "")
    if re.search(r"\bgpu[- ]?(?:hours?|h)\b", lower):
        return "GPU time", 3600.0
    named = re.findall(rf"(?<![\w/-])({_ANY_UNIT})(?![\w/-])", lower)
    in_brackets = [unit for unit in named if re.search(rf"[(\[,]\s*{re.escape(unit)}\b", lower)]
    for unit in (*in_brackets, *named):
        if len(unit) > 1 or unit in in_brackets:
            return _KIND_AND_FACTOR[unit]
    return None
