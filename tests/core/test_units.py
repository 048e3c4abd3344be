"""Numbers in words: read back, they are the value within the digits that are shown."""

from __future__ import annotations

import doctest
import re
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocard import units

POWERS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
FIGURES = st.floats(min_value=5e-324, max_value=1.7e308, allow_nan=False)
DIGITS = st.integers(min_value=1, max_value=6)
SECONDS = st.floats(min_value=0, max_value=1e9)


def parse(text: str) -> Fraction:
    """Read a figure as a person does: commas part thousands, a space and a letter or power of ten multiplies."""
    found = re.fullmatch(r"([\d,]+(?:\.\d+)?)(?: (?:([kMBT])|× 10([⁰¹²³⁴⁵⁶⁷⁸⁹]+)))?", text)
    assert found, text
    factor = {"k": 3, "M": 6, "B": 9, "T": 12, None: 0}[found[2]] + int(
        (found[3] or "0").translate(POWERS)
    )
    return Fraction(found[1].replace(",", "")) * 10**factor


def parse_time(text: str) -> Fraction:
    """Read a duration in seconds."""
    total, seconds = Fraction(0), {"h": 3600, "min": 60, "s": 1}
    for number, unit in re.findall(r"([\d,.]+) (h|min|s)", text):
        total += Fraction(number.replace(",", "")) * seconds[unit]
    return total


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (units.co2eq(1.234), "1.2 g CO2eq"),
        (units.co2eq(1404.2, 3), "1.40 kg CO2eq"),
        (units.co2eq(24_690_000, 4), "24.69 t CO2eq"),
        (units.co2eq(999.6, 3), "1.00 kg CO2eq"),
        (units.co2eq(0, 3), "0 g CO2eq"),
        (units.co2eq(0.0000071), "0.0000071 g CO2eq"),
        (units.duration(0), "0 s"),
        (units.duration(9.41), "9.41 s"),
        (units.duration(59.97), "1 min 00 s"),
        (units.duration(1084.2), "18 min 04 s"),
        (units.duration(3599.7), "1 h 00 min"),
        (units.duration(44640), "12 h 24 min"),
        (units.amount(22_713_216), "22.7 M"),
        (units.amount(999_950), "1.00 M"),
        (units.amount(7_241_732_096), "7.24 B"),
        (units.amount(640), "640"),
        (units.size(85_899_345_920), "80 GiB"),
        (units.size(1_099_511_627_776), "1 TiB"),
        (units.size(1_073_741_823), "1 GiB"),
        (units.size(90_914_816), "86.7 MiB"),
        (units.size(0), "0 B"),
        (units.kwh(0.00021234), "0.000212 kWh"),
        (units.kwh(0), "0 kWh"),
        (units.hours(357_120), "99.2"),
        (units.operations(1.234e15), "1.23 × 10¹⁵"),
        (units.operations(9.999e15), "1.00 × 10¹⁶"),
        (units.operations(0), "0"),
        (units.percent(0.31, 25.08), "1.2 %"),
        (units.percent(324_906, 23_038_122), "1.4 %"),
        (units.percent(99.7, 100), "99.7 %"),
        (units.fixed(25.08, 1), "25.1"),
        (units.fixed(1404, -1), "1,400"),
        (units.fixed(0.004, 1), "0.004"),
        (units.count(22_713_216), "22,713,216"),
        (units.plural(1, "row"), "1 row"),
        (units.plural(1600, "row"), "1,600 rows"),
        (units.instant("2026-03-01T10:30:12.250+01:00"), "2026-03-01 09:30:12 UTC"),
        (units.instant("2026-03-01T09:30:13Z"), "2026-03-01 09:30:13 UTC"),
    ],
)
def test_figures_read_as_people_say_them(said, expected):
    assert said == expected


def test_the_examples_in_the_docstrings_hold():
    failed, tried = doctest.testmod(units)

    assert tried >= 3
    assert failed == 0


