"""Merge edits on the Hub's page since the last upload from here into the next upload.

Rules: a person's text wins over autocard's. After an upload from here, an edit on the Hub wins over
an edit on disk. Without such an upload, the card that the user asked to push wins, and keys that
its front matter lacks come from the Hub's card. Whenever a person's text is replaced, that version
is kept in a file, and a warning names the file after the card was written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autocard import files
from autocard.card import three_way_merge
from autocard.card.diff import likeness
from autocard.card.fill.written_text import PLACE, WAS, YAML
from autocard.card.form.boilerplate import is_trainer_card
from autocard.card.libraries import library_cards
from autocard.card.libraries.card_copies import CardCopies
from autocard.card.markdown.document import Document
from autocard.hub.remote import CARD, Repository

_REMEMBERED = 3
"""Number of remembered uploads: one may have failed, so the last need not be on the Hub."""
_SHOWN = 3
"""Maximum number of replaced lines that the log shows."""
_UPLOAD_BYTES = 4 * files.CARD_BYTES
"""Maximum bytes of the JSON with a card and the slots that autocard wrote."""


@dataclass(frozen=True)
class Upload:
    """An uploaded card, and the slots in it that autocard wrote."""

    text: str
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """The card with the edits of both sides.

    Attributes:
        text: the card.
        ours: slots in it that autocard wrote, by the history of uploads.
        whole: it is the card on the Hub, with nothing of the card on disk.
        warning: to log after the card is written; None: no text of a person was replaced.
    """

    text: str
    ours: Mapping[str, str]
    whole: bool = False
    warning: str | None = None


class UploadHistory:
    """The last uploads to a repository from a folder."""

    def __init__(self, private: Path, repository: str) -> None:
        self._private = private
        self._repository = repository

    def _paths(self) -> list[Path]:
        return sorted(self._private.glob("uploaded-*.json"))

    def __iter__(self) -> Iterator[Upload]:
        """Return an iterator over the uploads, the oldest first."""
        uploads = (_read(path, self._repository) for path in self._paths())
        return (upload for upload in uploads if upload is not None)

    def closest(self, text: str) -> Upload | None:
        """Return the upload that *text* was most likely derived from."""
        lines = text.splitlines()
        uploads = reversed(list(self))
        return max(
            uploads, key=lambda upload: likeness(upload.text.splitlines(), lines), default=None
        )

    def add(self, card: Path) -> None:
        """Remember the present text of *card*, which is about to be uploaded."""
        data = {
            "repository": self._repository,
            "text": files.read_text(card),
            "slots": library_cards.slots(card),
        }
        paths = self._paths()
        number = int(paths[-1].stem.partition("-")[2]) + 1 if paths else 1
        files.write_text(
            self._private / f"uploaded-{number:06}.json", json.dumps(data, ensure_ascii=False)
        )
        for path in paths[: -(_REMEMBERED - 1)]:
            path.unlink(missing_ok=True)


def _read(path: Path, repository: str) -> Upload | None:
    try:
        data = json.loads(files.read_text(path, _UPLOAD_BYTES))
        return (
            Upload(str(data["text"]), dict(data["slots"]))
            if data["repository"] == repository
            else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def merge_hub_edits(
    card: Path,
    repo: Repository,
    past: UploadHistory,
    *,
    generated: Callable[[str], bool],
    mine: str | None,
    edited: Callable[[str], None] = lambda _: None,
) -> Taken | None:
    """Return the card merged with the edits on the Hub; None: there are none.

    Args:
        card: as it would be uploaded.
        repo: the repository it is uploaded to.
        past: the uploads from here to there.
        generated: returns whether only the library wrote a text. An upload runs in the background,
            and may have read the file between the library's write and ours: then the library's
            card is on the Hub, without an edit.
        mine: the card on disk as a person left it; None: only autocard has written there.
        edited: called with the Hub's text before it is compared and merged, if it may have been
            edited there.

    Raises:
        UnavailableError: the Hub could not be read.
    """
    there = repo.read(CARD)
    here = files.read_text(card)
    if (
        there is None
        or not there.strip()
        or there == here
        or any(there == upload.text for upload in past)
    ):
        return None
    edited(there)
    base = past.closest(there)
    if generated(there) or (
        base is not None and is_trainer_card(there) and not is_trainer_card(base.text)
    ):
        return None
    ours = {**(base.slots if base else {}), **repo.slots()}
    if base is None and mine is None:
        return Taken(there, ours, whole=True)
    if base is None:
        return _first(
            card, here, there, ours, known={*here.splitlines(), *(mine or "").splitlines()}
        )
    merged = three_way_merge.merge(base.text, there, here)
    ours_here = [
        text
        for name, text in library_cards.slots(card).items()
        if not name.startswith((PLACE, WAS))
    ]
    lost = [line for line in merged.conflicts if not _is_ours(line, ours_here)]
    warning = _keep_disk(card, here, lost) if lost else None
    return Taken(merged.text, ours, warning=warning)


def _first(card: Path, here: str, there: str, ours: Mapping[str, str], known: set[str]) -> Taken:
    """Return a person's card for its first upload, which replaces a card on the Hub.

    Args:
        card: path of the card on disk.
        here: its text.
        there: the text on the Hub.
        ours: slots that autocard wrote into the text on the Hub.
        known: lines that are, or were, on disk.
    """
    body = there[Document(there).body :]
    replaced = [line for line in body.splitlines() if line.strip() and line not in known]
    warning = _keep_hub(card, there) if replaced else None
    keys = {name: text for name, text in ours.items() if name.startswith(YAML)}
    return Taken(three_way_merge.add_missing_keys(here, there), keys, warning=warning)


def _is_ours(line: str, ours: Iterable[str]) -> bool:
    """Return whether *line* is part of *ours*, texts that autocard writes again anyway."""
    return any(line in text or (text.strip() and text.strip() in line) for text in ours)


def _keep_disk(card: Path, text: str, lost: list[str]) -> str:
    """Save the version on disk, whose *lost* lines the Hub's replace; return the warning."""
    aside = CardCopies(card).keep(text.encode("utf-8"))
    more = f" and {len(lost) - _SHOWN} more" if len(lost) > _SHOWN else ""
    shown = "; ".join(repr(line) for line in lost[:_SHOWN])
    return (
        f"{card.name} was edited on disk and on the Hub in the same place; "
        f"the Hub's text was taken. Not taken: {shown}{more}. "
        f"The version that was on disk is kept in {aside}."
    )


def _keep_hub(card: Path, text: str) -> str:
    """Save the version on the Hub, which the version on disk replaces; return the warning."""
    aside = CardCopies(card).keep(text.encode("utf-8"))
    return (
        f"the Hub had another {card.name} before this first upload; the one on disk was taken. "
        f"The version that was on the Hub is kept in {aside}, and in the repository's history."
    )


def keep_unmerged(card: Path, text: str) -> str:
    """Save the version on the Hub that could not be merged; return the warning."""
    aside = CardCopies(card).keep(text.encode("utf-8"))
    return (
        f"{card.name} on the Hub was edited since the last upload, and the edit could not be "
        f"merged. This upload replaces it. The version that was on the Hub is kept in {aside}, "
        "and in the repository's history."
    )
