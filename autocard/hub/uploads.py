"""What we uploaded, and what was edited on the Hub's own page since: the edit is taken in before the next upload.

One rule: a person's words win over ours, those on the Hub over those on disk; where both changed the same place, the
version on disk is kept in the private folder and the log names it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from autocard import files
from autocard.card import threeway
from autocard.card.generated import wrote
from autocard.hub import texts
from autocard.hub.card_copies import CardCopies
from autocard.hub.remote import CARD, Repository

logger = logging.getLogger("autocard")

_REMEMBERED = 3
"""Uploads that are remembered: one of them may have failed, so the last need not be what is there."""
_SHOWN = 3
"""Lines that gave way, as the log shows them."""


@dataclass(frozen=True)
class Upload:
    """One card as it was uploaded, and what in it was ours."""

    text: str
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """The card with the edits of both sides.

    Attributes:
        text: the card.
        ours: slots in it that autocard wrote, by what is remembered of earlier uploads.
    """

    text: str
    ours: Mapping[str, str]
    whole: bool = False
    """It is the card on the Hub, and nothing of the one on disk."""


class Past:
    """The last uploads to one repository from one folder."""

    def __init__(self, private: Path, repository: str) -> None:
        self._private = private
        self._repository = repository

    def _paths(self) -> list[Path]:
        return sorted(self._private.glob("uploaded-*.json"))

    def __iter__(self) -> Iterator[Upload]:
        """Return them, the oldest first."""
        uploads = (_read(path, self._repository) for path in self._paths())
        return (upload for upload in uploads if upload is not None)

    def closest(self, text: str) -> Upload | None:
        """Return the upload that *text* was most likely edited from."""
        lines = text.splitlines()

        def likeness(upload: Upload) -> float:
            return SequenceMatcher(None, upload.text.splitlines(), lines, autojunk=False).ratio()

        return max(reversed(list(self)), key=likeness, default=None)

    def add(self, card: Path) -> None:
        """Remember *card* as it is now: it is about to be uploaded."""
        data = {"repository": self._repository, "text": files.read_text(card), "slots": texts.slots(card)}
        paths = self._paths()
        number = int(paths[-1].stem.partition("-")[2]) + 1 if paths else 1
        files.write_text(self._private / f"uploaded-{number:06}.json", json.dumps(data, ensure_ascii=False))
        for path in paths[: -(_REMEMBERED - 1)]:
            path.unlink(missing_ok=True)


def _read(path: Path, repository: str) -> Upload | None:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return Upload(str(data["text"]), dict(data["slots"])) if data["repository"] == repository else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def take_in(
    card: Path, repo: Repository, past: Past, *, generated: Callable[[str], bool], mine: str | None
) -> Taken | None:
    """Return the card with what was edited on the Hub; None: nothing was.

    Args:
        card: as it would be uploaded.
        repo: where to.
        past: what was uploaded there from here.
        generated: says whether the host alone wrote a text. An upload runs in the background, and may have read the
            file in the moment between the host's writing and ours: then the host's card is there, and nobody's edit.
        mine: the card on disk as a person left it; None: nobody has written there but us.

    Raises:
        UnavailableError: the Hub could not be read.
    """
    there = repo.read(CARD)
    here = files.read_text(card)
    if there is None or not there.strip() or there == here or any(there == upload.text for upload in past):
        return None
    base = past.closest(there)
    if generated(there) or (base is not None and wrote(there) and not wrote(base.text)):
        return None
    ours = {**(base.slots if base else {}), **repo.slots()}
    if base is None:
        # Without a common past the card on the Hub stands, unless all of it is on disk too, or was before we filled it.
        known = {*here.splitlines(), *(mine or "").splitlines()}
        if mine is not None and all(line in known for line in there.splitlines()):
            return None
        if mine is not None:
            _keep(card, here, [])
        return Taken(there, ours, whole=True)
    merged = threeway.merge(base.text, there, here)
    lost = [line for line in merged.conflicts if not _is_ours(line, card)]
    if lost:
        _keep(card, here, lost)
    return Taken(merged.text, ours)


def _is_ours(line: str, card: Path) -> bool:
    """Return whether *line* is our own text: it is written again anyway."""
    return any(line in text or (text.strip() and text.strip() in line) for text in texts.slots(card).values())


def _keep(card: Path, text: str, lost: list[str]) -> None:
    """Keep the version on disk where lines of a person's in it gave way to lines on the Hub."""
    aside = CardCopies(card).keep(text.encode("utf-8"))
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    named = f" Not taken: {'; '.join(repr(line) for line in lost[:_SHOWN])}{more}." if lost else ""
    logger.warning(
        "autocard: %s was edited on disk and on the Hub %s; the Hub's text stands.%s The version that was on disk is "
        "kept in %s.",
        card.name,
        "in the same place" if lost else "apart, and nothing tells what from",
        named,
        aside,
    )
