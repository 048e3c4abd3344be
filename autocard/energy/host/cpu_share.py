"""Which part of a node is the run's: CPUs that it may use, of those that the node has.

Rule: the share is stated wherever it scales a figure. Reads the scheduler's affinity and the
control groups' quota; imports the standard library only.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def of_node(
    process: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")
) -> float:
    """Return the share (0 to 1) of the node's CPUs that this process may use at most.

    The smaller of the scheduler's affinity (`usable_cpus`) and the quota of every control group
    that the process is in (v2: cpu.max, v1: cpu.cfs_quota_us), over the node's CPUs.
    """
    node_count = os.cpu_count() or 1
    return min([float(usable_cpus()), *_quotas(process, groups)]) / node_count


def usable_cpus(tasks: Path = Path("/proc/self/task")) -> int:
    """Return the number of logical CPUs that the threads of this process may use together."""
    return len(usable(tasks))


def of_quota(
    process: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")
) -> float:
    """Return the share (0 to 1) of the node's CPUs that the quotas of the control groups allow."""
    node_count = os.cpu_count() or 1
    return min([float(node_count), *_quotas(process, groups)]) / node_count


def usable(tasks: Path = Path("/proc/self/task")) -> set[int]:
    """Return the logical CPUs that the threads of this process may use together.

    Of all threads, because OpenMP binds them one by one (OMP_PROC_BIND): each then has one CPU, the
    process has all. What a control group's cpuset leaves out is not in it.
    """
    if not hasattr(os, "sched_getaffinity"):
        return set(range(os.cpu_count() or 1))
    found = set(os.sched_getaffinity(0))
    try:
        threads = [int(task.name) for task in tasks.iterdir()]
    except OSError:
        threads = []
    for thread in threads:
        with contextlib.suppress(OSError):  # it has ended
            found |= os.sched_getaffinity(thread)
    return found


def _quotas(process: Path, groups: Path) -> list[float]:
    """Return the quotas, in CPUs, of the control groups that hold the process."""
    try:
        lines = process.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            found += [_v2(folder) for folder in _upwards(groups, path)]
        elif "cpu" in controllers.split(","):
            found += [_v1(folder) for folder in _upwards(groups / "cpu", path)]
    return [quota for quota in found if quota is not None]


def _upwards(top: Path, path: str) -> list[Path]:
    """Return the folder of a control group and those above it, up to *top*: all quotas bind."""
    group = top / path.strip("/")
    above = [folder for folder in group.parents if folder.is_relative_to(top)]
    return [group, *above]


def _v2(folder: Path) -> float | None:
    quota, _, period = _line(folder / "cpu.max").partition(" ")  # "200000 100000", "max 100000"
    return _ratio(quota, period)


def _v1(folder: Path) -> float | None:
    quota, period = _line(folder / "cpu.cfs_quota_us"), _line(folder / "cpu.cfs_period_us")
    return _ratio(quota, period)  # a quota of -1 is none


def _ratio(quota: str, period: str) -> float | None:
    if not quota.isdigit() or not period.isdigit() or not int(period):
        return None
    return int(quota) / int(period)


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
