"""Which part of a node is the run's: CPUs that it may use, of those that the node has.

Rule: the share is stated wherever it scales a figure. Reads the scheduler's affinity and the control groups' quota;
imports the standard library only.
"""

from __future__ import annotations

import os
from pathlib import Path


def of_node(process: Path = Path("/proc/self/cgroup"), groups: Path = Path("/sys/fs/cgroup")) -> float:
    """Return the share (0 to 1) of the node's CPUs that this process may use at most.

    The smaller of the scheduler's affinity (`sched_getaffinity`, which holds the control group's cpuset too) and the
    quota of every control group that the process is in (v2: cpu.max, v1: cpu.cfs_quota_us), over the node's CPUs.
    """
    node_count = os.cpu_count() or 1
    usable = float(node_count)
    if hasattr(os, "sched_getaffinity"):
        usable = float(len(os.sched_getaffinity(0)))
    return min([usable, *_quotas(process, groups)]) / node_count


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
    """Return the folder of a control group and those above it, up to *top*: a quota anywhere binds."""
    group = top / path.strip("/")
    return [group, *(folder for folder in group.parents if folder == top or top in folder.parents)]


def _v2(folder: Path) -> float | None:
    quota, _, period = _line(folder / "cpu.max").partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _v1(folder: Path) -> float | None:
    quota, period = _line(folder / "cpu.cfs_quota_us"), _line(folder / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _line(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
