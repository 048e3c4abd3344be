"""Two versions of one card that were edited apart → one card that holds both edits.

One rule: what one side changed and the other did not is taken; where both changed the same lines,
or the same key of the front matter, the first side's stand, and the caller is told. Lines and keys
are moved whole, never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocard.card.diff import matching_blocks
from autocard.card.front.yaml_keys import read_keys
from autocard.card.markdown.document import Document
from autocard.errors import CardError


@dataclass(frozen=True)
class Merged:
    """The card that came out.

    Attributes:
        text: the card.
        conflicts: lines (or keys of the front matter) of the second side that gave way, in order.
    """

    text: str
    conflicts: tuple[str, ...] = ()


def merge(base: str | None, first: str, second: str) -> Merged:
    """Return *first* with what *second* changed since *base*.

    Args:
        base: what both were made from; None: not known, then what they have in common stands for
            it.
        first: the side whose text stands where both changed the same place.
        second: the other side.
    """
    if base is None:
        base = _common(first, second)
    if first in (base, second):
        return Merged(second)
    if base == second:
        return Merged(first)
    parts = [_parts(text) for text in (base, first, second)]
    front = _merge_front(*(part[1] for part in parts))
    body = _merge_lines(*(part[2].splitlines(keepends=True) for part in parts))
    head = parts[1][0] or ("---\n" if front.text else "")
    fence = parts[1][3] or ("---\n" if front.text else "")
    return Merged(head + front.text + fence + body.text, front.conflicts + body.conflicts)


def with_keys_of(first: str, second: str) -> str:
    """Return *first* with those keys of *second*'s front matter that it does not have.

    Args:
        first: a card, whose body and own keys stay as they are.
        second: another card, of which no common past is known.
    """
    head, front, body, fence = _parts(first)
    merged = _merge_front("", front, _parts(second)[1])
    if merged.text == front or not merged.text:
        return first
    return (head or "---\n") + merged.text + (fence or "---\n\n") + body


def _common(first: str, second: str) -> str:
    """Return the lines that both have, in order: without a common past, nobody is known to have taken a line out."""
    lines = first.splitlines(keepends=True)
    blocks = matching_blocks(lines, second.splitlines(keepends=True))
    return "".join("".join(lines[block.a : block.a + block.size]) for block in blocks)


def _parts(text: str) -> tuple[str, str, str, str]:
    """Return what stands before the YAML, the YAML, the body, and the line between YAML and body."""
    document = Document(text)
    if document.front is None:
        return text[: document.top], "", text[document.top :], ""
    start, end = document.front
    return text[:start], text[start:end], text[document.body :], text[end : document.body]


# -- the front matter ------------------------------------------------------------------------------


def _merge_front(base: str, first: str, second: str) -> Merged:
    """Merge key by key; a side that is no YAML mapping gives way to the other."""
    try:
        olds, ours, theirs = (_entries(text) for text in (base, first, second))
    except CardError:
        return Merged(first or second)
    merged, conflicts = [], []
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        old, a, b = olds.get(key), ours.get(key), theirs.get(key)
        if _same(a, b) or _same(b, old):
            chosen = a
        elif _same(a, old):
            chosen = b
        else:
            chosen = b if a is None else a
            conflicts += [] if a is None else [key]
        merged.append(chosen or "")
    return Merged("".join(merged), tuple(conflicts))


def _same(a: str | None, b: str | None) -> bool:
    return (a or "").strip() == (b or "").strip()


def _entries(text: str) -> dict[str, str]:
    """Return key → its lines, with the comments above it; "" → what stands below the last key."""
    keys, blank = read_keys(text)
    if blank.span:
        msg = "a placeholder stands for the keys"
        raise CardError(msg)
    found: dict[str, str] = {}
    at = 0
    for name, key in sorted(keys.items(), key=lambda item: item[1].start):
        end = text.find("\n", max(key.end, key.colon))
        end = len(text) if end < 0 else end + 1
        found[name] = text[at:end] if text[at:end].endswith("\n") else text[at:end] + "\n"
        at = end
    return {**found, "": text[at:]} if text[at:].strip() else found


# -- the body --------------------------------------------------------------------------------------


def _merge_lines(base: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Merged:
    """Merge by lines, as diff3 does (Khanna, Kunal, Pierce: A formal investigation of diff3, 2007)."""
    pieces: list[str] = []
    conflicts: list[str] = []
    at = (0, 0, 0)
    for old, a, b, size in _stable(base, first, second):
        chunk = _chunk(base[at[0] : old], first[at[1] : a], second[at[2] : b])
        pieces += [chunk.text, *base[old : old + size]]
        conflicts += chunk.conflicts
        at = (old + size, a + size, b + size)
    return Merged("".join(pieces), tuple(conflicts))


def _stable(
    base: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> Iterator[tuple[int, int, int, int]]:
    """Yield runs of lines that all three have: where they begin in each, and how many; an empty one last."""
    ours = matching_blocks(base, first)
    theirs = matching_blocks(base, second)
    i = j = 0
    while i < len(ours) and j < len(theirs):
        a, b = ours[i], theirs[j]
        start, end = max(a.a, b.a), min(a.a + a.size, b.a + b.size)
        if start < end:
            yield start, a.b + start - a.a, b.b + start - b.a, end - start
        if a.a + a.size < b.a + b.size:
            i += 1
        else:
            j += 1
    yield len(base), len(first), len(second), 0


def _chunk(base: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Merged:
    """Return what becomes of lines between two stable runs."""
    if second in (first, base):
        return Merged("".join(first))
    if first == base:
        return Merged("".join(second))
    if len(base) == len(first) == len(second) > 1:
        # Neighbouring lines that were each changed by one side only are no conflict.
        lines = [_chunk([old], [a], [b]) for old, a, b in zip(base, first, second, strict=True)]
        return Merged(
            "".join(line.text for line in lines),
            tuple(lost for line in lines for lost in line.conflicts),
        )
    if not base:
        # Both put something in at the same place: nobody's words give way. What both have, in this
        # order, stands once.
        return Merged("".join(_union(first, second)))
    known = {*base, *first}
    changed = [line.strip() for line in second if line not in known and line.strip()]
    return Merged("".join(first), tuple(changed))


def _union(first: Sequence[str], second: Sequence[str]) -> Iterator[str]:
    """Yield the lines of *first*, and of *second* what it does not share with *first*."""
    a = c = 0
    for block in matching_blocks(first, second):
        replaced = a < block.a and c < block.b
        yield from first[a : block.a]
        if replaced and a > 0 and not first[a - 1].strip():
            # Two paragraphs below the same blank line stay two.
            yield first[a - 1]
        yield from second[c : block.b]
        yield from first[block.a : block.a + block.size]
        a, c = block.a + block.size, block.b + block.size
