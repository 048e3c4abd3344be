"""Drivers, the operating system and the launcher's variables → the hardware that the run uses.

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
from collections.abc import Iterable, Mapping
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
from autocard.record.gaps import Part, PartBuilder

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
    """Return which accelerators this process uses: of several on a host, each has its own."""
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


def capture(observed: Observed) -> Part[Hardware]:
    """Return the hardware that the run uses."""
    used = accelerators(observed)
    part = PartBuilder(Hardware, "hardware")
    with part.guard("gpus"):
        part.fields["gpus"] = _gpus(used)
    if part.fields.get("gpus"):
        _ask_driver(part, used)
    else:
        # A run that uses no GPU has nothing to do with a driver.
        reason = part.gaps.get("gpus", NO_GPU)
        part.gaps.update(dict.fromkeys(_VERSIONS, reason))
    with part.guard("nodes"):
        part.fields["nodes"] = launcher.nodes(os.environ, observed.processes.count)
    if part.fields.get("nodes") != 1:
        part.gaps["gpus"] = "only the GPUs of one node are listed"
    with part.guard("gpus_allocated"):
        part.fields["gpus_allocated"] = gpu_allocation.count(os.environ)
    with part.guard("cpu_model"):
        part.fields["cpu_model"] = cpu_model()
    with part.guard("ram_bytes"):
        part.fields["ram_bytes"] = ram_bytes()
    part.fields["cpu_count"] = cpu_share.usable_cpus()
    part.fields["cpu_count_node"] = os.cpu_count()
    return part.build()


_VERSIONS = ("driver_version", "cuda_driver_version", "cuda_runtime_version")


def _ask_driver(part: PartBuilder[Hardware], used: Accelerators) -> None:
    # GPUs that no backend reads (torch names them) get the first backend's reason.
    backend = backends.find(used.device_type) or backends.BACKENDS[0]
    with part.guard("driver_version"):
        part.fields["driver_version"] = backend.driver_version()
    with part.guard("cuda_driver_version"):
        part.fields["cuda_driver_version"] = backend.cuda_driver_version()
    with part.guard("cuda_runtime_version"):
        part.fields["cuda_runtime_version"] = _cuda_runtime()


def peaks(observed: Observed, host: str = "h1") -> Part[tuple[dict[str, int], int]]:
    """Return the most memory that torch held on each device, and the largest resident set (bytes).

    Devices have the names of the record (h1.g0 is the first that the run uses on *host* h1);
    without CUDA there are none, which is the gap.
    """
    import resource  # noqa: PLC0415 - POSIX only

    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, Linux kibibytes.
    resident_bytes = resident if sys.platform == "darwin" else resident * KIB
    used = accelerators(observed)
    cuda = _cuda_of(used)
    if cuda is None:
        return Part(({}, resident_bytes), {"": NO_GPU})
    ordinals = range(cuda.device_count()) if used.ordinals is None else used.ordinals
    memory = {}
    for number, ordinal in enumerate(ordinals):
        memory[f"{host}.g{number}"] = int(cuda.max_memory_allocated(ordinal))
    return Part((memory, resident_bytes))


def _cuda_of(used: Accelerators) -> Any:
    """Return `torch.cuda` if the run uses CUDA and has set it up; None: it does not."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if used.device_type != "cuda" or cuda is None or not cuda.is_initialized():
        return None
    return cuda


def own_peaks(observed: Observed) -> dict[str, int]:
    """Return UUID → the most memory that torch held on it (bytes), of the GPUs of this process.

    Raises:
        UnavailableError: it is not known which GPUs these are.
    """
    used = own_accelerators(observed)
    cuda = _cuda_of(used)
    if cuda is None:
        return {}
    memory = {}
    for ordinal in used.ordinals or ():
        device = gpu_selection.devices(ordinals=[ordinal], device_type="cuda")[0]
        memory[device.uuid] = int(cuda.max_memory_allocated(ordinal))
    return memory


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
    if not devices and used.uses_gpu:
        named = _from_torch(used)
        if named:
            return named
        raise UnavailableError(backends.none_visible(used.device_type))
    return _grouped((device.name, device.memory_bytes) for device in devices)


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
    found = [kind.get_device_properties(ordinal) for ordinal in ordinals]
    return _grouped((str(one.name), getattr(one, "total_memory", None)) for one in found)


def _grouped(gpus: Iterable[tuple[str, int | None]]) -> list[Gpu]:
    """Return GPUs, given by name and memory (bytes), as kinds with a count."""
    kinds = Counter(gpus)
    return [Gpu(name=name, count=count, memory_bytes=size) for (name, size), count in kinds.items()]


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
        msg = f"the system does not report the CPU name (architecture {platform.machine()})"
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
        msg = "the system does not report its memory"
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
        msg = "torch does not report the CUDA version of its build"
        raise UnavailableError(msg)
    return str(version)
