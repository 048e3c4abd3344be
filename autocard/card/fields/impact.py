"""What the training cost: hardware, hours, place, energy, CO2, with units and methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pycountry

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields import accounts, carbon
from autocard.card.fields.machines import gpus, nodes_named, without_gpu
from autocard.card.fields.words import joined, since
from autocard.record import Leg, RunRecord

_CLOUDS = {
    "aws": "Amazon Web Services (AWS)",
    "azure": "Microsoft Azure",
    "gcp": "Google Cloud",
    "alibaba": "Alibaba Cloud",
    "oracle": "Oracle Cloud",
    "digitalocean": "DigitalOcean",
}

_PLACE_SOURCES = {
    "argument": "given by the author",
    "AUTOCARD_* variable": "given by the author",
    "pyproject.toml": "given by the author",
    "given later by the author": "given later by the author",
    "CodeCarbon's configuration": "given by the author in CodeCarbon's configuration",
    "site file": "given by the site's administrators",
    "the machine's firmware": "from the machine's firmware",
    "the cloud's metadata": "from the cloud's metadata service",
    "a look-up of the network address": (
        "from a look-up of the network address, which a VPN or proxy may mislead"
    ),
}
"""Source of the place → words."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts of the environmental section."""
    return {
        "hardware_type": _as_fact(hardware_type(record)),
        "hours_used": _as_fact(hours_used(record)),
        "cloud_provider": _as_fact(_provider(record)),
        "cloud_region": _as_fact(_region(record)),
        "co2_emitted": _as_fact(carbon.co2eq(record)),
        "energy": accounts.energy(record),
    }


def _as_fact(line: str | None) -> Fact | None:
    return None if line is None else Fact(line)


def hardware_type(record: RunRecord, show: Callable[[str], str] = escape) -> str | None:
    """Return nodes, GPUs and CPU: "2 nodes × 4 × NVIDIA A100-SXM4-80GB (80 GiB), AMD EPYC 7763".

    None where it is not known whether GPUs were used: the CPU alone would mislead. *show* makes the
    names harmless where they will stand.
    """
    hardware = record.hardware
    nodes = hardware.nodes or 1
    cpu = show(hardware.cpu_model) if hardware.cpu_model else None
    if hardware.gpus:
        text = joined([_gpus_in_nodes(record, nodes, show), cpu])
    elif cpu is None or not without_gpu(record):
        return None
    elif nodes > 1:
        text = f"{units.count(nodes)} nodes × {cpu} (no GPU)"
    else:
        text = f"{cpu} (no GPU)"
    return text + _gpus_of_other_legs(record, show)


def devices(record: RunRecord) -> str | None:
    """Return nodes and GPUs: "2 nodes × 4 × NVIDIA L4 (22.5 GiB)"; without GPUs, the CPU."""
    if record.hardware.gpus:
        return _gpus_in_nodes(record, record.hardware.nodes or 1, escape)
    return hardware_type(record)


def _gpus_of_other_legs(record: RunRecord, show: Callable[[str], str]) -> str:
    """Return the GPUs of legs with others than the last one: "; other starts: 2 × NVIDIA L4"."""
    used = [_kinds(leg) for leg in record.legs]
    others: dict[str, None] = {}
    for number, kinds in enumerate(used[:-1]):
        if kinds != used[-1] and _are_known(record, number, kinds):
            others[_named(kinds, show)] = None
    return f"; other starts: {', '.join(others)}" if others else ""


def _kinds(leg: Leg) -> Counter[str | None]:
    """Return name → number of the GPUs that *leg* used."""
    return Counter(device.name for host in leg.hosts for device in host.devices)


def _are_known(record: RunRecord, number: int, kinds: Counter[str | None]) -> bool:
    """Return whether *kinds* are all GPUs of the leg of that *number*."""
    if f"legs.{number}.hosts" in record.missing:
        return False  # some hosts did not report
    return bool(kinds) or not record.why_missing(f"legs.{number}.hosts.0.devices")


