"""Turn numbers into words for people: the only place where a figure is rounded.

Rule: a figure shows as many significant digits as are known, in plain decimals (a metric of extreme
size with a power of ten); a value that is not zero is never rounded to zero, and zero is shown as
0. Takes our units: kWh, grams, seconds, bytes. Imports the standard library only.
"""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal

MEASURED = 3
"""Significant digits of what was measured."""
MODELLED = 2
"""Significant digits of what a model estimates."""

_MINUTE_S = 60
_HOUR_S = 3600
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_PLAIN_POWERS = range(-9, 15)
"""Powers of ten that are read in plain decimals."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_CONTEXT = Context(prec=800)
"""Ours, because the program may have changed the process's own; with room for any float to any
number of decimals."""


def rounded(value: float | Decimal, digits: int) -> Decimal:
    """Return *value* with *digits* significant digits (half to even), exactly.

    Raises:
        ValueError: *value* is not finite, or *digits* is below 1.
    """
    exact = _exact(value)
    if digits < 1:
        msg = f"{digits} digits: at least one is needed."
        raise ValueError(msg)
    if exact == 0:
        return Decimal(0)
    kept = _cut(exact, digits - 1 - exact.adjusted())
    if kept.adjusted() == exact.adjusted():
        return kept
    # 9.96 has become 10.0: one digit too many.
    return _cut(kept, digits - 1 - kept.adjusted())


def _exact(value: float | Decimal) -> Decimal:
    """Return what `repr` shows of *value*: 0.1 is 0.1."""
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact.is_finite():
        msg = f"{value!r} is no figure."
        raise ValueError(msg)
    return exact


def _cut(value: Decimal, places: int) -> Decimal:
    """Return *value* rounded to *places* decimals; below 0: to tens."""
    return value.quantize(Decimal((0, (1,), -places)), ROUND_HALF_EVEN, _CONTEXT)


def number(value: float | Decimal, digits: int = MEASURED) -> str:
    """Return *value* with *digits* significant digits as a plain decimal, thousands set apart.

    >>> number(0.00021234), number(1404.2), number(56)
    ('0.000212', '1,400', '56.0')
    """
    return f"{rounded(value, digits):,f}"


def figure(value: float, digits: int = MEASURED) -> str:
    """Return *value* like `number`; one that is very large or very small with a power of ten.

    >>> figure(0.00021234), figure(1e-300), figure(-2.5e20)
    ('0.000212', '1.00 × 10⁻³⁰⁰', '-2.50 × 10²⁰')
    """
    kept = rounded(value, digits)
    if not kept or kept.adjusted() in _PLAIN_POWERS:
        return number(value, digits)
    return _with_power(number(kept.scaleb(-kept.adjusted(), _CONTEXT), digits), kept.adjusted())


def _with_power(factor: str, power: int) -> str:
    """Return *factor* × 10 to the *power*, the exponent in superscript."""
    return f"{factor} × 10{str(power).translate(_SUPERSCRIPT)}"


def shortest(value: float | Decimal, digits: int = MEASURED) -> str:
    """Return *value* like `number` without zeros at the end: for exact or given figures.

    >>> shortest(80.0), shortest(1.20), shortest(0.0005), shortest(33)
    ('80', '1.2', '0.0005', '33')
    """
    text = number(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def decimals(value: float, digits: int) -> int:
    """Return the decimals of *value* with *digits* significant digits; -1: rounded to tens."""
    return -int(rounded(value, digits).as_tuple().exponent)


def fixed(value: float, places: int) -> str:
    """Return *value* rounded to *places* decimals (-1: to tens); only 0 becomes 0.

    A sum is known no better than its coarsest part: `places` are that part's.

    >>> fixed(25.08, 1), fixed(9.96, 1), fixed(1404, -1), fixed(0.004, 1)
    ('25.1', '10.0', '1,400', '0.004')
    """
    exact = _exact(value)
    kept = _cut(exact, places)
    return f"{kept:,f}" if kept else number(exact, 1)


def count(value: int) -> str:
    """Return a whole number exactly: 22,713,216."""
    return f"{value:,d}"


def plural(value: int, singular: str, plural_noun: str | None = None) -> str:
    """Return a count and its noun: 1 row, 1,600 rows."""
    if value == 1:
        return f"{count(value)} {singular}"
    return f"{count(value)} {plural_noun or singular + 's'}"


def setting(value: float, digits: int = 6) -> str:
    """Return a setting as people write it: 0.05, 1, 1e-4, 5e-5, 1.6e-4."""
    if value and abs(value) < 0.001:  # noqa: PLR2004 - 0.0001 is 1e-4
        factor, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{factor.rstrip('0').rstrip('.')}e{int(power)}"
    text = f"{value:.{digits}g}"
    factor, mark, power = text.partition("e")
    return f"{factor}e{int(power)}" if mark else text


def epochs(value: float) -> str:
    """Return a number of epochs with at most two decimals, and its noun: 1 epoch, 0.67 epochs.

    Below 0.01 two digits are kept: 0.0013 epochs.
    """
    cut = round(value, 2) if abs(value) >= 0.01 else value  # noqa: PLR2004 - two decimals
    exact = Decimal(repr(float(cut)))
    shown = shortest(exact, max(MODELLED, exact.adjusted() + 3))
    return f"{shown} {'epoch' if shown == '1' else 'epochs'}"


def amount(value: float) -> str:
    """Return a large count in words: 22.7 M, 7.24 B; below a thousand exactly.

    B is 10^9, as is the custom for parameters.
    """
    for power, letter in ((12, "T"), (9, "B"), (6, "M"), (3, "k")):
        kept = rounded(value, MEASURED)
        if abs(kept) >= Decimal(10) ** power:
            return f"{number(kept.scaleb(-power))} {letter}"
    return shortest(value)


def percent(part: float, whole: float) -> str:
    """Return *part* of *whole* in percent: 5.6 %.

    Raises:
        ValueError: *whole* is 0.
    """
    if whole == 0:
        msg = "a share of nothing is no figure."
        raise ValueError(msg)
    share = 100 * (part / whole)
    return f"{shortest(share, MODELLED if share < 99 else MEASURED)} %"  # noqa: PLR2004 - 99.7 % is not 100 %


def co2eq(grams: float, digits: int = MODELLED) -> str:
    """Return grams of CO2eq in words: 1.2 g CO2eq, 1.40 kg CO2eq, 24.7 t CO2eq."""
    kept = rounded(grams, digits)
    for power, unit in ((6, "t"), (3, "kg")):
        if abs(kept) >= Decimal(10) ** power:
            return f"{number(kept.scaleb(-power), digits)} {unit} CO2eq"
    return f"{number(grams, digits)} g CO2eq"


def kwh(energy_kwh: float, digits: int = MEASURED) -> str:
    """Return kWh in words, always in kWh, so that figures can be compared: 0.000212 kWh."""
    return f"{number(energy_kwh, digits)} kWh"


def duration(seconds: float) -> str:
    """Return a length of time in words: 9.41 s, 18 min 04 s, 12 h 24 min.

    From an hour on to the minute, from a minute on to the second.
    """
    if rounded(seconds, MEASURED) < _MINUTE_S:
        return f"{number(seconds)} s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02d} s"
    minutes = round(seconds / _MINUTE_S)
    return f"{minutes // 60:,d} h {minutes % 60:02d} min"


def hours(seconds: float) -> str:
    """Return a length of time in hours, the number only: 99.2."""
    return number(seconds / _HOUR_S)


def size(memory_bytes: int) -> str:
    """Return bytes in words, in steps of 1,024: 80 GiB, 86.7 MiB."""
    power = 0
    while power < len(_BINARY) - 1 and round(memory_bytes / _STEP**power) >= _STEP:
        power += 1
    scaled = memory_bytes / _STEP**power
    # 1,012 MiB needs its fourth digit.
    return f"{shortest(scaled, max(MEASURED, len(str(int(scaled)))))} {_BINARY[power]}"


def operations(flops: float) -> str:
    """Return a number of floating-point operations: 1.23 × 10¹⁵, 950,000."""
    kept = rounded(flops, MEASURED)
    if abs(kept) < 10**6:
        return shortest(flops)
    return _with_power(number(kept.scaleb(-kept.adjusted())), kept.adjusted())


def instant(iso: str) -> str:
    """Return a time stamp (ISO 8601) for people, in UTC: 2026-03-01 09:30:12 UTC.

    Raises:
        ValueError: it is none.
    """
    when = datetime.fromisoformat(iso.replace("Z", "+00:00"))
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    when = when.astimezone(timezone.utc)
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"
