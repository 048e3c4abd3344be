"""Two versions of one card that were edited apart → one card with both edits.

One rule: what one side changed and the other did not is taken; where both changed the same lines,
or the same key of the front matter, the first side's stand, and the others are reported. Lines and
keys are moved whole, never rewritten.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autocard.card.diff import matching_blocks
from autocard.card.front.yaml_keys import read_keys
from autocard.card.markdown.document import Document
from autocard.errors import CardError

_FENCE = "---\n"


@dataclass(frozen=True)
class Merged:
    """A merged card.

    Attributes:
        text: the card.
        conflicts: lines (or keys of the front matter) of the second side that were dropped, in
            order.
    """

    text: str
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Parts:
    """The parts of a card, whose texts together are the card.

    Attributes:
        head: what stands before the YAML.
        front: the YAML.
        fence: the line between YAML and body.
        body: the Markdown.
    """

    head: str
    front: str
    fence: str
    body: str


def merge(base: str | None, first: str, second: str) -> Merged:
    """Return *first* with what *second* changed since *base*.

    Args:
        base: what both were made from; None: not known, then what they have in common stands for
            it.
        first: the side whose text stands where both changed the same place.
        second: the other side.
    """
    if base is None:
        base = _common_lines(first, second)
    if first in (base, second):
        return Merged(second)
    if base == second:
        return Merged(first)
    old, a, b = _parts(base), _parts(first), _parts(second)
    front = _merge_front(old.front, a.front, b.front)
    body = _merge_lines(_lines(old.body), _lines(a.body), _lines(b.body))
    default_fence = _FENCE if front.text else ""
    head, fence = a.head or default_fence, a.fence or default_fence
    return Merged(head + front.text + fence + body.text, front.conflicts + body.conflicts)


def add_missing_keys(first: str, second: str) -> str:
    """Return *first* with those keys of *second*'s front matter that it does not have.

    Args:
        first: a card, whose body and own keys stay as they are.
        second: another card that was not made from the same one, as far as is known.
    """
    parts = _parts(first)
    merged = _merge_front("", parts.front, _parts(second).front)
    if merged.text == parts.front or not merged.text:
        return first
    head, fence = parts.head or _FENCE, parts.fence or f"{_FENCE}\n"
    return head + merged.text + fence + parts.body


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def _common_lines(first: str, second: str) -> str:
    """Return the lines that both have, in order.

    With them as the base, neither side has removed a line.
    """
    lines = _lines(first)
    common: list[str] = []
    for block in matching_blocks(lines, _lines(second)):
        common += lines[block.a : block.a + block.size]
    return "".join(common)


def _parts(text: str) -> _Parts:
    document = Document(text)
    if document.front is None:
        return _Parts(text[: document.top], "", "", text[document.top :])
    start, end = document.front
    return _Parts(text[:start], text[start:end], text[end : document.body], text[document.body :])


# -- the front matter ------------------------------------------------------------------------------


def _merge_front(base: str, first: str, second: str) -> Merged:
    """Merge key by key; if a side is no YAML mapping, the other one is taken."""
    try:
        old, a, b = _entries(base), _entries(first), _entries(second)
    except CardError:
        return Merged(first or second)
    merged, conflicts = [], []
    for key in [*a, *(key for key in b if key not in a)]:
        if _is_conflict(old.get(key), a.get(key), b.get(key)):
            conflicts.append(key)
        merged.append(_chosen_entry(old.get(key), a.get(key), b.get(key)) or "")
    return Merged("".join(merged), tuple(conflicts))


def _chosen_entry(old: str | None, a: str | None, b: str | None) -> str | None:
    """Return the entry of the side that changed it; of the first side, if both did."""
    if _is_equal(a, b) or _is_equal(b, old):
        return a
    if _is_equal(a, old):
        return b
    return b if a is None else a


def _is_conflict(old: str | None, a: str | None, b: str | None) -> bool:
    """Return whether both sides changed an entry, and the second side's is dropped."""
    return a is not None and not (_is_equal(a, b) or _is_equal(b, old) or _is_equal(a, old))


