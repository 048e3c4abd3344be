"""How single figures are written: a line, a count with its noun, a figure in a unit."""

from __future__ import annotations

from collections.abc import Iterable

from autocard import units
from autocard.card.fact import Fact
from autocard.card.fields.resumed import setting
from autocard.card.quantity import Quantity
from autocard.record import RunRecord, Scalar

EXACT = 0
"""Digits of a quantity that is counted."""


def fact(line: str | None, *quantities: Quantity) -> Fact | None:
    """Return *line* as a fact; None: there is none."""
    return Fact(line, quantities=quantities) if line else None


def number(value: float | None) -> Fact | None:
    """Return a number as it was given, a whole one exactly."""
    if value is None:
        return None
    return Fact(units.count(value) if isinstance(value, int) else units.shortest(value))


def yes_or_no(is_on: bool | None) -> Fact | None:  # noqa: FBT001 - the setting itself
    """Return whether something was on; None: that is not known."""
    if is_on is None:
        return None
    return Fact("yes" if is_on else "no")


def memory(value: int | None, note: str = "", shown: str = "") -> Fact | None:
    """Return bytes in words; *shown*: another text for them, *note*: what follows them."""
    if value is None:
        return None
    line = shown or units.size(value) + note
    return Fact(line, quantities=(Quantity(value, "memory", after=note),))


def tokens(value: int | None, note: str = "") -> Fact | None:
    """Return a count of tokens."""
    if value is None:
        return None
    counted = units.plural(value, "token") + note
    return Fact(counted, quantities=(Quantity(value, "count", EXACT, after=f" tokens{note}"),))


def hyperparameter(record: RunRecord, *names: str) -> str | None:
    """Return the setting that has the first of *names*; of a resumed run, those of all its legs."""
    for name in names:
        values = _in_legs(record, name)
        if values:
            return ", then ".join(values)
    return None


def _in_legs(record: RunRecord, name: str) -> list[str]:
    """Return the different values of a setting in the order of the legs."""
    last = record.training.hyperparameters.get(name)
    values = [leg.other_hyperparameters.get(name, last) for leg in record.legs[:-1]]
    return _without_repeats([*values, last])


def _without_repeats(values: Iterable[Scalar]) -> list[str]:
    found: list[str] = []
    for value in values:
        text = "none" if value is None else setting(value)
        if not found or found[-1] != text:
            found.append(text)
    return [] if found == ["none"] else found
