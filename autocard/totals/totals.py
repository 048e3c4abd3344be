"""Legs of all hosts → the job's sums: hours, kilowatt-hours, grams.

Rule: every sum is worked out here and nowhere else, and a sum of which one part was not measured is
None with that part's reason, never the sum of the rest; where nodes are silent, that one stands
apart under a name of its own (`reported_…`). Imports nothing heavy and measures nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence

from autocard.record import Emissions, Energy, HostUse, Leg, Time
from autocard.settings import Settings
from autocard.totals import repeated_steps

J_PER_KWH = 3.6e6

NO_LEGS = "no training was measured"
NO_PUE = "no PUE was given"
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

_Paths = Sequence[tuple[str, Leg]]
"""Legs, each with its path in the record, under which `missing` has its reasons."""


class _GapError(Exception):
    """A part of a sum is not there; says why."""


def sums(
    legs: Sequence[Leg],
    *,
    settings: Settings,
    missing: MutableMapping[str, str],
    gpus_allocated: int | None = None,
) -> tuple[Time, Energy, Emissions]:
    """Return the sums over all legs and hosts; of `Time`, what legs give: wall_clock_s, gpu_s, allocated_gpu_s.

    Args:
        legs: of the record, in its order.
        settings: what only people can give: water usage effectiveness, market-based emissions.
        missing: holds the reasons for what the legs do not hold (under "legs.N.…"); gets those of
            the sums.
        gpus_allocated: GPUs that the workload manager gave to the job.
    """
    paths = _paths(legs)
    return (
        _time(paths, gpus_allocated, missing),
        _energy(paths, missing),
        _emissions(paths, settings, missing),
    )


def with_emissions(legs: Sequence[Leg], missing: MutableMapping[str, str]) -> list[Leg]:
    """Return *legs*, each with its own grams of CO2eq, or with the reason in *missing* why it has none."""
    return [
        leg.model_copy(
            update={
                "co2eq_g": _or_reason(
                    f"{path}.co2eq_g", functools.partial(_co2eq_g, [(path, leg)], missing), missing
                )
            }
        )
        for path, leg in _paths(legs)
    ]


def with_repeats(legs: Sequence[Leg], missing: MutableMapping[str, str]) -> list[Leg]:
    """Return *legs*, each with what later ones did again of it, or with the reason in *missing*."""
    return repeated_steps.marked(legs, missing)


def _paths(legs: Sequence[Leg]) -> _Paths:
    return [(f"legs.{number}", leg) for number, leg in enumerate(legs)]


def _or_reason(
    path: str, work: Callable[[], float], missing: MutableMapping[str, str]
) -> float | None:
    """Return what *work* returns, or None with the reason at *path*."""
    try:
        return work()
    except _GapError as gap:
        missing[path] = str(gap)
        return None


def _why(missing: Mapping[str, str], path: str) -> str:
    """Return the reason for *path*, or for a part that holds it."""
    while path:
        if path in missing:
            return missing[path]
        path = path.rpartition(".")[0]
    return "not measured"


def _hosts(legs: _Paths, missing: Mapping[str, str]) -> Iterator[tuple[str, HostUse]]:
    """Yield the hosts of all legs with their paths.

    Raises:
        _GapError: there is no leg, or one without hosts, or without all of them.
    """
    if not legs:
        raise _GapError(NO_LEGS)
    for path, leg in legs:
        if not leg.hosts or f"{path}.hosts" in missing:
            raise _GapError(_why(missing, f"{path}.hosts"))
        yield from ((f"{path}.hosts.{number}", host) for number, host in enumerate(leg.hosts))


def _part_j(legs: _Paths, leaf: str, missing: Mapping[str, str]) -> float:
    """Return the joules that all hosts have at *leaf*.

    Raises:
        _GapError: one has none.
    """
    total_j = 0.0
    for path, host in _hosts(legs, missing):
        joules: float | None = getattr(host, leaf)
        if joules is None:
            raise _GapError(_why(missing, f"{path}.{leaf}"))
        total_j += joules
    return total_j


def _gpu_j(legs: _Paths, missing: Mapping[str, str]) -> float:
    """Return the joules of all GPUs; 0 where none was used.

    Raises:
        _GapError: one was not measured, or it is not known which ones were used.
    """
    total_j = 0.0
    for path, host in _hosts(legs, missing):
        _know_devices(path, missing)
        for number, device in enumerate(host.devices):
            if device.energy_j is None:
                raise _GapError(_why(missing, f"{path}.devices.{number}.energy_j"))
            total_j += device.energy_j
    return total_j


def _know_devices(path: str, missing: Mapping[str, str]) -> None:
    """Raise `_GapError` where the list of devices is not all that was used."""
    if f"{path}.devices" in missing:
        raise _GapError(missing[f"{path}.devices"])


def _all_j(legs: _Paths, missing: Mapping[str, str]) -> float:
    """Return the joules of GPUs, CPUs and RAM: at the devices, without PUE."""
    return _gpu_j(legs, missing) + _part_j(legs, "cpu_j", missing) + _part_j(legs, "ram_j", missing)


def _facility_kwh(legs: _Paths, missing: Mapping[str, str]) -> float:
    """Return each leg's energy × its PUE, 1 where none was given."""
    return sum(_all_j([one], missing) * (one[1].pue or 1.0) for one in legs) / J_PER_KWH


def _co2eq_g(legs: _Paths, missing: Mapping[str, str]) -> float:
    """Return the grams: each leg's energy at the devices × its PUE (1 where none was given) × its intensity.

    Raises:
        _GapError: a part was not measured, or a leg has no intensity.
    """
    if not legs:
        raise _GapError(NO_LEGS)
    total_g = 0.0
    for path, leg in legs:
        kwh = _facility_kwh([(path, leg)], missing)
        if leg.intensity_g_per_kwh is None:
            raise _GapError(_why(missing, f"{path}.intensity_g_per_kwh"))
        total_g += kwh * leg.intensity_g_per_kwh
    return total_g


def _time(legs: _Paths, gpus_allocated: int | None, missing: MutableMapping[str, str]) -> Time:
    def wall_clock_s(each: Callable[[Leg], float] = lambda _: 1.0) -> float:
        if not legs:
            raise _GapError(NO_LEGS)
        total_s = 0.0
        for path, leg in legs:
            if leg.wall_clock_s is None:
                raise _GapError(_why(missing, f"{path}.wall_clock_s"))
            total_s += leg.wall_clock_s * each(leg)
        return total_s

    def gpu_s() -> float:
        for path, _ in _hosts(legs, missing):
            _know_devices(path, missing)
        return wall_clock_s(lambda leg: sum(len(host.devices) for host in leg.hosts))

    def allocated_gpu_s() -> float:
        if gpus_allocated is None:
            raise _GapError(missing.get("hardware.gpus_allocated", NOT_ALLOCATED))
        if len({sum(len(host.devices) for host in leg.hosts) for _, leg in legs}) > 1:
            raise _GapError(OTHER_ALLOCATIONS)
        return wall_clock_s() * gpus_allocated

    return Time(
        wall_clock_s=_or_reason("time.wall_clock_s", wall_clock_s, missing),
        gpu_s=_or_reason("time.gpu_s", gpu_s, missing),
        allocated_gpu_s=_or_reason("time.allocated_gpu_s", allocated_gpu_s, missing),
        repeated_s=_or_reason(
            "time.repeated_s", lambda: _of_legs(legs, "repeated_s", missing), missing
        ),
        repeated_steps=_whole(
            _or_reason(
                "time.repeated_steps", lambda: _of_legs(legs, "repeated_steps", missing), missing
            )
        ),
    )


