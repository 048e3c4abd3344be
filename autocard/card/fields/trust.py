"""How far the energy figures can be trusted: what each rests on, how sure it is, what other meters read.

One rule: an uncertainty has a source, or it is said that nobody has stated one.
"""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.words import listed
from autocard.record import RunRecord

DIFFERS = 0.05
"""CodeCarbon's figure for the GPUs is told where it differs from the counters' by more than this
share."""

WHOLE = 0.995
"""A run that has more of its nodes than this has them to itself."""

GPU_COUNTERS = (
    "GPU boards read their own power: NVIDIA states ±5 % for older boards and nothing for newer ones, and on A100 and "
    "H100 the sensor looks at a quarter of the time ([Yang 2024](https://arxiv.org/abs/2312.02741))"
)
RAPL = "RAPL covers the CPU packages, not the board around them, and no error is stated for it here"
MODELS = "{parts} come{s} from {a_model}, whose error nobody has stated"
READS_LOW = (
    "Sums of components leave out fans, power supplies, boards and disks, and read low: on a desktop computer they "
    "came to 0.71 of what a meter at the wall read (mean of 318 runs, standard deviation 0.10; worked out from the "
    "data of [Fischer 2025](https://arxiv.org/abs/2509.22092))."
)


def boards(record: RunRecord) -> Iterator[str]:
    """Yield what a reader has to know of single GPUs: shared ones, slices, counters that were set back."""
    notes: dict[str, set[str]] = {}
    every = set()
    for device in (device for leg in record.legs for host in leg.hosts for device in host.devices):
        every.add(device.device)
        if device.note:
            notes.setdefault(device.note, set()).add(device.device)
    for note, devices in notes.items():
        which = (
            f"{units.count(len(devices))} of {units.count(len(every))} GPUs"
            if len(every) > 1
            else "the GPU"
        )
        yield f"Note on {which}: {escape(note)}."


def uncertainty(record: RunRecord) -> Iterator[str]:
    """Yield how sure the parts are, and who says so."""
    energy = record.energy
    said = []
    if energy.gpu_kwh and energy.sources.get("gpu", "").startswith("measured"):
        said.append(GPU_COUNTERS)
    if energy.cpu_kwh and energy.sources.get("cpu", "").startswith("measured"):
        said.append(RAPL)
    modelled = [
        label
        for label, kwh, part in (("CPU", energy.cpu_kwh, "cpu"), ("RAM", energy.ram_kwh, "ram"))
        if kwh and energy.sources.get(part, "").startswith("modelled")
    ]
    if modelled:
        one = len(modelled) == 1
        said.append(
            MODELS.format(
                parts=f"{listed(modelled)} figure{'' if one else 's'}",
                s="s" if one else "",
                a_model="a model" if one else "models",
            )
        )
    if said:
        yield f"How sure this is: {'; '.join(said)}."


def other_meters(record: RunRecord) -> Iterator[str]:
    """Yield what other instruments say of the same, and how far a sum of components can be trusted."""
    energy = record.energy
    theirs, ours = energy.codecarbon_gpu_kwh, energy.gpu_kwh
    if theirs is not None and ours and abs(theirs - ours) > DIFFERS * ours:
        yield f"CodeCarbon reads {units.kwh(theirs)} for the same GPUs, the counters {units.kwh(ours)}."
    node = energy.node_meter_kwh
    if any(one.kind == "node_meter" for one in record.reconciliations):
        return  # the comparison says all of it
    if node is not None:
        yield f"In the same time the nodes' own meters read {units.kwh(node)} for all that is in them."
        if energy.total_kwh and node:
            yield f"The sum above is {units.number(energy.total_kwh / node, units.MODELLED)} of that."
        if any((host.cpu_share or 1.0) < WHOLE for leg in record.legs for host in leg.hosts):
            yield "The run had only a share of the nodes; the meters do not tell whose energy it is."
    elif energy.total_kwh is not None:
        yield READS_LOW
