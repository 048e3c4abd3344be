"""What it ran on: nodes, devices, drivers, memory, libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.words import bullets, commit, inline
from autocard.record import Gpu, RunRecord

_NAMES = {
    "python": "Python",
    "os": "Operating system",
    "autocard": "autocard",
    "transformers": "Transformers",
    "peft": "PEFT",
    "trl": "TRL",
    "sentence-transformers": "Sentence Transformers",
    "torch": "PyTorch",
    "accelerate": "Accelerate",
    "datasets": "Datasets",
    "tokenizers": "Tokenizers",
    "codecarbon": "CodeCarbon",
    "deepspeed": "DeepSpeed",
    "huggingface_hub": "huggingface_hub",
    "numpy": "NumPy",
}
"""Names as their authors write them, in the order in which they are told; others follow by name."""

_FRAMEWORKS = (
    "peft",
    "trl",
    "sentence-transformers",
    "transformers",
    "torch",
    "accelerate",
    "datasets",
    "tokenizers",
)
"""What the own cards of PEFT, the Trainer, TRL and sentence-transformers list under "Framework
versions"."""

_NO_GPU = "no GPU was used"
"""How the reason begins where there is none because none was used."""

_MANAGERS = {
    "slurm": "Slurm",
    "kubernetes": "Kubernetes",
    "pbs": "PBS",
    "lsf": "LSF",
    "sge": "Grid Engine",
    "flux": "Flux",
}


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that tell what training ran on."""
    return {
        "compute_infrastructure": _infrastructure(record),
        "hardware_requirements": _hardware(record),
        "software": _software(record),
        "framework_versions": _frameworks(record),
    }


def gpus(kinds: Sequence[Gpu], share: int = 1, show: Callable[[str], str] = escape) -> str:
    """Return GPUs by model, number and memory of each, as in "4 × NVIDIA L4 (22.5 GiB)".

    Args:
        kinds: all GPUs of the run.
        share: nodes that they are evenly spread over; the numbers are those of one node.
        show: makes a name harmless where it will stand.
    """
    return " and ".join(
        f"{units.count(gpu.count // share)} × {show(gpu.name)}"
        + (f" ({units.size(gpu.memory_bytes)})" if gpu.memory_bytes else "")
        for gpu in kinds
    )


def without_gpu(record: RunRecord) -> bool:
    """Return whether the run is known to have used no GPU; False where nobody looked, or could tell."""
    hardware, reason = record.hardware, record.why_missing("hardware.gpus")
    looked = hardware.nodes is not None or hardware.cpu_count is not None
    return not hardware.gpus and (
        record.energy.gpu_kwh == 0 or (looked and (reason or _NO_GPU).startswith(_NO_GPU))
    )


def _infrastructure(record: RunRecord) -> Fact | None:
    """Return one sentence on nodes, processes and who started them."""
    job, hardware = record.job, record.hardware
    parts = []
    if hardware.nodes is not None:
        parts.append(units.plural(hardware.nodes, "node"))
    if hardware.gpus:
        parts.append(f"{gpus(hardware.gpus)} {_on_nodes(record)}")
    if job.world_size is not None:
        apart = ", each a training of its own" if job.world_size > 1 else ""
        how = f" ({_parallel(record)})" if job.distributed and job.distributed != "none" else apart
        parts.append(
            f"{units.plural(job.world_size, 'training process', 'training processes')}{how}"
        )
    parts += [text for text in (_nodes_given(record), _started(record)) if text]
    return Fact(", ".join(parts)) if parts else None


def nodes_named(record: RunRecord) -> str:
    """Return how many nodes' GPUs are named, where they are not those of all."""
    hosts = record.legs[-1].hosts if record.legs else []
    told = sum(any(device.name for device in host.devices) for host in hosts)
    return units.count(told) if told > 1 else "one"


def _on_nodes(record: RunRecord) -> str:
    """Return on how many of the nodes the GPUs are that are named."""
    nodes = record.hardware.nodes
    if "hardware.gpus" not in record.missing:
        return "in all"
    return (
        f"on {nodes_named(record)} of {units.plural(nodes, 'node')}"
        if nodes
        else "(of how many nodes is not known)"
    )


def _nodes_given(record: RunRecord) -> str | None:
    """Return how many of the nodes that the job was given trained, where not all of them did."""
    given, used = record.job.nodes_allocated, record.hardware.nodes
    return (
        f"{units.count(used)} of {units.count(given)} allocated nodes used"
        if used and given and given > used
        else None
    )


