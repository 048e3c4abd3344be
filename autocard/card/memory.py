"""What we wrote last time → where it stands now.

One rule: a text is ours only if it stands there exactly as we wrote it, line endings apart, as a whole value or between
blank lines. Anything else is a person's.

Names in the memory: a fact's name, with #2, #3 where a form asks for it more than once; "hidden:" and a name for a
comment of ours that holds its place; "yaml:" and a key of the front matter, whose text is JSON; "added:" and the name
of a section of the outline, whose text is the heading under which we added it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from autocard.card import generated
from autocard.card.document import Document, Heading
from autocard.card.form import Asked
from autocard.card.slots import Slot

HIDDEN = "hidden:"
YAML = "yaml:"
ADDED = "added:"
"""What the name of a heading begins with that we added, with all that stands below it."""
SECTION = "section "
"""What the name of a hidden heading begins with, after "hidden:"."""
_SOME = 3
"""Texts. So many do not go by accident one by one: when all go at once, the card is another one."""
_NEARLY_ALL = 0.9
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
        added: number of a section that we added → its name in the outline.
        rewritten: a tool has written the whole card anew: nobody removed ours one by one.
        restored: a person has put a card of their own in the place of the one that we filled: the same.
    """

    ours: list[Ours] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    added: dict[int, str] = field(default_factory=dict)
    rewritten: bool = False
    restored: bool = False


def fact_of(name: str) -> str:
    """Return the fact that the text called *name* in the memory was written for."""
    return name.removeprefix(HIDDEN).partition("#")[0]


def is_text(name: str) -> bool:
    """Return whether *name* is that of a fact's own text: no key, no comment and no heading."""
    return not name.startswith((YAML, HIDDEN, ADDED))


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
    *,
    other_run: bool = False,
) -> Found:
    """Return where the texts that we *remembered* (or were about to write when we were cut off: *pending*) stand.

    *other_run*: they were written by another run than the one whose facts are at hand.
    """
    found = Found()
    used: set[int] = set()
    wanted = {name: text for name, text in remembered.items() if _stands(name, text)}
    for source, counts in ((wanted, True), (pending, False)):
        for name, text in source.items():
            if not _stands(name, text):
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
        found.rewritten = True
        found.gone.clear()
    found.added = _added(document, {**pending, **remembered}, found.ours)
    if not found.rewritten and _restored(document, wanted, {**pending, **remembered}, found, other_run=other_run):
        edited = _edited(asked, found.gone)
        if 2 * len(edited) < len(found.gone):
            found.restored = True
            found.gone = edited
    return found


def _restored(
    document: Document, wanted: Mapping[str, str], remembered: Mapping[str, str], found: Found, *, other_run: bool
) -> bool:
    """Return whether what we wrote went with the card it stood in, rather than text by text."""
    if not found.gone:
        return False
    if not found.ours:
        return other_run or len(wanted) >= _SOME
    if len(wanted) < _SOME or len(found.ours) > (1 - _NEARLY_ALL) * len(wanted):
        return False
    # A person's own card may say one thing as we do; it does not have our headings.
    headings = {text for name, text in remembered.items() if name.startswith(ADDED)}
    return not any(one.heading and heading_text(document, one.heading) in headings for one in document.sections)


def _edited(asked: list[Asked], gone: set[str]) -> set[str]:
    """Return the facts among *gone* in whose place a person's text stands."""
    return {one.fact for one in asked if one.fact in gone and one.empty is None and not one.fallback}


def _stands(name: str, text: str) -> bool:
    return not name.startswith((YAML, ADDED)) and bool(text.strip())


def heading_text(document: Document, heading: Heading) -> str:
    """Return the lines of *heading*, to be compared."""
    return document.text[heading.start : heading.end].replace("\r\n", "\n").rstrip("\n")


def _added(document: Document, remembered: Mapping[str, str], ours: list[Ours]) -> dict[int, str]:
    """Return the sections that we added: those below our headings where something of ours stands."""
    wanted: dict[str, list[str]] = {}
    for name, text in remembered.items():
        if name.startswith(ADDED):
            wanted.setdefault(text, []).append(fact_of(name.removeprefix(ADDED)))
    starts = [one.start for one in ours]
    added: dict[int, str] = {}
    for number, section in enumerate(document.sections if wanted else ()):
        if section.heading is None:
            continue
        names = wanted.get(heading_text(document, section.heading))
        if names and bisect_left(starts, section.start) < bisect_left(starts, section.extent):
            added[number] = names.pop(0)
    return added


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
    if generated.wrote(document.text):
        return True
    empty = [one.empty for one in asked if one.fact in gone and one.empty is not None and not one.blank]
    # Nobody types a tool's own sentences where ours stood.
    return len(empty) > 1 or any(one.notation == "generated" for one in empty)
