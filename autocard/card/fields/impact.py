"""What it cost: hardware, hours, place, energy, CO2. Each figure with its unit and how it came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields import accounts, carbon
from autocard.card.fields.machines import gpus, nodes_named, without_gpu
from autocard.card.fields.words import since
from autocard.record import RunRecord

_CLOUDS = {
    "aws": "Amazon Web Services (AWS)",
    "azure": "Microsoft Azure",
    "gcp": "Google Cloud",
    "alibaba": "Alibaba Cloud",
    "oracle": "Oracle Cloud",
    "digitalocean": "DigitalOcean",
}

_SAID_BY = {
    "argument": "as given by the author",
    "AUTOCARD_* variable": "as given by the author",
    "pyproject.toml": "as given by the author",
    "CodeCarbon's configuration": "as given by the author, in CodeCarbon's configuration",
    "site file": "as given by those who run the machines",
    "the machine's firmware": "as the machine's firmware says",
    "the cloud's metadata": "as the cloud's metadata service says",
    "a look-up of the network address": "by a look-up of the network address, which a tunnel or proxy may mislead",
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
    """Return nodes, GPUs and CPU, as in "2 nodes × 4 × NVIDIA A100-SXM4-80GB (80 GiB), AMD EPYC 7763".

    None where it is not known whether GPUs were used: the CPU alone would mislead. *show* makes the
    names harmless where they will stand.
    """
    hardware = record.hardware
    cpu, nodes = show(hardware.cpu_model) if hardware.cpu_model else None, hardware.nodes or 1
    others = _of_other_legs(record, show)
    if hardware.gpus:
        return ", ".join(filter(None, [_gpus_in_nodes(record, nodes, show), cpu])) + others
    if not without_gpu(record) or cpu is None:
        return None
    return (
        f"{units.count(nodes)} nodes × {cpu} (no GPU)" if nodes > 1 else f"{cpu} (no GPU)"
    ) + others


def _of_other_legs(record: RunRecord, show: Callable[[str], str]) -> str:
    """Return the GPUs of legs that ran on others than the last one, as in "; other legs: 2 × NVIDIA L4"."""
    used = [
        Counter(device.name for host in leg.hosts for device in host.devices) for leg in record.legs
    ]
    others = []
    for number, kinds in enumerate(used[:-1]):
        if f"legs.{number}.hosts" in record.missing:
            continue  # some of them
        if kinds == used[-1] or (
            not kinds and record.why_missing(f"legs.{number}.hosts.0.devices")
        ):
            continue
        named = [
            f"{units.count(count)} × {show(name or 'a GPU without a name')}"
            for name, count in kinds.items()
        ]
        others.append(" and ".join(named) or "no GPU")
    return f"; other legs: {', '.join(dict.fromkeys(others))}" if others else ""


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
    """Return wall-clock and device time, as in "12 h 24 min wall-clock in 3 legs (99.2 GPU-hours; 8 of 8 …)"."""
    time, hardware = record.time, record.hardware
    if time.wall_clock_s is None:
        return None
    said = f"{units.duration(time.wall_clock_s)} wall-clock"
    if len(record.legs) > 1:
        said += f" in {len(record.legs)} legs"
    notes = [part for part in (since(record),) if part]
    if time.gpu_s:
        notes.append(f"{units.hours(time.gpu_s)} GPU-hours")
    elif without_gpu(record):
        notes.append("no GPU")
    used = sum(gpu.count for gpu in hardware.gpus)
    if used and hardware.gpus_allocated is not None and "hardware.gpus" not in record.missing:
        notes.append(
            f"{units.count(used)} of {units.count(hardware.gpus_allocated)} allocated GPUs"
        )
    return f"{said} ({'; '.join(notes)})" if notes else said


def place(record: RunRecord) -> str | None:
    """Return country and region, the countries of a run whose legs ran in several, or None where one is not known."""
    emissions = record.emissions
    country = emissions.country_name or emissions.country_iso_code or _countries(record)
    return ", ".join(filter(None, [emissions.region, country])) if country else None


def _countries(record: RunRecord) -> str | None:
    """Return the countries of legs that ran in different ones, in the order of the legs."""
    codes = list(dict.fromkeys(leg.place.country_iso_code for leg in record.legs))
    if len(codes) < 2 or None in codes:  # noqa: PLR2004 - one country is told by the sums
        return None
    import pycountry  # noqa: PLC0415 - only where there are several countries

    found = {code: pycountry.countries.get(alpha_3=code) for code in codes}
    return ", then ".join(str(one.name if one is not None else code) for code, one in found.items())


def _provider(record: RunRecord) -> str | None:
    provider = record.emissions.cloud_provider
    return None if provider is None else _CLOUDS.get(provider.lower()) or escape(provider)


def _region(record: RunRecord) -> str | None:
    """Return where the machines stood, and who says so."""
    emissions, where = record.emissions, place(record)
    named = [escape(text) for text in (emissions.cloud_region, where) if text]
    if not named:
        return None
    said = emissions.place_source
    by = _SAID_BY.get(said) or f"source: {escape(said)}" if said else None
    return ", ".join(filter(None, [" (".join(named) + ")" * (len(named) - 1), by]))
