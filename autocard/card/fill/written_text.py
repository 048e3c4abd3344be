"""What we wrote last time → where it stands now.

One rule: a text is ours only if it stands there exactly as we wrote it, line endings apart, as a
whole value or between blank lines. Anything else is a person's.

Names in the memory: a fact's name, with #2, #3 where a form asks for it more than once; "hidden:"
and a name for a comment of ours that holds its place; "yaml:" and a key of the front matter, whose
text is JSON; "added:" and the name of a section of the outline, whose text is the heading under
which we added it; "place:" and one of these names (but no key), whose text is the place where it
stands (`Place.to_json`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from autocard.card.form import boilerplate
from autocard.card.form.asked_fact import AskedFact
from autocard.card.form.form import Form
from autocard.card.form.labels import Labels
from autocard.card.markdown.candidates import Candidate, Candidates, RememberedText
from autocard.card.markdown.document import Document, Heading
from autocard.card.markdown.places import Place, Places
from autocard.card.markdown.slots import Slot, labelled

HIDDEN = "hidden:"
YAML = "yaml:"
ADDED = "added:"
"""What the name of a heading begins with that we added, with all that stands below it."""
PLACE = "place:"
"""What the name of a place begins with, before the name of the text that stands there."""
SECTION = "section "
"""What the name of a hidden heading begins with, after "hidden:"."""
_SOME = 3
"""Texts. So many do not go by accident one by one: when all go at once, the card is another one."""
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class WrittenText:
    """A text of ours that was found.

    Attributes:
        name: its name in the memory.
        fact: the template variable.
        start: offset of its first character.
        end: offset after its last one.
        text: as it was remembered.
        slot: the labelled slot whose value it is; None: it stands between blank lines.
        asked: that slot's label asks for the fact; else only the memory knows what stands there.
        hidden: it is a comment that holds the fact's place.
    """

    name: str
    fact: str
    start: int
    end: int
    text: str
    slot: Slot | None = None
    asked: bool = True
    hidden: bool = False


@dataclass
class FoundText:
    """Where the remembered texts are.

    Attributes:
        ours: those that were found, in order.
        gone: facts whose text stands nowhere any more.
        added: number of a section that we added → its name in the outline.
        rewritten: a tool has written the whole card anew: nobody removed ours one by one.
        restored: a person has put a card of their own in the place of the one that we filled: the
            same.
    """

    ours: list[WrittenText] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    added: dict[int, str] = field(default_factory=dict)
    rewritten: bool = False
    restored: bool = False


def fact_of(name: str) -> str:
    """Return the fact that the text called *name* in the memory was written for."""
    return name.removeprefix(HIDDEN).partition("#")[0]


def is_text(name: str) -> bool:
    """Return whether *name* is that of a fact's own text: no key, no comment, no heading and no place."""
    return not name.startswith((YAML, HIDDEN, ADDED, PLACE))


def name_for(fact: str, taken: Iterable[str]) -> str:
    """Return the next free name for a text of *fact*."""
    if fact not in taken:
        return fact
    number = 2
    while f"{fact}#{number}" in taken:
        number += 1
    return f"{fact}#{number}"


def places(document: Document, labels: Labels) -> Places:
    """Return the places of *document*."""
    return Places(document, labels, list(labelled(document)))


def place_of(places: Places, name: str, offset: int) -> str:
    """Return the place of the text called *name* at *offset*, as it is kept in the memory."""
    place = places.of_heading(offset) if name.startswith(ADDED) else places.at(offset)
    return place.to_json()


