"""Our card ends up on disk and in the upload, even if libraries write cards too.

One rule: a library's own write is never stopped or changed; the card is restored right after it.
A failure here leaves a reason in the log and the person's card on disk.
"""

from __future__ import annotations

import contextlib
import copy
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from autocard import files
from autocard.card.fields import front_matter
from autocard.card.libraries import library_cards
from autocard.card.libraries.card_copies import CardCopies
from autocard.card_guard import card_writers, weight_fingerprint
from autocard.card_guard.card_library import library_of
from autocard.card_guard.card_placer import CardPlacer, keep_out_of_upload
from autocard.card_guard.card_writers import CardMethod
from autocard.card_guard.hub_edits import HubEdits
from autocard.card_guard.method_wrapper import hold
from autocard.card_guard.open_writes import OpenWrite, OpenWrites, ThreadState, held_for
from autocard.card_guard.record_now import RecordNow, RecordSource
from autocard.card_guard.run_cards import CARD, RunCards, saved_in
from autocard.card_guard.trainer_ref import TrainerRef
from autocard.card_guard.wrapped_methods import WrappedMethod
from autocard.card_guard.writer import CardWriter
from autocard.errors import UnavailableError
from autocard.guard import Budget, guarded, log_warning, name_work
from autocard.hub import uploads
from autocard.record import RunRecord
from autocard.settings import Settings
from autocard.trainers import trainer_calls

LOOK_S = 5.0
"""Maximum seconds for reading a card before a library writes it."""
WRITE_S = 20.0
"""Maximum seconds for restoring it afterwards, including reading the card on the Hub."""
LEAST_S = 0.5


@dataclass(frozen=True)
class _Call:
    """One call of a method that writes a card."""

    method: CardMethod
    given: Mapping[str, Any]
    """Its arguments by their names."""
    pushing: Mapping[str, Any] | None
    """Arguments of the `push_to_hub` that this thread runs; None: it runs none."""