def _started(record: RunRecord) -> str | None:
    """Return who started the processes, and how often again."""
    job = record.job
    manager = job.workload_manager and (
        _MANAGERS.get(job.workload_manager.lower()) or escape(job.workload_manager)
    )
    launcher = job.launcher and escape(job.launcher)
    if not (manager or launcher):
        return None
    by = " under ".join(filter(None, [launcher, manager]))
    again = [
        f"{_times(count)} by {who}"
        for who, count in (
            (manager, job.restarts),
            (launcher or "the launcher", job.launcher_restarts),
        )
        if count
    ]
    return f"started by {by}{', again ' if again else ''}{' and '.join(again)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{units.count(count)} times"


def _parallel(record: RunRecord) -> str:
    """Return the kind of parallelism, and the sizes of its groups where there are several kinds."""
    job = record.job
    sizes = ", ".join(
        f"{escape(kind)} {units.count(size)}" for kind, size in job.parallelism.items()
    )
    kind = escape(job.distributed or "")
    return f"{kind}: {sizes}" if len(job.parallelism) > 1 else kind


def _hardware(record: RunRecord) -> Fact | None:
    hardware = record.hardware
    usable, there = hardware.cpu_count, hardware.cpu_count_node
    of = f" of {units.count(there)}" if usable is not None and there not in (None, usable) else ""
    cpus = (
        f"{units.count(usable)}{of} logical CPUs usable by the run" if usable is not None else None
    )
    each = " on each node" if (hardware.nodes or 1) > 1 else ""
    entries = {
        "GPUs": gpus(hardware.gpus) or ("none used" if without_gpu(record) else None),
        "Peak GPU memory": peaks(record),
        "NVIDIA driver": inline(hardware.driver_version) if hardware.driver_version else None,
        "CUDA": _cuda(record),
        "CPU": ", ".join(
            filter(None, [escape(hardware.cpu_model) if hardware.cpu_model else None, cpus])
        )
        or None,
        "Memory (RAM)": f"{units.size(hardware.ram_bytes)}{each}" if hardware.ram_bytes else None,
        "Peak memory of the training process": _size(hardware.peak_ram_bytes),
    }
    block = bullets(entries)
    if block is None:
        return None
    return Fact("; ".join(f"{label}: {text}" for label, text in entries.items() if text), block)


def _cuda(record: RunRecord) -> str | None:
    built, newest = record.hardware.cuda_runtime_version, record.hardware.cuda_driver_version
    parts = [f"{inline(built)} (that PyTorch was built with)" if built else None]
    parts.append(f"the driver supports up to {inline(newest)}" if newest else None)
    return ", ".join(filter(None, parts)) or None


def peaks(record: RunRecord) -> str | None:
    """Return the most memory that torch held on a device; of several, the least and the greatest of these figures."""
    held = record.hardware.peak_memory_bytes
    if not held:
        return None
    least, most = units.size(min(held.values())), units.size(max(held.values()))
    span = most if least == most else f"{least} to {most}"
    there = sum(gpu.count for gpu in record.hardware.gpus)
    which = (
        f" on {units.count(len(held))} of {units.count(there)} GPUs" if there > len(held) else ""
    )
    return f"{span} held by torch{which or (' on each GPU' if len(held) > 1 else '')}"


def _size(memory_bytes: int | None) -> str | None:
    return None if memory_bytes is None else units.size(memory_bytes)


def _software(record: RunRecord) -> Fact | None:
    lines = [_version(name, record.software[name]) for name in _ordered(record.software)]
    lines += [line for line in [_code(record)] if line]
    return Fact(", ".join(lines), "\n".join(f"- {line}" for line in lines)) if lines else None


def _code(record: RunRecord) -> str | None:
    """Return which code ran, where it has no public address; where it has, the repository's slot says it."""
    ran = record.code
    if ran.remote or not ran.commit:
        return None
    script = f" {code(ran.script)}" if ran.script else ""
    changed = ", with changes that are not in it" if ran.dirty else ""
    return f"Training code{script} at {commit(ran.commit)}{changed}"


def _ordered(software: dict[str, str]) -> list[str]:
    known = [name for name in _NAMES if name in software]
    return [*known, *sorted(software.keys() - _NAMES.keys(), key=str.lower)]


def _version(name: str, version: str) -> str:
    return f"{_NAMES.get(name) or inline(name)} {inline(version)}"


def _frameworks(record: RunRecord) -> Fact | None:
    """Return the lines that PEFT looks for when it saves: it adds its own where "- PEFT <version>" is not there.

    Left out where PEFT was not used: the versions stand under Software.
    """
    runtime = next(
        (
            adapter.peft_version_runtime
            for adapter in record.adapters
            if adapter.peft_version_runtime
        ),
        None,
    )
    if runtime is None:
        return None
    versions = {**record.software, "peft": runtime}
    lines = [_version(name, versions[name]) for name in _FRAMEWORKS if name in versions]
    return Fact(", ".join(lines), "\n".join(f"- {line}" for line in lines))
