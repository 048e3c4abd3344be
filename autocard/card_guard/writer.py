"""Writes record and card with facts from outside the run, and logs what a person should notice.

One rule: every card of a run goes through here, so that the last one written is like the first.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from autocard import console
from autocard.card.check.refused import refused
from autocard.card.libraries import library_cards
from autocard.card.update import update
from autocard.card_guard.card_arguments import CardArguments
from autocard.guard import log_info, log_warning
from autocard.settings import Settings

if TYPE_CHECKING:
    from autocard.card.report import Report
    from autocard.card.update import Outcome, Standing
    from autocard.record import RunRecord


_LONGEST = 60
"""Characters of a text that a warning quotes."""


class CardWriter:
    """Writes the cards of a run.

    Args:
        settings: template, and how a new card shows slots that are not filled.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: dict[Path, list[str]] = {}
        self._refused = ""
        """What the Hub would have refused at the last upload."""
        self._without_card: set[Path] = set()
        """Folders without a card that the user has been told of."""
        self.given = CardArguments(settings)
        self._library_tags: list[str] = []
        self.withheld: frozenset[str] = frozenset()
        """Names that no card may show: local paths that the model was loaded from."""

    @property
    def has_template(self) -> bool:
        """Whether the user chose a form for new cards."""
        return self._settings.template is not None

    def write(
        self,
        card: Path,
        record: RunRecord,
        standing: Standing | None,
        form: str | None,
        *,
        announces: bool = True,
    ) -> Outcome:
        """Write record and card.

        Args:
            card: path of the card.
            record: goes beside it.
            standing: what counts as the card; None: the file.
            form: the library's own card, if ours is filled into it.
            announces: whether the log says what a person should notice; of a checkpoint's card the
                run's own card says it.
        """
        outcome = update(
            card,
            record,
            template=self._settings.template,
            empty=self._settings.empty,
            standing=standing,
            extra={"tags": self.tags_beside(record)},
            withheld=self.withheld,
            detail=self._settings.detail,
            sections=self._settings.sections,
        )
        if not announces:
            return outcome
        for message in outcome.warnings:
            log_warning("autocard: %s", message)
        reports = _kept(outcome, form)
        kept = sorted(map(_in_words, reports))
        if kept and kept != self._told.get(outcome.card):
            # Not a failure: people's text wins. But a card copied from another model must not go
            # unnoticed.
            self._told[outcome.card] = kept
            log_warning(
                "autocard: %s: written or edited by hand, and kept: %s. "
                "To take this run's text instead: autocard fill %s --overwrite %s",
                outcome.card.name,
                "; ".join(kept),
                shlex.quote(str(outcome.card)),
                shlex.quote(reports[0].label),
            )
        log_info("autocard: wrote %s", outcome.card)
        return outcome

    def warn_of_override(self, card: Path) -> None:
        """Warn once that the text of the author's own trainer class is not in the card."""
        if self._told.setdefault(card.with_suffix(".override"), []):
            return
        self._told[card.with_suffix(".override")] = ["told"]
        log_warning(
            "autocard: %s: the trainer's class writes a card of its own over one that a person "
            "wrote into. The person's stands; what the class adds is not in it. last_word=False "
            "leaves the card to the class",
            card.name,
        )

    def warn_of_refusal(self, card: Path, *, again: bool = True) -> None:
        """Warn of what the Hub would refuse in *card*; not *again*: only once for the same."""
        refusals = refused(card) if card.is_file() else ""
        if refusals and (again or refusals != self._refused):
            log_warning("autocard: %s: the Hub would refuse this card: %s", card.name, refusals)
        self._refused = refusals

    def say_no_card(self, folder: Path, card: Path) -> None:
        """Say once that the model was saved to *folder* without a card, and how to make one."""
        other = folder / card.name
        if self._settings.quiet or folder in self._without_card or other.exists():
            return
        self._without_card.add(folder)
        record, copy = shlex.quote(str(card.parent)), shlex.quote(str(other))
        console.say(
            f"autocard: {folder}: no card there. To make one: autocard render {record} -o {copy}"
        )

    def note_card(self, theirs: str | None) -> None:
        """Remember the tags that the library gives a card: people search the Hub by them."""
        tags = library_cards.front(theirs).get("tags")
        found = [
            tag
            for tag in (tags if isinstance(tags, list) else [])
            if isinstance(tag, str) and library_cards.is_tag(tag)
        ]
        self._library_tags = list(dict.fromkeys([*self._library_tags, *found]))

    def tags_beside(self, record: RunRecord) -> list[str]:
        """Return the tags of a card besides the record's: those given in code, and a library's."""
        known = [tag for tag in self._library_tags if library_cards.is_true_tag(tag, record)]
        given = [
            tag for tag in self.given.tags if not library_cards.names_one_of(tag, self.withheld)
        ]
        return list(dict.fromkeys([*given, *known]))


def _kept(outcome: Outcome, form: str | None) -> list[Report]:
    """Return the slots with a person's text; text of the library's own form is not a person's."""
    library_card = form or ""
    return [report for report in outcome.kept if not _is_of_library(report, library_card)]


def _is_of_library(report: Report, library_card: str) -> bool:
    """Return whether the library's own card has the text of a slot, at the same label."""
    if not report.there:
        return False
    if "\n" in report.there:
        return report.there in library_card
    lines = library_card.splitlines()
    return any(report.label in line and report.there in line for line in lines)


def _in_words(report: Report) -> str:
    """Return a kept slot in the words of the card: "Hours used" in line 31 (there: …)."""
    words = f'"{report.label}"'
    if report.line:
        words += f" in line {report.line}"
    if report.there and report.wanted:
        words += f" (there: {_shortened(report.there)}; this run: {_shortened(report.wanted)})"
    return words


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
