"""One change of a card's text, and the order of several."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Edit:
    """One change of the text.

    Attributes:
        start: offset of the first character that is replaced.
        end: offset after the last one.
        text: what stands there afterwards.
        order: the place among edits at the same offset.
        joins: a list of labelled lines above it may continue in it.
    """

    start: int
    end: int
    text: str
    order: int = 0
    joins: bool = False

    @property
    def key(self) -> tuple[int, bool, int]:
        """The sorting key: what is inserted before a place comes before what replaces it."""
        return self.start, self.end > self.start, self.order

    @property
    def is_insertion(self) -> bool:
        """Whether nothing is replaced."""
        return self.start == self.end


def separated(edits: list[Edit], newline: str) -> list[Edit]:
    """Return *edits*, in order, with a blank line between texts inserted at the same place."""
    found = edits[:1]
    for edit in edits[1:]:
        if _insert_at_same_place(found[-1], edit):
            newlines = _newlines_between(found[-1].text, edit.text)
            gap = newline * max(0, 2 - newlines)
            found.append(replace(edit, text=gap + edit.text))
        else:
            found.append(edit)
    return found


def _insert_at_same_place(first: Edit, second: Edit) -> bool:
    if not (first.is_insertion and second.is_insertion and first.end == second.start):
        return False
    return bool(first.text and second.text)


def _newlines_between(first: str, second: str) -> int:
    """Return how many newlines stand at the end of *first* and the beginning of *second*."""
    end = first[-4:].replace("\r", "")
    beginning = second[:4].replace("\r", "")
    at_end = len(end) - len(end.rstrip("\n"))
    return at_end + len(beginning) - len(beginning.lstrip("\n"))
