"""What autocard finds on this machine, and how it would measure a training here, on one screen.

Rule: it reads with the same code as a training (`energy`), and leaves no file behind: whether a
place can be written is tried with a file that is removed again. It is for the person
at the machine and may show paths and advice; it is not for publication. It imports neither torch
nor codecarbon: CodeCarbon runs in a process of its own (`energy.worker.probe`).
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from autocard import files, units
from autocard import settings as settings_
from autocard._version import __version__
from autocard.capture.environment import hardware, launcher
from autocard.energy.gpu import backends, cuda_visible, gpu_selection
from autocard.energy.gpu.base import GpuBackend, NoDriverError
from autocard.energy.host import cpu_share, node_meter
from autocard.energy.host.codecarbon_reader import CPU, RAM, CodeCarbonInfo
from autocard.energy.ledger import leg_builder, source_words
from autocard.energy.location import geolocation, place
from autocard.energy.worker import probe
from autocard.errors import UnavailableError
from autocard.runtime import places
from autocard.settings import Settings

POWERCAP = Path("/sys/class/powercap")
AMD = Path("/dev/kfd")
"""There where AMD's driver for computing is loaded."""


def examine(settings: Settings, powercap: Path = POWERCAP) -> dict[str, Any]:
    """Return everything that `text` and `--json` tell."""
    gpus = _gpus()
    known = place.of(settings)
    found = probe.ask(
        {
            "gpu_ids": _codecarbon_ids(gpus),
            "cpu_power_w": settings.cpu_power_w,
            "ram_power_w": settings.ram_power_w,
            "place": geolocation.order(known, geolocate=settings.geolocate),
        }
    )
    report = {
        "autocard": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "disabled": settings_.disabled(),
        "gpus": gpus,
        "cpu": _cpu(found) | {"rapl": rapl(powercap)},
        "ram": {
            "bytes": _or_none(hardware.ram_bytes),
            "watts": found["watts"].get(RAM),
            "how": _how(found, RAM),
        },
        "node_meter": _node_meter(settings),
        "place": found["intensity"].get("place", known.model_dump()),
        "intensity": _intensity(found, settings),
        "pue": settings.pue,
        "workload_manager": _manager(),
        "settings": _given(settings),
        "unread": list(settings.unread),
        "places": [
            {"setting": name, "path": path, "reason": why}
            for name, path, why in places.of_settings(settings)
        ],
    }
    return report | {"advice": list(_advice(report))}


def _or_none(question: Any) -> Any:
    try:
        return question()
    except UnavailableError:
        return None


def _backend() -> GpuBackend:
    return backends.find(None) or backends.BACKENDS[0]


def _codecarbon_ids(gpus: Mapping[str, Any]) -> list[int]:
    """Return the indices by which CodeCarbon finds the boards that are used."""
    if not _backend().IN_CODECARBON:
        return []
    return [board["index"] for board in gpus["used"]]


def _gpus() -> dict[str, Any]:
    """Return the boards that a process with this environment uses, and how each is measured."""
    backend = _backend()
    told: dict[str, Any] = {
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "on_node": 0,
        "used": [],
        "driver": _or_none(backend.driver_version),
        "reason": None,
    }
    try:
        told["on_node"] = len(backend.devices())
        devices = gpu_selection.devices()
        counters = backend.counters(device.uuid for device in devices)
        readings, shared = counters.read(), counters.shared()
    except UnavailableError as exc:
        why = str(exc)
        if isinstance(exc, NoDriverError) and AMD.exists():
            why = "there are AMD GPUs, which this version of autocard does not measure"
        return told | {"reason": why}
    for device in devices:
        reading = readings[device.uuid]
        power_w = reading.power_w if reading.power_w is not None else counters.power_w(device.uuid)
        told["used"].append(
            {
                "index": device.index,
                "name": device.name,
                "memory_bytes": device.memory_bytes,
                "counter": reading.energy_j is not None,
                "watts": power_w,
                "reason": reading.reason,
                "shared": device.uuid in shared,
                "note": device.note,
            }
        )
    return told


