"""Single figures of machines, processes and libraries."""

from __future__ import annotations

from collections.abc import Iterable

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields import jobs
from autocard.card.fields.identity import code_commit
from autocard.card.fields.machines import gpus, peaks, without_gpu
from autocard.card.fields.single.values import fact, memory, number
from autocard.card.fields.words import inline, joined
from autocard.record import RunRecord

_NO_GPU = "none (no GPU was used)"
_VERSIONS = {
    "transformers_version": "transformers",
    "torch_version": "torch",
    "peft_version": "peft",
    "trl_version": "trl",
    "datasets_version": "datasets",
    "tokenizers_version": "tokenizers",
    "accelerate_version": "accelerate",
    "sentence_transformers_version": "sentence-transformers",
    "bitsandbytes_version": "bitsandbytes",
    "python_version": "python",
    "operating_system": "os",
}
"""Fact → the name of its program in the record."""
_FRAMEWORKS = {
    "torch": "PyTorch",
    "transformers": "Transformers",
    "peft": "PEFT",
    "trl": "TRL",
    "sentence-transformers": "Sentence Transformers",
    "lightning": "Lightning",
}


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the figures of machines and software, one by one."""
    hardware, job = record.hardware, record.job
    return {
        "gpu": _gpu(record),
        "gpu_count": _gpu_count(record),
        "gpu_memory": _gpu_memory(record),
        "peak_memory": _peak_memory(record),
        "peak_ram": memory(hardware.peak_ram_bytes),
        "nodes": number(hardware.nodes),
        "cpu": fact(escape(hardware.cpu_model) if hardware.cpu_model else None),
        "cpu_count": _cpu_count(record),
        "ram": memory(hardware.ram_bytes, " on each node" if (hardware.nodes or 1) > 1 else ""),
        "workload_manager": _names(jobs.managers(record)),
        "job_id": _names(jobs.job_numbers(record)),
        "launcher": _names(jobs.launchers(record)),
        "distributed": fact(_escaped(job.distributed)),
        "world_size": number(job.world_size),
        "commit": fact(code_commit(record.code) if record.code.commit else None),
        "script": fact(code(record.code.script) if record.code.script else None),
        "cuda_version": fact(_inline(hardware.cuda_runtime_version)),
        "driver_version": fact(_inline(hardware.driver_version)),
        "framework": _framework(record),
        **_versions(record),
    }


def _escaped(text: str | None) -> str | None:
    return escape(text) if text else None


def _names(names: Iterable[str]) -> Fact | None:
    """Return *names* of the run's jobs, one for all its starts or several."""
    return fact(", ".join(escape(name) for name in names))


def _inline(text: str | None) -> str | None:
    return inline(text) if text else None


# -- hardware --------------------------------------------------------------------------------------


def _gpu(record: RunRecord) -> Fact | None:
    if record.hardware.gpus:
        return fact(gpus(record.hardware.gpus))
    return Fact(_NO_GPU) if without_gpu(record) else None


def _gpu_count(record: RunRecord) -> Fact | None:
    """Return how many GPUs the run used; 0 is known, too."""
    if record.hardware.gpus and "hardware.gpus" not in record.missing:
        return number(sum(gpu.count for gpu in record.hardware.gpus))
    return Fact("0") if without_gpu(record) else None


def _gpu_memory(record: RunRecord) -> Fact | None:
    """Return the memory of each GPU; of different ones, those of each kind."""
    sizes = {gpu.memory_bytes for gpu in record.hardware.gpus}
    if None in sizes:
        return None
    if len(sizes) == 1:
        return memory(sizes.pop(), " each" if _several_gpus(record) else "")
    if sizes:
        return fact(gpus(record.hardware.gpus))
    return Fact(_NO_GPU) if without_gpu(record) else None


def _several_gpus(record: RunRecord) -> bool:
    return sum(gpu.count for gpu in record.hardware.gpus) > 1


def _peak_memory(record: RunRecord) -> Fact | None:
    peak_bytes = record.hardware.peak_memory_bytes
    if peak_bytes:
        return memory(max(peak_bytes.values()), shown=peaks(record) or "")
    return Fact(_NO_GPU) if without_gpu(record) else None


def _cpu_count(record: RunRecord) -> Fact | None:
    """Return the logical CPUs that the run could use."""
    hardware = record.hardware
    if hardware.cpu_count is None:
        return None
    text = units.count(hardware.cpu_count)
    if hardware.cpu_count_node not in (None, hardware.cpu_count):
        text += f" of {units.count(hardware.cpu_count_node or 0)} on the node"
    return Fact(f"{text} (logical CPUs)")


# -- software --------------------------------------------------------------------------------------


def _versions(record: RunRecord) -> dict[str, Fact | None]:
    found = {}
    for name, program in _VERSIONS.items():
        version = record.software.get(program)
        found[name] = fact(_inline(version))
    return found


def _framework(record: RunRecord) -> Fact | None:
    parts = []
    for program, name in _FRAMEWORKS.items():
        version = record.software.get(program)
        if version:
            parts.append(f"{name} {inline(version)}")
    return fact(joined(parts))
