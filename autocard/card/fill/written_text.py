"""The texts that autocard wrote last time, and where they stand now.

One rule: a text is ours only if it stands there exactly as we wrote it, line endings apart, as a
whole value or between blank lines. Anything else is a person's.

Names of written texts: a fact's name, with #2, #3 where a form asks for it more than once;
"hidden:" and a name for the comment that we put in its place; "yaml:" and a key of the front
matter, whose text is JSON; "added:" and the name of a section of the outline, whose text is the
heading under which we added it; "place:" and one of these names (but no key), whose text is the
place where it stands (`Place.to_json`); "was:" and one of these names, whose text is what stood in
that place before: the form's placeholder, or nothing; "left out:" and the name of a fact or key
that is not wanted now, whose text is what to write when it is.
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
WAS = "was:"
"""What the name of a placeholder begins with, before the name of the text that replaced it."""
WHOLE_LINE = "\n"
"""What is remembered as the placeholder of a value whose labelled line we added ourselves."""
NO_FRONT = WAS + "front matter"
"""Name of the text that stood in the place of a front matter which we made: nothing."""
LEFT_OUT = "left out:"
"""What the name of a fact or key begins with whose text we removed because it is not wanted."""
SECTION = "section "
"""What the name of a hidden heading begins with, after "hidden:"."""
_SEVERAL = 3
"""Texts. So many do not disappear one by one: if all are gone at once, it is another card."""
_NEARLY_ALL = 0.9


@dataclass(frozen=True)
class WrittenText:
    """A written text that was found.

    Attributes:
        name: its name among the written texts.
        fact: the template variable.
        start: offset of its first character.
        end: offset after its last one.
        text: as it was remembered.
        slot: the labelled slot whose value it is; None: it stands between blank lines.
        asked: that slot's label asks for the fact; otherwise only the memory links the two.
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
        rewritten: a tool has written the whole card again: no person removed our texts.
        restored: a person has put another card in the place of the one that we filled: the same.
    """

    ours: list[WrittenText] = field(default_factory=list)
    gone: set[str] = field(default_factory=set)
    added: dict[int, str] = field(default_factory=dict)
    rewritten: bool = False
    restored: bool = False


def fact_of(name: str) -> str:
    """Return the fact that the written text called *name* belongs to."""
    return name.removeprefix(HIDDEN).partition("#")[0]


def is_text(name: str) -> bool:
    """Return whether *name* is that of a fact's own text: no key, comment, heading or place."""
    return not name.startswith((YAML, HIDDEN, ADDED, PLACE, WAS, LEFT_OUT))


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
    """Return the place of the text called *name* at *offset*, as the record keeps it."""
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
    """Return where the *remembered* and *pending* texts stand.

    Args:
        document: the card.
        form: what it asks for.
        places: its places.
        remembered: the texts of the last fill.
        pending: the texts of a fill that was interrupted.
        is_fact: whether there is a fact of this name; a text for another name was never ours.
        other_run: they were written by another run than the one whose facts are at hand.
    """
    candidates = Candidates(document, form, places)
    wanted = _body_texts(remembered, is_fact)
    written = [_found_text(*pair) for pair in candidates.assign(wanted)]
    found_names = {text.name for text in written}
    missing = {fact_of(text.name) for text in wanted if text.name not in found_names}
    interrupted = [text for text in _body_texts(pending, is_fact) if text.name not in found_names]
    written += [_found_text(*pair) for pair in candidates.assign(interrupted)]
    missing -= {text.fact for text in written}
    written.sort(key=lambda text: text.start)

    found = FoundText(ours=written, gone=missing)
    if wanted and not written and _is_rewritten(document, form.asked, missing):
        found.rewritten = True
        found.gone = set()
    known = {**pending, **remembered}
    found.added = _added_sections(document, places, known, written)
    if not found.rewritten and _is_other_card(
        document, len(wanted), known, found, other_run=other_run
    ):
        edited = _edited_facts(form.asked, found.gone)
        if 2 * len(edited) < len(found.gone):
            found.restored = True
            found.gone = edited
    return found