@given(FIGURES, DIGITS)
def test_a_figure_read_back_is_the_value_within_half_of_its_last_digit(value, digits):
    shown = parse(units.number(value, digits))

    exact = Fraction(Decimal(repr(value)))
    assert abs(shown - exact) <= exact * Fraction(1, 2) / 10 ** (digits - 1)
    assert shown > 0


@given(FIGURES, DIGITS)
def test_a_figure_shows_no_exponent_and_no_more_digits_than_are_known(value, digits):
    text = units.number(value, digits).replace(",", "")

    assert re.fullmatch(r"\d+(\.\d+)?", text)
    significant = text.replace(".", "").lstrip("0")
    assert len(significant.rstrip("0")) <= digits
    assert len(significant) == digits or "." not in text


@given(FIGURES, FIGURES, DIGITS)
def test_a_larger_figure_never_reads_as_a_smaller_one(one, other, digits):
    small, large = sorted([one, other])

    for say in (units.number, units.shortest):
        assert parse(say(small, digits)) <= parse(say(large, digits))
    assert parse(units.amount(int(small))) <= parse(units.amount(int(large)))
    assert parse(units.operations(small)) <= parse(units.operations(large))


@given(SECONDS, SECONDS)
def test_a_longer_time_never_reads_as_a_shorter_one(one, other):
    short, long = sorted([one, other])

    assert parse_time(units.duration(short)) <= parse_time(units.duration(long))


@given(SECONDS)
def test_a_time_read_back_is_within_half_of_its_smallest_unit(seconds):
    shown = parse_time(units.duration(seconds))

    half = Fraction(1, 2) if seconds < 3599.5 else 30
    exact = Fraction(Decimal(repr(seconds)))
    assert abs(shown - exact) <= (exact / 200 if seconds < 59.95 else half)


@given(st.integers(min_value=0, max_value=2**70), st.integers(min_value=0, max_value=2**70))
def test_more_bytes_never_read_as_fewer(one, other):
    def read(text):
        number, unit = text.split()
        return Fraction(number.replace(",", "")) * 1024 ** [
            "B",
            "KiB",
            "MiB",
            "GiB",
            "TiB",
            "PiB",
        ].index(unit)

    few, many = sorted([one, other])

    assert read(units.size(few)) <= read(units.size(many))
    assert abs(read(units.size(many)) - many) <= Fraction(many, 100)


@given(FIGURES, st.integers(min_value=-3, max_value=6))
def test_a_value_that_is_not_zero_never_reads_as_zero(value, places):
    assert parse(units.fixed(value, places)) > 0
    assert parse(units.shortest(value)) > 0
    assert not units.co2eq(value).startswith("0 ")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_figure_is_refused_rather_than_printed(value):
    with pytest.raises(ValueError, match="no figure"):
        units.number(value)


def test_a_context_of_the_host_does_not_change_figures():
    import decimal

    with decimal.localcontext() as context:
        context.prec = 2

        assert units.number(123456.0, 5) == "123,460"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.05, "0.05"),
        (1, "1"),
        (1e-4, "1e-4"),
        (5e-05, "5e-5"),
        (1e-8, "1e-8"),
        (0.001, "0.001"),
        (1e30, "1e30"),
        (0.0, "0"),
        (-2.5e-4, "-2.5e-4"),
        (0.0016170715478336655, "0.00161707"),
    ],
)
def test_settings_read_as_people_write_them(value, text):
    assert units.setting(value) == text
    assert float(text) == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1 epoch"),
        (2 / 3, "0.67 epochs"),
        (0.5, "0.5 epochs"),
        (12.346, "12.35 epochs"),
        (3.0, "3 epochs"),
        (0.0013, "0.0013 epochs"),
        (0.0, "0 epochs"),
        (1234.5, "1,234.5 epochs"),
    ],
)
def test_epochs_have_at_most_two_decimals_and_are_never_rounded_to_none(value, text):
    assert units.epochs(value) == text
