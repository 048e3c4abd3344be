"""Units that a form asks for in a label or behind a placeholder, by conversions of the test's own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from autocard.card.fields import facts
from autocard.card.fill.fill import fill
from autocard.record import from_json

RECORDS = Path(__file__).parents[1] / "contract" / "records"


def record(run: str) -> str:
    return (RECORDS / run / "autocard.json").read_text(encoding="utf-8")


def shown(run: str, line: str) -> str:
    """Return what stands behind the label of *line* after a fill."""
    card = f"# M\n\n## Environmental Impact\n\n{line}\n"
    after = fill(card, facts(from_json(record(run))), {}, remembered={}).text
    label = re.split(r"TBD|_{2,}|n/a", line)[0]
    found = [each for each in after.split("\n") if each.startswith(label)]
    assert found, after
    return found[0].removeprefix(label)


def figure(text: str) -> float:
    return float(text.split(" ", maxsplit=1)[0].replace(",", ""))


DATA = json.loads(record("gpus"))
GRAMS = DATA["emissions"]["co2eq_g"]
KWH = DATA["energy"]["total_kwh"]
SECONDS = DATA["time"]["wall_clock_s"]
GPU_S = DATA["time"]["gpu_s"]
RAM = DATA["hardware"]["ram_bytes"]
G_PER_KWH = DATA["emissions"]["intensity_g_per_kwh"]


@pytest.mark.parametrize(
    ("line", "value", "unit"),
    [
        ("- **CO2 (kg):** TBD", GRAMS / 1000, "kg CO2eq"),
        ("- **Carbon Emitted (kg CO2eq):** TBD", GRAMS / 1000, "kg CO2eq"),
        ("- **Carbon Emitted (tCO2eq):** TBD", GRAMS / 1e6, "t CO2eq"),
        ("- **Carbon Emitted [in metric tons of CO₂]:** TBD", GRAMS / 1e6, "t CO2eq"),
        ("- **Carbon Emitted (lbs):** TBD", GRAMS / 453.59237, "lb CO2eq"),
        ("- CO2 emissions in kg: TBD", GRAMS / 1000, "kg CO2eq"),
        ("- **Carbon Emitted (g CO2eq):** TBD", GRAMS, "g CO2eq"),
        ("- **Carbon Emitted:** ___ kg", GRAMS / 1000, "kg CO2eq"),
        ("- **Carbon Emitted:** n/a", GRAMS, "g CO2eq"),
        ("- **Energy (MWh):** TBD", KWH / 1000, "MWh"),
        ("- **Energy consumed (Wh):** TBD", KWH * 1000, "Wh"),
        ("- **Energy (MJ):** TBD", KWH * 3.6, "MJ"),
        ("- **Energy:** ____ kWh", KWH, "kWh"),
        ("- energy_kwh: TBD", KWH, "kWh"),
        ("- **Training time (minutes):** TBD", SECONDS / 60, "min"),
        ("- **Training time (h):** TBD", SECONDS / 3600, "h"),
        ("- **Hours used:** ___ h", SECONDS / 3600, "h"),
        ("- **Training time (days):** TBD", SECONDS / 86400, "days"),
        ("- **GPU hours:** TBD", GPU_S / 3600, "GPU-hours"),
        ("- **Training time (GPU-hours):** TBD", GPU_S / 3600, "GPU-hours"),
        ("- **RAM (GB):** TBD", RAM / 1e9, "GB"),
        ("- **RAM (GiB):** TBD", RAM / 2**30, "GiB"),
        ("- **GPU memory (GB):** TBD", 85899345920 / 1e9, "GB"),
        ("- **GPU memory (GiB):** TBD", 80, "GiB"),
        ("- **Carbon intensity (kg/kWh):** TBD", G_PER_KWH / 1000, "kg CO2eq/kWh"),
        ("- **Carbon intensity (gCO2/kWh):** TBD", G_PER_KWH, "g CO2eq/kWh"),
        ("- **Model parameters (M):** TBD", 22372 / 1e6, "M"),
        ("- **Throughput:** TBD samples/sec", DATA["time"]["samples_per_s"], "samples/s"),
        ("- **Throughput:** TBD steps/s", DATA["time"]["steps_per_s"], "steps/s"),
    ],
)
def test_a_figure_stands_in_the_unit_that_was_asked_for(line: str, value: float, unit: str) -> None:
    text = shown("gpus", line)

    assert figure(text) == pytest.approx(value, rel=0.01)
    assert re.match(rf"[\d.,]+ {re.escape(unit)}(?![\w/])", text), text


def test_digits_do_not_grow_with_the_unit() -> None:
    digits = shown("gpus", "- **Carbon Emitted (tCO2eq):** TBD").split(" ")[0].lstrip("0.")

    assert len(digits) <= 3


def test_hours_of_no_gpu_are_zero_and_the_wall_clock_stays() -> None:
    text = shown("lora", "- GPU hours: TBD")

    assert figure(text) == 0
    assert "no GPU" in text
    assert "wall-clock" in text


def test_parts_of_the_energy_keep_their_unit_where_the_total_has_another() -> None:
    text = shown("gpus", "- **Energy (MWh):** TBD")

    assert "in kWh: GPUs" in text


@pytest.mark.parametrize("line", ["- **Carbon Emitted:** ___ kg", "- **Hours used:** ___ h"])
def test_the_unit_of_a_placeholder_stays_when_the_figure_is_refreshed(line: str) -> None:
    first, second = from_json(record("gpus")), from_json(record("measured"))
    card = f"# M\n\n## Environmental Impact\n\n{line}\n"

    one = fill(card, facts(first), {}, remembered={})
    same = fill(one.text, facts(first), {}, remembered=one.slots)
    two = fill(one.text, facts(second), {}, remembered=one.slots)

    assert same.text == one.text
    unit = line.rpartition(" ")[2]
    assert re.search(rf"\*\* [\d.]+ {unit}\b", two.text)
    assert two.text != one.text


def test_a_duration_that_we_wrote_in_our_own_units_goes_on_to_larger_ones() -> None:
    data = json.loads(record("gpus"))
    card = "# M\n\n## Environmental Impact\n\n- **Hours used:** TBD\n"
    one = fill(card, facts(from_json(json.dumps(data))), {}, remembered={})
    data["time"]["wall_clock_s"] = 44_640.0

    two = fill(one.text, facts(from_json(json.dumps(data))), {}, remembered=one.slots)

    assert "- **Hours used:** 12 h 24 min wall-clock" in two.text


@pytest.mark.parametrize(
    "value", ["____", "TBD", "n/a", "N/A", "-", "—", "?", "(empty)", "xx", "…", "[ ]", "to be determined", "<TBD>"]
)  # fmt: skip
def test_a_placeholder_of_any_kind_takes_a_machines_figure(value: str) -> None:
    card = f"# M\n\n## Environmental Impact\n\n- **Hours used:** {value}\n"

    after = fill(card, facts(from_json(record("gpus"))), {}, remembered={}).text

    assert "- **Hours used:** 10.5 s wall-clock" in after


@pytest.mark.parametrize("value", ["N/A", "-", "unknown", "not available"])
@pytest.mark.parametrize("label", ["Cloud Provider", "Funded by", "Paper", "License"])
def test_what_no_machine_knows_better_keeps_a_persons_na(label: str, value: str) -> None:
    card = f"# M\n\n## Model Details\n\n- **{label}:** {value}\n"

    after = fill(card, facts(from_json(record("gpus"))), {}, remembered={}).text

    assert f"- **{label}:** {value}\n" in after


def test_na_stays_where_the_run_had_nothing_of_that() -> None:
    card = "# M\n\n## Training Configuration\n\n- **LoRA rank:** N/A\n- **GPU:** TBD\n"

    after = fill(card, facts(from_json(record("full-fine-tuning"))), {}, remembered={}).text

    assert "- **LoRA rank:** N/A\n" in after
    assert "- **GPU:** none (no GPU was used)\n" in after


@pytest.mark.parametrize(
    "value", ["2.x", "12.x", "xxl", "N/A for this model, see the paper", "- two GPUs", "x", "pending"]
)  # fmt: skip
def test_a_persons_words_are_no_placeholder(value: str) -> None:
    card = f"# M\n\n## Environmental Impact\n\n- **Hours used:** {value}\n"

    assert (
        f"- **Hours used:** {value}\n"
        in fill(card, facts(from_json(record("gpus"))), {}, remembered={}).text
    )
