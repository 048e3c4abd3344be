"""The parts of a run's energy as a table: figure and method of each, their sum, the PUE."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.carbon import GIVEN_DIGITS, legs_without_pue
from autocard.card.fields.energy_figures import (
    NOT_MEASURED,
    PARTS,
    part_figure,
    part_kwh,
    total,
    total_places,
)
from autocard.card.fields.words import table
from autocard.record import RunRecord

_HEAD = ["Part", "kWh", "Method"]
"""Not "Energy": a form's table with a row of that name asks for the fact, and the head would look
like it."""

_SHORTER = (
    (re.compile(r"^modelled\b"), "modeled"),
    (
        re.compile(r"; the first ([\d.]+) s from autocard's own [^;]*"),
        r"; first \1 s read by autocard",
    ),
    (re.compile(r"; the first ([\d.]+) s at the mean power after"), r"; first \1 s extrapolated"),
    (re.compile(r"; the last ([\d.]+) s at the mean power before"), r"; last \1 s extrapolated"),
    (re.compile(r"; with remarks that differ [^;]*"), "; details in autocard.json"),
)
"""Words of a source as records of 0.1.0 have them → shorter ones."""


def energy_table(record: RunRecord) -> str:
    """Return the table."""
    rows = [_row(record, part) for part in PARTS]
    return table(_HEAD, [*rows, *_sums(record)], frozenset({1}))


def _row(record: RunRecord, part: str) -> list[str]:
    return [PARTS[part], part_figure(record, part) or NOT_MEASURED, _method(record, part)]


def _method(record: RunRecord, part: str) -> str:
    """Return how *part* was measured, or why it was not."""
    if part_kwh(record, part) is not None:
        source = record.energy.sources.get(part)
        return escape(_shorter(source)) if source else "method not recorded"
    reason = (record.why_missing(f"energy.{part}_kwh") or "").removeprefix(NOT_MEASURED)
    return escape(reason.lstrip(": ")) or "reason not recorded"


def _shorter(source: str) -> str:
    for words, shorter in _SHORTER:
        source = words.sub(shorter, source)
    return source


def _sums(record: RunRecord) -> Iterator[list[str]]:
    total_text, energy = total(record), record.energy
    if total_text is None:
        least = "not known"
        if energy.reported_kwh:
            least = f"at least {units.number(energy.reported_kwh, units.MODELLED)}"
        yield ["**Total at the devices**", least, "one of the parts was not measured"]
        return
    without = "" if energy.facility_kwh is not None else "no PUE given"
    yield ["**Total at the devices**", f"**{total_text}**", without or "sum of the parts"]
    if energy.facility_kwh is not None:
        with_building = units.fixed(energy.facility_kwh, total_places(record) or 0)
        yield ["Total with PUE", with_building, _pue(record)]


def _pue(record: RunRecord) -> str:
    """Return the PUE that the total was multiplied by; starts may have had different ones."""
    pue = record.emissions.pue
    if pue is not None:
        return f"× PUE {units.shortest(pue, GIVEN_DIGITS)} (given)"
    if legs_without_pue(record):
        return "× the PUE of each start that has one"
    return "× the PUE given for each start"
