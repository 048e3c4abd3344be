"""How far the energy figures can be trusted: sources, uncertainties, readings of other meters.

One rule: an uncertainty has a source, or the card states that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.words import listed
from autocard.record import RunRecord

DIFFERS = 0.05
"""CodeCarbon's figure for the GPUs is shown where it differs from the counters' by more than this
share."""

WHOLE = 0.995
"""A run that has more of its nodes than this has them to itself."""

GPU_COUNTERS = (
    "GPU boards read their own power: NVIDIA states ±5 % for older boards and nothing for newer "
    "ones, and on A100 and H100 the sensor looks at a quarter of the time "
    "([Yang 2024](https://arxiv.org/abs/2312.02741))"
)
RAPL = "RAPL covers the CPU packages, not the board around them, and no error is stated for it here"
READS_LOW = (
    "Sums of components leave out fans, power supplies, boards and disks, and read low: on a "
    "desktop computer they came to 0.71 of what a meter at the wall read (mean of 318 runs, "
    "standard deviation 0.10; worked out from the data of "
    "[Fischer 2025](https://arxiv.org/abs/2509.22092))."
)


def boards(record: RunRecord) -> Iterator[str]:
    """Yield notes on single GPUs: shared ones, slices, counters that were set back."""
    devices_of_note: dict[str, set[str]] = {}
    devices = set()
    for leg in record.legs:
        for host in leg.hosts:
            for device in host.devices:
                devices.add(device.device)
                if device.note:
                    devices_of_note.setdefault(device.note, set()).add(device.device)
    for note, noted in devices_of_note.items():
        which = "the GPU"
        if len(devices) > 1:
            which = f"{units.count(len(noted))} of {units.count(len(devices))} GPUs"
        yield f"Note on {which}: {escape(note)}."


def uncertainty(record: RunRecord) -> Iterator[str]:
    """Yield how sure the parts are, with the sources of that."""
    energy = record.energy
    statements = []
    if energy.gpu_kwh and _is(record, "gpu", "measured"):
        statements.append(GPU_COUNTERS)
    if energy.cpu_kwh and _is(record, "cpu", "measured"):
        statements.append(RAPL)
    modelled = []
    if energy.cpu_kwh and _is(record, "cpu", "modelled"):
        modelled.append("CPU")
    if energy.ram_kwh and _is(record, "ram", "modelled"):
        modelled.append("RAM")
    if len(modelled) == 1:
        statements.append(f"{modelled[0]} figure comes from a model, whose error nobody has stated")
    elif modelled:
        statements.append(
            f"{listed(modelled)} figures come from models, whose error nobody has stated"
        )
    if statements:
        yield f"How sure this is: {'; '.join(statements)}."


def _is(record: RunRecord, part: str, kind: str) -> bool:
    """Return whether the energy of *part* is measured or modelled, as *kind* has it."""
    return record.energy.sources.get(part, "").startswith(kind)


def other_meters(record: RunRecord) -> Iterator[str]:
    """Yield what other instruments read of the same, and how far a sum of components is trusted."""
    yield from _codecarbon(record)
    if any(comparison.kind == "node_meter" for comparison in record.reconciliations):
        return  # the comparison has all of it
    if record.energy.node_meter_kwh is not None:
        yield from _node_meters(record, record.energy.node_meter_kwh)
    elif record.energy.total_kwh is not None:
        yield READS_LOW


def _codecarbon(record: RunRecord) -> Iterator[str]:
    codecarbon_kwh, counters_kwh = record.energy.codecarbon_gpu_kwh, record.energy.gpu_kwh
    if codecarbon_kwh is None or not counters_kwh:
        return
    if abs(codecarbon_kwh - counters_kwh) > DIFFERS * counters_kwh:
        yield (
            f"CodeCarbon reads {units.kwh(codecarbon_kwh)} for the same GPUs, "
            f"the counters {units.kwh(counters_kwh)}."
        )


def _node_meters(record: RunRecord, node_meter_kwh: float) -> Iterator[str]:
    yield (
        f"In the same time the nodes' own meters read {units.kwh(node_meter_kwh)} "
        "for all that is in them."
    )
    total_kwh = record.energy.total_kwh
    if total_kwh and node_meter_kwh:
        share = units.number(total_kwh / node_meter_kwh, units.MODELLED)
        yield f"The sum above is {share} of that."
    hosts = [host for leg in record.legs for host in leg.hosts]
    if any((host.cpu_share or 1.0) < WHOLE for host in hosts):
        yield "The run had only a share of the nodes; the meters do not tell whose energy it is."
