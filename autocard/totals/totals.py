"""Legs of all hosts → the job's sums: hours, kilowatt-hours, grams.

Rule: every sum is worked out here and nowhere else, and a sum of which one part was not measured is
None with that part's reason, never the sum of the rest; where nodes are silent, that one stands
apart under a name of its own (`reported_…`). Imports nothing heavy and measures nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autocard.record import Emissions, Energy, HostUse, Leg, RunRecord, Time
from autocard.record.gaps import Gaps, Part, PartBuilder, gaps_at, why
from autocard.record.legs import COUNTER_SUFFIX
from autocard.settings import Settings
from autocard.totals import repeated_steps

J_PER_KWH = 3.6e6

NO_LEGS = "no training was measured"
NO_PUE = "no PUE was given"
NO_WUE = "no water usage effectiveness was given"
OTHER_ALLOCATIONS = (
    "the legs used different numbers of GPUs, and what the earlier ones were given is not recorded"
)
NOT_ALLOCATED = "no workload manager says how many GPUs the job was given"
DIFFERS = "it differs between the legs"
ALL_REPORTED = "the total is known"
ONE_NODE = "it is told where some of several nodes are known and others are not"

BOUNDARY = (
    "training from its first moment to its last, with the evaluations and checkpoints in between: GPU boards, CPU "
    "packages and memory. Set-up before it and evaluation after it are measured apart. Not counted: what other "
    "processes did before and after, disks, network, fans, losses of power supplies, earlier runs, and the making of "
    "the hardware"
)

Legs = Sequence[Part[Leg]]


class _GapError(Exception):
    """A part of a sum is not there; its text is the reason."""


@dataclass(frozen=True)
class Sums:
    """The sums over all legs and hosts."""

    time: Part[Time]
    """What legs give of it: wall_clock_s, gpu_s, allocated_gpu_s, repeated_s, repeated_steps."""
    energy: Part[Energy]
    emissions: Part[Emissions]


def sums(
    legs: Legs,
    *,
    settings: Settings,
    gpus_allocated: int | None = None,
    why_not_allocated: str = NOT_ALLOCATED,
) -> Sums:
    """Return the sums over all legs and hosts.

    Args:
        legs: of the record, in its order.
        settings: what only people can give: water usage effectiveness, market-based emissions.
        gpus_allocated: GPUs that the workload manager gave to the job.
        why_not_allocated: the reason where that is None.
    """
    allocated = Part(gpus_allocated, {"": why_not_allocated})
    return Sums(_time(legs, allocated), _energy(legs), _emissions(legs, settings))


def with_emissions(legs: Legs) -> list[Part[Leg]]:
    """Return *legs*, each with its own grams of CO2eq."""
    return [_with_emissions(leg) for leg in legs]


def _with_emissions(leg: Part[Leg]) -> Part[Leg]:
    try:
        return replace(leg, value=leg.value.model_copy(update={"co2eq_g": _co2eq_g([leg])}))
    except _GapError as gap:
        value = leg.value.model_copy(update={"co2eq_g": None})
        return Part(value, {**leg.gaps, "co2eq_g": str(gap)})


def with_repeats(legs: Legs) -> list[Part[Leg]]:
    """Return *legs*, each with what later ones did again of it."""
    return repeated_steps.marked(legs)


def _sum(part: PartBuilder[Any], name: str, work: Callable[[], float]) -> None:
    """Set the field *name* of *part* to what *work* returns, or note the gap that it raises."""
    try:
        part.fields[name] = work()
    except _GapError as gap:
        part.put(name, None, str(gap))


def _why(gaps: Gaps, path: str) -> str:
    """Return the reason for *path*, or for a part that holds it."""
    return why(gaps, path) or "not measured"


def _hosts(leg: Part[Leg]) -> Iterator[tuple[str, HostUse]]:
    """Yield the hosts of *leg*, each with its path inside the leg.

    Raises:
        _GapError: it has none, or not all of them.
    """
    if not leg.value.hosts or "hosts" in leg.gaps:
        raise _GapError(_why(leg.gaps, "hosts"))
    for number, host in enumerate(leg.value.hosts):
        yield f"hosts.{number}", host


def _require(legs: Legs) -> None:
    """Raise `_GapError` where there are no legs."""
    if not legs:
        raise _GapError(NO_LEGS)


def _part_j(legs: Legs, leaf: str) -> float:
    """Return the joules that all hosts have at *leaf*.

    Raises:
        _GapError: one has none.
    """
    _require(legs)
    total_j = 0.0
    for leg in legs:
        for path, host in _hosts(leg):
            joules: float | None = getattr(host, leaf)
            if joules is None:
                raise _GapError(_why(leg.gaps, f"{path}.{leaf}"))
            total_j += joules
    return total_j


def _gpu_j(legs: Legs) -> float:
    """Return the joules of all GPUs; 0 where none was used.

    Raises:
        _GapError: one was not measured, or it is not known which ones were used.
    """
    _require(legs)
    total_j = 0.0
    for leg in legs:
        for path, host in _hosts(leg):
            _require_all_devices(leg, path)
            for number, device in enumerate(host.devices):
                if device.energy_j is None:
                    raise _GapError(_why(leg.gaps, f"{path}.devices.{number}.energy_j"))
                total_j += device.energy_j
    return total_j


def _require_all_devices(leg: Part[Leg], host: str) -> None:
    """Raise `_GapError` where the devices of the host at the path *host* are not all that it used."""
    reason = leg.gaps.get(f"{host}.devices")
    if reason is not None:
        raise _GapError(reason)


def _all_j(legs: Legs) -> float:
    """Return the joules of GPUs, CPUs and RAM: at the devices, without PUE."""
    return _gpu_j(legs) + _part_j(legs, "cpu_j") + _part_j(legs, "ram_j")


def _facility_kwh(legs: Legs) -> float:
    """Return each leg's energy × its PUE, 1 where none was given."""
    return sum(_all_j([leg]) * (leg.value.pue or 1.0) for leg in legs) / J_PER_KWH