def rapl(powercap: Path = POWERCAP) -> dict[str, Any]:
    """Return whether there are energy counters of CPU packages that this user may read."""
    counters = sorted(powercap.glob("intel-rapl:*/energy_uj"))  # AMD's are called so too
    denied = [str(file) for file in counters if not _readable(file)]
    state = "absent" if not counters else "unreadable" if denied else "readable"
    return {"state": state, "counters": [str(file) for file in counters], "denied": denied}


def _readable(file: Path) -> bool:
    try:
        files.read_bytes(file)
    except OSError:
        return False
    return True


def _cpu(found: Mapping[str, Any]) -> dict[str, Any]:
    about = found["about"] or {}
    return {
        "model": _or_none(hardware.cpu_model),
        "usable": cpu_share.usable_cpus(),
        "on_node": os.cpu_count(),
        "share": cpu_share.of_node(),
        "mode": about.get("cpu_mode"),
        "power_w": about.get("cpu_power_w"),
        "known": about.get("cpu_known"),
        "watts": found["watts"].get(CPU),
        "how": _how(found, CPU),
    }


def _how(found: Mapping[str, Any], part: str) -> str:
    if found["about"] is None:
        return f"not measured: {found['reason']}"
    return source_words.of_codecarbon(CodeCarbonInfo(**found["about"]), part)


def _node_meter(settings: Settings) -> dict[str, Any] | None:
    meter = node_meter.of(settings)
    if meter is None:
        return None
    told: dict[str, Any] = {"path": str(meter.path), "joules": None, "reason": None}
    try:
        told["joules"] = meter.read_j()
    except UnavailableError as exc:
        told["reason"] = str(exc)
    return told