def _is_other_card(
    document: Document,
    wanted: int,
    remembered: Mapping[str, str],
    found: FoundText,
    *,
    other_run: bool,
) -> bool:
    """Return whether our texts went with the card they stood in, rather than one by one.

    *wanted*: how many of them were looked for.
    """
    if not found.gone:
        return False
    if not found.ours:
        return other_run or wanted >= _SEVERAL
    if wanted < _SEVERAL or len(found.ours) > (1 - _NEARLY_ALL) * wanted:
        return False
    # A person's own card may have one of our sentences by chance, but not our headings.
    ours = {text for name, text in remembered.items() if name.startswith(ADDED)}
    headings = [section.heading for section in document.sections if section.heading]
    return ours.isdisjoint(heading_text(document, heading) for heading in headings)


def _edited_facts(asked: list[AskedFact], gone: set[str]) -> set[str]:
    """Return the facts among *gone* in whose place a person's text stands."""
    with_text = [each for each in asked if each.empty is None and not each.fallback]
    return {each.fact for each in with_text} & gone


def _body_texts(
    remembered: Mapping[str, str], is_fact: Callable[[str], bool]
) -> list[RememberedText]:
    """Return those of the *remembered* texts that autocard can have written into a card's body."""
    texts = []
    for name, text in remembered.items():
        if _may_be_ours(name, text, is_fact):
            place = Place.from_json(remembered.get(PLACE + name, ""))
            is_hidden = name.startswith(HIDDEN)
            texts.append(RememberedText(name, fact_of(name), text, place, is_hidden))
    return texts


def _may_be_ours(name: str, text: str, is_fact: Callable[[str], bool]) -> bool:
    """Return whether *text* can be one that autocard wrote: for a fact, and without headings."""
    if name.startswith((YAML, ADDED, PLACE, WAS, LEFT_OUT)) or not text.strip():
        return False
    fact = fact_of(name)
    is_hidden_heading = name.startswith(HIDDEN) and fact.startswith(SECTION)
    if not is_fact(fact) and not is_hidden_heading:
        return False
    return len(Document(text, part=True).sections) == 1


def _found_text(text: RememberedText, candidate: Candidate) -> WrittenText:
    return WrittenText(
        text.name,
        text.fact,
        candidate.start,
        candidate.end,
        text.text,
        candidate.slot,
        asked=text.fact in candidate.facts,
        hidden=text.hidden,
    )


def heading_text(document: Document, heading: Heading) -> str:
    """Return the lines of *heading*, to be compared."""
    return document.text[heading.start : heading.end].replace("\r\n", "\n").rstrip("\n")


def _added_sections(
    document: Document, places: Places, remembered: Mapping[str, str], ours: list[WrittenText]
) -> dict[int, str]:
    """Return the sections that we added: those below our headings where a written text stands."""
    names = [name for name in remembered if name.startswith(ADDED)]
    if not names:
        return {}
    by_heading = _sections_with_texts(document, ours)
    added: dict[int, str] = {}
    for name in names:
        alike = by_heading.get(remembered[name], [])
        place = Place.from_json(remembered.get(PLACE + name, ""))
        number = _section_at_place(document, places, alike, place)
        if number is not None:
            alike.remove(number)
            added[number] = fact_of(name.removeprefix(ADDED))
    return added


def _sections_with_texts(document: Document, ours: list[WrittenText]) -> dict[str, list[int]]:
    """Return heading → the numbers of the sections with it in which a written text stands."""
    starts = [text.start for text in ours]
    found: dict[str, list[int]] = {}
    for number, section in enumerate(document.sections):
        first, after = bisect_left(starts, section.start), bisect_left(starts, section.extent)
        if section.heading and first < after:
            found.setdefault(heading_text(document, section.heading), []).append(number)
    return found


def _section_at_place(
    document: Document, places: Places, numbers: list[int], place: Place | None
) -> int | None:
    """Return which of the sections *numbers*, whose headings are equal, stands at *place*."""
    if place is None:
        return next(iter(numbers), None)
    for number in numbers:
        heading = document.sections[number].heading
        if heading and places.of_heading(heading.start) == place:
            return number
    # It was moved: it can still be recognized if it is the only one.
    return numbers[0] if len(numbers) == 1 else None


def _is_rewritten(document: Document, asked: list[AskedFact], gone: set[str]) -> bool:
    """Return whether a tool has just written the card, rather than a person cleared it."""
    if boilerplate.is_trainer_card(document.text):
        return True
    placeholders = [
        each.empty
        for each in asked
        if each.fact in gone and each.empty is not None and not each.blank
    ]
    # People do not type a tool's own sentences where ours stood.
    return len(placeholders) > 1 or any(
        placeholder.notation == "generated" for placeholder in placeholders
    )
