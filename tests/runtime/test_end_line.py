"""What is said of a record when training has ended; truth: the record's own leaves."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from autocard import console
from autocard.energy.readings import TOO_SHORT
from autocard.runtime.end_line import EndSummary
from support import records

CARD = Path("out/README.md")


def changed(record, **parts):
    """Return *record* with other leaves: energy={...} changes leaves of its energy."""
    update = {}
    for name, leaves in parts.items():
        part = getattr(record, name)
        update[name] = leaves if name == "missing" else part.model_copy(update=leaves)
    return record.model_copy(update=update)


def without_energy(record, why, seconds):
    gone = {"total_kwh": None, "reported_kwh": None}
    co2 = {"co2eq_g": None, "reported_co2eq_g": None}
    missing = {**record.missing, "energy.total_kwh": why, "emissions.co2eq_g": why}
    return changed(
        record, energy=gone, emissions=co2, time={"wall_clock_s": seconds}, missing=missing
    )


def test_hours_energy_co2_card_and_fields_stand_in_one_line():
    record = records.three_legs_on_gpus()

    line = EndSummary(record, CARD, 3).line

    assert line == (
        "autocard: 12 h 24 min, 25.1 kWh, 1.41 kg CO2eq → out/README.md; "
        "3 fields for you: autocard check out"
    )
    assert record.time.wall_clock_s == pytest.approx(12.4 * 3600, abs=60)
    assert record.energy.total_kwh == pytest.approx(25.1, abs=0.05)
    assert record.emissions.co2eq_g == pytest.approx(1410, abs=5)


def test_a_card_of_another_name_is_named_with_it_and_one_field_is_one():
    record = records.three_legs_on_gpus()

    line = EndSummary(record, Path("my cards/CARD.md"), 1).line

    assert line.endswith("→ my cards/CARD.md; 1 field for you: autocard check 'my cards/CARD.md'")


def test_a_training_that_was_too_short_says_how_long_one_has_to_be():
    record = without_energy(records.lora_on_cpu(), TOO_SHORT, 0.6)

    line = EndSummary(record, CARD).line

    assert "0.600 s, too short to measure (about 3 s are needed)" in line
    assert "kWh" not in line


def test_a_long_training_without_energy_says_the_records_reason():
    record = without_energy(records.lora_on_cpu(), "not measured: the driver is gone", 7200.0)

    line = EndSummary(record, CARD).line

    assert "2 h 00 min, no energy: the driver is gone →" in line


def test_a_missing_place_is_said_also_where_the_energy_is_missing():
    record = without_energy(records.lora_on_cpu(), TOO_SHORT, 0.6)
    nowhere = {"country_iso_code": None, "intensity_g_per_kwh": None}

    line = EndSummary(changed(record, emissions=nowhere), CARD).line

    assert "too short to measure" in line
    assert "no CO2 without a place (autocard fill out --country CODE)" in line


def test_what_only_some_processes_reported_is_at_least_that():
    record = changed(
        records.three_legs_on_gpus(),
        energy={"total_kwh": None, "reported_kwh": 12.3},
        emissions={"co2eq_g": None, "reported_co2eq_g": 690.0},
    )

    line = EndSummary(record, CARD).line

    assert "at least 12 kWh, at least 690 g CO2eq" in line


@pytest.mark.parametrize("status", ["stopped", "interrupted"])
def test_a_training_that_did_not_finish_says_where_it_ended(status):
    run = {"status": status, "global_step": 40, "max_steps": 1200}

    line = EndSummary(changed(records.lora_on_cpu(), run=run), CARD).line

    assert line.startswith(f"autocard: {status} at step 40 of 1,200: ")


def test_the_table_shows_names_as_text():
    record = changed(
        records.lora_on_cpu(), model={"base_model": None, "base_model_description": "<b>x</b>"}
    )

    html = EndSummary(record, Path("<i>/README.md"), 2).html

    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;i&gt;/README.md" in html


def test_a_newline_in_a_path_does_not_break_the_line(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)

    console.say(EndSummary(records.lora_on_cpu(), Path("a\n\x1b[2Jb/README.md")).line)

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
