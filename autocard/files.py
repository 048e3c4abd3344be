"""The only writer of files: atomic, or not at all.

Text is read and written as bytes, so that line endings, a BOM and a missing final newline stay what they were.
Imports the standard library and `guard`.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from autocard.errors import NotWrittenError
from autocard.guard import not_abandoned


def read_text(path: Path) -> str:
    """Return the text of *path* exactly as it stands (no newline translation; a BOM stays in the text).

    Raises:
        OSError: the file cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    return path.read_bytes().decode("utf-8")


def write_text(path: Path, text: str) -> bool:
    """Put *text* into *path* by one atomic replacement; return whether anything changed.

    A symbolic link is followed and stays a link; the mode of an existing file is kept. The folder is made where it is
    missing.

    Raises:
        NotWrittenError: it could not be written. What was there before is still there.
        AbandonedError: it took too long and the caller has gone on.
    """
    return write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> bool:
    """Put *data* into *path* as `write_text` does.

    Raises:
        NotWrittenError: it could not be written. What was there before is still there.
        AbandonedError: it took too long and the caller has gone on.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and target.read_bytes() == data:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data)
    except OSError as exc:
        msg = f"{path.name}: could not be written ({exc.strerror or exc}). What was there before is still there."
        raise NotWrittenError(msg) from exc
    return True


def _replace(target: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix="_autocard-", suffix=".tmp", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, _mode(target))  # noqa: PTH101 - mkstemp gives a name, not a Path
        with not_abandoned():
            os.replace(temporary, target)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


def _mode(target: Path) -> int:
    """Return the mode of the file that is replaced, or what the process gives to new files."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mask = _umask()
        return 0o666 & ~mask


def _umask() -> int:
    """Return the process's umask without changing it, where the system tells (Linux), else a safe one."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0o022
    for line in status.splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
