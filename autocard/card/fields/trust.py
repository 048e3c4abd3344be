"""How far the energy figures can be trusted: sources, uncertainties, readings of other meters.

One rule: an uncertainty has a source, or the card states that there is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from autocard import units
from autocard.card.fact import escape
from autocard.card.fields.energy_figures import kind
from autocard.card.fields.words import listed
from autocard.record import RunRecord
from autocard.record.legs import GUESSED

DIFFERS = 0.05
"""CodeCarbon's figure for the GPUs is shown where it differs from the counters' by more than this
share."""

WHOLE = 0.995
"""A run that has more of its nodes than this has them to itself."""

GPU_COUNTERS = (
    "NVIDIA states ±5 % for the energy counters of older GPUs and nothing for newer ones, and the "
    "sensors of A100 and H100 sample a quarter of the time "
    "([Yang 2024](https://arxiv.org/abs/2312.02741))"
)
RAPL = "RAPL covers the CPU packages alone, without a stated error"
READS_LOW = (
    "Sums of components leave out fans, power supplies, boards and disks: on a desktop computer "
    "they came to 0.71 of a wall meter (mean of 318 runs, standard deviation 0.10; computed from "
    "the data of [Fischer 2025](https://arxiv.org/abs/2509.22092))."
)

_GUESSES = (GUESSED, "(a guess")
"""What a CPU's source has where CodeCarbon does not know it; the second one in records of 0.1.0."""


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


def guessed(record: RunRecord) -> Iterator[str]:
    """Yield that the power of a CPU was guessed, where CodeCarbon does not know it."""
    sources = [record.energy.sources]
    sources += [host.sources for leg in record.legs for host in leg.hosts]
    of_cpus = [source.get("cpu", "") for source in sources]
    if record.energy.cpu_kwh and any(guess in words for words in of_cpus for guess in _GUESSES):
        yield "The CPU figure rests on a guess: CodeCarbon does not know the power of this CPU."


def uncertainty(record: RunRecord) -> Iterator[str]:
    """Yield how sure the parts are, with the sources of that."""
    statements = []
    if record.energy.gpu_kwh and kind(record, "gpu") == "measured":
        statements.append(GPU_COUNTERS)
    if record.energy.cpu_kwh and kind(record, "cpu") == "measured":
        statements.append(RAPL)
    modeled = []
    if record.energy.cpu_kwh and kind(record, "cpu") == "modeled":
        modeled.append("CPU")
    if record.energy.ram_kwh and kind(record, "ram") == "modeled":
        modeled.append("RAM")
    if modeled:
        figures = "figure comes from a model" if len(modeled) == 1 else "figures come from models"
        statements.append(f"{listed(modeled)} {figures} without a stated error")
    if statements:
        yield f"Uncertainty: {'; '.join(statements)}."


def reads_low(record: RunRecord) -> Iterator[str]:
    """Yield how far a sum of components is trusted, where no meter of the nodes was read."""
    if record.energy.node_meter_kwh is None and record.energy.total_kwh is not None:
        yield READS_LOW


def node_meters(record: RunRecord) -> Iterator[str]:
    """Yield what the nodes' own meters read, unless a comparison has all of it."""
    is_compared = any(one.kind == "node_meter" for one in record.reconciliations)
    if record.energy.node_meter_kwh is not None and not is_compared:
        yield from _node_meters(record, record.energy.node_meter_kwh)


def codecarbon(record: RunRecord) -> Iterator[str]:
    """Yield CodeCarbon's figure for the GPUs, where it differs from the counters'."""
    codecarbon_kwh, counters_kwh = record.energy.codecarbon_gpu_kwh, record.energy.gpu_kwh
    if codecarbon_kwh is None or not counters_kwh:
        return
    if abs(codecarbon_kwh - counters_kwh) > DIFFERS * counters_kwh:
        yield (
            f"For the same GPUs, CodeCarbon reads {units.kwh(codecarbon_kwh)} "
            f"and the counters {units.kwh(counters_kwh)}."
        )


def _node_meters(record: RunRecord, node_meter_kwh: float) -> Iterator[str]:
    yield (
        f"In the same time, the nodes' own meters read {units.kwh(node_meter_kwh)} "
        "for everything in the nodes."
    )
    total_kwh = record.energy.total_kwh
    if total_kwh and node_meter_kwh:
        share = units.number(total_kwh / node_meter_kwh, units.MODELLED)
        yield f"The total is {share} of that."
    hosts = [host for leg in record.legs for host in leg.hosts]
    if any((host.cpu_share or 1.0) < WHOLE for host in hosts):
        yield "The run had only a share of the nodes; the meters cover other jobs on them, too."
