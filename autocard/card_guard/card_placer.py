"""Which text a card gets after a library has written it: a person's and ours, with what the library knows better."""

from __future__ import annotations

from pathlib import Path

from autocard import files
from autocard.card import three_way_merge
from autocard.card.form import boilerplate
from autocard.card.libraries import library_cards
from autocard.card.libraries.card_copies import CardCopies
from autocard.card.update import Standing, path_beside
from autocard.card_guard import card_writers
from autocard.card_guard.run_cards import RunCards
from autocard.card_guard.trainer_ref import TrainerRef
from autocard.card_guard.writer import CardWriter
from autocard.errors import NotWrittenError
from autocard.guard import log_warning
from autocard.record import RunRecord


class CardPlacer:
    """Writes cards over those of libraries.

    Args:
        cards: what is known of the run's cards.
        writer: writes record and card.
        trainer: may upload them.
    """

    def __init__(self, cards: RunCards, writer: CardWriter, trainer: TrainerRef) -> None:
        self._cards = cards
        self._writer = writer
        self._trainer = trainer

    def put(self, card: Path, record: RunRecord, standing: Standing | None) -> bool:
        """Write record and card; return whether it was this card, not one beside it."""
        form = self._cards.by_library.get(card, "") if self._cards.form else None
        outcome = self._writer.write(card, record, standing, form)
        self._cards.left[outcome.card] = outcome.text
        self._cards.note_saved(card, record)
        if outcome.left_alone is not None and self._trainer.pushes:
            keep_out_of_upload(card)  # at once: an upload may be under way in the background
        return outcome.left_alone is None

    def standing_at_end(self, card: Path, *, held: bool) -> Standing | None:
        """Return what counts as the card that stands there when training ends; None: what the file holds.

        Args:
            card: path of the card.
            held: whether the trainer's card writer is wrapped.
        """
        cards, before = self._cards, library_cards.read(card)
        if before.special:
            return None
        if cards.form:
            return self._written_form(card) if before.data is None else None
        if cards.by_library_alone(before):
            return Standing(None)
        if held or card != cards.output or before.text is None or before.text == cards.before:
            return None
        # The trainer could not be held: its card may stand where a person's was.
        left = cards.left.get(card, cards.before)
        if left is not None and before.text != left and boilerplate.is_trainer_card(before.text):
            return Standing(left)
        return None

    def _written_form(self, card: Path) -> Standing | None:
        """Let the model write its own card, which ours is filled into."""
        self.name_form()
        card_writers.write_form(self._trainer.model, card.parent)
        text = library_cards.read(card).text
        if text is None:
            return None
        form = card_writers.at_home(text)
        self._cards.note_library_text(card, form)
        return Standing(form)

    def name_form(self) -> None:
        """Tell a sentence-transformers model its repository: it writes programs that load it from there."""
        if self._cards.form:
            card_writers.name_form(self._trainer.model, self._trainer.repository_name)

    def put_back(self, before: library_cards.CardBefore) -> library_cards.CardBefore:
        """Put what a person had in the place of what the library wrote, and return the library's text.

        First of all, from memory: neither the library's text nor a folder of copies is needed for
        it.
        """
        theirs = None
        try:
            theirs = library_cards.read(before.card)
        finally:
            if before.data is not None and not self._cards.by_library_alone(before):
                _put_over(before.card, before.data, None if theirs is None else theirs.data)
        if theirs.data is not None and theirs.data != before.data:
            self._cards.note_library_bytes(before.card, theirs.data)
        return theirs

    def settle(
        self, before: library_cards.CardBefore, theirs: str | None, record: RunRecord, *, form: bool
    ) -> None:
        """Write the card as it should stand after the library has written *theirs*."""
        cards, card = self._cards, before.card
        if cards.form and theirs:
            theirs = card_writers.at_home(theirs)
        known = (cards.by_library.get(card), cards.left.get(card))
        cards.touched |= before.text is not None and before.text not in known
        if before.data is not None and before.text is None:
            self.put(card, record, None)  # it is not UTF-8: a person's to correct
            return
        standing = self._base(card, before.text, theirs, form=form)
        if theirs is not None:
            cards.note_library_text(card, theirs)
        self._writer.note_card(theirs)
        self.put(card, record, standing)

    def _base(self, card: Path, before: str | None, theirs: str | None, *, form: bool) -> Standing:
        """Return the text that is to be filled."""
        cards = self._cards
        known = cards.by_library.get(card)
        if before is None or before == known:  # only the library has written there
            output = cards.output
            if card != output and output is not None and output in cards.left:
                # The model is saved elsewhere: it takes its card along, with what people wrote into
                # it.
                text = library_cards.read(output).text
                return Standing(text, remembered=library_cards.slots(output))
            return Standing(theirs if form else None)
        if not form or theirs is None:
            return Standing(before)
        if known is not None:
            # What the library knows better by now (statistics, logs), with what people and we have
            # written since.
            return Standing(three_way_merge.merge(known, before, theirs).text)
        if not cards.touched:
            return Standing(theirs, remembered={})  # until now there was only our own new card
        self._writer.warn_of_override(card)
        return Standing(before)

    def restore(
        self, before: library_cards.CardBefore, theirs: str | None, record: RunRecord | None
    ) -> None:
        """Leave a person's card as it is: training is not over. Of a library's card, repair ids that are bad."""
        cards, card = self._cards, before.card
        self._writer.note_card(theirs)
        if theirs is not None and theirs != before.text:
            cards.hashes.add(hash(theirs))
        if before.data is not None and not cards.by_library_alone(before):
            return
        if theirs is not None:
            repaired = library_cards.repaired(theirs, record, self._writer.withheld)
            files.write_text(card, repaired)
            cards.note_library_text(card, repaired)
            cards.left[card] = repaired


def keep_out_of_upload(card: Path) -> None:
    """Move a card of ours that lies beside one which could not be filled to where uploads do not look."""
    stray = path_beside(card)
    if not stray.is_file() or not library_cards.slots(stray):
        return
    place = stray.parent / files.PRIVATE / stray.name
    place.parent.mkdir(exist_ok=True)
    stray.replace(place)
    log_warning("autocard: %s is not uploaded; it was moved to %s", stray.name, place)


def _put_over(card: Path, mine: bytes, theirs: bytes | None) -> None:
    """Put *mine* into *card*; where that fails, note that the library wrote *theirs*: the next run puts it back."""
    try:
        files.write_over(card, mine)
    except NotWrittenError:
        if theirs is not None and theirs != mine:
            CardCopies(card).note_library(theirs)
        raise
