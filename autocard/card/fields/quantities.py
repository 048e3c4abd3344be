"""The figures in the texts of facts, for forms that ask for them in a unit.

One rule: a note after a figure, such as its source, is kept when the unit changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autocard import units
from autocard.card.fact import Fact
from autocard.card.fields import carbon, energy_figures
from autocard.card.fields.machines import without_gpu
from autocard.card.fields.single.values import EXACT
from autocard.card.fields.words import joined, since
from autocard.card.quantity import Quantity
from autocard.record import RunRecord

_AT_DEVICES = " kWh at the devices"


def of_texts(record: RunRecord, facts: Mapping[str, Fact]) -> dict[str, tuple[Quantity, ...]]:
    """Return fact → the figures in its text, of those of *facts* that have one."""
    found = {}
    for name, make in _MAKERS.items():
        quantities = make(record, facts[name].line) if name in facts else ()
        if quantities:
            found[name] = quantities
    return found


def _hours(record: RunRecord, line: str) -> tuple[Quantity, ...]:
    """Return the wall-clock time, and that of the GPUs: of no GPU it is 0."""
    seconds = record.time.wall_clock_s
    if seconds is None:
        return ()
    shown = units.duration(seconds)
    wall_clock = Quantity(seconds, "time", after=_rest(line, shown, " wall-clock"))
    is_without = without_gpu(record)
    gpu_s = 0.0 if is_without else record.time.gpu_s
    if gpu_s is None:
        return (wall_clock,)
    time = joined(["no GPU" if is_without else None, f"{shown} wall-clock"])
    note = joined([time, since(record)], "; ")
    return wall_clock, Quantity(gpu_s, "GPU time", after=f" ({note})")


def _co2(record: RunRecord, line: str) -> tuple[Quantity, ...]:
    grams, before, digits = record.emissions.co2eq_g, "", carbon.co2_digits(record)
    if grams is None:
        grams, before, digits = record.emissions.reported_co2eq_g, "at least ", units.MODELLED
    if grams is None:
        return ()
    shown = before + units.co2eq(grams, digits)
    return (Quantity(grams, "mass", digits, before, " CO2eq" + _rest(line, shown, "")),)


def _energy(record: RunRecord, line: str) -> tuple[Quantity, ...]:
    """Return the total in the unit asked for; its parts are always in kWh."""
    text, digits = energy_figures.total(record), energy_figures.total_digits(record)
    if text is None or digits is None or record.energy.total_kwh is None:
        return ()
    rest = _rest(line, text + _AT_DEVICES, "").replace(" (", " (in kWh: ", 1)
    return (Quantity(record.energy.total_kwh, "energy", digits, after=f" at the devices{rest}"),)


def _parameters(record: RunRecord, _: str) -> tuple[Quantity, ...]:
    """Return the parameters, and the bytes that they take where they were saved."""
    model = record.model
    if model.parameters_total is None:
        return ()
    found = [Quantity(model.parameters_total, "count", EXACT)]
    if model.saved_bytes is not None:
        found.append(Quantity(model.saved_bytes, "memory"))
    return tuple(found)


def _rest(line: str, figure: str, default: str) -> str:
    """Return what follows *figure*, with which *line* begins; *default*: it does not."""
    return line.removeprefix(figure) if line.startswith(figure) else default


_MAKERS: Mapping[str, Callable[[RunRecord, str], tuple[Quantity, ...]]] = {
    "hours_used": _hours,
    "co2_emitted": _co2,
    "energy": _energy,
    "parameters": _parameters,
}
