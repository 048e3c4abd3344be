"""A text of ours of several lines, some of which a person has edited: the other lines are brought up to date.

One rule: a line that is not exactly as we wrote it is the person's, and stays; what a person took
out stays out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_KEY = re.compile(
    r"\s*(?:[-*] (?P<item>[^:|<]{1,80}):|\| *(?P<cell>[^|]*?) *\||(?P<tag></?\w+)|(?P<label>[^:|<]{1,80}):)"
)
"""What a line is about: `- Seed: 42`, `| CPUs | 0.1 |`, `<summary>28 settings</summary>`,
`CO2: 0.1 kWh …`."""
_MOST_EDITED = 0.5
"""Part of our lines that may be gone; where it is more, a person has written the text again."""


def refreshed(before: str, there: str, new: str) -> str | None:
    """Return the text *there* with our lines brought up to date; None: it is no edited version of ours.

    Args:
        before: the text as we wrote it.
        there: what stands in its place now.
        new: what we would write now.
    """
    old, current, wanted = before.split("\n"), there.split("\n"), new.split("\n")
    told = [line for line in old if line.strip()]
    left = Counter(line for line in current if line.strip()) & Counter(told)
    if len(told) < 2 or sum(left.values()) < _MOST_EDITED * len(told):  # noqa: PLR2004 - one line is edited or it is not
        return None
    return "\n".join(_without_double_gaps(_merged(old, current, wanted)))


def span(before: str, section: str) -> tuple[int, int] | None:
    """Return where in the text of a *section* our lines stand, from the first to the last; None: there are none."""
    ours = {line for line in before.split("\n") if line.strip()}
    found, at = [], 0
    for line in section.split("\n"):
        if line.rstrip("\r") in ours:
            found.append((at, at + len(line.rstrip("\r"))))
        at += len(line) + 1
    return (found[0][0], found[-1][1]) if found else None


def _merged(old: Sequence[str], current: Sequence[str], wanted: Sequence[str]) -> list[str]:
    ours, waiting = Counter(old), list(wanted)
    theirs = [line for line in current if line not in ours]
    lines: list[str] = []
    for line in current:
        if line not in ours or not line.strip():
            lines.append(line)
            continue
        successor = _same_line(line, waiting)
        if successor is not None:
            waiting.remove(successor)
            lines.append(successor)
    known = {_key(line) for line in (*old, *theirs)}
    for number, line in enumerate(wanted):
        if line in waiting and line.strip() and _key(line) not in known:
            above = next(
                (one for one in reversed(wanted[:number]) if one.strip() and one in lines), None
            )
            at = len(lines) if above is None else lines.index(above) + 1
            lines.insert(at, line)
    return lines


def _same_line(line: str, wanted: Sequence[str]) -> str | None:
    """Return the line among *wanted* that says now what *line* said; None: nothing does."""
    if line in wanted:
        return line
    key = _key(line)
    return next((one for one in wanted if key != one and _key(one) == key), None)


def _key(line: str) -> str:
    """Return what *line* is about; a line without a label is about what it says."""
    found = _KEY.match(line)
    if found is None:
        return line
    if found.lastgroup == "cell":
        return f"| {found['cell']}"
    return found[0].strip()


def _without_double_gaps(lines: Sequence[str]) -> list[str]:
    """Return *lines* without blank lines at the ends, or behind another one, that the lines between them have left."""
    kept: list[str] = []
    for line in lines:
        if line.strip() or (kept and kept[-1].strip()):
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept
