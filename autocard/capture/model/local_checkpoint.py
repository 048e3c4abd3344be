"""What the files in a local checkpoint's folder record: its base, the run that made it.

Small files only, read with a limit; a folder's path is never returned.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from autocard import files
from autocard.card.front.yaml_keys import front_values

_READ_BYTES = 1_000_000
_RECORD_BYTES = 20_000_000
_RECORD = "autocard.json"
_RUN_ID = re.compile(r"[0-9a-f]{12}")


def record_of(folder: Path) -> Mapping[str, Any]:
    """Return autocard's record of the run that made the checkpoint in *folder*; empty: none."""
    for place in (folder, folder.parent) if folder.name.startswith("checkpoint-") else (folder,):
        found = _json(place / _RECORD, _RECORD_BYTES)
        if isinstance(found.get("run"), dict) and isinstance(found.get("model"), dict):
            return found
    return {}


def run_of(folder: Path) -> str | None:
    """Return the id of the run that made the checkpoint in *folder*, by its record."""
    found = record_of(folder).get("run", {}).get("id")
    return found if isinstance(found, str) and _RUN_ID.fullmatch(found) else None


def own_bases(folder: Path) -> Iterator[str]:
    """Yield the bases in the files of a checkpoint's *folder*: card, adapter configuration."""
    yield from _card_bases(folder / "README.md")
    found = _json(folder / "adapter_config.json").get("base_model_name_or_path")
    if isinstance(found, str):
        yield found


def name_in_configuration(folder: Path) -> Iterator[str]:
    """Yield the name in its configuration that the model in *folder* was once loaded by."""
    found = _json(folder / "config.json").get("_name_or_path")
    if isinstance(found, str):
        yield found


def _card_bases(card: Path) -> list[str]:
    """Return `base_model` of a card's front matter, where it names exactly one."""
    bases = front_values(_text(card), ["base_model"]).get("base_model")
    if isinstance(bases, list) and len(bases) == 1:
        bases = bases[0]
    return [bases] if isinstance(bases, str) else []


def _json(file: Path, most_bytes: int = _READ_BYTES) -> dict[str, Any]:
    try:
        found = json.loads(_text(file, most_bytes) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(file: Path, most_bytes: int = _READ_BYTES) -> str:
    """Return the text of a small *file*; empty where it cannot be read."""
    try:
        return files.read_bytes(file, most_bytes).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
