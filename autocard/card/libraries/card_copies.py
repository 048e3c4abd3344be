"""Copies of a person's card that outlive the process: a library may be writing over it.

One rule: a copy is put back only over text that a library wrote, and whatever a copy replaces is
kept as well.

Copies lie outside of the output folder, which people upload as a whole, in a folder of the user's
own ($XDG_CACHE_HOME/autocard, by default ~/.cache/autocard, mode 0700). Where that cannot be
written, is full, or the user has no home folder, they lie in `_autocard/` beside the card.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from autocard import files, process_mark
from autocard.card.libraries import library_text
from autocard.card.libraries.library_cards import KEPT_BYTES
from autocard.errors import NotWrittenError
from autocard.guard import log_warning

_OLD_COPY = "card-before.md"
"""Name of the copy of 0.1.0, in `_autocard/`."""
_COPY, _NOTE = "writing-{mark}.md", "writing-{mark}.json"
"""The copy of one process, and what belongs to it: whose card it is, what libraries wrote there."""


class CardCopies:
    """The copies of one card.

    Args:
        card: its path.
    """

    def __init__(self, card: Path) -> None:
        self._card = card
        self._library: list[str] = []

    # -- while a library writes --------------------------------------------------------------------

    def begin(self, data: bytes, library: list[str]) -> None:
        """Copy the card's *data* before a library writes over it: the process may be killed then.

        Args:
            data: the card as it is.
            library: hashes (`digest`) of what libraries wrote there before: they may write the same
                again.
        """
        self._library = list(library)
        self._write({_note_name(): self._note(), _copy_name(): data})

    def note_library(self, data: bytes) -> None:
        """Note in the copy that the library has written *data*."""
        for folder in self._folders():
            path = folder / _note_name()
            if files.exists(path):
                self._library = [*_library_of(path), digest(data)]
                files.write_bytes(path, self._note())

    def end(self) -> None:
        """Remove the copy: the card is a person's or ours again."""
        for folder in self._folders():
            _remove(folder / _copy_name())
            _remove(folder / _note_name())
        private = self._private()
        if private is not None:
            with contextlib.suppress(OSError):
                private.rmdir()  # only while it is empty

    def _note(self) -> bytes:
        note = {"card": str(self._card), "library_sha256": self._library}
        return json.dumps(note).encode("utf-8")

    # -- after a process was killed ----------------------------------------------------------------

    def settle(self) -> None:
        """Restore the card that a killed process left to a library; keep what may be a person's."""
        unreadable: OSError | None = None
        for copy in self._left_behind():
            note = copy.with_suffix(".json")
            try:
                copied = files.read_bytes(copy, KEPT_BYTES)
            except OSError as exc:  # another user's, in a shared folder: the others are settled
                unreadable = exc
                continue
            self._settle(copied, _library_of(note))
            _remove(copy)
            if note.name.startswith("writing-"):
                _remove(note)
        if unreadable is not None:
            raise unreadable

    def _settle(self, copied: bytes, library: list[str]) -> None:
        try:
            standing = files.read_bytes(self._card, KEPT_BYTES)
        except FileNotFoundError:
            standing = b""
        if standing == copied:
            return
        if digest(standing) in library or not standing.strip():
            files.write_over(self._card, copied)
            log_warning(
                "autocard: %s: put back as it stood before a library wrote over it "
                "and the process was killed",
                self._card.name,
            )
        elif library_text.is_all_generated(standing, copied):
            kept = self.keep(standing)
            files.write_over(self._card, copied)
            log_warning(
                "autocard: %s: put back as it stood before a process was killed while a library "
                "wrote the card. What stood there since is kept in %s",
                self._card.name,
                kept,
            )
        else:
            kept = self.keep(copied)
            log_warning(
                "autocard: %s was changed after a process was killed while a library wrote it, so "
                "it was left as it is. The card from before is kept in %s",
                self._card.name,
                kept,
            )

    def _left_behind(self) -> list[Path]:
        """Return the copies of processes that do not run any more, the oldest first."""
        found = [self._card.parent / files.PRIVATE / _OLD_COPY]
        for folder in self._folders():
            pattern = _COPY.format(mark="*")
            found += [path for path in _inside(folder) if fnmatch.fnmatchcase(path.name, pattern)]
        ended = [path for path in found if _is_left_behind(path)]
        return sorted(ended, key=_modified_at)

    # -- for good ----------------------------------------------------------------------------------

    def keep(self, data: bytes) -> Path:
        """Keep *data*, a version of the card that another replaces, and return its path."""
        name = f"kept-{digest(data)[:12]}.md"
        return self._write({name: data}) / name

    # -- places ------------------------------------------------------------------------------------

    def _write(self, contents: Mapping[str, bytes]) -> Path:
        """Write *contents*, by file name, into the first folder that takes them, and return it.

        Raises:
            NotWrittenError: no folder takes them.
        """
        private, beside = self._private(), self._card.parent / files.PRIVATE
        if private is not None:
            with contextlib.suppress(OSError, NotWrittenError):
                _make_private(private)
                _write_all(private, contents)
                return private
            with contextlib.suppress(OSError):  # what was written of them
                for name in contents:
                    _remove(private / name)
        _write_all(beside, contents)
        return beside

    def _folders(self) -> list[Path]:
        """Return the folders that may hold copies."""
        private, beside = self._private(), self._card.parent / files.PRIVATE
        return [beside] if private is None else [private, beside]

    def _private(self) -> Path | None:
        """Return the card's own folder in the user's cache; None: there can be none."""
        cache = _cache()
        if cache is None:
            return None
        where = hashlib.sha256(os.fsencode(os.path.realpath(self._card))).hexdigest()[:16]
        return cache / "cards" / where