def _named(kinds: Counter[str | None], show: Callable[[str], str]) -> str:
    names = []
    for name, count in kinds.items():
        names.append(f"{units.count(count)} × {show(name or 'a GPU without a name')}")
    return " and ".join(names) or "no GPU"


def _gpus_in_nodes(record: RunRecord, nodes: int, show: Callable[[str], str]) -> str:
    """Return the GPUs, those of each node where all nodes have the same."""
    kinds = record.hardware.gpus
    if nodes == 1:
        return gpus(kinds, show=show)
    if "hardware.gpus" in record.missing:
        return f"{gpus(kinds, show=show)} on {nodes_named(record)} of {units.count(nodes)} nodes"
    if all(kind.count % nodes == 0 for kind in kinds):
        return f"{units.count(nodes)} nodes × {gpus(kinds, share=nodes, show=show)}"
    return f"{gpus(kinds, show=show)} on {units.count(nodes)} nodes"


def hours_used(record: RunRecord) -> str | None:
    """Return wall-clock and device time: "12 h 24 min wall-clock, 3 starts (99.2 GPU-hours; …)"."""
    if record.time.wall_clock_s is None:
        return None
    text = f"{units.duration(record.time.wall_clock_s)} wall-clock"
    if len(record.legs) > 1:
        text += f", {len(record.legs)} starts"
    notes = joined([since(record), _gpu_hours(record), _gpus_used(record)], "; ")
    return f"{text} ({notes})" if notes else text


def _gpu_hours(record: RunRecord) -> str | None:
    if record.time.gpu_s:
        return f"{units.hours(record.time.gpu_s)} GPU-hours"
    return "no GPU" if without_gpu(record) else None


def _gpus_used(record: RunRecord) -> str | None:
    """Return how many of the allocated GPUs were used."""
    hardware = record.hardware
    used = sum(gpu.count for gpu in hardware.gpus)
    if not used or hardware.gpus_allocated is None or "hardware.gpus" in record.missing:
        return None
    return f"{units.count(used)} of {units.count(hardware.gpus_allocated)} allocated GPUs"


def place(record: RunRecord) -> str | None:
    """Return country and region, or the countries of the legs; None: one of them is not known."""
    emissions = record.emissions
    country = emissions.country_name or emissions.country_iso_code or _countries(record)
    return joined([emissions.region, country]) if country else None


def _countries(record: RunRecord) -> str | None:
    """Return the countries of legs that ran in different ones, in the order of the legs."""
    codes = list(dict.fromkeys(leg.place.country_iso_code or "" for leg in record.legs))
    if len(codes) <= 1 or "" in codes:  # one country stands in the sums
        return None
    return ", then ".join(_country(code) for code in codes)


def _country(code: str) -> str:
    country = pycountry.countries.get(alpha_3=code)
    return str(country.name if country is not None else code)


def _provider(record: RunRecord) -> str | None:
    provider = record.emissions.cloud_provider
    return None if provider is None else _CLOUDS.get(provider.lower()) or escape(provider)


def _region(record: RunRecord) -> str | None:
    """Return where the machines stood, and the source of that: "eu-west-1 (Ireland; …)"."""
    emissions = record.emissions
    names = [escape(name) for name in (emissions.cloud_region, place(record)) if name]
    if not names:
        return None
    notes = joined(
        [*names[1:], _place_source(emissions.place_source), recorded_before(record)], "; "
    )
    return f"{names[0]} ({notes})" if notes else names[0]


def recorded_before(record: RunRecord) -> str | None:
    """Return the country that a run recorded and a person replaced: "the run recorded France"."""
    before: dict[str, None] = {}
    for leg in record.legs:
        for recorded in leg.recorded_place:
            code = recorded.place.country_iso_code
            if code is not None and code != leg.place.country_iso_code:
                before[_country(code)] = None
    return f"the run recorded {' and '.join(before)}" if before else None


def _place_source(source: str | None) -> str | None:
    if source in _PLACE_SOURCES:
        return _PLACE_SOURCES[source]
    return f"source: {escape(source)}" if source else None
