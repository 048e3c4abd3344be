"""What we wrote last time → where it stands now.

One rule: a text is ours only if it stands there exactly as we wrote it, line endings apart, as a whole value or between
blank lines. Anything else is a person's.

Names in the memory: a fact's name, with #2, #3 where a form asks for it more than once; "hidden:" and a name for a
comment of ours that holds its place; "yaml:" and a key of the front matter, whose text is JSON.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from autocard.card.document import Document
from autocard.card.form import Asked
from autocard.card.placeholders import SIGNATURES
from autocard.card.slots import Slot

HIDDEN = "hidden:"
YAML = "yaml:"
SECTION = "section "
"""What the name of a hidden heading begins with, after "hidden:"."""
_TELLING = 20
"""Characters. A text of ours this long is known again wherever it stands."""


@dataclass(frozen=True)
class Ours:
    """A text of ours that was found.

    Attributes:
        fact: the template variable.
        start: offset of its first character.
        end: offset after its last one.
        text: as it was remembered.
        slot: the labelled slot whose value it is; None: it stands between blank lines.
        hidden: it is a comment that holds the fact's place.
    """

    fact: str
    start: int
    end: int
    text: str
    slot: Slot | None = None
    hidden: bool = False


@dataclass
class Found:
    """Where the remembered texts are.

    Attributes:
        ours: those that were found, in order.
        gone: facts whose text stands nowhere any more.
    """

    ours: list[Ours] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)


def fact_of(name: str) -> str:
    """Return the fact that the text called *name* in the memory was written for."""
    return name.removeprefix(HIDDEN).partition("#")[0]


def name_for(fact: str, taken: Iterable[str]) -> str:
    """Return the next free name for a text of *fact*."""
    if fact not in taken:
        return fact
    number = 2
    while f"{fact}#{number}" in taken:
        number += 1
    return f"{fact}#{number}"


def locate(
    document: Document,
    asked: list[Asked],
    remembered: Mapping[str, str],
    pending: Mapping[str, str],
) -> Found:
    """Return where the texts that we *remembered* (or were about to write when we were cut off: *pending*) stand."""
    found = Found()
    used: set[int] = set()
    wanted = {name: text for name, text in remembered.items() if not name.startswith(YAML) and text.strip()}
    for source, counts in ((wanted, True), (pending, False)):
        for name, text in source.items():
            if name.startswith(YAML) or not text.strip():
                continue
            one = _find(document, asked, name, text, used)
            if one is not None:
                used.add(one.start)
                found.ours.append(one)
            elif counts:
                found.gone.add(fact_of(name))
    found.gone -= {one.fact for one in found.ours}
    found.ours.sort(key=lambda one: one.start)
    if wanted and not found.ours and _replaced(document, asked, found.gone):
        # Another tool has written the whole card anew: nobody removed our lines one by one.
        found.gone.clear()
    return found


def same(a: str, b: str) -> bool:
    """Return whether two texts differ in line endings at most."""
    return a.replace("\r\n", "\n").strip() == b.replace("\r\n", "\n").strip()


def _find(document: Document, asked: list[Asked], name: str, text: str, used: set[int]) -> Ours | None:
    fact = fact_of(name)
    if name.startswith(HIDDEN):
        at = document.text.find(text, document.body)
        while at in used:
            at = document.text.find(text, at + 1)
        return Ours(fact, at, at + len(text), text, None, hidden=True) if at >= 0 else None
    bodies = []
    for one in asked:
        slot = one.slot
        if one.fact != fact:
            continue
        if slot.kind == "body":
            bodies.append(document.sections[slot.section])
        elif slot.start not in used and same(one.value, text):
            return Ours(fact, slot.start, slot.end, text, slot)
    for start, end in occurrences(document, text):
        # A short text may stand elsewhere by chance; where a heading asks for it, it does not.
        below = any(section.start <= start and end <= section.end for section in bodies)
        if start not in used and (below or len(text) >= _TELLING):
            return Ours(fact, start, end, text)
    return None


def occurrences(document: Document, text: str) -> Iterator[tuple[int, int]]:
    """Yield where *text* stands in the body as whole lines, between blank lines, headings or comments."""
    if not text.strip():
        return
    variants = {text, text.replace("\n", "\r\n")} if "\n" in text else {text}
    for variant in sorted(variants):
        at = document.text.find(variant, document.body)
        while at >= 0:
            if _stands_alone(document, at, at + len(variant)):
                yield at, at + len(variant)
            at = document.text.find(variant, at + len(variant))


def _stands_alone(document: Document, start: int, end: int) -> bool:
    text = document.text
    if start > document.body and text[start - 1] != "\n":
        return False
    after = text.find("\n", end)
    rest = text[end : len(text) if after < 0 else after].strip()
    if rest and not rest.startswith("<!--"):
        return False
    line = document.body_line(start)
    if line > 0:
        above = text[document.offset(line - 1) : document.line_end(line - 1)].rstrip()
        if above.strip() and not above.endswith("-->") and not _is_heading_end(document, start):
            return False
    if after < 0 or rest:
        return True
    below = text[after + 1 : document.line_end(document.body_line(after + 1))]
    return not below.strip() or below.lstrip().startswith("<!--") or _is_heading_start(document, after + 1)


def _is_heading_end(document: Document, offset: int) -> bool:
    index = bisect_left(document.sections, offset, key=lambda section: section.start)
    return index < len(document.sections) and document.sections[index].start == offset


def _is_heading_start(document: Document, offset: int) -> bool:
    index = bisect_left(document.sections, offset, key=lambda section: section.end)
    return index < len(document.sections) and document.sections[index].end == offset


def _replaced(document: Document, asked: list[Asked], gone: set[str]) -> bool:
    """Return whether the card looks like one that a tool has just written, rather than one that a person cleared."""
    if any(signature in document.text for signature in SIGNATURES):
        return True
    return sum(one.fact in gone and one.empty is not None and not one.blank for one in asked) > 1
