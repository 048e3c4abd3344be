"""Choose the text of a card after a library has written it.

The card keeps what a person and autocard wrote, with the parts that the library can update.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from autocard import files
from autocard.card import three_way_merge
from autocard.card.form import boilerplate
from autocard.card.libraries import library_cards
from autocard.card.libraries.card_copies import CardCopies
from autocard.card.update import Outcome, Standing, path_beside
from autocard.card_guard import library_form
from autocard.card_guard.run_cards import RunCards
from autocard.card_guard.trainer_ref import TrainerRef
from autocard.card_guard.writer import CardWriter
from autocard.errors import NotWrittenError
from autocard.guard import Budget, guarded, log_warning
from autocard.record import RunRecord

LIBRARY_S = 10.0
"""Maximum seconds for a library's own card at the end of training."""
LEAST_S = 0.5


class CardPlacer:
    """Writes cards over those of libraries.

    Args:
        cards: the state of the run's cards.
        writer: writes record and card.
        trainer: may upload them.
    """

    def __init__(self, cards: RunCards, writer: CardWriter, trainer: TrainerRef) -> None:
        self._cards = cards
        self._writer = writer
        self._trainer = trainer

    def put(
        self,
        card: Path,
        record: RunRecord,
        standing: Standing | None,
        *,
        announces: bool = True,
    ) -> Outcome:
        """Write record and card; return what became of it.

        Args:
            card: path of the card.
            record: goes beside it.
            standing: what counts as the card; None: the file.
            announces: whether the log says what a person should notice.
        """
        form = self._cards.by_library.get(card, "") if self._cards.form else None
        outcome = self._writer.write(card, record, standing, form, announces=announces)
        self._cards.left[outcome.card] = outcome.text
        self._cards.note_saved(card, record)
        if outcome.left_alone is not None and self._trainer.pushes:
            # at once: an upload may be under way in the background
            return replace(outcome, card=keep_out_of_upload(card) or outcome.card)
        return outcome

    def put_beside_model(self, card: Path, record: RunRecord, *, announces: bool = True) -> None:
        """Write record and card into a folder, other than the run's own, that has a model.

        What people wrote into the output folder's card comes along.
        """
        before = library_cards.read(card)
        standing = None
        if before.data is None or before.text is not None:
            standing = self._base(card, before.text, None, form=card in self._cards.forms)
        self.put(card, record, standing, announces=announces)

    def standing_at_end(self, card: Path, record: RunRecord, *, held: bool) -> Standing | None:
        """Return the text that counts as the card when training ends; None: the file's text.

        Args:
            card: path of the card.
            record: of the run.
            held: whether the trainer's card writer is wrapped.
        """
        cards, before = self._cards, library_cards.read(card)
        if before.special or (before.data is not None and before.text is None):
            return None
        theirs = self._library_card(record) if self._is_outdated(card) else None
        if theirs is not None:
            self._note_touched(before)
            standing = self._base(card, before.text, theirs, form=True)
            self._note_theirs(card, theirs, form=True)
            return standing
        if cards.by_library_alone(before):
            return None if cards.form else Standing(None)
        if held or card != cards.output or before.text is None or before.text == cards.before:
            return None
        # The trainer could not be wrapped: its card may have replaced a person's card.
        left = cards.left.get(card, cards.before)
        if left is not None and before.text != left and boilerplate.is_trainer_card(before.text):
            return Standing(left)
        return None

    def _is_outdated(self, card: Path) -> bool:
        """Return whether the library would write another *card* now than it has in this run.

        TRL's has what a person passed to its method, and nothing that an evaluation changes.
        """
        return self._cards.library != "trl" or card not in self._cards.by_library

    def _library_card(self, record: RunRecord | None) -> str | None:
        """Return the card that the library writes now, prepared as our form; None: it is none."""
        if not self._cards.form:
            return None
        self.name_form()
        trainer = self._trainer
        read = partial(library_form.written, self._cards.library, trainer.trainer, trainer.model)
        text = guarded("card of the library", {}, read, Budget(LIBRARY_S, LEAST_S))
        return None if text is None else self._prepared(text, record)

    def _prepared(self, text: str, record: RunRecord | None) -> str:
        return library_form.prepared(text, self._cards.library, record, self._writer.withheld)

    def _note_touched(self, before: library_cards.CardBefore) -> None:
        known = (self._cards.by_library.get(before.card), self._cards.left.get(before.card))
        self._cards.touched |= before.text is not None and before.text not in known

    def name_form(self) -> None:
        """Set the repository of a sentence-transformers model, which its usage code names."""
        if self._cards.form:
            library_form.name_model(self._trainer.model, self._trainer.repository_name)

    def put_back(self, before: library_cards.CardBefore) -> library_cards.CardBefore:
        """Restore a person's card over what the library wrote; return the library's card.

        This is the first step and works from memory: it needs neither the library's text nor a
        folder of copies.
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
        """Write the final card after the library has written *theirs*."""
        cards, card = self._cards, before.card
        self._note_touched(before)
        if before.data is not None and before.text is None:
            self.put(card, record, None)  # it is not UTF-8: a person has to correct it
            return
        if form and cards.form:
            is_missing = theirs is None and before.text is None
            theirs = self._prepared(theirs, record) if theirs else theirs
            theirs = self._library_card(record) if is_missing else theirs
        standing = self._base(card, before.text, theirs, form=form)
        self._note_theirs(card, theirs, form=form)
        self._writer.note_card(theirs)
        self.put(card, record, standing)

    def _note_theirs(self, card: Path, theirs: str | None, *, form: bool) -> None:
        """Remember what a library wrote; the text of the form is not replaced by another's."""
        if theirs is None:
            return
        if form or not self._cards.form:
            self._cards.note_library_text(card, theirs)
            self._cards.note_form(card, theirs)
        else:
            self._cards.hashes.add(hash(theirs))

    def _base(self, card: Path, before: str | None, theirs: str | None, *, form: bool) -> Standing:
        """Return the text to fill."""
        cards = self._cards
        known = cards.forms.get(card) or cards.of_earlier_run(card)
        if before is None or before in (known, cards.by_library.get(card)):  # the library alone
            return self._copied(card) or Standing((theirs or before) if form else None)
        if not form or theirs is None:
            return Standing(before)
        if known is not None and self._is_made_of(before, known):
            # Take the library's updates (statistics, logs), and keep what people and autocard have
            # written since.
            return Standing(three_way_merge.merge(known, before, theirs).text)
        if not cards.touched:
            return Standing(theirs, remembered={})  # so far there was only our own new card
        if not cards.form:
            self._writer.warn_of_override(card)
        return Standing(before)

    def _copied(self, card: Path) -> Standing | None:
        """Return the output folder's card, with what people wrote into it; None: *card* is it.

        It is copied where the model is saved to another folder.
        """
        output = self._cards.output
        if output is None or card == output:
            return None
        if output not in self._cards.left and self._cards.before is None:
            return None
        text = library_cards.read(output).text
        return Standing(text, remembered=library_cards.slots(output))

    def _is_made_of(self, card_text: str, library_text: str) -> bool:
        """Return whether a card was made of a library's; one of an author's own class always is."""
        return not self._cards.form or library_cards.is_made_of(card_text, library_text)

    def restore(
        self,
        before: library_cards.CardBefore,
        theirs: str | None,
        record: RunRecord | None,
        *,
        form: bool,
    ) -> None:
        """Leave a person's card unchanged during training; repair bad ids in a library's card."""
        cards, card = self._cards, before.card
        if theirs is not None and form:
            theirs = self._prepared(theirs, record)
            cards.note_form(card, theirs)
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


def keep_out_of_upload(card: Path) -> Path | None:
    """Move our card beside a card that could not be filled to a folder that is not uploaded.

    Returns:
        Where it is now; None: there was none.
    """
    stray = path_beside(card)
    if not stray.is_file() or not library_cards.slots(stray):
        return None
    place = stray.parent / files.PRIVATE / stray.name
    place.parent.mkdir(exist_ok=True)
    stray.replace(place)
    log_warning("autocard: %s is not uploaded; it was moved to %s", stray.name, place)
    return place


def _put_over(card: Path, mine: bytes, theirs: bytes | None) -> None:
    """Write *mine* into *card*.

    If that fails, note that the library wrote *theirs*; the next run then restores *mine*.
    """
    try:
        files.write_over(card, mine)
    except NotWrittenError:
        if theirs is not None and theirs != mine:
            CardCopies(card).note_library(theirs)
        raise
