"""Drivers, the operating system and the launcher's variables → the machines and accelerators of the run.

Rule: what the run uses, not what the node holds; a GPU is named by its driver. Names of hosts do
not leave this module. torch is asked only where the run has imported it.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autocard import commands, files
from autocard.capture.environment import gpu_allocation, launcher
from autocard.capture.observed import Observed
from autocard.energy.gpu import backends, gpu_selection
from autocard.energy.gpu.base import NoDriverError
from autocard.energy.host import cpu_share
from autocard.errors import UnavailableError
from autocard.record import Gpu, Hardware

KIB = 1024

NO_GPU = "no GPU was used"

_OUTPUT_S = 2.0
"""Seconds that a command of the system may take."""


@dataclass(frozen=True)
class Accelerators:
    """Which accelerators the run uses on this host: what the meter is told."""

    uses_gpu: bool | None
    """False: none, the model is on the CPU; None: not known."""
    device_type: str | None = None
    """torch's name: cuda, mps, xpu, cpu, …"""
    ordinals: list[int] | None = None
    """CUDA ordinals; None: all that are visible."""


def accelerators(observed: Observed, environ: Mapping[str, str] = os.environ) -> Accelerators:
    """Return which accelerators the training uses on this host, as far as one process knows.

    One process uses the devices that the Trainer spreads over: all of `n_gpu`, or those of the
    model's device map. With several processes on a host, each has one, and their local ranks are
    the ordinals.
    """
    own, local = own_accelerators(observed), environ.get("LOCAL_WORLD_SIZE", "")
    if not own.uses_gpu or not (local.isdigit() and int(local) > 1):
        return own
    return replace(own, ordinals=list(range(int(local))))


def own_accelerators(observed: Observed) -> Accelerators:
    """Return which accelerators this process uses: with several processes on a host, each has its own."""
    device = observed.device
    kind = getattr(device, "type", None)
    if kind is None:
        return Accelerators(uses_gpu=None)
    if kind == "cpu":
        return Accelerators(uses_gpu=False, device_type=kind)
    mapped = _device_map(observed.model)
    if mapped:
        ordinals = mapped
    elif observed.devices > 1:
        ordinals = list(range(observed.devices))
    else:
        ordinals = [getattr(device, "index", None) or 0]
    return Accelerators(uses_gpu=True, device_type=kind, ordinals=ordinals)


def _device_map(model: Any) -> list[int]:
    """Return the CUDA ordinals over which accelerate has spread *model*; empty: it has not."""
    places = getattr(model, "hf_device_map", None)
    found = set()
    for place in places.values() if isinstance(places, Mapping) else ():
        # A number, "cuda:1", a torch.device; or cpu, disk.
        number = str(place).removeprefix("cuda").removeprefix(":") or "0"
        if number.isdigit():
            found.add(int(number))
    return sorted(found)


def capture(observed: Observed, missing: MutableMapping[str, str]) -> Hardware:
    """Return the hardware that the run uses; the reasons for what is not known go to *missing* under "hardware."."""

    def ask(leaf: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except UnavailableError as exc:
            missing[f"hardware.{leaf}"] = str(exc)
            return None

    used = accelerators(observed)
    gpus = ask("gpus", lambda: _gpus(used)) or []
    if not gpus:
        # A driver says nothing of a run that uses no GPU.
        for leaf in ("driver_version", "cuda_driver_version", "cuda_runtime_version"):
            missing[f"hardware.{leaf}"] = missing.get("hardware.gpus", NO_GPU)
    # What no backend reads (torch names it) has no driver version, and the first backend says why.
    backend = backends.find(used.device_type) or backends.BACKENDS[0]
    nodes = ask("nodes", lambda: launcher.nodes(os.environ, observed.processes.count))
    if nodes is None or nodes > 1:
        missing["hardware.gpus"] = (
            "those of one node are named; the other nodes have not been asked"
        )
    return Hardware(
        nodes=nodes,
        gpus=gpus,
        gpus_allocated=ask("gpus_allocated", lambda: gpu_allocation.count(os.environ)),
        cpu_model=ask("cpu_model", cpu_model),
        cpu_count=cpu_share.usable_cpus(),
        cpu_count_node=os.cpu_count(),
        ram_bytes=ask("ram_bytes", ram_bytes),
        driver_version=ask("driver_version", backend.driver_version) if gpus else None,
        cuda_driver_version=ask("cuda_driver_version", backend.cuda_driver_version)
        if gpus
        else None,
        cuda_runtime_version=ask("cuda_runtime_version", _cuda_runtime) if gpus else None,
    )


def peaks(
    observed: Observed, missing: MutableMapping[str, str]
) -> tuple[dict[str, int], int | None]:
    """Return the most memory that torch held on each device (bytes), and the largest resident set (bytes).

    Devices have the names of the record (h1.g0 is the first that the run uses); without CUDA there
    are none.
    """
    memory: dict[str, int] = {}
    used = accelerators(observed)
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if used.device_type == "cuda" and cuda is not None and cuda.is_initialized():
        ordinals = range(cuda.device_count()) if used.ordinals is None else used.ordinals
        memory = {
            f"h1.g{number}": int(cuda.max_memory_allocated(ordinal))
            for number, ordinal in enumerate(ordinals)
        }
    else:
        missing["hardware.peak_memory_bytes"] = NO_GPU
    import resource  # noqa: PLC0415 - POSIX only

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kibibytes
    return memory, resident if sys.platform == "darwin" else resident * KIB


def own_peaks(observed: Observed) -> dict[str, int]:
    """Return UUID → the most memory that torch held on it (bytes), for the GPUs that this process uses.

    Raises:
        UnavailableError: the GPUs cannot be told.
    """
    used, cuda = own_accelerators(observed), getattr(sys.modules.get("torch"), "cuda", None)
    if used.device_type != "cuda" or cuda is None or not cuda.is_initialized():
        return {}
    return {
        gpu_selection.devices(ordinals=[ordinal], device_type="cuda")[0].uuid: int(
            cuda.max_memory_allocated(ordinal)
        )
        for ordinal in used.ordinals or ()
    }


def _gpus(used: Accelerators) -> list[Gpu]:
    """Return the GPUs of this host that the run uses, grouped by name and memory.

    Raises:
        UnavailableError: the run uses an accelerator that cannot be named.
    """
    if used.uses_gpu is False:
        return []
    try:
        devices = gpu_selection.devices(ordinals=used.ordinals, device_type=used.device_type)
    except UnavailableError as exc:
        if used.uses_gpu is None and isinstance(exc, NoDriverError):
            return []
        named = _from_torch(used)
        if named:
            return named
        raise
    groups = Counter((device.name, device.memory_bytes) for device in devices)
    return [
        Gpu(name=name, count=count, memory_bytes=memory) for (name, memory), count in groups.items()
    ]


def _from_torch(used: Accelerators) -> list[Gpu]:
    """Return what torch calls the accelerators (AMD's are cuda to it); empty: it does not say."""
    torch = sys.modules.get("torch")
    if used.device_type == "mps" and sys.platform == "darwin":
        # Apple's chip has one name, and one memory for all
        return [Gpu(name=f"{cpu_model()} GPU", count=1)]
    kind = getattr(torch, used.device_type or "", None)
    if kind is None or not hasattr(kind, "get_device_properties") or not kind.is_available():
        return []
    ordinals = range(kind.device_count()) if used.ordinals is None else used.ordinals
    if any(ordinal >= kind.device_count() for ordinal in ordinals):
        return []  # some are seen by other processes only
    about = [kind.get_device_properties(ordinal) for ordinal in ordinals]
    groups = Counter((str(one.name), getattr(one, "total_memory", None)) for one in about)
    return [
        Gpu(name=name, count=count, memory_bytes=memory) for (name, memory), count in groups.items()
    ]


def cpu_model(info: Path = Path("/proc/cpuinfo")) -> str:
    """Return the CPU's marketing name.

    Raises:
        UnavailableError: the system does not tell it.
    """
    if sys.platform == "darwin":
        name = _output("/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string").strip()
    else:
        try:
            text = files.read_loosely(info)
        except OSError:
            text = ""
        name = _named(text, "model name") or _named(text, "cpu")  # the latter: PowerPC
        name = name or _named(_output("lscpu"), "Model name")  # ARM: the file has numbers only
    if not name:
        msg = f"the system does not tell the CPU's name (architecture {platform.machine()})"
        raise UnavailableError(msg)
    return name


def _named(text: str, label: str) -> str:
    """Return what stands behind *label* and a colon in its first line of *text*; empty: nothing."""
    found = re.search(rf"^{label}[ \t]*:[ \t]*(\S.*)$", text, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def ram_bytes(group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory of the node, or of its container where that has less.

    Raises:
        UnavailableError: the system does not tell it.
    """
    try:
        node = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError) as exc:
        msg = "the system does not tell its memory"
        raise UnavailableError(msg) from exc
    limits = [node]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = files.read_loosely(group / name).strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def _output(*command: str) -> str:
    """Return what a command of the system prints; empty where it is not there or fails."""
    try:
        done = commands.run(command, _OUTPUT_S, env={**os.environ, "LC_ALL": "C"})
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.out.decode("utf-8", "replace") if done.status == 0 else ""


def _cuda_runtime() -> str:
    version = getattr(getattr(sys.modules.get("torch"), "version", None), "cuda", None)
    if not version:
        msg = "torch does not say which CUDA it was built with"
        raise UnavailableError(msg)
    return str(version)
