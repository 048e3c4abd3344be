"""The run in one row: base model, method, hardware, hours, power, energy, CO2.

One rule: a column that makes no sense for the run is left out; a figure that is not known says so.
"""

from __future__ import annotations

import re

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields import carbon, energy_figures, impact
from autocard.card.fields.base import base_in_sentence, from_scratch, is_untrained
from autocard.card.fields.machines import without_gpu
from autocard.card.fields.words import joined, listed, so_far, table
from autocard.record import RunRecord
from autocard.totals import mean_power

_NOT_KNOWN = "not known"
_LEFT = ("Base model", "Method", "Hardware", "Progress")
"""Columns of words; the others have figures and are set to the right."""
_ACRONYM = re.compile(r"\b[A-Z]{2,}\b")
"""A method of alignment in "aligned with DPO"."""


def run_summary(record: RunRecord) -> Fact | None:
    """Return the table, and as one line its cells. None: not even its time is known."""
    cells = {
        "Base model": base_in_sentence(record.model),
        "Method": _method(record),
        "Hardware": impact.devices(record),
        **_reached(record),
        **_time(record),
        "Energy": _energy(record),
        "CO2eq": _co2eq(record),
    }
    if record.time.wall_clock_s is None:
        return None
    shown = {head: text for head, text in cells.items() if text}
    right = frozenset(number for number, head in enumerate(shown) if head not in _LEFT)
    line = ", ".join(f"{head}: {text}" for head, text in shown.items())
    return Fact(line, table(list(shown), [list(shown.values())], right))


def _reached(record: RunRecord) -> dict[str, str]:
    """Return the column that says how far a run was that went on, or was interrupted."""
    open_run, run = so_far(record), record.run
    if open_run:
        return {"Progress": open_run}
    if run.status != "interrupted" or run.global_step is None or run.max_steps is None:
        return {}
    return {
        "Progress": f"interrupted at step {units.count(run.global_step)} "
        f"of {units.count(run.max_steps)}"
    }


def _method(record: RunRecord) -> str:
    """Return what was trained and how, as in "DPO, LoRA, bf16 mixed precision"."""
    if is_untrained(record):
        return "not trained"
    aligned = _ACRONYM.search(record.training.purpose)
    return joined([aligned[0] if aligned else None, _trained(record), record.precision.regime])


def _trained(record: RunRecord) -> str:
    model = record.model
    methods = list(dict.fromkeys(one.method for one in record.adapters if one.method))
    if record.adapters:
        bits = (record.precision.quantization or {}).get("bits")
        on_base = f" on a {bits}-bit base" if bits else ""
        return f"{listed(map(escape, methods)) or 'adapter'}{on_base}"
    if from_scratch(model):
        return "training from scratch"
    is_whole = model.parameters_total and model.parameters_total == model.parameters_trainable
    return "full fine-tuning" if is_whole else "fine-tuning"


def _time(record: RunRecord) -> dict[str, str | None]:
    """Return the columns of time and power: GPU-hours, or without a GPU the wall-clock time."""
    time = record.time
    if without_gpu(record):
        return {"Wall-clock time": units.duration(time.wall_clock_s or 0)}
    if not record.hardware.gpus and not time.gpu_s:
        return {}
    power_w = mean_power.gpu_w(record)
    return {
        "GPU-hours": units.hours(time.gpu_s) if time.gpu_s else _NOT_KNOWN,
        "Mean power per GPU": (
            energy_figures.NOT_MEASURED if power_w is None else f"{units.number(power_w)} W"
        ),
    }


def _energy(record: RunRecord) -> str:
    total = energy_figures.total(record)
    if total is not None:
        return f"{total} kWh"
    least_kwh = record.energy.reported_kwh
    if least_kwh:
        return f"at least {units.kwh(least_kwh, units.MODELLED)}"
    return energy_figures.NOT_MEASURED


def _co2eq(record: RunRecord) -> str:
    """Return the emissions; the head of the column has their unit's CO2eq."""
    grams, least_g = record.emissions.co2eq_g, record.emissions.reported_co2eq_g
    if grams is not None:
        return _without_unit(units.co2eq(grams, carbon.co2_digits(record)))
    if least_g:
        return f"at least {_without_unit(units.co2eq(least_g, units.MODELLED))}"
    is_measured = record.energy.total_kwh is not None
    return _NOT_KNOWN if is_measured else energy_figures.NOT_MEASURED


def _without_unit(text: str) -> str:
    return text.removesuffix(" CO2eq")