def _energy(legs: _Paths, missing: MutableMapping[str, str]) -> Energy:
    def kwh(name: str, work: Callable[[], float]) -> float | None:
        return _or_reason(f"energy.{name}", lambda: work() / J_PER_KWH, missing)

    def facility_kwh() -> float:
        if all(leg.pue is None for _, leg in legs):
            raise _GapError(NO_PUE if legs else NO_LEGS)
        return _facility_kwh(legs, missing)

    return Energy(
        gpu_kwh=kwh("gpu_kwh", lambda: _gpu_j(legs, missing)),
        cpu_kwh=kwh("cpu_kwh", lambda: _part_j(legs, "cpu_j", missing)),
        ram_kwh=kwh("ram_kwh", lambda: _part_j(legs, "ram_j", missing)),
        total_kwh=kwh("total_kwh", lambda: _all_j(legs, missing)),
        facility_kwh=_or_reason("energy.facility_kwh", facility_kwh, missing),
        node_meter_kwh=kwh("node_meter_kwh", lambda: _part_j(legs, "node_meter_j", missing)),
        codecarbon_gpu_kwh=kwh(
            "codecarbon_gpu_kwh", lambda: _part_j(legs, "codecarbon_gpu_j", missing)
        ),
        sources=_sources([host for _, leg in legs for host in leg.hosts]),
        boundary=BOUNDARY,
        setup_kwh=kwh("setup_kwh", lambda: _of_legs(legs, "setup_j", missing)),
        evaluation_kwh=kwh("evaluation_kwh", lambda: _of_legs(legs, "evaluation_j", missing)),
        repeated_kwh=kwh("repeated_kwh", lambda: _of_legs(legs, "repeated_j", missing)),
        reported_kwh=kwh(
            "reported_kwh", lambda: sum(_reported_j(leg) for leg in _some_silent(legs, missing))
        ),
    )


def _some_silent(legs: _Paths, missing: Mapping[str, str]) -> list[Leg]:
    """Return the legs.

    Raises:
        _GapError: of all their nodes all is known, or they have but one.
    """
    if not any(
        len(leg.hosts) > 1 or (f"{path}.hosts" in missing and leg.hosts) for path, leg in legs
    ):
        raise _GapError(ONE_NODE)
    try:
        _all_j(legs, missing)
    except _GapError:
        return [leg for _, leg in legs]
    raise _GapError(ALL_REPORTED)


def _reported_j(leg: Leg) -> float:
    """Return the joules of a leg that somebody measured, whatever else there was."""
    parts = [joules for host in leg.hosts for joules in (host.cpu_j, host.ram_j)]
    parts += [device.energy_j for host in leg.hosts for device in host.devices]
    return sum(joules for joules in parts if joules is not None)


def _reported_g(legs: _Paths, missing: Mapping[str, str]) -> float:
    """Return the grams of what somebody measured, by each leg's PUE and intensity.

    Raises:
        _GapError: the totals stand, or a leg has no intensity.
    """
    total_g = 0.0
    for number, leg in enumerate(_some_silent(legs, missing)):
        if leg.intensity_g_per_kwh is None:
            raise _GapError(_why(missing, f"legs.{number}.intensity_g_per_kwh"))
        total_g += _reported_j(leg) / J_PER_KWH * (leg.pue or 1.0) * leg.intensity_g_per_kwh
    return total_g


def _of_legs(legs: _Paths, leaf: str, missing: Mapping[str, str]) -> float:
    """Return the sum of a leaf of the legs themselves: what stands apart from the total, or is a part of it.

    Raises:
        _GapError: there is no leg, or one does not know it.
    """
    if not legs:
        raise _GapError(NO_LEGS)
    total = 0.0
    for path, leg in legs:
        value: float | None = getattr(leg, leaf)
        if value is None:
            raise _GapError(_why(missing, f"{path}.{leaf}"))
        total += value
    return total


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def of_legs(
    legs: Sequence[Leg], numbers: Sequence[int], missing: Mapping[str, str]
) -> tuple[Energy, dict[str, str]]:
    """Return total, set-up and evaluation of the legs with these *numbers*, and leaf → why one of them is not known.

    For comparisons with meters that saw only some of the legs; the sums of the record are those of
    all.
    """
    some, reasons = [(f"legs.{number}", legs[number]) for number in numbers], dict(missing)
    found = _energy(some, reasons)
    return found, {
        leaf: _why(reasons, f"energy.{leaf}")
        for leaf in ("total_kwh", "setup_kwh", "evaluation_kwh")
        if getattr(found, leaf) is None
    }


def of_trials(
    legs: Sequence[tuple[Leg | None, Mapping[str, str]]],
) -> tuple[float | None, float, str | None]:
    """Return the kWh of trainings that are told apart, those of the ones that are known, and why the first is None.

    Args:
        legs: of each training, with path inside it → reason; None: nothing is known of it.
    """
    reported_kwh, why = 0.0, None
    for leg, missing in legs:
        if leg is None:
            why = why or "what a trial used was not recorded"
            continue
        energy, reasons = of_legs(
            [leg], [0], {f"legs.0.{path}".rstrip("."): text for path, text in missing.items()}
        )
        if energy.total_kwh is None:
            why = why or reasons["total_kwh"]
        else:
            reported_kwh += energy.total_kwh
    return (reported_kwh if why is None else None), reported_kwh, why


