"""Which text stands after somebody else has written a card: a person's and ours, with what the other knew better.

One rule: the host's own writing is never stopped or changed; the card is put right behind it.
Whatever fails here leaves a reason in the log, and the card that a person had.
"""

from __future__ import annotations

import contextlib
import copy
import os
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocard.card.libraries import library_cards
from autocard.card.libraries.card_copies import CardCopies, digest
from autocard.card_guard import card_writers, weight_fingerprint
from autocard.card_guard.method_wrapper import hold
from autocard.card_guard.record_now import RecordNow, RecordSource
from autocard.card_guard.wrapped_methods import WrappedMethod
from autocard.card_guard.writer import CardWriter
from autocard.errors import NotWrittenError, UnavailableError
from autocard.guard import Budget, guarded, log_warning
from autocard.settings import Settings
from autocard.trainers import trainer_calls

if TYPE_CHECKING:
    from autocard.card.update import Standing
    from autocard.record import RunRecord

CARD = "README.md"
LOOK_S = 5.0
"""Seconds that looking at a card before the host writes it may take."""
WRITE_S = 20.0
"""The same for putting it right afterwards, the Hub's own card included."""
LEAST_S = 0.5


@dataclass
class _Files:
    """What we know of the cards of this run, by path."""

    host: dict[Path, str] = field(default_factory=dict)
    """What the host wrote there last."""
    left: dict[Path, str] = field(default_factory=dict)
    """What stood there when we left."""
    written: dict[Path, list[str]] = field(default_factory=dict)
    """Digests of what libraries wrote there, to the byte: they often write the same again."""
    seen: set[int] = field(default_factory=set)
    """Hashes of all that the host ever wrote."""

    def forget_deleted(self, kept: Collection[Path | None]) -> None:
        """Forget the cards of folders that are gone, but for *kept*: a training deletes its old checkpoints."""
        for known in (self.host, self.left, self.written):
            for card in [card for card in known if card not in kept and not card.parent.exists()]:
                del known[card]

    def note(self, card: Path, text: str) -> None:
        """Remember what the host wrote."""
        self.host[card] = text
        self.seen.add(hash(text))


class _Own(threading.local):
    """What one thread does: others may write cards at the same time."""

    within = False
    """Whether it writes a card: one writer calls another."""
    saves = 0
    """Saves of the model that are on their way: one calls another."""


@dataclass
class _Writing:
    """One card that libraries write."""

    before: library_cards.CardBefore
    """The card as it was before the first of them."""
    writers: int = 0
    """Threads in which they do."""


