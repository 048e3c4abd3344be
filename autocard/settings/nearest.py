"""The known names that a mistyped one may stand for, as a question at the end of a message."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

LONGEST = 60
"""Characters of a value that a message quotes."""

_ALIKE = 0.6
"""How alike two names must be: 1 is equal; "licence" and "license" are 0.86."""
_MOST = 3
"""Names in a question."""
_SHORTEST = 3
"""Letters; shorter names look like too many others."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Return those of *known* that have *name* as a word or look like it, the nearest first."""
    wanted = _letters(name)[:LONGEST]
    letters = {key: _letters(key) for key in known}
    if not wanted:
        return []
    for key, its in letters.items():
        if its in (wanted, f"{wanted}s", wanted.removesuffix("s")):
            return [key]
    parts = [key for key in letters if wanted in map(_letters, re.split(r"[_\W]+", key))]
    if len(wanted) < _SHORTEST:
        return parts[:_MOST]
    begun = [key for key in letters if letters[key].startswith(wanted)]
    alike = difflib.get_close_matches(wanted, set(letters.values()), _MOST, _ALIKE)
    looks = [key for its in alike for key in letters if letters[key] == its]
    return list(dict.fromkeys([*parts, *begun, *looks]))[:_MOST]


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return " Did you mean …?" with the names nearest to *name*; or *otherwise*, where none is."""
    return question(nearest(name, known), otherwise)


def question(names: Sequence[str], otherwise: str = "") -> str:
    """Return " Did you mean a or b?", or " " and *otherwise* where there are no *names*."""
    if names:
        return f" Did you mean {listed(names)}?"
    return f" {otherwise}" if otherwise else ""


def listed(names: Sequence[str], word: str = "or") -> str:
    """Return *names* as a list in a sentence: "a, b or c"."""
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def quoted(value: object) -> str:
    """Return *value* as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _letters(name: str) -> str:
    """Return *name* in lower case, without punctuation."""
    return re.sub(r"[_\W]+", "", name.casefold())
