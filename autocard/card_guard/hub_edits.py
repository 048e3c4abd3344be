"""Edits on the Hub's own page: merged into the card before an upload replaces them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autocard import files
from autocard.card.libraries import library_cards
from autocard.card.update import Standing
from autocard.card_guard.card_placer import CardPlacer
from autocard.card_guard.run_cards import RunCards
from autocard.card_guard.trainer_ref import TrainerRef
from autocard.errors import UnavailableError
from autocard.guard import log_warning
from autocard.hub import remote, uploads
from autocard.record import RunRecord


class HubEdits:
    """Merges what people edited on the Hub since our last upload.

    Args:
        cards: the state of the run's cards.
        placer: writes them.
        trainer: uploads them.
    """

    def __init__(self, cards: RunCards, placer: CardPlacer, trainer: TrainerRef) -> None:
        self._cards = cards
        self._placer = placer
        self._trainer = trainer
        self.is_silent = False
        """Whether the Hub did not answer; then it is not asked again while training waits."""
        self._unmerged: tuple[Path, str] | None = None
        """A card whose text on the Hub was read but is not merged yet, and that text."""

    def merge_hub_edits(self, card: Path, record: RunRecord, pushing: Mapping[str, Any]) -> None:
        """Merge the edits on the Hub into *card*, which is uploaded next.

        Args:
            card: path of the card.
            record: of the run.
            pushing: arguments of the upload.
        """
        repository = self._trainer.repository(pushing)
        # a card that is not UTF-8 cannot be merged
        if repository is None or library_cards.read(card).text is None:
            return
        past = uploads.UploadHistory(card.parent / files.PRIVATE, repository.name)
        merged = self._merged(card, repository, past)
        if merged is not None:
            self._write(card, record, merged)
        self._unmerged = None
        past.add(card)

    def _merged(
        self, card: Path, repository: remote.Repository, past: uploads.UploadHistory
    ) -> uploads.Taken | None:
        """Return the card merged with the Hub's; None: it needs no change."""
        cards = self._cards

        def is_by_library(text: str) -> bool:
            return hash(text) in cards.hashes

        def note_edited(text: str) -> None:
            self._unmerged = card, text

        mine = (cards.before or "") if cards.touched else None
        try:
            return uploads.merge_hub_edits(
                card, repository, past, generated=is_by_library, mine=mine, edited=note_edited
            )
        except UnavailableError as exc:
            self.is_silent = True
            log_warning(
                "autocard: %s. An edit made there since the last upload would be replaced by this "
                "one; it stays in the repository's history.",
                exc,
            )
            return None

    def _write(self, card: Path, record: RunRecord, merged: uploads.Taken) -> None:
        self._cards.touched = True
        whole = merged.ours if merged.whole else None
        outcome = self._placer.put(card, record, Standing(merged.text, merged.ours, whole))
        if outcome.left_alone is not None:
            # The Hub's card cannot be filled: it stays unchanged.
            files.write_text(card, merged.text)
        if merged.warning is not None:
            log_warning("autocard: %s", merged.warning)

    def pop_unmerged(self) -> tuple[Path, str] | None:
        """Return, once, a card and its text on the Hub that was read but could not be merged."""
        unmerged, self._unmerged = self._unmerged, None
        return unmerged