def counted_kwh(legs: Sequence[Leg], numbers: Sequence[int]) -> float:
    """Return what counters read during the legs with these *numbers*: the least that any meter around them can say."""
    joules = 0.0
    for host in (host for number in numbers for host in legs[number].hosts):
        joules += sum(one.energy_j or 0.0 for one in host.devices if one.source == "nvml-counter")
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


def _emissions(legs: _Paths, settings: Settings, missing: MutableMapping[str, str]) -> Emissions:
    def same(leaf: str, at: str) -> object:
        """Return what all legs say at the path *at*; None with the reason at emissions.*leaf*."""
        values = [_at(leg, at) for _, leg in legs]
        if values and values[0] is not None and all(value == values[0] for value in values):
            return values[0]
        differs = any(value != values[0] for value in values)
        missing[f"emissions.{leaf}"] = (
            DIFFERS if differs else _why(missing, f"legs.0.{at}") if legs else NO_LEGS
        )
        return None

    leaves = {
        "intensity_source": "intensity_source",
        "intensity_year": "intensity_year",
        "pue": "pue",
        "country_iso_code": "place.country_iso_code",
        "region": "place.region",
        "cloud_provider": "place.cloud_provider",
        "cloud_region": "place.cloud_region",
        "place_source": "place.source",
    }
    told = {leaf: same(leaf, at) for leaf, at in leaves.items()}
    told["country_name"] = _country_name(told["country_iso_code"])
    if told["country_name"] is None:
        missing["emissions.country_name"] = _why(missing, "emissions.country_iso_code")
    told["market_based_co2eq_g"] = settings.market_based_co2eq_g
    if settings.market_based_co2eq_g is None:
        missing["emissions.market_based_co2eq_g"] = "not given: contracts tell it, no meter does"
    told["co2eq_g"] = _or_reason("emissions.co2eq_g", lambda: _co2eq_g(legs, missing), missing)
    told["reported_co2eq_g"] = _or_reason(
        "emissions.reported_co2eq_g", lambda: _reported_g(legs, missing), missing
    )
    told["intensity_g_per_kwh"] = _or_reason(
        "emissions.intensity_g_per_kwh", lambda: _intensity_g_per_kwh(legs, missing), missing
    )
    told["wue_l_per_kwh"] = settings.wue_l_per_kwh
    if settings.wue_l_per_kwh is None:
        missing["emissions.wue_l_per_kwh"] = "no water usage effectiveness was given"
    told["water_l"] = _or_reason(
        "emissions.water_l", lambda: _water_l(legs, settings, missing), missing
    )
    return Emissions.model_validate(told)


def _at(leg: Leg, path: str) -> object:
    value: object = leg
    for name in path.split("."):
        value = getattr(value, name)
    return value


def _intensity_g_per_kwh(legs: _Paths, missing: Mapping[str, str]) -> float:
    """Return the intensity of the legs' place; of several, the mean weighted by energy × PUE.

    Raises:
        _GapError: a leg has none, or there are several and their energy is not known.
    """
    values = {leg.intensity_g_per_kwh for _, leg in legs}
    if len(values) == 1:
        only = values.pop()
        if only is not None:
            return only
    co2eq_g, kwh = _co2eq_g(legs, missing), _facility_kwh(legs, missing)
    if not kwh:
        raise _GapError(DIFFERS)
    return co2eq_g / kwh


def _country_name(code: object) -> str | None:
    if not isinstance(code, str):
        return None
    import pycountry  # noqa: PLC0415 - only where there is a country

    country = pycountry.countries.get(alpha_3=code)
    return None if country is None else str(country.name)


def _water_l(legs: _Paths, settings: Settings, missing: Mapping[str, str]) -> float:
    """Return litres: energy at the devices × the water usage effectiveness that was given.

    WUE is defined over the energy of the IT equipment (The Green Grid, White Paper 35), so the PUE
    is not in it.
    """
    if settings.wue_l_per_kwh is None:
        msg = "no water usage effectiveness was given"
        raise _GapError(msg)
    if not legs:
        raise _GapError(NO_LEGS)
    return _all_j(legs, missing) / J_PER_KWH * settings.wue_l_per_kwh
