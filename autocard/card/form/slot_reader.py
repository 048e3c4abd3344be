"""Values, placeholders and generated text in the slots of one document, told apart."""

from __future__ import annotations

from autocard.card.form import boilerplate, placeholders
from autocard.card.form.boilerplate import Surroundings
from autocard.card.form.labels import Labels
from autocard.card.form.placeholders import Placeholder
from autocard.card.markdown.document import Document


class SlotReader:
    """Tells values from placeholders and generated text in one document."""

    def __init__(self, document: Document, labels: Labels) -> None:
        """*labels*: the table whose variables and placeholders count."""
        self.document = document
        self.labels = labels
        self._surroundings: dict[int, Surroundings] = {}

    def placeholder(self, value: str) -> Placeholder | None:
        """Return what kind of placeholder *value* is, or None."""
        labels = self.labels
        return placeholders.find(value, labels.names, self.document.references, labels.placeholders)

    def empty(self, value: str, section: int, fact: str = "") -> Placeholder | None:
        """Return what kind of placeholder or generated text *value* of a *section* is, or None.

        *fact*: what it stands for; "N/A" is no answer where a machine knows better.
        """
        found = self.placeholder(value) or self.declined(value, fact)
        if found is None and self.is_generated(value, section):
            return Placeholder("generated")
        return found

    def declined(self, value: str, fact: str) -> Placeholder | None:
        """Return the placeholder that "N/A" is where a machine fills *fact*."""
        return placeholders.declined(value) if self.labels.is_machines(fact) else None

    def is_generated(self, value: str, section: int) -> bool:
        """Return whether *value*, which stands in *section*, is the text of a tool."""
        return boilerplate.is_generated(value.replace("\r\n", "\n"), self._section_text(section))

    def _section_text(self, section: int) -> Surroundings:
        if section not in self._surroundings:
            place = self.document.sections[section]
            self._surroundings[section] = Surroundings(self.document.text[place.start : place.end])
        return self._surroundings[section]


def is_advice(paragraph: str, labels: Labels) -> bool:
    """Return whether *paragraph* is a form's own, and no answer."""
    return placeholders.is_guidance(paragraph, labels.boilerplate)


def is_no_answer(paragraph: str, labels: Labels) -> bool:
    """Return whether *paragraph* stays whatever facts there are.

    It is a form's advice, or a tool's true sentence about itself.
    """
    return is_advice(paragraph, labels) or boilerplate.is_true_statement(paragraph)
