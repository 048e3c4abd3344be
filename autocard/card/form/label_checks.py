"""Checks of the values in a file of labels; a mistake is a SettingsError with its place."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autocard.errors import SettingsError

LONGEST = 200
"""Characters of a heading or label, and of what error messages quote."""
_MOST = 10_000
"""Words in one list."""


@dataclass(frozen=True)
class Where:
    """A file of labels, for messages.

    Attributes:
        file: its path.
        lines: path of a key (`facts.hours_used`) → its line, counted from 0.
    """

    file: str
    lines: Mapping[str, int] = field(default_factory=dict)

    def key(self, path: str) -> str:
        """Return where the key *path* stands: `my/autocard.labels.yaml:4: facts.hours_used`."""
        line = self.lines.get(path)
        return f"{self.file}: {path}" if line is None else f"{self.file}:{line + 1}: {path}"


def text(value: object, where: str) -> str:
    """Return *value*, which must be text; *where*: its place in the file, for the message."""
    if not isinstance(value, str):
        msg = (
            f"{shortened(where)}: text is wanted, this is {type(value).__name__}. Nothing was done."
        )
        raise SettingsError(msg)
    return value


def texts(value: object, where: str) -> list[str]:
    """Return *value* as a list of texts; one text alone is a list of one, None an empty one."""
    if value is None:
        return []
    found = [value] if isinstance(value, str) else value
    is_list = isinstance(found, list) and all(isinstance(item, str) for item in found)
    if not isinstance(found, list) or not is_list or len(found) > _MOST:
        msg = f"{where}: a list of words is wanted. Nothing was done."
        raise SettingsError(msg)
    return found


def mapping(value: object, key: str, where: str) -> dict[str, Any]:
    """Return *value* of *key* ("": of the whole file), a mapping by names; None is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        lead = f"{key}: " if key else ""
        msg = f"{where}: {lead}names and what stands for them are wanted. Nothing was done."
        raise SettingsError(msg)
    return value


def check_keys(entry: Mapping[str, object], keys: Sequence[str], where: str) -> None:
    """Check that *entry* has no other keys than *keys*."""
    for key in entry:
        if key not in keys:
            msg = (
                f"{where}: {shortened(key)}: there is no such key; there are {', '.join(keys)}. "
                "Nothing was done."
            )
            raise SettingsError(msg)


def check_name(name: str, known: Collection[str], where: str, what: str) -> None:
    """Check that *name* is one of the *known* sections or facts (*what*)."""
    if name in known:
        return
    close = difflib.get_close_matches(name[:LONGEST], known, n=1)
    hint = f"{what}s are those of autocard's templates/labels.yaml."
    if what == "fact":
        hint = "`autocard facts` lists them."
    if close:
        hint = f"did you mean {close[0]}?"
    msg = f"{shortened(where)}: there is no {what} {shortened(name)!r}; {hint} Nothing was done."
    raise SettingsError(msg)


def shortened(text: str) -> str:
    """Return *text* as error messages quote it."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"