class CardGuard:
    """Guards the cards of a trainer's run.

    Args:
        settings: the user's; `last_word` False: no method is wrapped, cards are only written.
        run: provides the record.
    """

    def __init__(self, settings: Settings, run: RecordSource) -> None:
        self._run = run
        self._trainer = TrainerRef()
        self._callback: weakref.ref[Any] | None = None
        self._held_refs: list[weakref.ref[WrappedMethod]] = []
        self._unwrapped: set[str] = set()
        """Methods that could not be wrapped and were named in a warning."""
        self._cards = RunCards()
        self._writer = CardWriter(settings)
        self._placer = CardPlacer(self._cards, self._writer, self._trainer)
        self._hub = HubEdits(self._cards, self._placer, self._trainer)
        self._thread = ThreadState()
        self._writes = OpenWrites()
        self._turn = threading.Lock()
        """Held while a card is restored and filled."""
        self._weights: weight_fingerprint.WeightFingerprint | None = None

    # -- wrap and release --------------------------------------------------------------------------

    @property
    def _held(self) -> list[WrappedMethod]:
        """The wrapped methods. Each is dropped with its owner, which is not kept alive here."""
        return [held for ref in self._held_refs if (held := ref()) is not None]

    @property
    def holds(self) -> bool:
        """Whether the trainer's own card writer is wrapped."""
        return any(held.name == "create_model_card" for held in self._held)

    def hold(self, trainer: Any, model: Any, callback: Any) -> None:
        """Wrap the card writers of *trainer* and *model* while *callback* is the trainer's."""
        if trainer is not None:
            self._trainer.refer_to(trainer)
            self._callback = weakref.ref(callback)
        library_forms = not self._writer.has_template
        methods = card_writers.writers(self._trainer.trainer, model, library_forms=library_forms)
        wrapped = [self._wrap(owner, method) for owner, method in methods]
        self._held_refs = [weakref.ref(held) for held in wrapped if held is not None]
        library = library_of(self._trainer.trainer, model)
        self._cards.library = library
        self._cards.form = bool(library) and library_forms

    def _wrap(self, owner: Any, method: CardMethod) -> WrappedMethod | None:
        try:
            return hold(owner, method, self)
        except UnavailableError as exc:
            if method.name not in self._unwrapped:
                log_warning(
                    "autocard: %s, so a card that it writes stands as written. "
                    "Later: autocard fill README.md",
                    exc,
                )
            self._unwrapped.add(method.name)
            return None

    def detached(self, run: RecordSource) -> CardGuard:
        """Return a card guard with the same cards that wraps nothing and keeps no trainer alive."""
        twin = copy.copy(self)
        twin._run, twin._held_refs = run, []  # noqa: SLF001 - of the same class
        twin._cards = cards = copy.copy(self._cards)  # noqa: SLF001
        twin._placer = CardPlacer(cards, self._writer, self._trainer)  # noqa: SLF001
        twin._hub = HubEdits(cards, twin._placer, self._trainer)  # noqa: SLF001
        return twin

    def wanted(self) -> bool:
        """Return whether the callback is still the trainer's; if not, release every method."""
        wanted = self._callback is None or self._trainer.has(self._callback())
        if not wanted:
            self.release()
        return wanted

    def release(self) -> None:
        """Release every method."""
        for held in self._held:
            held.release()
        self._held_refs = []

    def withhold(self, names: Collection[str]) -> None:
        """Keep *names* (local paths that the model was loaded from) out of all later cards."""
        self._writer.withheld = frozenset(names)

    @property
    def withheld(self) -> frozenset[str]:
        """Names that no card of the run may show."""
        return self._writer.withheld

    def tags_beside(self, record: RunRecord) -> list[str]:
        """Return the tags of a card besides the tags of *record*."""
        return self._writer.tags_beside(record)

    def note_weights(self, model: Any) -> None:
        """Remember some weights of *model*, to notice if it is trained further after this run."""
        self._weights = None if model is None else weight_fingerprint.WeightFingerprint(model)

    # -- the session's side ------------------------------------------------------------------------

    def look(self, folder: Path) -> None:
        """Read the card that exists when training begins; restore what a killed process left."""
        cards = self._cards
        cards.output, self._weights = folder / CARD, None
        files.sweep(folder)
        _guarded("card left behind", CardCopies(cards.output).settle, LOOK_S)
        cards.before = library_cards.read(cards.output).text
        cards.touched = cards.before is not None
        self._inform()

    def write(self, card: Path, record: RunRecord) -> Path:
        """Write *record* into *card* at the end of training or after an evaluation.

        Returns:
            The file with the facts: the card, or the one beside it.
        """
        self._cards.final = card
        completed = self._completed(record)
        standing = self._placer.standing_at_end(card, completed, held=self.holds)
        if standing is not None and standing.text is not None:
            # First: the person's card is back on disk even if a step below fails.
            files.write_text(card, standing.text)
        return self._placer.put(card, completed, standing).card

    def push_begun(self, folder: Path) -> None:
        """Update the card in *folder* before an upload during training.

        No other writer runs before that upload.
        """
        record = self._known().record
        if record is None:
            return
        cards, card = self._cards, folder / CARD
        before, theirs = library_cards.read(card), None
        others = [text for path, text in cards.left.items() if path != card]
        # sentence-transformers has copied a checkpoint's card over the card in this folder.
        if before.text is not None and before.text in others:
            theirs = before.text
            data = None if cards.before is None else cards.before.encode("utf-8")
            before = library_cards.CardBefore(card, cards.before, data)
            self._placer.put_back(before)
        self._placer.settle(before, theirs, record, form=cards.form)
        keep_out_of_upload(card)
        if not self._hub.is_silent:  # do not wait a second time: training is blocked meanwhile
            self._hub.merge_hub_edits(card, record, {})
        self._writer.warn_of_refusal(card, again=False)

    def keep_unmerged(self) -> None:
        """Save a copy of a Hub card that could not be merged; the upload replaces it."""
        unmerged = self._hub.pop_unmerged()
        if unmerged is not None:
            _guarded("hub card kept", partial(_keep, *unmerged), LOOK_S)

    # -- around a library's writing ----------------------------------------------------------------

    @contextlib.contextmanager
    def around(self, method: CardMethod, call: Mapping[str, Any]) -> Iterator[None]:
        """Read the card before a library's method writes it; restore and fill it afterwards.

        Args:
            method: what the library does.
            call: the arguments by their names.
        """
        held = bool(self._held)
        if method.saves and held:
            with self._around_save(method, call):
                yield
        elif method.uploads and held and not self._thread.within:
            self._before_upload(method.folder(call))
            yield
        elif not held or self._thread.within:
            yield
        else:
            with self._around_writing(method, call):
                yield

    def _before_upload(self, folder: Path) -> None:
        if self._trainer.uploads_in_training:
            _guarded("card before an upload", partial(self.push_begun, folder), WRITE_S)
            self.keep_unmerged()

    @contextlib.contextmanager
    def _around_writing(self, method: CardMethod, given: Mapping[str, Any]) -> Iterator[None]:
        trainer = self._trainer.trainer
        if not trainer_calls.trains(trainer):
            # After an exception in training, our card is written before the library's.
            self._run.record_now()
        pushing = trainer_calls.push(trainer) if method.pushes else None
        call = _Call(method, given, pushing)
        card = method.folder(given) / CARD
        if method.pushes:
            _guarded("what push_to_hub was given", partial(self._note_given, given), LOOK_S)
        _guarded("deleted cards", partial(self._cards.forget_deleted, card), LOOK_S)
        writing = self._enter(card)
        self._thread.within = True
        try:
            yield
        finally:
            self._thread.within = False
            if writing is not None:
                self._put_right(call, writing)

    def _enter(self, card: Path) -> OpenWrite | None:
        """Read *card* before a library writes it; None: it could not be read."""
        writing = self._writes.enter(card, partial(self._read, card), WRITE_S)
        if writing is not None:
            _guarded("form", partial(self._prepare_form, card), LOOK_S)
        return writing

    def _read(self, card: Path) -> library_cards.CardBefore | None:
        """Copy *card* on disk and return it as it is before the first library writes it."""
        # A killed process may have left a copy behind.
        _guarded("card left behind", CardCopies(card).settle, LOOK_S)
        before: library_cards.CardBefore | None = _guarded(
            "card before", partial(library_cards.read, card), LOOK_S
        )
        if before is not None:
            _guarded("card copied", partial(self._copy, before), LOOK_S)
        return before

    def _copy(self, before: library_cards.CardBefore) -> None:
        """Keep a copy on disk while the library writes: the process may be killed meanwhile."""
        if before.data is not None and not self._cards.by_library_alone(before):
            CardCopies(before.card).begin(before.data, self._cards.digests.get(before.card, []))

    def _put_right(self, call: _Call, writing: OpenWrite) -> None:
        """Restore a person's card after a library's write, then fill it with the run's facts.

        Each step has its own guard. In this order, a failure of the second step leaves the person's
        card on disk and in the upload.
        """
        with held_for(self._turn, WRITE_S):
            before = writing.before
            is_last, theirs = False, None
            try:
                theirs = _guarded("card put back", partial(self._placer.put_back, before), LOOK_S)
            finally:
                is_last = self._writes.leave(writing, WRITE_S)
            if theirs is None:
                return  # the copy stays: the next run puts it back
            if is_last:
                _guarded("copy removed", CardCopies(before.card).end, LOOK_S)
            left = self._cards.left.get(before.card)
            _guarded("card put right", partial(self._after, call, before, theirs.text), WRITE_S)
            self.keep_unmerged()
            if call.pushing is not None:
                _guarded("card beside", partial(keep_out_of_upload, before.card), LOOK_S)
                look = partial(self._writer.warn_of_refusal, before.card)
                _guarded("the Hub's rules", look, LOOK_S)
            now = self._cards.left.get(before.card)
            if now is not None and now is not left:
                # Other threads still write this card.
                data = now.encode("utf-8")
                writing.before = library_cards.CardBefore(before.card, now, data)

    def _after(self, call: _Call, before: library_cards.CardBefore, theirs: str | None) -> None:
        """Fill the card with the run's facts if they describe the saved model."""
        known = self._known()
        record = known.record
        if self._weights is not None and self._weights.changed():
            log_warning(
                "autocard: %s: the model was trained on after the run that is recorded, so "
                "autocard leaves the card to you: its figures are not those of these weights",
                before.card.name,
            )
            if call.method.pushes:
                self._placer.restore(before, theirs, record, form=call.method.form)
        elif known.ended and record is not None:
            self._placer.settle(before, theirs, record, form=call.method.form)
            if call.pushing is not None:
                self._hub.merge_hub_edits(before.card, record, call.pushing)
        else:
            self._placer.restore(before, theirs, record, form=call.method.form)

    # -- around a save -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def _around_save(self, method: CardMethod, call: Mapping[str, Any]) -> Iterator[None]:
        """Read the folder again after the outermost save: cards are written before the weights."""
        self._thread.saves += 1
        try:
            yield
        finally:
            self._thread.saves -= 1
        trainer = self._trainer.trainer
        # During a push a card is written later anyway.
        if self._thread.saves or self._thread.within or trainer_calls.push(trainer) is not None:
            return
        gets_card = method.gives_card
        if trainer_calls.trains(trainer):
            write = lambda: self._card_so_far(method.folder(call), gets_card=gets_card)  # noqa: E731
            _guarded("card so far", write, LOOK_S)
        else:
            look = lambda: self._look_at_saved(method.folder(call), gets_card=gets_card)  # noqa: E731
            _guarded("saved model", look, WRITE_S)

    def checkpoint_saved(self, folder: Path) -> None:
        """Write the card of a checkpoint that has none: its folder was made after the model's save.

        Shards of a model are saved so.
        """
        if self.holds and folder / CARD not in self._cards.left:
            self._card_so_far(folder, gets_card=True)

    def _card_so_far(self, folder: Path, *, gets_card: bool) -> None:
        """Write the card of a model that was saved to *folder* while training goes on.

        Args:
            folder: a checkpoint's, or any other than the output folder.
            gets_card: False: only if a library has written a card there.
        """
        cards, card = self._cards, folder / CARD
        if cards.is_output(folder) or not folder.is_dir():
            return
        if not gets_card and card not in cards.by_library:
            return
        uploads = self._trainer.pushes and self._trainer.uploads_in_training
        if cards.library == "sentence-transformers" and uploads:
            return  # before an upload it copies the checkpoint's files over those of the run
        known = self._known(folder)
        if known.record is not None and known.writes:
            with held_for(self._turn, LOOK_S):
                self._placer.put_beside_model(card, known.record, announces=False)

    def _look_at_saved(self, folder: Path, *, gets_card: bool) -> None:
        """Bring the card in *folder* up to date with the files that were saved there.

        Args:
            folder: the output folder or another one.
            gets_card: whether another folder without a card gets one.
        """
        cards = self._cards
        at_home = cards.is_output(folder)
        card = cards.final if at_home and cards.final is not None else folder / CARD
        if not at_home and card not in cards.left and not gets_card:
            if cards.final is not None:
                self._writer.say_no_card(folder, cards.final)
            return
        if not folder.is_dir():
            return  # nothing was saved
        known = self._known(None if at_home else folder)
        record = known.record
        if record is None or not known.ended:
            return
        if not self._is_outdated(card, record):
            return
        if at_home or card in cards.left:
            self._placer.put(card, record, None)
        elif known.writes:
            self._placer.put_beside_model(card, record)

    def _is_outdated(self, card: Path, record: RunRecord) -> bool:
        """Return whether *card* says something else of the saved weights than *record* does."""
        # A card that names the step of the weights must drop that statement after the weights
        # have changed.
        if "evaluation.best.loaded" in record.missing:
            return True
        changed = self._weights is not None and self._weights.changed()
        return not changed and self._cards.saved.get(card) != saved_in(record)

    # -- what libraries and the record lack --------------------------------------------------------

    def _known(self, saved_to: Path | None = None) -> RecordNow:
        """Return the record with the facts that a person has passed in code."""
        known = self._run.record_now(saved_to)
        if known.record is None:
            return known
        return replace(known, record=self._completed(known.record))

    def _completed(self, record: RunRecord) -> RunRecord:
        return self._writer.given.completed(record, self._trainer.repository_name)

    def _note_given(self, call: Mapping[str, Any]) -> None:
        """Remember the arguments of a call, and pass them to a sentence-transformers model."""
        output_dir = str(getattr(self._trainer.args, "output_dir", ""))
        repository = self._trainer.repository_name or ""
        self._writer.given.note(call, {Path(output_dir).name, repository.rpartition("/")[2]})
        self._inform()

    def _inform(self) -> None:
        """Complete the card data of a sentence-transformers model."""
        record = self._known().record
        if self._cards.library == "sentence-transformers" and record is not None:
            card_writers.inform(
                self._trainer.model,
                front_matter(record),
                revision=record.model.base_model_revision,
                withheld=self._writer.withheld,
            )

    def _prepare_form(self, card: Path) -> None:
        """Give a sentence-transformers model its repository before it writes *card*."""
        self._placer.name_form()
        output = self._cards.output
        if output is not None and card != output:
            # sentence-transformers copies a checkpoint's card over this card before it uploads.
            self._cards.before = library_cards.read(output).text


name_work(
    {
        "card left behind": "restore the card that a killed process left behind",
        "hub card kept": "keep the Hub's card that could not be merged",
        "card before an upload": "update the card before the upload",
        "what push_to_hub was given": "read the arguments of push_to_hub",
        "deleted cards": "forget the cards of deleted folders",
        "form": "take the library's card as the form of the new one",
        "card before": "read the existing card",
        "card copied": "copy the card before a library overwrites it",
        "card put back": "restore the card that a library has overwritten",
        "copy removed": "remove the copy of the card",
        "card of the library": "make the library's own card, as a form",
        "card put right": "write the facts into the card that a library wrote",
        "card beside": "keep the card beside yours out of the upload",
        "the Hub's rules": "check the card by the Hub's rules",
        "saved model": "write a card for the saved model",
    }
)


def _guarded(fact: str, work: Any, most_s: float) -> Any:
    """Do *work* in at most *most_s* seconds; log a failure."""
    return guarded(fact, {}, work, Budget(most_s, LEAST_S))


def _keep(card: Path, text: str) -> None:
    log_warning("autocard: %s", uploads.keep_unmerged(card, text))
