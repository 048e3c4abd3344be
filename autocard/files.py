"""Write files, atomically or not at all, and read them, with a limit; no other module does.

Text is read and written as bytes, so that line endings, a BOM and a missing final newline stay what
they were. A pipe, a device or a socket in the place of a file is refused at once: reading it may
never end. Imports the standard library, `guard` and `process_mark`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
import time
from pathlib import Path

from autocard import process_mark
from autocard.errors import NotWrittenError
from autocard.guard import not_abandoned

PRIVATE = "_autocard"
"""Folder of working files beside a card; uploads of the Trainer leave out what begins with "_"."""

_TEMPORARY = re.compile(r"_autocard-(?P<mark>[0-9a-f]{8}-\d+-\d+)?.*\.tmp", re.DOTALL)
"""A file that is being written, as in _autocard-3f9a1c20-4711-88231-x7k2.tmp; 0.1.0 left out the
process's mark."""
_STALE_S = 3600.0
"""Age at which a temporary file counts as left behind, where its process is not known."""

CARD_BYTES = 5_000_000
"""Of a card: ten times the largest ones on the Hub."""
SMALL_BYTES = 1_000_000
"""Of settings, tables of words, and files of the kernel."""

LEADS_NOWHERE = "it is a link that leads nowhere"
"""Why a symbolic link without a target cannot be used."""
_TRIED_BYTES = 1 << 16
"""Of the file that shows whether a folder can be written: more than a ledger entry."""

_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a pair that stands for one character: Python reads it from names that are not UTF-8."""

# Opening a pipe without a writer would wait for one. The kind of file is checked after opening:
# nothing can be put in its place between the two.
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


def read_bytes(path: Path, limit: int = CARD_BYTES) -> bytes:
    """Return what the regular file *path* holds, *limit* bytes at most.

    Raises:
        OSError: it cannot be read, is no regular file, or holds more.
    """
    try:
        descriptor = os.open(path, _OPEN)
    except OSError as exc:
        if exc.errno == errno.ENXIO:  # a socket
            raise _unusable(path, errno.EINVAL, "it is not a regular file") from exc
        raise
    with os.fdopen(descriptor, "rb") as stream:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise _unusable(path, errno.EISDIR, os.strerror(errno.EISDIR))
        if not stat.S_ISREG(mode):
            raise _unusable(path, errno.EINVAL, "it is not a regular file")
        data = stream.read(limit + 1)
    if len(data) > limit:
        raise _unusable(path, errno.EFBIG, f"it is larger than {limit} bytes")
    return data


def _unusable(path: Path, number: int, why: str) -> OSError:
    return OSError(number, why, str(path))


def reason(exc: Exception) -> str:
    """Return why a file could not be read or written, without its path, as for a record."""
    cause = exc.__cause__ if isinstance(exc, NotWrittenError) else exc
    return getattr(cause, "strerror", None) or type(cause or exc).__name__


def absolute(path: Path) -> Path | None:
    """Return *path* from the root; None: it is relative to a folder that has been removed."""
    try:
        return path.absolute()
    except FileNotFoundError:
        return None


def expanded(path: Path) -> Path:
    """Return *path* with the home folder for `~`; unchanged if there is none, as in containers."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def read_text(path: Path, limit: int = CARD_BYTES) -> str:
    """Return the text of *path* exactly: no newline translation, and a BOM stays in the text.

    Raises:
        OSError: it cannot be read, is no regular file, or holds more than *limit* bytes.
        UnicodeDecodeError: it is not UTF-8.
    """
    return read_bytes(path, limit).decode("utf-8")


def read_loosely(path: Path, limit: int = SMALL_BYTES) -> str:
    """Return the text of *path* with what is not UTF-8 replaced: of the kernel, of other programs.

    Raises:
        OSError: it cannot be read, is no regular file, or holds more than *limit* bytes.
    """
    return read_bytes(path, limit).decode("utf-8", "replace")


def exists(path: Path) -> bool:
    """Return whether there is something at *path*; False for a name that no file can have."""
    return os.path.exists(path)  # noqa: PTH110 - Path's raises where the name is too long


def is_folder(path: Path) -> bool:
    """Return whether *path* is a folder; False for a name that none can have."""
    return os.path.isdir(path)  # noqa: PTH112 - as above


def is_file(path: Path) -> bool:
    """Return whether *path* is a regular file; False for a name that none can have."""
    return os.path.isfile(path)  # noqa: PTH113 - as above


def listed(folder: Path, names: str) -> list[Path]:
    """Return the files of *folder* whose names fit the pattern *names*, in the order of names.

    There are none in a folder that cannot be read.
    """
    try:
        return sorted(folder.glob(names))
    except OSError:
        return []


def is_link(path: Path) -> bool:
    """Return whether *path* is a symbolic link; False where that cannot be seen."""
    return os.path.islink(path)  # noqa: PTH114 - as above


def why_not_writable(folder: Path) -> str | None:
    """Return why no file can be written into *folder*, which need not exist; None: it can.

    It is tried with a file of some size, since on a full disk an empty one can often be made. That
    file is removed again, and so are folders that had to be made.
    """
    missing = [place for place in (folder, *folder.parents) if not exists(place)]
    made: list[Path] = []
    try:
        for place in reversed(missing):
            if is_link(place):
                raise _unusable(place, errno.ENOENT, LEADS_NOWHERE)
            place.mkdir()
            made.append(place)
        _try_to_write(folder)
    except OSError as exc:
        return reason(exc)
    finally:
        with contextlib.suppress(OSError):  # another process has begun to use it
            for place in reversed(made):
                place.rmdir()
    return None