def _is_equal(a: str | None, b: str | None) -> bool:
    return (a or "").strip() == (b or "").strip()


def _entries(text: str) -> dict[str, str]:
    """Return key → its lines, with the comments above it; "" → what stands below the last key."""
    keys, blank = read_keys(text)
    if blank.span:
        msg = "a placeholder stands for the keys"
        raise CardError(msg)
    found: dict[str, str] = {}
    position = 0
    for name, key in sorted(keys.items(), key=lambda item: item[1].start):
        newline = text.find("\n", max(key.end, key.colon))
        end = len(text) if newline < 0 else newline + 1
        entry = text[position:end]
        found[name] = entry if entry.endswith("\n") else entry + "\n"
        position = end
    rest = text[position:]
    return {**found, "": rest} if rest.strip() else found


# -- the body --------------------------------------------------------------------------------------


def _merge_lines(base: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Merged:
    """Merge by lines, as diff3 does.

    Khanna, Kunal, Pierce: A formal investigation of diff3, 2007.
    """
    pieces: list[str] = []
    conflicts: list[str] = []
    old = a = b = 0
    for run in _stable_runs(base, first, second):
        chunk = _merge_chunk(base[old : run.old], first[a : run.a], second[b : run.b])
        pieces += [chunk.text, *base[run.old : run.old + run.size]]
        conflicts += chunk.conflicts
        old, a, b = run.old + run.size, run.a + run.size, run.b + run.size
    return Merged("".join(pieces), tuple(conflicts))


@dataclass(frozen=True)
class _Run:
    """Lines that the base and both sides have: where they begin in each, and how many."""

    old: int
    a: int
    b: int
    size: int


def _stable_runs(
    base: Sequence[str], first: Sequence[str], second: Sequence[str]
) -> Iterator[_Run]:
    """Yield the runs of lines that all three have, in order; an empty one last."""
    first_blocks = matching_blocks(base, first)
    second_blocks = matching_blocks(base, second)
    i = j = 0
    while i < len(first_blocks) and j < len(second_blocks):
        a, b = first_blocks[i], second_blocks[j]
        start, end = max(a.a, b.a), min(a.a + a.size, b.a + b.size)
        if start < end:
            yield _Run(start, a.b + start - a.a, b.b + start - b.a, end - start)
        if a.a + a.size < b.a + b.size:
            i += 1
        else:
            j += 1
    yield _Run(len(base), len(first), len(second), 0)


def _merge_chunk(base: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Merged:
    """Return what becomes of lines between two stable runs."""
    if second in (first, base):
        return Merged("".join(first))
    if first == base:
        return Merged("".join(second))
    if len(base) == len(first) == len(second) > 1:
        return _merge_each_line(base, first, second)
    if not base:
        # Both inserted something at the same place: both texts stay. What both have, in this
        # order, stands once.
        return Merged("".join(_union(first, second)))
    known = {*base, *first}
    dropped = [line.strip() for line in second if line not in known]
    return Merged("".join(first), tuple(line for line in dropped if line))


def _merge_each_line(base: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Merged:
    """Merge line by line: neighboring lines that one side changed each are no conflict."""
    text = ""
    conflicts: tuple[str, ...] = ()
    for old, a, b in zip(base, first, second, strict=True):
        line = _merge_chunk([old], [a], [b])
        text += line.text
        conflicts += line.conflicts
    return Merged(text, conflicts)


def _union(first: Sequence[str], second: Sequence[str]) -> Iterator[str]:
    """Yield the lines of *first*, and those of *second* that it does not share with *first*."""
    a = b = 0
    for block in matching_blocks(first, second):
        is_replaced = a < block.a and b < block.b
        yield from first[a : block.a]
        if is_replaced and a > 0 and not first[a - 1].strip():
            # Two paragraphs below the same blank line stay two.
            yield first[a - 1]
        yield from second[b : block.b]
        yield from first[block.a : block.a + block.size]
        a, b = block.a + block.size, block.b + block.size
