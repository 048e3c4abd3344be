"""Where in a card a remembered text stands now: candidates, and which of them belongs to which slot.

One rule: a slot's own place decides. The text alone decides only where no other slot could have
meant the same text.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from autocard.card.form.form import Form
from autocard.card.markdown.document import Document
from autocard.card.markdown.places import Place, Places
from autocard.card.markdown.slots import Slot

_TELLING = 20
"""Characters. A text of ours this long is known again wherever it stands."""


@dataclass(frozen=True)
class Wanted:
    """A remembered text.

    Attributes:
        name: its name in the memory.
        fact: the template variable.
        text: as it was remembered.
        place: where it stood; None: that was not remembered.
        hidden: it is a comment that holds the fact's place.
    """

    name: str
    fact: str
    text: str
    place: Place | None
    hidden: bool


@dataclass(frozen=True)
class Candidate:
    """A place in the card where a remembered text stands.

    Attributes:
        start: offset of its first character.
        end: offset after its last one.
        place: where that is.
        slot: the labelled slot whose value it is; None: it stands between blank lines.
        facts: what the slot, or the heading above it, asks for.
    """

    start: int
    end: int
    place: Place
    slot: Slot | None = None
    facts: frozenset[str] = frozenset()


Rule = Callable[[Wanted, Candidate], bool]


class Candidates:
    """Finds remembered texts in one document, each place once."""

    def __init__(self, document: Document, form: Form, places: Places) -> None:
        """*form*: what the document asks for."""
        self._document = document
        self._form = form
        self._places = places
        self._asked_at = {one.slot.start: one.fact for one in form.asked if one.slot.kind != "body"}
        self._bodies: dict[int, set[str]] = {}
        for one in form.asked:
            if one.slot.kind == "body":
                self._bodies.setdefault(one.slot.section, set()).add(one.fact)
        self._known: dict[tuple[str, bool], list[Candidate]] = {}
        self._taken: list[tuple[int, int]] = []

    def settle(self, wanted: list[Wanted]) -> Iterator[tuple[Wanted, Candidate]]:
        """Yield which text of *wanted* stands where: by its exact place first, by its text alone last."""
        left = list(wanted)
        for rule in (
            _is_at_its_place,
            _is_at_its_label,
            _has_its_heading,
            _is_asked_for,
            self._is_known_again,
        ):
            found = list(self._by_rule(left, rule))
            settled = {id(one) for one, _ in found}
            left = [one for one in left if id(one) not in settled]
            yield from found

    def _by_rule(self, wanted: list[Wanted], rule: Rule) -> Iterator[tuple[Wanted, Candidate]]:
        """Yield what *rule* says, where it says one thing only."""
        groups: dict[tuple[str, bool], list[Wanted]] = {}
        for one in wanted:
            groups.setdefault((_comparable(one.text), one.hidden), []).append(one)
        for (text, hidden), ones in groups.items():
            free = [there for there in self._of(text, hidden=hidden) if self._is_free(there)]
            fitting = {one.name: [there for there in free if rule(one, there)] for one in ones}
            for names, places in _connected(fitting):
                same_text = [one for one in ones if one.name in names]
                for one, there in _pairs(same_text, places):
                    if self._is_free(there):
                        self._taken.append((there.start, there.end))
                        yield one, there

    def _is_free(self, there: Candidate) -> bool:
        return all(there.end <= start or end <= there.start for start, end in self._taken)

    def _of(self, text: str, *, hidden: bool) -> list[Candidate]:
        """Return all places where *text* stands, in order."""
        key = text, hidden
        if key not in self._known:
            found = self._comments(text) if hidden else self._values(text)
            self._known[key] = sorted(found, key=lambda one: one.start)
        return self._known[key]

    def _comments(self, text: str) -> Iterator[Candidate]:
        for variant in _variants(text):
            at = self._document.text.find(variant, self._document.body)
            while at >= 0:
                yield Candidate(at, at + len(variant), self._places.at(at))
                at = self._document.text.find(variant, at + len(variant))

    def _values(self, text: str) -> Iterator[Candidate]:
        values = self._slots_by_value.get(text, ())
        for slot in values:
            fact = self._asked_at.get(slot.start)
            facts = frozenset((fact,)) if fact else frozenset()
            yield Candidate(slot.start, slot.end, self._places.at(slot.start), slot, facts)
        starts = {slot.start for slot in values}
        for start, end in occurrences(self._document, text):
            if start not in starts:
                asked = frozenset(self._bodies.get(self._document.section_at(start), ()))
                yield Candidate(start, end, self._places.at(start), None, asked)

    def _is_known_again(self, one: Wanted, there: Candidate) -> bool:
        """Return whether a text between blank lines is long enough not to be there by chance, and was moved there.

        Where something else stands in its own place, a person has replaced it there: this one is a
        copy.
        """
        if one.hidden:
            return True
        return there.slot is None and len(one.text) >= _TELLING and not self._is_replaced(one.place)

    def _is_replaced(self, place: Place | None) -> bool:
        """Return whether there is still a text in *place*, below its heading or behind its label."""
        return (
            place is not None and bool(place.path) and (place.path, place.label) in self._occupied
        )

    @cached_property
    def _occupied(self) -> set[tuple[tuple[str, ...], str]]:
        """The headings that something stands below, and with them the labels that a value stands behind."""
        blocks = [
            block
            for section in self._document.sections
            for block in section.blocks
            if block.kind != "comment"
        ]
        starts = [block.start for block in blocks]
        starts += [slot.start for slot in self._form.labelled if slot.start < slot.end]
        places = [self._places.at(start) for start in starts]
        return {(place.path, place.label) for place in places}

    @cached_property
    def _slots_by_value(self) -> dict[str, list[Slot]]:
        titles = [one.slot for one in self._form.asked if one.slot.kind == "title"]
        found: dict[str, list[Slot]] = {}
        for slot in [*self._form.labelled, *titles]:
            if slot.start < slot.end:
                found.setdefault(
                    _comparable(self._document.text[slot.start : slot.end]), []
                ).append(slot)
        return found


def _is_at_its_place(one: Wanted, there: Candidate) -> bool:
    return one.place == there.place


def _is_at_its_label(one: Wanted, there: Candidate) -> bool:
    place = one.place
    return place is not None and place.path == there.place.path and place.label == there.place.label


def _has_its_heading(one: Wanted, there: Candidate) -> bool:
    place = one.place
    return (
        place is not None
        and place.path[-1:] == there.place.path[-1:]
        and place.label == there.place.label
    )


def _is_asked_for(one: Wanted, there: Candidate) -> bool:
    return one.hidden or one.fact in there.facts


def _connected(
    fitting: Mapping[str, list[Candidate]],
) -> Iterator[tuple[set[str], list[Candidate]]]:
    """Yield sets of names, and the places that they fit, such that no place is in two of them."""
    left = {
        name: {there.start: there for there in places} for name, places in fitting.items() if places
    }
    while left:
        name, places = left.popitem()
        names, places = {name}, dict(places)
        while more := [other for other, theirs in left.items() if theirs.keys() & places.keys()]:
            for other in more:
                names.add(other)
                places.update(left.pop(other))
        yield names, [places[start] for start in sorted(places)]


def _pairs(wanted: list[Wanted], places: list[Candidate]) -> Iterator[tuple[Wanted, Candidate]]:
    """Yield which of the equal texts *wanted* stands where; nothing where different facts could change places."""
    if len({one.fact for one in wanted}) > 1:
        paths = {(one.place.path, one.place.label) if one.place else None for one in wanted}
        if len(paths) > 1 or None in paths or len(wanted) != len(places):
            return
        wanted = sorted(
            wanted, key=lambda one: (one.place.section, one.place.number) if one.place else (0, 0)
        )
    yield from zip(wanted, places, strict=False)


def _comparable(text: str) -> str:
    return text.replace("\r\n", "\n").strip()


def same(a: str, b: str) -> bool:
    """Return whether two texts differ in line endings at most."""
    return _comparable(a) == _comparable(b)


def _variants(text: str) -> list[str]:
    return sorted({text, text.replace("\n", "\r\n")})


def occurrences(document: Document, text: str) -> Iterator[tuple[int, int]]:
    """Yield where *text* stands in the body as whole lines, between blank lines, headings or comments."""
    if not text.strip():
        return
    for variant in _variants(text):
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
    return (
        not below.strip()
        or below.lstrip().startswith("<!--")
        or _is_heading_start(document, after + 1)
    )


def _is_heading_end(document: Document, offset: int) -> bool:
    index = bisect_left(document.sections, offset, key=lambda section: section.start)
    return index < len(document.sections) and document.sections[index].start == offset


def _is_heading_start(document: Document, offset: int) -> bool:
    index = bisect_left(document.sections, offset, key=lambda section: section.end)
    return index < len(document.sections) and document.sections[index].end == offset
