"""Where in a card remembered texts stand now: the candidates, and which belongs to which slot.

One rule: a slot's own place decides. The text alone decides only where no other slot could have
meant the same text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from autocard.card.form.form import Form
from autocard.card.markdown.document import Document
from autocard.card.markdown.occurrences import comparable, matches, occurrences
from autocard.card.markdown.places import Place, Places
from autocard.card.markdown.slots import Slot

_DISTINCTIVE = 20
"""Characters. A written text this long is recognized wherever it stands."""


@dataclass(frozen=True)
class RememberedText:
    """A remembered text.

    Attributes:
        name: its name among the written texts.
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


Rule = Callable[[RememberedText, Candidate], bool]


class Candidates:
    """Finds remembered texts in one document, each place once."""

    def __init__(self, document: Document, form: Form, places: Places) -> None:
        """*form*: what the document asks for."""
        self._document = document
        self._form = form
        self._places = places
        self._fact_at: dict[int, str] = {}
        """Offset of a labelled slot → the fact that it asks for."""
        self._body_facts: dict[int, set[str]] = {}
        """Number of a section → the facts that its heading asks for."""
        for asked in form.asked:
            if asked.slot.kind == "body":
                self._body_facts.setdefault(asked.slot.section, set()).add(asked.fact)
            else:
                self._fact_at[asked.slot.start] = asked.fact
        self._found: dict[tuple[str, bool], list[Candidate]] = {}
        self._taken: list[Candidate] = []

    def assign(self, texts: list[RememberedText]) -> Iterator[tuple[RememberedText, Candidate]]:
        """Yield which of *texts* stands where: by its exact place first, by the text alone last."""
        left = list(texts)
        for rule in (
            _is_at_its_place,
            _is_at_its_label,
            _has_its_heading,
            _is_asked_for,
            self._is_recognized,
        ):
            found = list(self._by_rule(left, rule))
            assigned = {id(text) for text, _ in found}
            left = [text for text in left if id(text) not in assigned]
            yield from found

    def _by_rule(
        self, texts: list[RememberedText], rule: Rule
    ) -> Iterator[tuple[RememberedText, Candidate]]:
        """Yield the assignments that follow from *rule* where it allows one only."""
        groups: dict[tuple[str, bool], list[RememberedText]] = {}
        for text in texts:
            groups.setdefault((comparable(text.text), text.hidden), []).append(text)
        for (content, hidden), equal_texts in groups.items():
            for names, candidates in self._connected(content, equal_texts, rule, hidden=hidden):
                named = [text for text in equal_texts if text.name in names]
                for text, candidate in _pairs(named, candidates):
                    if self._is_free(candidate):
                        self._taken.append(candidate)
                        yield text, candidate

    def _connected(
        self, content: str, texts: list[RememberedText], rule: Rule, *, hidden: bool
    ) -> Iterator[tuple[set[str], list[Candidate]]]:
        """Yield sets of names of *texts*, and the free candidates that fit them by *rule*."""
        free = [place for place in self._places_of(content, hidden=hidden) if self._is_free(place)]
        fitting = {}
        for text in texts:
            fitting[text.name] = [candidate for candidate in free if rule(text, candidate)]
        yield from _connected_sets(fitting)

    def _is_free(self, candidate: Candidate) -> bool:
        return all(
            candidate.end <= taken.start or taken.end <= candidate.start for taken in self._taken
        )

    def _places_of(self, content: str, *, hidden: bool) -> list[Candidate]:
        """Return all places where the text *content* stands, in order."""
        key = content, hidden
        if key not in self._found:
            found = self._comments(content) if hidden else self._values(content)
            self._found[key] = sorted(found, key=lambda candidate: candidate.start)
        return self._found[key]

    def _comments(self, content: str) -> Iterator[Candidate]:
        for start, end in matches(self._document, content):
            yield Candidate(start, end, self._places.at(start))

    def _values(self, content: str) -> Iterator[Candidate]:
        slots = self._slots_by_value.get(content, [])
        for slot in slots:
            fact = self._fact_at.get(slot.start)
            facts = frozenset((fact,)) if fact else frozenset()
            yield Candidate(slot.start, slot.end, self._places.at(slot.start), slot, facts)
        slot_starts = {slot.start for slot in slots}
        for start, end in occurrences(self._document, content):
            if start not in slot_starts:
                section = self._document.section_at(start)
                asked = frozenset(self._body_facts.get(section, ()))
                yield Candidate(start, end, self._places.at(start), None, asked)

    def _is_recognized(self, text: RememberedText, candidate: Candidate) -> bool:
        """Return whether *text* is too long to stand in *candidate* by chance, and was moved there.

        Where something else stands in its own place, a person has replaced it there: this one is a
        copy.
        """
        if text.hidden:
            return True
        if candidate.slot is not None or len(text.text) < _DISTINCTIVE:
            return False
        return not self._is_occupied(text.place)

    def _is_occupied(self, place: Place | None) -> bool:
        """Return whether a text still stands in *place*, below its heading or behind its label."""
        if place is None or not place.path:
            return False
        return (place.path, place.label) in self._occupied

    @cached_property
    def _occupied(self) -> set[tuple[tuple[str, ...], str]]:
        """Paths of the headings that have text, with the labels that have a value ("": a block)."""
        starts = [slot.start for slot in self._form.labelled if slot.start < slot.end]
        for section in self._document.sections:
            starts += [block.start for block in section.blocks if block.kind != "comment"]
        places = [self._places.at(start) for start in starts]
        return {(place.path, place.label) for place in places}

    @cached_property
    def _slots_by_value(self) -> dict[str, list[Slot]]:
        """Text → the labelled slots, or the title, whose value it is."""
        titles = [asked.slot for asked in self._form.asked if asked.slot.kind == "title"]
        found: dict[str, list[Slot]] = {}
        for slot in [*self._form.labelled, *titles]:
            if slot.start < slot.end:
                value = comparable(self._document.text[slot.start : slot.end])
                found.setdefault(value, []).append(slot)
        return found