def locate(
    document: Document,
    form: Form,
    places: Places,
    remembered: Mapping[str, str],
    pending: Mapping[str, str],
    *,
    is_fact: Callable[[str], bool],
    other_run: bool = False,
) -> FoundText:
    """Return where the texts that we *remembered* (or were about to write when we were cut off: *pending*) stand.

    Args:
        document: the card.
        form: what it asks for.
        places: its places.
        remembered: the memory of the last fill.
        pending: what a fill that was cut off was about to remember.
        is_fact: whether there is a fact of this name; a text for another name was never ours.
        other_run: they were written by another run than the one whose facts are at hand.
    """
    found = FoundText()
    asked = form.asked
    wanted = {name: text for name, text in remembered.items() if _may_be_ours(name, text, is_fact)}
    later = {name: text for name, text in pending.items() if _may_be_ours(name, text, is_fact)}
    candidates = Candidates(document, form, places)
    for one, there in candidates.assign(
        [_wanted(name, text, remembered) for name, text in wanted.items()]
    ):
        found.ours.append(_ours(one, there))
    names = {one.name for one in found.ours}
    found.gone = {fact_of(name) for name in wanted if name not in names}
    unseen = [_wanted(name, text, pending) for name, text in later.items() if name not in names]
    for one, there in candidates.assign(unseen):
        found.ours.append(_ours(one, there))
    found.gone -= {one.fact for one in found.ours}
    found.ours.sort(key=lambda one: one.start)
    if wanted and not found.ours and _replaced(document, asked, found.gone):
        found.rewritten = True
        found.gone.clear()
    found.added = _added(document, places, {**pending, **remembered}, found.ours)
    if not found.rewritten and _restored(
        document, wanted, {**pending, **remembered}, found, other_run=other_run
    ):
        edited = _edited(asked, found.gone)
        if 2 * len(edited) < len(found.gone):
            found.restored = True
            found.gone = edited
    return found


def _restored(
    document: Document,
    wanted: Mapping[str, str],
    remembered: Mapping[str, str],
    found: FoundText,
    *,
    other_run: bool,
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
    return not any(
        one.heading and heading_text(document, one.heading) in headings for one in document.sections
    )


def _edited(asked: list[AskedFact], gone: set[str]) -> set[str]:
    """Return the facts among *gone* in whose place a person's text stands."""
    return {
        one.fact for one in asked if one.fact in gone and one.empty is None and not one.fallback
    }


def _may_be_ours(name: str, text: str, is_fact: Callable[[str], bool]) -> bool:
    """Return whether *text* can be one that autocard wrote into a card's body: for a fact, and without headings."""
    if name.startswith((YAML, ADDED, PLACE)) or not text.strip():
        return False
    fact = fact_of(name)
    if not is_fact(fact) and not (name.startswith(HIDDEN) and fact.startswith(SECTION)):
        return False
    return len(Document(text, part=True).sections) == 1


def _wanted(name: str, text: str, memory: Mapping[str, str]) -> RememberedText:
    place = Place.from_json(memory.get(PLACE + name, ""))
    return RememberedText(name, fact_of(name), text, place, name.startswith(HIDDEN))


def _ours(one: RememberedText, there: Candidate) -> WrittenText:
    asked = one.fact in there.facts
    return WrittenText(
        one.name, one.fact, there.start, there.end, one.text, there.slot, asked, one.hidden
    )


def heading_text(document: Document, heading: Heading) -> str:
    """Return the lines of *heading*, to be compared."""
    return document.text[heading.start : heading.end].replace("\r\n", "\n").rstrip("\n")


def _added(
    document: Document, places: Places, remembered: Mapping[str, str], ours: list[WrittenText]
) -> dict[int, str]:
    """Return the sections that we added: those below our headings where something of ours stands."""
    names = [name for name in remembered if name.startswith(ADDED)]
    starts = [one.start for one in ours]
    by_heading: dict[str, list[tuple[int, Heading]]] = {}
    for number, section in enumerate(document.sections if names else ()):
        if section.heading and bisect_left(starts, section.start) < bisect_left(
            starts, section.extent
        ):
            by_heading.setdefault(heading_text(document, section.heading), []).append(
                (number, section.heading)
            )
    added: dict[int, str] = {}
    for name in names:
        alike = by_heading.get(remembered[name], [])
        place = Place.from_json(remembered.get(PLACE + name, ""))
        exact = [one for one in alike if place and places.of_heading(one[1].start) == place]
        only = alike if len(alike) == 1 or place is None else []
        for one in (exact or only)[:1]:
            alike.remove(one)
            added[one[0]] = fact_of(name.removeprefix(ADDED))
    return added


def _replaced(document: Document, asked: list[AskedFact], gone: set[str]) -> bool:
    """Return whether the card looks like one that a tool has just written, rather than one that a person cleared."""
    if boilerplate.is_trainer_card(document.text):
        return True
    empty = [
        one.empty for one in asked if one.fact in gone and one.empty is not None and not one.blank
    ]
    # Nobody types a tool's own sentences where ours stood.
    return len(empty) > 1 or any(one.notation == "generated" for one in empty)