class CardGuard:
    """Keeps the cards of one trainer's run.

    Args:
        settings: the user's; `last_word` False: nothing is put around anything, cards are only
            written.
        run: has the record.
    """

    def __init__(self, settings: Settings, run: RecordSource) -> None:
        self._settings = settings
        self._run = run
        self._files = _Files()
        self._held_refs: list[weakref.ref[WrappedMethod]] = []
        self._unwrapped: set[str] = set()
        """Methods that could not be wrapped; a warning has said so."""
        self._wanted: Callable[[], bool] = lambda: True
        self._trainer: Callable[[], Any] = lambda: None
        self._output: Path | None = None
        self._touched = False
        self._form = False
        """Whether the host's card is the form that ours is filled into."""
        self._own = _Own()
        self._writing: dict[str, _Writing] = {}
        """Cards that are being written, by real path."""
        self._entry = threading.Lock()
        self._turn = threading.Lock()
        self._written: Path | None = None
        """The card that was written at the end of training."""
        self._saved: dict[Path, tuple[int | None, tuple[str, ...]]] = {}
        """What each card says of the files that were saved beside it."""
        self._hub_is_silent = False
        self._unmerged: tuple[Path, str] | None = None
        """A card whose text on the Hub was read and is not merged yet, and that text."""
        self._snapshot: str | None = None
        self._weights: weight_fingerprint.WeightFingerprint | None = None
        self._pen = CardWriter(settings)

    # -- hold and let go ---------------------------------------------------------------------------

    @property
    def _held(self) -> list[WrappedMethod]:
        """The methods that are wrapped; each goes with its owner, which the keeper does not keep alive."""
        return [held for ref in self._held_refs if (held := ref()) is not None]

    @_held.setter
    def _held(self, held: list[WrappedMethod]) -> None:
        self._held_refs = [weakref.ref(one) for one in held]

    @property
    def holds(self) -> bool:
        """Whether the trainer's own card writer is held."""
        return any(held.name == "create_model_card" for held in self._held)

    def hold(self, trainer: Any, model: Any, callback: Any) -> None:
        """Put ourselves around what writes cards in *trainer* and *model*, as long as *callback* is the trainer's."""
        if trainer is not None:
            self._trainer, wanted = weakref.ref(trainer), weakref.ref(callback)
            self._wanted = lambda: _has(self._trainer(), wanted())
        wrapped = [
            self._wrap(owner, method)
            for owner, method in card_writers.writers(self._trainer(), model)
        ]
        self._held = [held for held in wrapped if held is not None]
        self._form = any(
            card_writers.sentence_transformer(layer) for layer in card_writers.layers(model)
        )

    def _wrap(self, owner: Any, method: card_writers.CardMethod) -> WrappedMethod | None:
        try:
            return hold(owner, method, self)
        except UnavailableError as exc:
            if method.name not in self._unwrapped:
                log_warning(
                    "autocard: %s, so a card that it writes stands as written. Later: autocard fill README.md",
                    exc,
                )
            self._unwrapped.add(method.name)
            return None

    def detached(self, run: RecordSource) -> CardGuard:
        """Return a keeper that knows the same cards and is put around nothing: it keeps no trainer alive."""
        twin = copy.copy(self)
        vars(twin).update(_held_refs=[], _run=run)
        return twin

    def wanted(self) -> bool:
        """Return whether the callback is still the trainer's; if not, let every method go."""
        wanted = self._wanted()
        if not wanted:
            self.release()
        return wanted

    def release(self) -> None:
        """Let every method go."""
        for held in self._held:
            held.release()
        self._held = []

    def withhold(self, names: Collection[str]) -> None:
        """Keep *names* (local paths that the model was loaded from) out of every card from now on."""
        self._pen.withheld = frozenset(names)

    def note_weights(self, model: Any) -> None:
        """Remember how *model* stands: one that somebody trains on has other facts than ours."""
        self._weights = None if model is None else weight_fingerprint.WeightFingerprint(model)

    # -- the session's side ------------------------------------------------------------------------

    def look(self, folder: Path) -> None:
        """Training begins: see which card is there, and put back one that a killed process left behind."""
        from autocard import files  # noqa: PLC0415

        self._output, self._weights = folder / CARD, None
        files.sweep(folder)
        guarded("_card left behind", {}, CardCopies(self._output).settle, Budget(LOOK_S, LEAST_S))
        text = library_cards.read(self._output).text
        self._touched = text is not None
        self._snapshot = text
        self._inform()

    def write(self, card: Path, record: RunRecord) -> None:
        """Write *record* into *card* at the end of training or after an evaluation."""
        from autocard import files  # noqa: PLC0415

        self._written, standing = card, self._standing_at_end(card)
        if standing is not None and standing.text is not None:
            # first: whatever fails below, what a person had stands again
            files.write_text(card, standing.text)
        self._put(card, self._pen.given.completed(record, self._repository_name()), standing)

    def _standing_at_end(self, card: Path) -> Standing | None:
        """Return what counts as the card that stands there; None: what the file holds."""
        from autocard.card.form import boilerplate  # noqa: PLC0415
        from autocard.card.update import Standing  # noqa: PLC0415

        before = library_cards.read(card)
        if before.special:
            return None
        by_host = before.text is not None and before.text == self._files.host.get(card)
        if self._form:
            if before.data is None:
                self._name_form()
                card_writers.write_form(self._model(), card.parent)
                text = library_cards.read(card).text
                if text is not None:
                    form = card_writers.at_home(text)
                    self._files.note(card, form)
                    return Standing(form)
            return None
        if by_host:
            return Standing(None)
        if card == self._output and before.text is not None and before.text != self._snapshot:
            # Where the trainer could not be held, its card may stand where a person's was.
            left = self._files.left.get(card, self._snapshot)
            if (
                left is not None
                and before.text != left
                and boilerplate.is_trainer_card(before.text)
                and not self.holds
            ):
                return Standing(left)
        return None

    def push_begun(self, folder: Path) -> None:
        """*folder* is uploaded in the middle of training: nobody writes a card any more before it is."""
        record = self._known().record
        if record is None:
            return
        card = folder / CARD
        before = library_cards.read(card)
        checkpoint = before.text is not None and any(
            before.text == text for path, text in self._files.left.items() if path != card
        )
        theirs = None
        # sentence-transformers has copied a checkpoint's card over the one that was here
        if checkpoint:
            theirs = before.text
            data = None if self._snapshot is None else self._snapshot.encode("utf-8")
            before = library_cards.CardBefore(card, self._snapshot, data)
            self._put_back(before)
        self._settle(before, theirs, record, form=self._form)
        self._keep_out_of_upload(card)
        if not self._hub_is_silent:  # not a second time: training waits for it
            self._with_hub(card, record, {})

    # -- around the host's writing -----------------------------------------------------------------

    @contextlib.contextmanager
    def around(self, method: card_writers.CardMethod, call: Mapping[str, Any]) -> Iterator[None]:
        """Look at the card before the host's method writes it, and put it right afterwards.

        Args:
            method: what the host does.
            call: the arguments by their names.
        """
        if method.saves and self._held:
            with self._around_save(method, call):
                yield
            return
        if self._own.within or not self._held:
            yield
            return
        if method.uploads:
            if getattr(getattr(self._trainer(), "args", None), "hub_strategy", "end") != "end":
                folder = method.folder(call)
                guarded("_push", {}, lambda: self.push_begun(folder), Budget(WRITE_S, LEAST_S))
                self.keep_unmerged()
            yield
            return
        trainer = self._trainer()
        if not trainer_calls.trains(trainer):
            # a training that has raised writes its card before the library does
            self._run.record_now()
        pushing = trainer_calls.push(trainer) if method.pushes else None
        card = method.folder(call) / CARD
        if method.pushes:
            guarded("_given", {}, lambda: self._note_given(call), Budget(LOOK_S, LEAST_S))
        guarded(
            "_deleted",
            {},
            lambda: self._files.forget_deleted((card, self._output, self._written)),
            Budget(LOOK_S),
        )
        writing = self._enter(card)
        self._own.within = True
        try:
            yield
        finally:
            self._own.within = False
            if writing is not None:
                self._put_right(method, writing, call, pushing)

    def _enter(self, card: Path) -> _Writing | None:
        """Look at *card* before a library writes it; None: it could not be read.

        Of several threads that write it at once the first looks: what the others would see may be a
        library's text.
        """
        place = os.path.realpath(card)
        with _held_for(self._entry, WRITE_S):
            writing = self._writing.get(place)
            if writing is None:
                guarded(
                    "_card left behind", {}, CardCopies(card).settle, Budget(LOOK_S, LEAST_S)
                )  # by a killed process
                before = guarded(
                    "_card before", {}, lambda: library_cards.read(card), Budget(LOOK_S, LEAST_S)
                )
                if before is None:
                    return None
                guarded("_card copied", {}, lambda: self._copy(before), Budget(LOOK_S, LEAST_S))
                writing = self._writing[place] = _Writing(before)
            writing.writers += 1
        guarded("_form", {}, lambda: self._prepare_form(card), Budget(LOOK_S, LEAST_S))
        return writing

    def _leave(self, writing: _Writing) -> bool:
        """Note that one thread has written; return whether no other one writes the same card."""
        with _held_for(self._entry, WRITE_S):
            writing.writers -= 1
            if writing.writers == 0:
                self._writing.pop(os.path.realpath(writing.before.card), None)
            return writing.writers == 0

    @contextlib.contextmanager
    def _around_save(
        self, method: card_writers.CardMethod, call: Mapping[str, Any]
    ) -> Iterator[None]:
        """Look at the folder again when the outermost save has returned: cards are written before the weights."""
        self._own.saves += 1
        try:
            yield
        finally:
            self._own.saves -= 1
        # While training runs nothing is known yet; at a push a card is written after this anyway.
        busy = (
            trainer_calls.trains(self._trainer()) or trainer_calls.push(self._trainer()) is not None
        )
        if self._own.saves == 0 and not self._own.within and not busy:
            guarded(
                "_saved",
                {},
                lambda: self._look_at_saved(method.folder(call)),
                Budget(WRITE_S, LEAST_S),
            )

    def _look_at_saved(self, folder: Path) -> None:
        """Bring the card in *folder* up to date with the files that were saved there."""
        at_home = self._output is not None and _same(folder, self._output.parent)
        card = self._written if at_home and self._written is not None else folder / CARD
        if not at_home and card not in self._files.left:
            return
        known = self._known(None if at_home else folder)
        record = known.record
        if record is None or not known.ended:
            return
        # A card that says of which step the weights are must not say so any more where they have
        # been changed.
        says_less = "evaluation.best.loaded" in record.missing
        changed = self._weights is not None and self._weights.changed()
        if not says_less and (changed or self._saved.get(card) == _saved_in(record)):
            return
        self._put(card, record, None)

    def _note_given(self, call: Mapping[str, Any]) -> None:
        """Remember what a person passed; a sentence-transformers model writes it into its own card, too."""
        args, repository = getattr(self._trainer(), "args", None), self._repository_name()
        names = {
            Path(str(getattr(args, "output_dir", ""))).name,
            (repository or "").rpartition("/")[2],
        }
        self._pen.given.note(call, names)
        self._inform()

    def _inform(self) -> None:
        """Tell a sentence-transformers model's card data what they do not know."""
        record = self._known().record
        if self._form and record is not None:
            from autocard.card.fields import front_matter  # noqa: PLC0415

            revision = record.model.base_model_revision
            card_writers.inform(
                self._model(), front_matter(record), revision=revision, withheld=self._pen.withheld
            )

    def _known(self, saved_to: Path | None = None) -> RecordNow:
        """Return the record with what a person has passed in code."""
        known = self._run.record_now(saved_to)
        if known.record is None:
            return known
        return replace(
            known, record=self._pen.given.completed(known.record, self._repository_name())
        )

    def _prepare_form(self, card: Path) -> None:
        """Tell a sentence-transformers model where it will be, before it writes *card*."""
        self._name_form()
        if self._output is not None and card != self._output:
            # sentence-transformers copies a checkpoint's card over this one before it uploads.
            self._snapshot = library_cards.read(self._output).text

    def _copy(self, before: library_cards.CardBefore) -> None:
        """Keep a copy on disk while the library writes: the process may be killed in it."""
        if before.data is not None and not self._is_library_text(before):
            CardCopies(before.card).begin(before.data, self._files.written.get(before.card, []))

    def _is_library_text(self, before: library_cards.CardBefore) -> bool:
        """Return whether a library alone has written what stood there."""
        return before.text is not None and before.text == self._files.host.get(before.card)

    def _put_right(
        self,
        method: card_writers.CardMethod,
        writing: _Writing,
        call: Mapping[str, Any],
        pushing: Mapping[str, Any] | None,
    ) -> None:
        """Put a person's card back behind the library, then our facts into it: each under a guard of its own.

        In this order, whatever fails in the second leaves the person's card on disk and in the
        upload.
        """
        with _held_for(self._turn, WRITE_S):
            before, budget = writing.before, Budget(LOOK_S, LEAST_S)
            is_last, theirs = False, None
            try:
                theirs = guarded("_card put back", {}, lambda: self._put_back(before), budget)
            finally:
                is_last = self._leave(writing)
            if theirs is None:
                return  # the copy stays: the next run puts it back
            if is_last:
                guarded("_copy removed", {}, CardCopies(before.card).end, budget)
            left = self._files.left.get(before.card)
            after = lambda: self._after(method, before, theirs.text, call, pushing)  # noqa: E731
            guarded("_last word", {}, after, Budget(WRITE_S, LEAST_S))
            self.keep_unmerged()
            if pushing is not None:
                guarded("_card beside", {}, lambda: self._keep_out_of_upload(before.card), budget)
            now = self._files.left.get(before.card)
            if now is not None and now is not left:
                writing.before = library_cards.CardBefore(
                    before.card, now, now.encode("utf-8")
                )  # for those that still write it

    def _put_back(self, before: library_cards.CardBefore) -> library_cards.CardBefore:
        """Put what a person had in the place of what the library wrote, and return the library's text.

        First of all, from memory: neither the library's text nor a folder of copies is needed for
        it.
        """
        theirs = None
        try:
            theirs = library_cards.read(before.card)
        finally:
            if before.data is not None and not self._is_library_text(before):
                self._put_over(before.card, before.data, None if theirs is None else theirs.data)
        if theirs.data is not None and theirs.data != before.data:
            self._files.written.setdefault(before.card, []).append(digest(theirs.data))
        return theirs

    @staticmethod
    def _put_over(card: Path, mine: bytes, theirs: bytes | None) -> None:
        """Put *mine* into *card*; where that fails, note that the library wrote *theirs*: the next run puts it back."""
        from autocard import files  # noqa: PLC0415

        try:
            files.write_over(card, mine)
        except NotWrittenError:
            if theirs is not None and theirs != mine:
                CardCopies(card).note_library(theirs)
            raise

    def _after(
        self,
        method: card_writers.CardMethod,
        before: library_cards.CardBefore,
        theirs: str | None,
        call: Mapping[str, Any],
        pushing: Mapping[str, Any] | None,
    ) -> None:
        """Fill the card with the run's facts, where they are those of the model that was saved."""
        known = self._known()
        record, ended = known.record, known.ended
        if self._weights is not None and self._weights.changed():
            log_warning(
                "autocard: %s: the model was trained on after the run that is recorded, so autocard leaves the card to "
                "you: its figures are not those of these weights",
                before.card.name,
            )
            if method.pushes:
                self._restore(before, theirs, record)
        elif ended and record is not None:
            self._settle(before, theirs, record, form=method.form)
            if pushing is not None:
                self._with_hub(before.card, record, pushing)
        else:
            self._restore(before, theirs, record)

    def _settle(
        self, before: library_cards.CardBefore, theirs: str | None, record: RunRecord, *, form: bool
    ) -> None:
        """Write the card as it should stand after the library has written *theirs*."""
        card, theirs = (
            before.card,
            card_writers.at_home(theirs) if self._form and theirs else theirs,
        )
        known, left = self._files.host.get(card), self._files.left.get(card)
        self._touched |= before.text is not None and before.text not in (known, left)
        if before.data is not None and before.text is None:
            self._put(card, record, None)  # it is not UTF-8: theirs to put right
            return
        standing = self._base(card, before.text, theirs, form=form)
        if theirs is not None:
            self._files.note(card, theirs)
        self._pen.note_card(theirs)
        self._put(card, record, standing)

    def _keep_out_of_upload(self, card: Path) -> None:
        """Move a card of ours that lies beside one which could not be filled to where uploads do not look."""
        from autocard import files  # noqa: PLC0415
        from autocard.card.update import path_beside  # noqa: PLC0415

        stray = path_beside(card)
        if not stray.is_file() or not library_cards.slots(stray):
            return
        place = stray.parent / files.PRIVATE / stray.name
        place.parent.mkdir(exist_ok=True)
        stray.replace(place)
        log_warning("autocard: %s is not uploaded; it was moved to %s", stray.name, place)

    def _base(self, card: Path, before: str | None, theirs: str | None, *, form: bool) -> Standing:
        """Return the text that is to be filled."""
        from autocard.card import three_way_merge  # noqa: PLC0415
        from autocard.card.update import Standing  # noqa: PLC0415

        known = self._files.host.get(card)
        if before is None or before == known:  # nobody but the host has written there
            if (
                card != self._output
                and self._output is not None
                and self._output in self._files.left
            ):
                # The model is saved elsewhere: it takes its card along, with what people wrote into
                # it.
                return Standing(
                    library_cards.read(self._output).text,
                    remembered=library_cards.slots(self._output),
                )
            return Standing(theirs if form else None)
        if form and theirs is not None:
            if known is not None:
                # What the host knows better by now (statistics, logs), with what people and we have
                # written since.
                return Standing(three_way_merge.merge(known, before, theirs).text)
            if not self._touched:
                return Standing(theirs, remembered={})  # until now there was only our own new card
            self._pen.warn_of_override(card)
        return Standing(before)

    def _restore(
        self, before: library_cards.CardBefore, theirs: str | None, record: RunRecord | None
    ) -> None:
        """Training is not over: a person's card stays as it is; of a library's alone, ids that are bad are repaired."""
        from autocard import files  # noqa: PLC0415

        card = before.card
        self._pen.note_card(theirs)
        if theirs is not None and theirs != before.text:
            self._files.seen.add(hash(theirs))
        if before.data is not None and not self._is_library_text(before):
            return
        if theirs is not None:
            repaired = library_cards.repaired(theirs, record, self._pen.withheld)
            files.write_text(card, repaired)
            self._files.note(card, repaired)
            self._files.left[card] = repaired

    # -- writing -----------------------------------------------------------------------------------

    def _put(self, card: Path, record: RunRecord, standing: Standing | None) -> bool:
        """Write record and card; return whether it was this card, not one beside it."""
        form = self._files.host.get(card, "") if self._form else None
        outcome = self._pen.write(card, record, standing, form)
        self._files.left[outcome.card] = outcome.text
        self._saved[card] = _saved_in(record)
        if outcome.left_alone is not None and getattr(
            getattr(self._trainer(), "args", None), "push_to_hub", False
        ):
            self._keep_out_of_upload(card)  # at once: an upload may be under way in the background
        return outcome.left_alone is None

    def _with_hub(self, card: Path, record: RunRecord, pushing: Mapping[str, Any]) -> None:
        """Take in what was edited on the Hub's own page since our last upload, before this one goes over it."""
        from autocard import files  # noqa: PLC0415
        from autocard.card.update import Standing  # noqa: PLC0415
        from autocard.hub import uploads  # noqa: PLC0415

        repo = self._repository(pushing)
        # a card that is not UTF-8 cannot be merged
        if repo is None or library_cards.read(card).text is None:
            return
        past = uploads.UploadHistory(card.parent / files.PRIVATE, repo.name)
        by_host = lambda text: hash(text) in self._files.seen  # noqa: E731

        def edited(text: str) -> None:
            self._unmerged = card, text

        try:
            mine = (self._snapshot or "") if self._touched else None
            merged = uploads.take_in(card, repo, past, generated=by_host, mine=mine, edited=edited)
        except UnavailableError as exc:
            self._hub_is_silent = True
            log_warning(
                "autocard: %s. An edit made there since the last upload would be replaced by this one; it stays in "
                "the repository's history.",
                exc,
            )
            merged = None
        if merged is not None:
            self._touched = True
            if not self._put(
                card,
                record,
                Standing(merged.text, merged.ours, merged.ours if merged.whole else None),
            ):
                # the Hub's card cannot be filled: it stands as it is
                files.write_text(card, merged.text)
            if merged.warning is not None:
                log_warning("autocard: %s", merged.warning)
        self._unmerged = None
        past.add(card)

    def keep_unmerged(self) -> None:
        """Keep the Hub's text of a card where merging it failed or took too long: the upload goes over it."""
        unmerged, self._unmerged = self._unmerged, None
        if unmerged is None:
            return

        def keep() -> None:
            from autocard.hub import uploads  # noqa: PLC0415

            log_warning("autocard: %s", uploads.keep_unmerged(*unmerged))

        guarded("_hub card kept", {}, keep, Budget(LOOK_S, LEAST_S))

    def _repository(self, pushing: Mapping[str, Any]) -> Any:
        from autocard.hub import remote  # noqa: PLC0415

        args, name = getattr(self._trainer(), "args", None), self._repository_name()
        if name is None:
            return None
        token, revision = (
            pushing.get(key) or getattr(args, f"hub_{key}", None) for key in ("token", "revision")
        )
        return remote.Repository(name, token, revision)

    def _repository_name(self) -> str | None:
        trainer = self._trainer()
        name: str | None = getattr(trainer, "hub_model_id", None)
        return name or getattr(getattr(trainer, "args", None), "hub_model_id", None)

    def _name_form(self) -> None:
        if self._form:
            card_writers.name_form(self._model(), self._repository_name())

    def _model(self) -> Any:
        return getattr(self._trainer(), "model", None)


@contextlib.contextmanager
def _held_for(lock: threading.Lock, most_s: float) -> Iterator[None]:
    """Hold *lock* in the body, or go on without it after *most_s* seconds: the copy of a forked process may be held."""
    has_it = lock.acquire(timeout=most_s)
    try:
        yield
    finally:
        if has_it:
            lock.release()


def _saved_in(record: RunRecord) -> tuple[int | None, tuple[str, ...]]:
    return record.model.saved_bytes, tuple(record.model.saved_files)


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _has(trainer: Any, callback: Any) -> bool:
    """Return whether *callback* is still the trainer's; a trainer that is gone has nothing to say."""
    handler = getattr(trainer, "callback_handler", None)
    return handler is None or any(one is callback for one in handler.callbacks)