def _is_at_its_place(text: RememberedText, candidate: Candidate) -> bool:
    return text.place == candidate.place


def _is_at_its_label(text: RememberedText, candidate: Candidate) -> bool:
    """Return whether the headings and the label are the same, though not the number of the line."""
    if text.place is None:
        return False
    same_path = text.place.path == candidate.place.path
    return same_path and text.place.label == candidate.place.label


def _has_its_heading(text: RememberedText, candidate: Candidate) -> bool:
    """Return whether the nearest heading and the label are the same, in whatever section."""
    if text.place is None:
        return False
    same_heading = text.place.path[-1:] == candidate.place.path[-1:]
    return same_heading and text.place.label == candidate.place.label


def _is_asked_for(text: RememberedText, candidate: Candidate) -> bool:
    return text.hidden or text.fact in candidate.facts


def _connected_sets(
    fitting: Mapping[str, list[Candidate]],
) -> Iterator[tuple[set[str], list[Candidate]]]:
    """Yield sets of names, and the places that they fit, such that no place is in two of them."""
    left = {}
    for name, candidates in fitting.items():
        if candidates:
            left[name] = {candidate.start: candidate for candidate in candidates}
    while left:
        name, places = left.popitem()
        names, places = {name}, dict(places)
        while sharing := [other for other in left if left[other].keys() & places.keys()]:
            for other in sharing:
                names.add(other)
                places.update(left.pop(other))
        yield names, [places[start] for start in sorted(places)]


def _pairs(
    texts: list[RememberedText], candidates: list[Candidate]
) -> Iterator[tuple[RememberedText, Candidate]]:
    """Yield which of the equal *texts* stands where; nothing where two facts could be confused."""
    if len({text.fact for text in texts}) > 1:
        if len(texts) != len(candidates) or not _share_a_label(texts):
            return
        texts = sorted(texts, key=_place_order)
    yield from zip(texts, candidates, strict=False)


def _share_a_label(texts: list[RememberedText]) -> bool:
    """Return whether all *texts* stood below one heading, behind one label: their order tells."""
    labels = set()
    for text in texts:
        if text.place is None:
            return False
        labels.add((text.place.path, text.place.label))
    return len(labels) == 1


def _place_order(text: RememberedText) -> tuple[int, int]:
    return (text.place.section, text.place.number) if text.place else (0, 0)