def _try_to_write(folder: Path) -> None:
    handle, temporary = tempfile.mkstemp(
        prefix=f"_autocard-{process_mark.own()}-", suffix=".tmp", dir=folder
    )
    try:
        with os.fdopen(handle, "wb", buffering=0) as stream:
            if stream.write(bytes(_TRIED_BYTES)) < _TRIED_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    finally:
        os.unlink(temporary)  # noqa: PTH108 - mkstemp gives a name, not a Path


def write_text(path: Path, text: str) -> bool:
    """Put *text* into *path* by one atomic replacement; return whether anything changed.

    A symbolic link is followed and stays a link; the mode of an existing file is kept. The folder
    is made where it is missing, but for that of a link which leads nowhere.

    Raises:
        NotWrittenError: it could not be written. What was there before is still there.
        AbandonedError: it took too long and the caller has gone on.
    """
    return write_bytes(path, whole(text).encode("utf-8"))


def whole(text: str) -> str:
    """Return *text* with U+FFFD for each half of a surrogate pair, which no file can hold."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def write_bytes(path: Path, data: bytes) -> bool:
    """Put *data* into *path* as `write_text` does.

    Raises:
        NotWrittenError: it could not be written. What was there before is still there.
        AbandonedError: it took too long and the caller has gone on.
    """
    target = Path(os.path.realpath(path))
    try:
        if _holds(target, data):
            return False
        if is_link(path) and not target.parent.is_dir():
            raise _unusable(path, errno.ENOENT, LEADS_NOWHERE)
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, data)
    except OSError as exc:
        msg = (
            f"{path.name}: could not be written ({exc.strerror or exc}). "
            "What was there before is still there."
        )
        raise NotWrittenError(msg) from exc
    return True


def write_over(path: Path, data: bytes) -> None:
    """Put *data* into *path* as `write_bytes` does, or in place where it cannot be replaced.

    That is a file in a folder that may not be written, one that is a mount of its own, or one on a
    full disk.

    Raises:
        NotWrittenError: it could not be written either way. What was there before is still there.
        AbandonedError: it took too long and the caller has gone on.
    """
    try:
        write_bytes(path, data)
    except NotWrittenError:
        with not_abandoned():
            if not _written_in_place(Path(os.path.realpath(path)), data):
                raise


def _written_in_place(target: Path, data: bytes) -> bool:
    """Write *data* over the regular file *target*; on failure return False, nothing changed."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    with os.fdopen(descriptor, "wb", buffering=0) as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return False
        try:
            # All of the space before the first byte: a disk that is full in between would leave
            # half a file.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(descriptor, 0, max(len(data), 1))
        except OSError as exc:
            if exc.errno not in {
                errno.EOPNOTSUPP,
                errno.EINVAL,
            }:  # some file systems cannot reserve space
                os.ftruncate(descriptor, found.st_size)
                return False
        left = memoryview(data)
        while left:
            left = left[stream.write(left) :]
        os.ftruncate(descriptor, len(data))
        os.fsync(descriptor)
    return True


def sweep(folder: Path) -> None:
    """Remove temporary files that killed processes left in *folder* and its private folder."""
    for place in (folder, folder / PRIVATE):
        try:
            found = [path for path in place.iterdir() if _TEMPORARY.fullmatch(path.name)]
        except OSError:
            continue
        for path in found:
            with contextlib.suppress(OSError):
                if path.is_file() and _is_stale(path):
                    path.unlink()


def _is_stale(path: Path) -> bool:
    found = _TEMPORARY.fullmatch(path.name)
    mark = found["mark"] if found else None
    if mark is not None and process_mark.is_from_here(mark):
        return not process_mark.may_run(mark)
    return time.time() - path.stat().st_mtime > _STALE_S


def _holds(target: Path, data: bytes) -> bool:
    """Return whether *target* is a file that holds *data*.

    Raises:
        OSError: it is there and is no file.
    """
    try:
        found = target.stat()
    except FileNotFoundError:
        return False
    if stat.S_ISREG(found.st_mode) and found.st_size != len(data):
        return False
    return read_bytes(target, len(data)) == data


def _replace(target: Path, data: bytes) -> None:
    private = target.parent / PRIVATE
    made = _make_private(private)
    handle, temporary = _open_temporary(target.parent, private)
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
    finally:
        if made:
            with contextlib.suppress(OSError):
                private.rmdir()  # only while it is empty


def _make_private(folder: Path) -> bool:
    """Make the private folder; return whether it was missing."""
    if folder.parent.name == PRIVATE:  # the target lies in one
        return False
    try:
        folder.mkdir()
    except OSError:
        return False
    return True


def _open_temporary(parent: Path, private: Path) -> tuple[int, str]:
    """Open a temporary file in *private*, or in *parent* where *private* cannot be used.

    It cannot if it is no folder, not writable, or on another disk.
    """
    prefix = f"_autocard-{process_mark.own()}-"
    with contextlib.suppress(OSError):
        if private.stat().st_dev == parent.stat().st_dev:
            return tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=private)
    return tempfile.mkstemp(prefix=prefix, suffix=".tmp", dir=parent)


def _mode(target: Path) -> int:
    """Return the mode of the file that is replaced, or what the process gives to new files."""
    try:
        return stat.S_IMODE(target.stat().st_mode)
    except FileNotFoundError:
        mask = _umask()
        return 0o666 & ~mask


def _umask() -> int:
    """Return the process's umask without changing it (on Linux), else a safe one."""
    try:
        status = read_loosely(Path("/proc/self/status"))
    except OSError:
        return 0o022
    for line in status.splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o022