def _write_all(folder: Path, contents: Mapping[str, bytes]) -> None:
    for name, data in contents.items():
        files.write_bytes(folder / name, data)


def _copy_name() -> str:
    return _COPY.format(mark=process_mark.own())


def _note_name() -> str:
    return _NOTE.format(mark=process_mark.own())


def _inside(folder: Path) -> list[Path]:
    """Return what lies in *folder*; nothing where it is not there or may not be read."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _remove(path: Path) -> None:
    """Remove *path*, where there is one that this user can see."""
    if files.exists(path):
        path.unlink(missing_ok=True)


def digest(data: bytes) -> str:
    """Return the sha256 of *data*, in hex."""
    return hashlib.sha256(data).hexdigest()


def _cache() -> Path | None:
    """Return our folder in the user's cache; None: no home folder, as in many containers."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification ignores a path that is not absolute.
    root = Path(base) if os.path.isabs(base) else files.expanded(Path("~/.cache"))  # noqa: PTH117 - "" is no path
    return root / "autocard" if root.is_absolute() else None


def _make_private(folder: Path) -> None:
    """Make *folder* for this user alone.

    Raises:
        OSError: it cannot be made, or it is another user's.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place in (folder.parents[1], folder.parent, folder):
        status = place.lstat()
        is_other_users = hasattr(os, "getuid") and status.st_uid != os.getuid()
        if is_other_users or not stat.S_ISDIR(status.st_mode):
            msg = f"{place} is not a folder of this user"
            raise OSError(msg)
        if stat.S_IMODE(status.st_mode) & 0o077:
            place.chmod(0o700)
    if not os.access(folder, os.W_OK):
        msg = f"{folder} cannot be written"
        raise OSError(msg)


def _library_of(note: Path) -> list[str]:
    try:
        found = json.loads(files.read_text(note))["library_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return [str(sha256) for sha256 in found] if isinstance(found, list) else []


def _is_left_behind(copy: Path) -> bool:
    """Return whether *copy* is there and its process does not run any more."""
    return files.exists(copy) and not process_mark.may_run(_mark(copy))


def _modified_at(path: Path) -> float:
    return path.stat().st_mtime


def _mark(copy: Path) -> str:
    return copy.stem.removeprefix("writing-")
