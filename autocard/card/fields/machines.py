"""What it ran on: nodes, devices, drivers, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autocard import units
from autocard.card.fact import Fact, escape
from autocard.card.fields.jobs import launched
from autocard.card.fields.words import bullets, inline, joined, labelled_line
from autocard.record import Gpu, RunRecord

_NO_GPU = "no GPU was used"
"""How the reason begins where there is none because none was used."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that describe what training ran on."""
    return {
        "compute_infrastructure": _infrastructure(record),
        "hardware_requirements": _hardware(record),
    }


def gpus(kinds: Sequence[Gpu], share: int = 1, show: Callable[[str], str] = escape) -> str:
    """Return GPUs by model, number and memory of each, as in "4 × NVIDIA L4 (22.5 GiB)".

    Args:
        kinds: all GPUs of the run.
        share: nodes that they are evenly spread over; the numbers are those of one node.
        show: makes a name harmless where it will stand.
    """
    texts = []
    for gpu in kinds:
        text = f"{units.count(gpu.count // share)} × {show(gpu.name)}"
        if gpu.memory_bytes:
            text += f" ({units.size(gpu.memory_bytes)})"
        texts.append(text)
    return " and ".join(texts)


def without_gpu(record: RunRecord) -> bool:
    """Return whether the run is known to have used no GPU; False: it was not looked for."""
    hardware = record.hardware
    if hardware.gpus or record.energy.gpu_kwh == 0:
        return not hardware.gpus
    if any(path.startswith("legs.") and path.endswith(".devices") for path in record.missing):
        return False  # GPUs were used, and could not be read
    reason = record.why_missing("hardware.gpus") or _NO_GPU
    was_captured = hardware.nodes is not None or hardware.cpu_count is not None
    return was_captured and reason.startswith(_NO_GPU)


# -- infrastructure --------------------------------------------------------------------------------


def _infrastructure(record: RunRecord) -> Fact | None:
    """Return one sentence on nodes, processes and what started them."""
    hardware = record.hardware
    parts = [
        None if hardware.nodes is None else units.plural(hardware.nodes, "node"),
        f"{gpus(hardware.gpus)} {_on_nodes(record)}" if hardware.gpus else None,
        _processes(record),
        _nodes_given(record),
        launched(record),
    ]
    line = joined(parts)
    return Fact(line) if line else None


def _processes(record: RunRecord) -> str | None:
    """Return the number of training processes, and how they worked together."""
    job = record.job
    if job.world_size is None:
        return None
    text = units.plural(job.world_size, "training process", "training processes")
    if job.distributed and job.distributed != "none":
        kind = _parallel(record)
        return f"{text}, {kind}" if "(" in kind else f"{text} ({kind})"
    return f"{text}, each an independent training" if job.world_size > 1 else text


def nodes_named(record: RunRecord) -> str:
    """Return how many nodes' GPUs are named, where they are not those of all."""
    hosts = record.legs[-1].hosts if record.legs else []
    named = sum(any(device.name for device in host.devices) for host in hosts)
    return units.count(named) if named > 1 else "one"


def _on_nodes(record: RunRecord) -> str:
    """Return on how many of the nodes the GPUs are that are named."""
    nodes = record.hardware.nodes
    if "hardware.gpus" not in record.missing:
        return "in total"
    if not nodes:
        return "(number of nodes unknown)"
    return f"on {nodes_named(record)} of {units.plural(nodes, 'node')}"


def _nodes_given(record: RunRecord) -> str | None:
    """Return how many of the nodes that the job was given trained, where not all of them did."""
    given, machines = record.job.nodes_allocated, record.hardware.nodes
    if "job.launcher_nodes" in record.missing:
        return None
    # Two of the manager's nodes may be one machine: both ran processes of the training.
    used = max(machines or 0, record.job.launcher_nodes or 0)
    if not machines or not given or given <= used:
        return None
    return f"{units.count(used)} of {units.count(given)} allocated nodes used"


def _parallel(record: RunRecord) -> str:
    """Return the kind of parallelism, and the sizes of its groups where there are several kinds."""
    job = record.job
    sizes = ", ".join(
        f"{escape(kind)} {units.count(size)}" for kind, size in job.parallelism.items()
    )
    kind = escape(job.distributed or "")
    return f"{kind}: {sizes}" if len(job.parallelism) > 1 else kind


# -- hardware --------------------------------------------------------------------------------------


def _hardware(record: RunRecord) -> Fact | None:
    hardware = record.hardware
    each = " per node" if (hardware.nodes or 1) > 1 else ""
    entries = {
        "GPUs": gpus(hardware.gpus) or ("none used" if without_gpu(record) else None),
        "Peak GPU memory": peaks(record),
        "NVIDIA driver": inline(hardware.driver_version) if hardware.driver_version else None,
        "CUDA": _cuda(record),
        "CPU": _cpu(record),
        "RAM": f"{units.size(hardware.ram_bytes)}{each}" if hardware.ram_bytes else None,
        "Peak RAM of the training process": _size(hardware.peak_ram_bytes),
    }
    block = bullets(entries)
    return None if block is None else Fact(labelled_line(entries), block)


def _cpu(record: RunRecord) -> str | None:
    """Return the CPU, and how many of the node's logical CPUs the run could use."""
    hardware = record.hardware
    model = escape(hardware.cpu_model) if hardware.cpu_model else None
    cpus = None
    if hardware.cpu_count is not None:
        cpus = units.count(hardware.cpu_count)
        of_node = hardware.cpu_count_node
        if of_node is not None and of_node != hardware.cpu_count:
            cpus += f" of {units.count(of_node)}"
        cpus += " logical CPUs available to the run"
    return joined([model, cpus]) or None


def _cuda(record: RunRecord) -> str | None:
    built, newest = record.hardware.cuda_runtime_version, record.hardware.cuda_driver_version
    parts = [
        f"{inline(built)} (PyTorch build)" if built else None,
        f"driver supports up to {inline(newest)}" if newest else None,
    ]
    return joined(parts) or None


def peaks(record: RunRecord) -> str | None:
    """Return the most memory that torch held on a device; of several, least and greatest."""
    peak_bytes = record.hardware.peak_memory_bytes
    if not peak_bytes:
        return None
    least, most = units.size(min(peak_bytes.values())), units.size(max(peak_bytes.values()))
    span = most if least == most else f"{least} to {most}"
    known, all_gpus = len(peak_bytes), sum(gpu.count for gpu in record.hardware.gpus)
    where = ""
    if all_gpus > known:
        where = f" on {units.count(known)} of {units.count(all_gpus)} GPUs"
    elif known > 1:
        where = " on each GPU"
    return f"{span} held by torch{where}"


def _size(memory_bytes: int | None) -> str | None:
    return None if memory_bytes is None else units.size(memory_bytes)