def _intensity(found: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    if settings.carbon_intensity_g_per_kwh is not None:
        source = settings.sources.get("carbon_intensity_g_per_kwh", "given")
        return {
            "g_per_kwh": settings.carbon_intensity_g_per_kwh,
            "source": source,
            "year": None,
            "reason": None,
        }
    return {
        leaf: found["intensity"].get(leaf) for leaf in ("g_per_kwh", "source", "year", "reason")
    }


def _manager() -> dict[str, Any] | None:
    name, number = launcher.manager()
    return None if name is None else {"name": name, "job_id": number}


def _given(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return setting → its value and where it came from, for those that were given."""
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return {
        name: {"value": values[name], "source": source}
        for name, source in sorted(settings.sources.items())
    }


def _advice(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield what would make the figures better, the most useful first."""
    if report["disabled"]:
        yield "AUTOCARD_DISABLED is set: nothing is measured and no card is written. Unset it."
    if report["intensity"]["g_per_kwh"] is None:
        yield (
            "Set the country of the machine, or there is no CO2 figure: "
            'AutoCardCallback(country_iso_code="FRA"), AUTOCARD_COUNTRY_ISO_CODE=FRA, '
            "or a line in the site file /etc/autocard.toml."
        )
    cpu = report["cpu"]
    if cpu["rapl"]["denied"]:
        yield (
            "This user may not read the CPUs' energy counters. An administrator can allow it until "
            f"the next start of the machine: sudo chmod a+r {POWERCAP}/intel-rapl:*/energy_uj"
        )
    elif cpu["known"] is False:
        yield (
            "CodeCarbon does not know this CPU and guesses its power. Set the power of all "
            "packages at full load, from the maker's data sheet: cpu_power_w=…, "
            "AUTOCARD_CPU_POWER_W=…, or a line in the site file."
        )
    if any(cuda_visible.ORDER_NOTE in one["note"] for one in report["gpus"]["used"]):
        yield f"{cuda_visible.SETTLES_ORDER}. In a training torch settles it."
    for one in report["places"]:
        if one["reason"] is not None:
            yield f"{one['setting']}: {places.MENDS[one['setting']]}."
    yield from report["unread"]
    if report["node_meter"] is not None and report["node_meter"]["reason"]:
        yield f"{report['node_meter']['reason']}: {report['node_meter']['path']}"


def text(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (label, text) line by line; an empty label continues the line before."""
    yield "autocard", f"{report['autocard']}, Python {report['python']}, {report['system']}"
    yield from _gpu_lines(report["gpus"])
    yield from _cpu_lines(report["cpu"])
    memory = report["ram"]["bytes"]
    yield (
        "Memory",
        "; ".join(filter(None, [units.size(memory) if memory else None, report["ram"]["how"]])),
    )
    meter = report["node_meter"]
    if meter is None:
        yield "Node meter", "none is known (setting node_meter)"
    else:
        counted = meter["reason"] or f"{meter['joules']:,.0f} J so far"
        yield "Node meter", f"{meter['path']}: {counted}"
    yield "Place", _place(report["place"])
    intensity, pue = report["intensity"], report["pue"]
    if intensity["g_per_kwh"] is None:
        yield "CO2", f"no figure: {intensity['reason']}"
    else:
        when = f" {intensity['year']}" if intensity["year"] else ""
        building = f"PUE {units.shortest(pue)}" if pue is not None else "PUE not given"
        figure = f"{units.number(intensity['g_per_kwh'])} g/kWh"
        yield "CO2", f"{figure} ({intensity['source']}{when}); {building}"
    manager = report["workload_manager"]
    number = f", job {manager['job_id']}" if manager and manager["job_id"] else ""
    yield (
        "Workload",
        f"{manager['name']}{number}" if manager else "no workload manager in the environment",
    )
    yield from _numbered(
        "Settings", _settings(report["settings"]), "none given: all at their defaults"
    )
    if report["places"]:
        yield from _numbered("Places", _places(report["places"]), "")
    yield from _numbered("To do better", report["advice"], "nothing")


def _numbered(label: str, lines: Any, otherwise: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(list(lines) or [otherwise]):
        yield "" if number else label, line


def _settings(given: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, one in given.items():
        yield f"{name} = {one['value']} ({one['source']})"


def _places(found: list[Mapping[str, Any]]) -> Iterator[str]:
    for one in found:
        state = "can be written"
        if one["reason"] is not None:
            state = f"cannot be used: {one['reason']}. {places.INSTEAD[one['setting']]}"
        yield f"{one['setting']}, {one['path']}: {state}"


def _gpu_lines(gpus: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if gpus["reason"] is not None:
        yield "GPUs", f"none that can be measured: {gpus['reason']}"
        return
    chosen = gpus["cuda_visible_devices"]
    by = "all that the driver shows" if chosen is None else f"by CUDA_VISIBLE_DEVICES={chosen}"
    driver = gpus["driver"] or "not reported"
    yield "GPUs", f"{len(gpus['used'])} of {gpus['on_node']} boards, {by}; driver {driver}"
    kinds: Counter[str] = Counter()
    boards: dict[str, list[str]] = {}
    for one in gpus["used"]:
        words = _board(one)
        kinds[words] += 1
        boards.setdefault(words, []).append(f"#{one['index']}")
    for words, count in kinds.items():
        yield "", f"{count} × {words} ({', '.join(boards[words])})"


def _board(one: Mapping[str, Any]) -> str:
    memory = f" ({units.size(one['memory_bytes'])})" if one["memory_bytes"] else ""
    if one["counter"]:
        how = "its energy counter"
    elif one["watts"] is not None:
        how = "no energy counter; its power, sampled"
    else:
        how = f"not measured: {one['reason']}"
    notes = [one["note"], leg_builder.SHARED_NOTE if one["shared"] else ""]
    return "; ".join(filter(None, [f"{one['name']}{memory}: {how}", *notes]))


def _cpu_lines(cpu: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    whole = (
        ""
        if cpu["share"] > source_words.WHOLE
        else f": {cpu['share']:.0%} of the node's energy is booked"
    )
    yield (
        "CPU",
        f"{cpu['model'] or 'not named'}, {cpu['usable']} of {cpu['on_node']} logical CPUs{whole}",
    )
    states = {
        "readable": "RAPL counters can be read",
        "unreadable": "RAPL counters are there, but this user may not read them",
        "absent": "no RAPL counters here",
    }
    now = f"; {units.number(cpu['watts'], units.MODELLED)} W now" if cpu["watts"] else ""
    yield "", f"{cpu['how']}{now}; {states[cpu['rapl']['state']]}"


def _place(found: Mapping[str, Any]) -> str:
    where_ = ", ".join(filter(None, [found["region"], found["country_iso_code"]]))
    cloud = " ".join(filter(None, [found["cloud_provider"], found["cloud_region"]]))
    said = "; ".join(filter(None, [where_, cloud]))
    return f"{said} ({found['source']})" if said else "not known"
