"""Read numbers, from Python and from text, with messages for commas, units and percent signs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from autocard.errors import SettingsError

_COMMA = re.compile(r"\d+,\d+")
"""A number as Germans write it: 1,2."""
_THEN_WORDS = re.compile(r"([-+]?\d+(?:\.\d+)?)\s*([^\d\s.,].*)")
"""A number with something behind it: 250 W, 56 g/kWh, 120 %."""


_INFINITE = re.compile(r"[-+]?\d+(\.\d+)?e[-+]?\d+", re.IGNORECASE)
"""A number with an exponent that is too large: 1e400."""


def reader(
    least: float, unit: str, *, above: bool = False, most: float = math.inf
) -> Callable[[object, str], float]:
    """Return a reader of finite numbers.

    Args:
        least: the smallest number that is taken; with *above*, those above it.
        unit: of the number, for messages; empty: a ratio.
        above: *least* itself is not taken.
        most: the largest number that is taken.
    """
    of_unit = f" {unit}" if unit else ""
    start = f"above {least:g}{of_unit}" if above else f"at least {least:g}{of_unit}"
    limits = start if most == math.inf else f"{start} and at most {most:g}{of_unit}"

    def read(value: object, what: str) -> float:
        number = _number(value, what, unit)
        too_small = number <= least if above else number < least
        if too_small or number > most:
            msg = f"{what}: the number must be {limits}."
            raise SettingsError(msg)
        return number

    return read


def _number(value: object, what: str, unit: str) -> float:
    """Return *value* as a finite number."""
    try:
        # True and False are no numbers here, although Python takes them for 1 and 0.
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        msg = f"{what}: {_why_no_number(value, unit)}"
        raise SettingsError(msg)
    return number


def _why_no_number(value: object, unit: str) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if _COMMA.fullmatch(text):
        return f"the decimal sign is a point. Did you mean {text.replace(',', '.')}?"
    if _INFINITE.fullmatch(text):
        return "a finite number is needed."
    with_words = _THEN_WORDS.fullmatch(text)
    if with_words and unit:
        return f"give the number alone; it is in {unit}."
    if with_words:
        return "give the number alone, without a unit."
    return f"a number is needed{f', in {unit}' if unit else ''}."
