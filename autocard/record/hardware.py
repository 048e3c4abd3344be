"""The machines and accelerators."""

from __future__ import annotations

from pydantic import Field

from autocard.record.base import Frozen


class Gpu(Frozen):
    """Accelerators of one kind."""

    name: str
    """Product name from the driver."""
    count: int
    """How many of them the run used, all hosts together."""
    memory_bytes: int | None = None
    """Memory of each."""


class Hardware(Frozen):
    """Machines and accelerators that the run used."""

    nodes: int | None = None
    """Hosts, as the launcher says."""
    gpus: list[Gpu] = Field(default_factory=list)
    """Empty: none was used (or see `missing`)."""
    gpus_allocated: int | None = None
    """What the workload manager gave to the job (to its step, where it tells only that)."""
    cpu_model: str | None = None
    """Marketing name."""
    cpu_count: int | None = None
    """Logical CPUs that the process may use."""
    cpu_count_node: int | None = None
    """Logical CPUs of the node."""
    ram_bytes: int | None = None
    """Memory of the node (or of its container)."""
    driver_version: str | None = None
    """NVIDIA driver."""
    cuda_driver_version: str | None = None
    """Newest CUDA that the driver supports."""
    cuda_runtime_version: str | None = None
    """CUDA that torch was built with."""
    peak_memory_bytes: dict[str, int] = Field(default_factory=dict)
    """Device to the most memory that torch held on it."""
    peak_ram_bytes: int | None = None
    """Largest resident set of the training process."""
