"""Single figures of time, speed, energy and CO2."""

from __future__ import annotations

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields.energy_figures import part_digits, part_kwh, total, total_digits
from autocard.card.fields.machines import without_gpu
from autocard.card.fields.single.values import fact
from autocard.card.fields.speeds import flops_method
from autocard.card.fields.words import joined, so_far
from autocard.card.quantity import Quantity
from autocard.record import RunRecord

_J_PER_KWH = 3.6e6
_GIVEN_DIGITS = 6
_NO_GPU = " (no GPU was used)"


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the figures of time, energy and emissions, one by one."""
    time, run = record.time, record.run
    return {
        "throughput": _throughput(record),
        "samples_per_second": _rate(time.samples_per_s, escape(record.training.batch_unit)),
        "steps_per_second": _rate(time.steps_per_s, "steps"),
        "tokens_per_second": _rate(time.tokens_per_s, "tokens"),
        "flops": _flops(record),
        "start_date": fact(_instant(run.started_at)),
        "end_date": fact(_instant(run.ended_at)),
        "training_date": fact(_dates(record)),
        "total_energy": _total_energy(record),
        "gpu_energy": _part(record, "gpu"),
        "cpu_energy": _part(record, "cpu"),
        "ram_energy": _part(record, "ram"),
        "mean_power": _mean_power(record),
        "pue": _pue(record),
        "carbon_intensity": _intensity(record),
        "country": fact(_country(record)),
        "market_co2": _market_co2(record),
        "water": _water(record),
    }


# -- time and speed --------------------------------------------------------------------------------


def _throughput(record: RunRecord) -> Fact | None:
    """Return the rates of the last leg; where one is asked for by its unit, that one."""
    time = record.time
    rates = {
        "samples": time.samples_per_s,
        "tokens": time.tokens_per_s,
        "steps": time.steps_per_s,
    }
    known = {name: rate for name, rate in rates.items() if rate is not None}
    names = {"samples": escape(record.training.batch_unit), "steps": "optimizer steps"}
    texts = [f"{units.number(rate)} {names.get(name, name)}/s" for name, rate in known.items()]
    # Completions and packed sequences are no samples.
    convertible = {
        name: rate
        for name, rate in known.items()
        if name != "samples" or record.training.batch_unit == "samples"
    }
    quantities = [Quantity(rate, f"{name} per second") for name, rate in convertible.items()]
    return fact(joined(texts), *quantities)


def _rate(rate: float | None, noun: str) -> Fact | None:
    return None if rate is None else Fact(f"{units.number(rate)} {noun}/s")


def _flops(record: RunRecord) -> Fact | None:
    flops, method = record.time.flops, record.time.flops_method
    if flops is None:
        return None
    text = units.operations(flops)
    return Fact(f"{text} ({flops_method(method)})" if method else text)


def _instant(iso: str | None) -> str | None:
    return units.instant(iso) if iso else None


def _dates(record: RunRecord) -> str | None:
    """Return the days of start and end, in UTC."""
    start, end = _instant(record.run.started_at), _instant(record.run.ended_at)
    if not start or not end:
        return None
    first, last = start.partition(" ")[0], end.partition(" ")[0]
    return first if first == last else f"{first} to {last}"


# -- energy ----------------------------------------------------------------------------------------


def _total_energy(record: RunRecord) -> Fact | None:
    """Return the energy at the devices; the form may have no other place for what that means."""
    text, digits = total(record), total_digits(record)
    if text is None or digits is None:
        return None
    note = f" at the devices{_reached(record)}"
    figure = Quantity(record.energy.total_kwh or 0.0, "energy", digits, after=note)
    return Fact(f"{text} kWh{note}", quantities=(figure,))


def _part(record: RunRecord, part: str) -> Fact | None:
    energy_kwh = part_kwh(record, part)
    if energy_kwh is None:
        return None
    note = _NO_GPU if part == "gpu" and not energy_kwh and without_gpu(record) else ""
    kind = record.energy.sources.get(part, "").partition(":")[0]
    if kind in ("measured", "modelled", "modeled"):
        note = f" ({kind})"
    note += _reached(record)
    figure = Quantity(energy_kwh, "energy", part_digits(record, part), after=note)
    shown = units.number(energy_kwh, figure.digits)
    return Fact(f"{shown} kWh{note}", quantities=(figure,))


def _reached(record: RunRecord) -> str:
    open_run = so_far(record)
    return f" ({open_run})" if open_run else ""


def _mean_power(record: RunRecord) -> Fact | None:
    """Return the mean power of each GPU that the run used."""
    energy_kwh, gpu_s = record.energy.gpu_kwh, record.time.gpu_s
    if without_gpu(record):
        return Fact("none (no GPU was used)")
    if not gpu_s or energy_kwh is None:
        return None
    watts = energy_kwh * _J_PER_KWH / gpu_s
    figure = Quantity(watts, "power", part_digits(record, "gpu"), after=" per GPU, mean")
    return Fact(f"{units.number(watts, figure.digits)} W per GPU, mean", quantities=(figure,))


def _pue(record: RunRecord) -> Fact | None:
    pue = record.emissions.pue
    if pue is not None:
        return Fact(units.shortest(pue, _GIVEN_DIGITS))
    given = any(leg.pue is not None for leg in record.legs)
    return None if given or not record.legs else Fact("none given (1.0 was used)")


# -- emissions -------------------------------------------------------------------------------------


def _intensity(record: RunRecord) -> Fact | None:
    intensity = record.emissions.intensity_g_per_kwh
    if intensity is None:
        return None
    source, year = record.emissions.intensity_source, record.emissions.intensity_year
    words = joined([escape(source or ""), str(year or "")])
    note = f" ({words})" if words else ""
    figure = Quantity(intensity, "intensity", after=note)
    return Fact(f"{units.number(intensity)} g CO2eq/kWh{note}", quantities=(figure,))


def _country(record: RunRecord) -> str | None:
    emissions = record.emissions
    name = emissions.country_name or emissions.country_iso_code
    return escape(name) if name else None


def _market_co2(record: RunRecord) -> Fact | None:
    grams = record.emissions.market_based_co2eq_g
    if grams is None:
        return None
    note = " (as given by the author)"
    figure = Quantity(grams, "mass", units.MEASURED, after=f" CO2eq{note}")
    return Fact(units.co2eq(grams, units.MEASURED) + note, quantities=(figure,))


def _water(record: RunRecord) -> Fact | None:
    water_l = record.emissions.water_l
    if water_l is None:
        return None
    return Fact(f"{units.number(water_l, units.MODELLED)} liters{_reached(record)}")
