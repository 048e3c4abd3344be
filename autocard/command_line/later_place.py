"""The options that give a place, an intensity or a PUE for a run that is over."""

from __future__ import annotations

import shlex
from pathlib import Path

from autocard import units
from autocard.card.fact import plain
from autocard.card.fields.carbon import co2_digits
from autocard.card.fields.impact import place, recorded_before
from autocard.command_line.messages import note
from autocard.energy.location import given_later
from autocard.energy.location.given_later import LATER
from autocard.errors import SettingsError
from autocard.record import RunRecord
from autocard.settings import OPTIONS, from_options, resolve

_OF_A_PLACE = ("country_iso_code", "region", "carbon_intensity_g_per_kwh")


def with_options(
    record: RunRecord,
    *,
    country: str | None,
    region: str | None,
    intensity: str | None,
    pue: str | None,
    card: Path | None = None,
) -> RunRecord:
    """Return *record* with what the options give, and print the CO2 that follows.

    Without options, print which settings of this machine are not used for a record without a place.

    Args:
        record: of the run.
        country: the option --country; None: not given.
        region: the option --region.
        intensity: the option --intensity.
        pue: the option --pue.
        card: that is filled, for the command that a message names.
    """
    values = dict(zip(OPTIONS, (country, region, intensity, pue), strict=True))
    if not any(value is not None for value in values.values()):
        _name_unused(record, card)
        return record
    given = from_options(values, record.emissions.country_iso_code)
    changed = given_later.with_given(record, given)
    note(_result(changed))
    return changed


def _result(record: RunRecord) -> str:
    """Return the CO2 by what was given later, or why there is none."""
    emissions = record.emissions
    if emissions.co2eq_g is None:
        return f"no CO2 yet: {plain(record.why_missing('emissions.co2eq_g') or 'not known')}."
    where = place(record) or "the run"
    basis = [f"{where}, {LATER}: {units.co2eq(emissions.co2eq_g, co2_digits(record))}"]
    if emissions.intensity_g_per_kwh is not None:
        basis.append(f"{units.number(emissions.intensity_g_per_kwh)} g CO2eq/kWh")
    if emissions.pue is not None:
        basis.append(f"PUE {units.number(emissions.pue)}")
    before = recorded_before(record)
    return plain("; ".join(filter(None, [", ".join(basis), before])))


def _name_unused(record: RunRecord, card: Path | None) -> None:
    """Print the settings of this machine that could give the place of *record*, and do not."""
    if not record.legs or record.emissions.intensity_g_per_kwh is not None:
        return
    try:
        settings = resolve({})
    except SettingsError as exc:
        note(f"warning: {exc}")
        return
    for sentence in settings.unread:
        note(f"warning: {sentence}")
    words, given = [], []
    for name in _OF_A_PLACE:
        value = getattr(settings, name)
        if value is not None:
            words.append(settings.given_as[name])
            given.append(f"{OPTIONS[name]} {shlex.quote(str(value))}")
    if words:
        command = f"autocard fill {card}" if card is not None else "this command with"
        note(
            f"{' and '.join(words)}: not used, because it may not be the place of the recorded "
            f"run. If it is: {command} {' '.join(given)}"
        )
