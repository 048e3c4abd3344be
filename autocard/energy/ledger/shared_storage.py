"""Whether a folder is on this machine, or on storage that many machines share.

Rule: what is not known to be of this machine is taken as shared. Reads Linux's table of mounts;
elsewhere every folder is taken as local.
"""

from __future__ import annotations

import os
from pathlib import Path

from autocard import files

# fmt: off
LOCAL = frozenset({
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs", "jfs", "nilfs2", "ntfs",
    "ntfs3", "overlay", "ramfs", "reiserfs", "rootfs", "squashfs", "tmpfs", "ubifs", "udf", "vfat",
    "xfs", "zfs",
})
# fmt: on
"""File systems of one machine, as mount(8) names them."""

SHARED_S = 60.0
"""Seconds between two writes of a file on shared storage, however short the reading interval."""


def is_local(folder: Path, table: Path = Path("/proc/self/mountinfo")) -> bool:
    """Return whether *folder*, which need not exist yet, is known to lie on this machine.

    Args:
        folder: absolute, or below the working folder.
        table: of mounts, as proc_pid_mountinfo(5) describes it.
    """
    try:
        lines = files.read_loosely(table).splitlines()
    except OSError:
        return True
    path = os.path.realpath(folder)
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        words, about = before.split(), after.split()
        if len(words) < 5 or not about:  # noqa: PLR2004 - the fifth is the mount point
            continue
        point = words[4].encode().decode("unicode_escape")  # blanks stand there as \\040
        if len(point) >= len(best) and _holds(point, path):
            best, kind = point, about[0]
    return kind in LOCAL or not kind


def _holds(point: str, path: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")
