"""Writes record and card with what others know beside the run, and tells the log what a person should know.

One rule: every card of a run goes through here, so that the last one written is like the first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from autocard.card.libraries import library_cards
from autocard.card_guard.card_arguments import CardArguments
from autocard.guard import log_info, log_warning
from autocard.settings import Settings

if TYPE_CHECKING:
    from autocard.card.update import Outcome, Standing
    from autocard.record import RunRecord


class CardWriter:
    """Writes the cards of one run.

    Args:
        settings: template, and how a new card shows what nobody has filled.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: dict[Path, list[str]] = {}
        self.given = CardArguments(settings)
        self._library_tags: list[str] = []
        self.withheld: frozenset[str] = frozenset()
        """Names that no card may show: local paths that the model was loaded from."""

    def write(
        self, card: Path, record: RunRecord, standing: Standing | None, form: str | None
    ) -> Outcome:
        """Write record and card; *form* is the host's own card, where ours is filled into it."""
        from autocard.card.update import update  # noqa: PLC0415

        outcome = update(
            card,
            record,
            template=self._settings.template,
            empty=self._settings.empty,
            standing=standing,
            extra={"tags": self._tags_beside(record)},
            withheld=self.withheld,
        )
        for message in outcome.warnings:
            log_warning("autocard: %s", message)
        kept = _kept_words(outcome, form)
        if kept and kept != self._told.get(outcome.card):
            # Not a failure: people's words win. But a card that was copied must not pass in
            # silence.
            self._told[outcome.card] = kept
            log_warning(
                "autocard: %s: text that autocard did not write, or that was edited since, was kept in: %s. "
                "Where it is this run's facts that should stand there: autocard fill %s --overwrite SLOT",
                outcome.card.name,
                ", ".join(kept),
                outcome.card.name,
            )
        log_info("autocard: wrote %s", outcome.card)
        return outcome

    def warn_of_override(self, card: Path) -> None:
        """Say, once, that what a trainer of the author's own writes is not in the card."""
        if self._told.setdefault(card.with_suffix(".override"), []):
            return
        self._told[card.with_suffix(".override")] = ["told"]
        log_warning(
            "autocard: %s: the trainer's class writes a card of its own over one that a person wrote into. The "
            "person's stands; what the class adds is not in it. last_word=False leaves the card to the class",
            card.name,
        )

    def note_card(self, theirs: str | None) -> None:
        """Remember the tags that the host gives a card: people search the Hub by them."""
        tags = library_cards.front(theirs).get("tags")
        found = [
            tag
            for tag in (tags if isinstance(tags, list) else [])
            if isinstance(tag, str) and library_cards.is_tag(tag)
        ]
        self._library_tags = list(dict.fromkeys([*self._library_tags, *found]))

    def _tags_beside(self, record: RunRecord) -> list[str]:
        """Return the tags that go into a card beside the record's own: those given in code, and a library's."""
        known = [tag for tag in self._library_tags if library_cards.is_true_tag(tag, record)]
        given = [
            tag for tag in self.given.tags if not library_cards.names_one_of(tag, self.withheld)
        ]
        return list(dict.fromkeys([*given, *known]))


def _kept_words(outcome: Outcome, form: str | None) -> list[str]:
    """Return the slots that hold somebody's text; what the host's own form says there is nobody's."""
    said = set((form or "").splitlines())
    lines = outcome.text.splitlines()
    return sorted(
        report.slot
        for report in outcome.kept
        if not (report.line and lines[report.line - 1] in said)
    )