def _co2eq_g(legs: Legs) -> float:
    """Return the grams: each leg's energy at the devices × its PUE × its intensity.

    The PUE is 1 where none was given.

    Raises:
        _GapError: a part was not measured, or a leg has no intensity.
    """
    _require(legs)
    total_g = 0.0
    for leg in legs:
        kwh = _facility_kwh([leg])
        total_g += kwh * _intensity_of(leg)
    return total_g


def _intensity_of(leg: Part[Leg]) -> float:
    intensity = leg.value.intensity_g_per_kwh
    if intensity is None:
        raise _GapError(_why(leg.gaps, "intensity_g_per_kwh"))
    return intensity


def _wall_clock_s(leg: Part[Leg]) -> float:
    seconds = leg.value.wall_clock_s
    if seconds is None:
        raise _GapError(_why(leg.gaps, "wall_clock_s"))
    return seconds


def _devices_of(leg: Part[Leg]) -> int:
    """Return how many devices *leg* used."""
    return sum(len(host.devices) for host in leg.value.hosts)


def _total_s(legs: Legs) -> float:
    _require(legs)
    total_s = 0.0
    for leg in legs:
        total_s += _wall_clock_s(leg)
    return total_s


def _gpu_s(legs: Legs) -> float:
    """Return the seconds of all GPUs together."""
    _require(legs)
    for leg in legs:
        for path, _ in _hosts(leg):
            _require_all_devices(leg, path)
    total_s = 0.0
    for leg in legs:
        total_s += _wall_clock_s(leg) * _devices_of(leg)
    return total_s


def _allocated_gpu_s(legs: Legs, allocated: Part[int | None]) -> float:
    if allocated.value is None:
        raise _GapError(allocated.gaps[""])
    if len({_devices_of(leg) for leg in legs}) > 1:
        raise _GapError(OTHER_ALLOCATIONS)
    return _total_s(legs) * allocated.value


def _time(legs: Legs, allocated: Part[int | None]) -> Part[Time]:
    part = PartBuilder(Time, "time")
    _sum(part, "wall_clock_s", lambda: _total_s(legs))
    _sum(part, "gpu_s", lambda: _gpu_s(legs))
    _sum(part, "allocated_gpu_s", lambda: _allocated_gpu_s(legs, allocated))
    _sum(part, "repeated_s", lambda: _of_legs(legs, "repeated_s"))
    _sum(part, "repeated_steps", lambda: int(_of_legs(legs, "repeated_steps")))
    return part.build()


