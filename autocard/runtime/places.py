"""Whether the places that the settings name can be used: working files, card, output folder.

Rule: a place that cannot be used is never an error. What is used instead is decided here, and one
sentence names the setting, the reason and the way to mend it. The sentences are for the log and
the terminal, not for the record: they hold paths.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autocard import files
from autocard.energy.ledger import node_folder
from autocard.energy.ledger.ledger_files import FOLDER, LedgerFolders, folders_of
from autocard.settings import Settings

MENDS = {
    "ledger_dir": (
        "Name a folder that can be made and written on each node, or leave the setting out: "
        "working files then go to the output folder"
    ),
    "card": (
        "Name a file in a folder that can be written, or leave the setting out: "
        "the card is then README.md in the output folder"
    ),
}
"""Setting → what a user can do."""
INSTEAD = {
    "ledger_dir": "The working files go to the output folder instead",
    "card": "Card and record go to the output folder instead",
}
"""Setting → what a training does without the place."""


def why_no_node_folder(folders: LedgerFolders) -> str | None:
    """Return why the node's own folder cannot be used; None: it can, or there is none."""
    if folders.node is None:
        return None
    try:
        node_folder.make(folders.node)
    except OSError as exc:
        return files.reason(exc)
    return files.why_not_writable(folders.node)


def why_no_card(card: Path) -> str | None:
    """Return why a card cannot be written at *card*; None: it can."""
    if files.is_folder(card):
        return "it is a folder"
    target = Path(os.path.realpath(card))
    if files.exists(target) and not files.is_file(target):
        return "it is not a regular file"
    if not files.is_link(card):
        return files.why_not_writable(card.parent)
    if not files.is_folder(target.parent):
        return files.LEADS_NOWHERE
    return files.why_not_writable(target.parent)


def of_settings(settings: Settings) -> Iterator[tuple[str, str, str | None]]:
    """Yield (setting, place, why it cannot be used or None); nothing is left behind there."""
    folders = folders_of(None, settings.ledger_dir)
    if folders.node is not None:
        why_node = why_no_node_folder(folders)
        node_folder.remove_if_made(folders.node)
        yield "ledger_dir", str(folders.node), why_node
    if settings.card is not None:
        yield "card", settings.card, why_no_card(Path(settings.card))


def problems(
    settings: Settings, folders: LedgerFolders, output: Path, *, writes: bool, leads: bool
) -> Iterator[tuple[str, str]]:
    """Yield (setting, sentence) for each place that cannot be used.

    Args:
        settings: the user's.
        folders: of the ledger.
        output: the output folder.
        writes: whether this process writes the card.
        leads: whether this process measures its host.
    """
    why_output = why_no_output(output)
    why_node = why_no_node_folder(folders) if leads else None
    if why_node is not None:
        instead = f"The working files go to {output / FOLDER} instead; no reading is lost"
        if why_output is not None:
            instead = "No working files are kept: the output folder cannot be written either"
        yield "ledger_dir", _sentence(settings, "ledger_dir", why_node, instead)
    if writes:
        yield from _of_card(settings, output, why_output)
    if why_output is not None:
        said = [f"{output}: the output folder cannot be written ({why_output})"]
        if writes and settings.card is None:
            said.append(_last_resort())
        if leads and why_node is None:
            said.append(_without_output(folders))
        yield "output_dir", ". ".join(said) + "."


def _of_card(settings: Settings, output: Path, why_output: str | None) -> Iterator[tuple[str, str]]:
    """Yield the sentence for a card that cannot be written where the setting says."""
    why_card = None if settings.card is None else why_no_card(Path(settings.card))
    if why_card is not None:
        instead = f"Card and record go to {output / 'README.md'} instead"
        if why_output is not None:
            instead = _last_resort()
        yield "card", _sentence(settings, "card", why_card, instead)


def _sentence(settings: Settings, name: str, why: str, instead: str) -> str:
    where = given(settings, name)
    return f"{where}: this place cannot be used ({why}). {instead}. {MENDS[name]}."


def given(settings: Settings, name: str) -> str:
    """Return how a message names the setting *name*, with its source."""
    if settings.sources.get(name) == "argument":  # its text elsewhere is cut where it is long
        return f"argument {name}={getattr(settings, name)!r}"
    return settings.given_as.get(name, name)


def _without_output(folders: LedgerFolders) -> str:
    if folders.node is None:
        return "If training is killed, its readings are lost"
    return f"The working files stay in {folders.node}, on this node alone"


def _last_resort() -> str:
    """Say where a record goes that no folder of the training takes."""
    try:
        folder = tempfile.gettempdir()
    except OSError:
        return "The record is lost: there is no folder for temporary files"
    return (
        f"At the end of training the record goes to a new folder in {folder}, which the log names"
    )


def why_no_output(output: Path) -> str | None:
    """Return why working files cannot be written into the *output* folder; None: they can.

    The folder is made if it is missing, as the card or the first checkpoint would make it.
    """
    folder = output / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        return files.reason(exc)
    return files.why_not_writable(folder)
