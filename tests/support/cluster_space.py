"""A mount namespace of its own for a process: other files in the place of some, for it and its children alone.

What `unshare -m` and `mount --bind` do, for processes that are forked and not started by a shell.
Needs root, or a kernel that lets any user have a user namespace.
"""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Mapping
from pathlib import Path

NEW_MOUNTS, NEW_HOST_NAME, NEW_USER = 0x00020000, 0x04000000, 0x10000000
BIND, REMOUNT, READ_ONLY = 4096, 32, 1
PRIVATE, RECURSIVE = 1 << 18, 1 << 14

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def enter(instead: Mapping[Path, Path], read_only: tuple[Path, ...] = ()) -> None:
    """Go into a new mount namespace where each key of *instead* shows what its value holds.

    Raises:
        OSError: it is not permitted.
    """
    user, group = os.getuid(), os.getgid()
    try:
        _call("unshare", NEW_MOUNTS)
    except PermissionError:
        _call("unshare", NEW_USER | NEW_MOUNTS)
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
    _call("mount", b"none", b"/", None, PRIVATE | RECURSIVE, None)
    for place, source in instead.items():
        _call("mount", os.fsencode(source), os.fsencode(place), None, BIND, None)
    for folder in read_only:
        _call("mount", os.fsencode(folder), os.fsencode(folder), None, BIND, None)
        _call("mount", b"none", os.fsencode(folder), None, BIND | REMOUNT | READ_ONLY, None)


def disk(folder: Path, options: str) -> None:
    """Put an empty disk in memory in the place of *folder*; *options* as mount(8) takes them: size=64k.

    Raises:
        OSError: it is not permitted.
    """
    _call("mount", b"none", os.fsencode(folder), b"tmpfs", 0, options.encode())


def take_host_name(name: str) -> None:
    """Give this process and its children a host name of their own.

    Raises:
        OSError: it is not permitted.
    """
    _call("unshare", NEW_HOST_NAME)
    socket.sethostname(name)


def permitted(source: Path) -> bool:
    """Return whether a process may have a boot id of its own here, by trying it with *source* in a child process."""
    pid = os.fork()
    if not pid:
        try:
            enter({BOOT_ID: source})
            os._exit(
                0
                if BOOT_ID.read_text(encoding="ascii") == source.read_text(encoding="ascii")
                else 1
            )
        except BaseException:  # noqa: BLE001 - a forked process must not go on with its parent's work
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0
