"""State of the cards of a run: what libraries wrote, what we wrote, and what was there before."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from autocard import files
from autocard.card.libraries import library_cards
from autocard.card.libraries.card_copies import digest
from autocard.card_guard.card_library import Library
from autocard.errors import NotWrittenError
from autocard.record import RunRecord

CARD = "README.md"
_FORM = "library-card.md"
"""The library's text that our card was made of, in `_autocard/`."""

Saved: TypeAlias = tuple[int | None, tuple[str, ...]]
"""Bytes of the weights in a folder, and the names of the files beside them."""


@dataclass
class RunCards:
    """The cards of a run, by path. A card that only a library wrote counts as absent."""

    by_library: dict[Path, str] = field(default_factory=dict)
    """Text that a library wrote there last."""
    forms: dict[Path, str] = field(default_factory=dict)
    """Text of the library's card that is the form of our card there, before ids were repaired."""
    left: dict[Path, str] = field(default_factory=dict)
    """Text that we left there."""
    digests: dict[Path, list[str]] = field(default_factory=dict)
    """Digests of the bytes that libraries wrote there: they often write the same again."""
    hashes: set[int] = field(default_factory=set)
    """Hashes of all texts that libraries wrote."""
    saved: dict[Path, Saved] = field(default_factory=dict)
    """What each card states about the files that were saved beside it."""
    output: Path | None = None
    """The card in the output folder."""
    final: Path | None = None
    """The card that was written at the end of training."""
    before: str | None = None
    """Text of the output folder's card when training began, or before a library replaced it."""
    touched: bool = False
    """Whether a person may have written into a card of this run."""
    library: Library = ""
    """Which library writes a card with content of its own."""
    form: bool = False
    """Whether that library's card is the form of our card."""

    def forget_deleted(self, card: Path) -> None:
        """Forget cards of deleted folders, except *card*: training deletes its old checkpoints."""
        kept = {card, self.output, self.final}
        for known in (self.by_library, self.forms, self.left, self.digests):
            for one in [one for one in known if one not in kept and not one.parent.exists()]:
                del known[one]

    def note_library_text(self, card: Path, text: str) -> None:
        """Remember the text that a library wrote."""
        self.by_library[card] = text
        self.hashes.add(hash(text))

    def note_form(self, card: Path, text: str) -> None:
        """Remember the library's *text* as the form of *card*; a later run merges with it, too."""
        self.forms[card] = text
        if self.form and card == self.output:
            with contextlib.suppress(NotWrittenError, OSError):  # it only serves a later run
                files.write_text(card.parent / files.PRIVATE / _FORM, text)

    def of_earlier_run(self, card: Path) -> str | None:
        """Return the library's text that an earlier run made *card* of; None: it is not known."""
        if not self.form or card != self.output:
            return None
        try:
            return files.read_text(card.parent / files.PRIVATE / _FORM)
        except (OSError, UnicodeDecodeError):
            return None

    def note_library_bytes(self, card: Path, data: bytes) -> None:
        """Remember the digest of the bytes that a library wrote."""
        self.digests.setdefault(card, []).append(digest(data))

    def note_saved(self, card: Path, record: RunRecord) -> None:
        """Remember which files *card* describes."""
        self.saved[card] = saved_in(record)

    def by_library_alone(self, card: library_cards.CardBefore) -> bool:
        """Return whether only a library wrote the text of *card*."""
        return card.text is not None and card.text == self.by_library.get(card.card)

    def is_output(self, folder: Path) -> bool:
        """Return whether *folder* is the output folder."""
        if self.output is None:
            return False
        return os.path.realpath(folder) == os.path.realpath(self.output.parent)


def saved_in(record: RunRecord) -> Saved:
    """Return which files *record* describes."""
    return record.model.saved_bytes, tuple(record.model.saved_files)
