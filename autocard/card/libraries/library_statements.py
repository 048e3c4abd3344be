"""What a library's own card states, read from its text: figures, names, lists of settings.

One rule: a written text in the card is no statement of the library. Formats are those of
transformers 5.23 (modelcard.py), TRL 1.16 (templates) and sentence-transformers 6.2
(model_card_template.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property

from autocard.card.form import boilerplate, placeholders
from autocard.card.form.labels import Labels, words
from autocard.card.markdown.document import Document

_BY_SENTENCE_TRANSFORMERS = "[sentence-transformers](https://www.SBERT.net) model"
_CITES_TRL = "Cite TRL as:"
_OF_TRAINER = frozenset({"training and evaluation data", "intended uses limitations"})
"""Headings that only the Trainer's cards have."""
_MARKS = ("ramework versions", "ramework Versions", "Training and evaluation data", _CITES_TRL)
"""One of these stands in each library's card."""
_CELL = re.compile(r"-?\d+\.\d{4}")
"""A figure of a library's table: `| 0.6933 |`, `| **1.7054** |`."""
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LONG = 40
"""Characters of a text that is looked for in the whole card; a shorter one could be a word."""


def may_be_librarys(text: str) -> bool:
    """Return whether the card *text* may have a part that a library writes; this is quick."""
    return any(mark in text for mark in _MARKS)


def _is_distinct(text: str) -> bool:
    """Return whether *text* is found in a card as itself: a word or a figure may be another's."""
    return "\n" in text or len(text) > _LONG or text.startswith("#")


class LibraryStatements:
    """What one card states.

    Attributes:
        by_trl: TRL wrote it.
    """

    def __init__(self, text: str, ours: Collection[str]) -> None:
        """Read the card *text*, of which *ours* are the texts that autocard wrote."""
        self._card = text.replace("\r\n", "\n")
        self._ours = sorted(filter(_is_distinct, ours), key=len, reverse=True)
        self._text = self._without_ours(self._card)
        self.by_trl = _CITES_TRL in self._text

    def _without_ours(self, text: str) -> str:
        for one in self._ours:
            text = text.replace(one, "")
        return text

    @cached_property
    def _sections(self) -> dict[str, str]:
        """Heading in words → the texts below the headings of that name; our own are left out."""
        found: dict[str, str] = {}
        for section in Document(self._card).sections:
            if section.heading is None:
                continue
            line = self._card[section.heading.start : section.heading.end].strip()
            if line in self._ours:
                continue
            title = words(section.heading.title)
            body = self._without_ours(self._card[section.start : section.end])
            found[title] = found.get(title, "") + body
        return found

    @property
    def by_sentence_transformers(self) -> bool:
        """Whether sentence-transformers wrote it."""
        return _BY_SENTENCE_TRANSFORMERS in self._text

    @property
    def is_librarys(self) -> bool:
        """Whether one of the libraries wrote it."""
        if self.by_trl or self.by_sentence_transformers:
            return True
        return self._sections.keys() >= _OF_TRAINER

    # -- versions ----------------------------------------------------------------------------------

    def lists_versions(self, labels: Labels) -> bool:
        """Return whether it has a list of versions that is a library's, or a place for one."""
        body = self._sections.get("framework versions")
        if body is None:
            return False
        body = _COMMENT.sub("", body).strip()
        empty = placeholders.find(body, labels.names, own=labels.placeholders)
        return empty is not None or boilerplate.is_generated(body)

    @property
    def has_software(self) -> bool:
        """Whether it asks for the software in another place, too."""
        return "software" in self._sections

    # -- training ----------------------------------------------------------------------------------

    @property
    def has_training_time(self) -> bool:
        """Whether it has the section of sentence-transformers for times."""
        return self.by_sentence_transformers and "### Training Time" in self._text

    @property
    def lists_settings(self) -> bool:
        """Whether it lists all training arguments."""
        return "`learning_rate`: " in self._sections.get("all hyperparameters", "")

    def has_length(self, tokens: int | None) -> bool:
        """Return whether it has *tokens* as the model's maximum sequence length."""
        return f"**Maximum Sequence Length:** {tokens} tokens" in self._text

    def names_method(self, name: str) -> bool:
        """Return whether it says that the model was trained with the method *name*."""
        return f"This model was trained with {name}" in self._text

    def names_loss(self, objective: str) -> bool:
        """Return whether the last word of *objective* is a loss that it names."""
        return f"<code>{objective.rpartition(' ')[2]}</code>" in self._text

    def shows(self, architecture: str | None) -> bool:
        """Return whether its print of the model names *architecture*."""
        shown = self._sections.get("full model architecture", "")
        return architecture is not None and f"'{architecture}'" in shown

    # -- data and figures --------------------------------------------------------------------------

    def has_rows(self, rows: int, part: str) -> bool:
        """Return whether it counts *rows* samples; *part*: "training" or "evaluation"."""
        return f"* Size: {rows:,} {part} samples" in self._text

    def has_columns(self, columns: Collection[str]) -> bool:
        """Return whether it names all *columns* of the data."""
        return all(f"<code>{name}</code>" in self._text for name in columns)

    def links_data(self, dataset_id: str, revision: str | None) -> bool:
        """Return whether it links the data set, at its revision."""
        link = f"https://huggingface.co/datasets/{dataset_id}"
        return (f"{link}/tree/{revision}" if revision else f"({link})") in self._text

    @cached_property
    def _figures(self) -> frozenset[str]:
        tables = [
            body
            for title, body in self._sections.items()
            if title in ("training logs", "training results") or "* Evaluated with " in body
        ]
        return frozenset(_CELL.findall("\n".join(tables)))

    def has_figure(self, value: float | str) -> bool:
        """Return whether *value* stands in its tables of logs and metrics."""
        return isinstance(value, int | float) and f"{value:.4f}" in self._figures
