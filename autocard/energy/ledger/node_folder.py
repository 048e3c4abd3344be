"""The node's own folder for working files (`ledger_dir`): made with a mark, removed when empty.

Rule: a folder that was there before, and one that holds anything else, stays. The mark also tells a
training that starts again after a kill that the folder was made by autocard.
"""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

from autocard import files

MARK = "_made_by_autocard"
"""File in a folder that autocard made. It holds the number of folders that were made: those above
it that were missing count too."""


def make(folder: Path) -> None:
    """Make *folder* and those above it, with a mark; nothing is changed where it is there.

    Raises:
        OSError: it cannot be made.
    """
    if files.is_link(folder) and not files.exists(folder):
        raise OSError(errno.ENOENT, files.LEADS_NOWHERE, str(folder))
    missing = []
    for place in (folder, *folder.parents):
        if files.exists(place):
            break
        missing.append(place)
    if not missing:
        return
    made = 0
    for place in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process of the node made it
            place.mkdir()
            made += 1
    if made:
        (folder / MARK).write_text(str(made), encoding="ascii")


def remove_if_made(folder: Path) -> None:
    """Remove *folder* if autocard made it and it is empty, with the folders made above it."""
    mark = folder / MARK
    try:
        made = int(files.read_loosely(mark))
        if any(other != mark for other in folder.iterdir()):
            return
        mark.unlink()
    except (OSError, ValueError):
        return
    try:
        folder.rmdir()
    except OSError:  # another process of the node has just begun to use it
        with contextlib.suppress(OSError):
            mark.write_text(str(made), encoding="ascii")
        return
    with contextlib.suppress(OSError):
        for place in folder.parents[: made - 1]:
            place.rmdir()
