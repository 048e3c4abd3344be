"""What is known of the cards of one run: what libraries wrote, what we wrote, and what was there before."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from autocard.card.libraries import library_cards
from autocard.card.libraries.card_copies import digest
from autocard.record import RunRecord

CARD = "README.md"

Saved: TypeAlias = tuple[int | None, tuple[str, ...]]
"""Bytes of the weights in a folder, and the names of the files beside them."""


@dataclass
class RunCards:
    """The cards of a run, by path. Where a library wrote a card alone, it counts as absent."""

    by_library: dict[Path, str] = field(default_factory=dict)
    """What a library wrote there last."""
    left: dict[Path, str] = field(default_factory=dict)
    """What we left there."""
    digests: dict[Path, list[str]] = field(default_factory=dict)
    """Digests of what libraries wrote there, to the byte: they often write the same again."""
    hashes: set[int] = field(default_factory=set)
    """Hashes of all that libraries ever wrote."""
    saved: dict[Path, Saved] = field(default_factory=dict)
    """What each card says of the files that were saved beside it."""
    output: Path | None = None
    """The card in the output folder."""
    final: Path | None = None
    """The card that was written at the end of training."""
    before: str | None = None
    """Text of the card in the output folder when training began, or before a library copied over it."""
    touched: bool = False
    """Whether a person may have written into a card of this run."""
    form: bool = False
    """Whether the library's card is the form that ours is filled into."""

    def forget_deleted(self, card: Path) -> None:
        """Forget the cards of folders that are gone, but for *card*: a training deletes its old checkpoints."""
        kept = {card, self.output, self.final}
        for known in (self.by_library, self.left, self.digests):
            for one in [one for one in known if one not in kept and not one.parent.exists()]:
                del known[one]

    def note_library_text(self, card: Path, text: str) -> None:
        """Remember what a library wrote."""
        self.by_library[card] = text
        self.hashes.add(hash(text))

    def note_library_bytes(self, card: Path, data: bytes) -> None:
        """Remember the digest of what a library wrote."""
        self.digests.setdefault(card, []).append(digest(data))

    def note_saved(self, card: Path, record: RunRecord) -> None:
        """Remember which files *card* describes."""
        self.saved[card] = saved_in(record)

    def by_library_alone(self, card: library_cards.CardBefore) -> bool:
        """Return whether a library alone has written what stood there."""
        return card.text is not None and card.text == self.by_library.get(card.card)

    def is_output(self, folder: Path) -> bool:
        """Return whether *folder* is the output folder."""
        if self.output is None:
            return False
        return os.path.realpath(folder) == os.path.realpath(self.output.parent)


def saved_in(record: RunRecord) -> Saved:
    """Return which files *record* describes."""
    return record.model.saved_bytes, tuple(record.model.saved_files)
