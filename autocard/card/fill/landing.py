"""Where the texts that a fill writes come to stand in the new card.

One rule: offsets follow from the edits, never from a search for a text through the whole card.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from autocard.card.fill.written_text import ADDED
from autocard.card.markdown.edit import Edit


@dataclass(frozen=True)
class Written:
    """A text of ours in the new card.

    Attributes:
        name: what it is called in the memory, without a number.
        text: as it is remembered.
        at: offset in the old card where it stands, or where *edit* puts it.
        edit: the change that holds it; None: it stands there already.
    """

    name: str
    text: str
    at: int
    edit: Edit | None = None


class Landing:
    """Maps what was decided about the old card to the new one."""

    def __init__(self, planned: Sequence[Edit], applied: Sequence[Edit], newline: str) -> None:
        """*planned*: the edits as they were decided, in order; *applied*: the same edits as they were made."""
        self._newline = newline
        self._ends = [edit.end for edit in applied]
        self._shifts = [0]
        self._starts: dict[int, tuple[int, str]] = {}
        for plan, edit in zip(planned, applied, strict=True):
            self._starts[id(plan)] = (edit.start + self._shifts[-1], edit.text)
            self._shifts.append(self._shifts[-1] + len(edit.text) - (edit.end - edit.start))

    def offsets(self, written: Sequence[Written]) -> list[tuple[int, Written]]:
        """Return *written* in the order of the new card, each with its offset there; -1, first, where it has none."""
        found = [(self._moved(one.at), one) for one in written if one.edit is None]
        within: dict[tuple[int, bool], list[Written]] = {}
        for one in written:
            if one.edit is not None:
                within.setdefault((id(one.edit), one.name.startswith(ADDED)), []).append(one)
        for (edit, _), ones in within.items():
            found += self._inside(edit, ones)
        return sorted(found, key=lambda pair: pair[0])

    def _moved(self, offset: int) -> int:
        """Return where what stood at *offset* of the old card, outside all edits, stands now."""
        return offset + self._shifts[bisect_right(self._ends, offset)]

    def _inside(self, edit: int, ones: Sequence[Written]) -> list[tuple[int, Written]]:
        """Return the offsets of texts that one edit holds in this order.

        The search goes from the end: what stands before a text there is its label or heading, which
        may read like it.
        """
        start, chunk = self._starts.get(edit, (0, ""))
        found = []
        bound = len(chunk)
        for one in reversed(ones):
            at = chunk.rfind(one.text.replace("\n", self._newline), 0, bound)
            found.append((start + at if at >= 0 else -1, one))
            bound = at if at >= 0 else bound
        return found[::-1]