def _energy(legs: Legs) -> Part[Energy]:
    part = PartBuilder(Energy, "energy")
    part.fields["sources"] = _sources([host for leg in legs for host in leg.value.hosts])
    part.fields["boundary"] = BOUNDARY
    _sum(part, "gpu_kwh", lambda: _gpu_j(legs) / J_PER_KWH)
    _sum(part, "cpu_kwh", lambda: _part_j(legs, "cpu_j") / J_PER_KWH)
    _sum(part, "ram_kwh", lambda: _part_j(legs, "ram_j") / J_PER_KWH)
    _sum(part, "total_kwh", lambda: _all_j(legs) / J_PER_KWH)
    _sum(part, "facility_kwh", lambda: _given_facility_kwh(legs))
    _sum(part, "node_meter_kwh", lambda: _part_j(legs, "node_meter_j") / J_PER_KWH)
    _sum(part, "codecarbon_gpu_kwh", lambda: _part_j(legs, "codecarbon_gpu_j") / J_PER_KWH)
    _sum(part, "setup_kwh", lambda: _of_legs(legs, "setup_j") / J_PER_KWH)
    _sum(part, "evaluation_kwh", lambda: _of_legs(legs, "evaluation_j") / J_PER_KWH)
    _sum(part, "repeated_kwh", lambda: _of_legs(legs, "repeated_j") / J_PER_KWH)
    _sum(part, "reported_kwh", lambda: _reported_kwh(legs))
    return part.build()


def _given_facility_kwh(legs: Legs) -> float:
    """Return the energy with that of the building, where a PUE was given."""
    _require(legs)
    if all(leg.value.pue is None for leg in legs):
        raise _GapError(NO_PUE)
    return _facility_kwh(legs)


def _reported_kwh(legs: Legs) -> float:
    return sum(_reported_j(leg.value) for leg in _some_silent(legs)) / J_PER_KWH


def _some_silent(legs: Legs) -> Legs:
    """Return the legs.

    Raises:
        _GapError: of all their nodes all is known, or they have but one.
    """
    if not any(_has_several_nodes(leg) for leg in legs):
        raise _GapError(ONE_NODE)
    try:
        _all_j(legs)
    except _GapError:
        return legs
    raise _GapError(ALL_REPORTED)


def _has_several_nodes(leg: Part[Leg]) -> bool:
    hosts = leg.value.hosts
    return len(hosts) > 1 or bool(hosts and "hosts" in leg.gaps)


def _reported_j(leg: Leg) -> float:
    """Return the joules of *leg* that were measured, whatever else there was."""
    parts = [joules for host in leg.hosts for joules in (host.cpu_j, host.ram_j)]
    parts += [device.energy_j for host in leg.hosts for device in host.devices]
    return sum(joules for joules in parts if joules is not None)


def _reported_g(legs: Legs) -> float:
    """Return the grams of what was measured, by each leg's PUE and intensity.

    Raises:
        _GapError: the totals are known, or a leg has no intensity.
    """
    total_g = 0.0
    for leg in _some_silent(legs):
        kwh = _reported_j(leg.value) / J_PER_KWH * (leg.value.pue or 1.0)
        total_g += kwh * _intensity_of(leg)
    return total_g


def _of_legs(legs: Legs, leaf: str) -> float:
    """Return the sum of a leaf of the legs: what is apart from the total, or a part of it.

    Raises:
        _GapError: there is no leg, or one does not have it.
    """
    _require(legs)
    total = 0.0
    for leg in legs:
        value: float | None = getattr(leg.value, leaf)
        if value is None:
            raise _GapError(_why(leg.gaps, leaf))
        total += value
    return total


def of_record(record: RunRecord, numbers: Iterable[int]) -> Part[Energy]:
    """Return total, set-up and evaluation of the legs of *record* with these *numbers*.

    For comparisons with meters that saw only some of the legs; the sums of the record are those of
    all.
    """
    return _energy(
        [Part(record.legs[number], gaps_at(record.missing, f"legs.{number}")) for number in numbers]
    )


def of_trials(legs: Iterable[Part[Leg] | None]) -> tuple[float | None, float, str | None]:
    """Return the kWh of trainings that are told apart, those of the ones that are known, and why the first is None.

    Args:
        legs: of each training; None: nothing is known of it.
    """
    reported_kwh, why_none = 0.0, None
    for leg in legs:
        if leg is None:
            why_none = why_none or "what a trial used was not recorded"
            continue
        energy = _energy([leg])
        if energy.value.total_kwh is None:
            why_none = why_none or energy.gaps["total_kwh"]
        else:
            reported_kwh += energy.value.total_kwh
    return (reported_kwh if why_none is None else None), reported_kwh, why_none


def counted_kwh(legs: Sequence[Leg], numbers: Sequence[int]) -> float:
    """Return what counters read during the legs with these *numbers*: the least that any meter around them can say."""
    joules = 0.0
    for host in (host for number in numbers for host in legs[number].hosts):
        joules += sum(
            device.energy_j or 0.0
            for device in host.devices
            if (device.source or "").endswith(COUNTER_SUFFIX)
        )
        if host.sources.get("cpu", "").startswith("measured"):
            joules += host.cpu_j or 0.0
    return joules / J_PER_KWH


def _sources(hosts: Sequence[HostUse]) -> dict[str, str]:
    """Return part → how it was measured: what all hosts of all legs say, each thing once."""
    found: dict[str, dict[str, set[str]]] = {}
    for host in hosts:
        for part, words in host.sources.items():
            how, _, remark = words.partition("; ")
            found.setdefault(part, {}).setdefault(how, set()).add(remark)
    return {
        part: " · ".join(_merged(how, ways[how]) for how in ways) for part, ways in found.items()
    }


def _merged(how: str, remarks: set[str]) -> str:
    """Return one way of measuring with the remark that its hosts and legs make, or that they make several."""
    if len(remarks) > 1:
        return f"{how}; with remarks that differ between legs or nodes, and stand with each of them in autocard.json"
    remark = next(iter(remarks))
    return f"{how}; {remark}" if remark else how


_OF_PLACE = {
    "intensity_source": "intensity_source",
    "intensity_year": "intensity_year",
    "pue": "pue",
    "country_iso_code": "place.country_iso_code",
    "region": "place.region",
    "cloud_provider": "place.cloud_provider",
    "cloud_region": "place.cloud_region",
    "place_source": "place.source",
}
"""Field of `Emissions` → where a leg has it."""


def _emissions(legs: Legs, settings: Settings) -> Part[Emissions]:
    part = PartBuilder(Emissions, "emissions")
    for name, path in _OF_PLACE.items():
        _take_common(part, name, legs, path)
    code = part.fields["country_iso_code"]
    part.put("country_name", _country_name(code), _why(part.gaps, "country_iso_code"))
    part.put(
        "market_based_co2eq_g",
        settings.market_based_co2eq_g,
        "not given: contracts tell it, no meter does",
    )
    _sum(part, "co2eq_g", lambda: _co2eq_g(legs))
    _sum(part, "reported_co2eq_g", lambda: _reported_g(legs))
    _sum(part, "intensity_g_per_kwh", lambda: _intensity_g_per_kwh(legs))
    part.put("wue_l_per_kwh", settings.wue_l_per_kwh, NO_WUE)
    _sum(part, "water_l", lambda: _water_l(legs, settings))
    return part.build()


def _take_common(part: PartBuilder[Emissions], name: str, legs: Legs, path: str) -> None:
    """Set the field *name* to what all legs have at *path*."""
    values = [_at(leg.value, path) for leg in legs]
    if not values:
        part.put(name, None, NO_LEGS)
    elif any(value != values[0] for value in values):
        part.put(name, None, DIFFERS)
    else:
        part.put(name, values[0], _why(legs[0].gaps, path))


def _at(leg: Leg, path: str) -> object:
    value: object = leg
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _intensity_g_per_kwh(legs: Legs) -> float:
    """Return the intensity of the legs' place; of several, the mean weighted by energy × PUE.

    Raises:
        _GapError: a leg has none, or there are several and their energy is not known.
    """
    values = {leg.value.intensity_g_per_kwh for leg in legs}
    if len(values) == 1:
        only = values.pop()
        if only is not None:
            return only
    co2eq_g, kwh = _co2eq_g(legs), _facility_kwh(legs)
    if not kwh:
        raise _GapError(DIFFERS)
    return co2eq_g / kwh


def _country_name(code: object) -> str | None:
    if not isinstance(code, str):
        return None
    import pycountry  # noqa: PLC0415 - only where there is a country

    country = pycountry.countries.get(alpha_3=code)
    return None if country is None else str(country.name)


def _water_l(legs: Legs, settings: Settings) -> float:
    """Return litres: energy at the devices × the water usage effectiveness that was given.

    WUE is defined over the energy of the IT equipment (The Green Grid, White Paper 35), so the PUE
    is not in it.
    """
    if settings.wue_l_per_kwh is None:
        raise _GapError(NO_WUE)
    return _all_j(legs) / J_PER_KWH * settings.wue_l_per_kwh
