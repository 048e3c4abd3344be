"""A written text of several lines, some of which a person has edited: the others are refreshed.

One rule: a line that is not exactly as we wrote it is the person's, and stays; what a person
removed does not return.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_SUBJECT = re.compile(
    r"\s*(?:"
    r"[-*] (?P<item>[^:|<]{1,80}):"  # `- Seed: 42`
    r"|\| *(?P<cell>[^|]*?) *\|"  # `| CPUs | 0.1 |`
    r"|(?P<tag></?\w+)"  # `<summary>28 settings</summary>`
    r"|(?P<label>[^:|<]{1,80}):"  # `CO2: 0.1 kWh …`
    r")"
)
"""What a line is about."""
_FOLD = "<details>"
_MOST_EDITED = 0.5
"""Share of our lines that may be gone; where it is more, a person has written the text again."""
_LEAST_LINES = 2
"""A single line is either edited or not."""


def refreshed(before: str, there: str, new: str) -> str | None:
    """Return the text *there* with our lines refreshed; None: it is no edited version of that.

    Args:
        before: the text as we wrote it.
        there: what stands in its place now.
        new: what we would write now.
    """
    old, current, wanted = before.split("\n"), there.split("\n"), new.split("\n")
    if not _is_edited_version(old, current):
        return None
    if old.count(_FOLD) > wanted.count(_FOLD):
        return None  # a brief text: what is not in it is not outdated
    return "\n".join(_without_double_gaps(_merged(old, current, wanted)))


def without_ours(before: str, there: str) -> str | None:
    """Return *there* without the lines that we wrote; None: it is no edited written text.

    Args:
        before: the text as we wrote it.
        there: what stands in its place now.
    """
    old, current = before.split("\n"), there.split("\n")
    if not _is_edited_version(old, current):
        return None
    kept = [line for line in current if line not in old or not line.strip()]
    return "\n".join(_without_double_gaps(kept))


def _is_edited_version(old: Sequence[str], current: Sequence[str]) -> bool:
    """Return whether enough of our *old* lines are among the *current* ones."""
    ours = [line for line in old if line.strip()]
    left = Counter(line for line in current if line.strip()) & Counter(ours)
    return len(ours) >= _LEAST_LINES and sum(left.values()) >= _MOST_EDITED * len(ours)


def span(before: str, section: str) -> tuple[int, int] | None:
    """Return where in the text of a *section* our lines stand, from the first to the last."""
    ours = {line for line in before.split("\n") if line.strip()}
    found, position = [], 0
    for line in section.split("\n"):
        content = line.rstrip("\r")
        if content in ours:
            found.append((position, position + len(content)))
        position += len(line) + 1
    return (found[0][0], found[-1][1]) if found else None


def _merged(old: Sequence[str], current: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the lines of *current*, those of *old* replaced by those of *wanted* that match.

    Where other parts are folded now, a line without a match stays and none is added: the order of
    the lines is another one.
    """
    has_same_folds = old.count(_FOLD) == wanted.count(_FOLD)
    ours, waiting = Counter(old), list(wanted)
    lines: list[str] = []
    for line in current:
        if line not in ours or not line.strip():
            lines.append(line)
            continue
        successor = _successor(line, waiting)
        if successor is not None:
            waiting.remove(successor)
            lines.append(successor)
        elif not has_same_folds:
            lines.append(line)
    if not has_same_folds:
        return lines
    persons = [line for line in current if line not in ours]
    known = {_subject(line) for line in (*old, *persons)}
    _insert_new_lines(lines, wanted, waiting, known)
    return lines


def _insert_new_lines(
    lines: list[str], wanted: Sequence[str], waiting: Sequence[str], known: set[str]
) -> None:
    """Insert those lines of *wanted* that are *waiting* and about something that is not *known*."""
    for number, line in enumerate(wanted):
        if line not in waiting or not line.strip() or _subject(line) in known:
            continue
        above = [other for other in wanted[:number] if other.strip() and other in lines]
        place = lines.index(above[-1]) + 1 if above else len(lines)
        lines[place:place] = _with_gaps(wanted, number)


def _with_gaps(wanted: Sequence[str], number: int) -> list[str]:
    """Return a line of *wanted*; in a fold, with the blank lines that its Markdown needs."""
    above = wanted[max(0, number - 2) : number]
    gap_above = bool(above) and above[0].startswith("<summary>") and not above[-1].strip()
    gap_below = list(wanted[number + 1 : number + 3]) == ["", "</details>"]
    lines = [wanted[number]]
    if gap_above:
        lines.insert(0, "")
    if gap_below:
        lines.append("")
    return lines


def _successor(line: str, wanted: Sequence[str]) -> str | None:
    """Return the line among *wanted* that replaces *line*: equal, or about the same."""
    if line in wanted:
        return line
    subject = _subject(line)
    for other in wanted:
        # A line without a label is its own subject; an equal one was returned above.
        if other != subject and _subject(other) == subject:
            return other
    return None


def _subject(line: str) -> str:
    """Return what *line* is about; a line without a label is about what it says."""
    found = _SUBJECT.match(line)
    if found is None:
        return line
    if found.lastgroup == "cell":
        return f"| {found['cell']}"
    return found[0].strip()


def _without_double_gaps(lines: Sequence[str]) -> list[str]:
    """Return *lines* without blank lines at the ends or behind one another."""
    kept: list[str] = []
    for line in lines:
        if line.strip() or (kept and kept[-1].strip()):
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept
