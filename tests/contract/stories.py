"""Stories: a card before and after `autocard fill`.

A story's folder has `before.md`, `after.md` and `story.yaml`: `record` (of contract/records), and,
where they matter, `beside` (the record that lies beside the card: what was written into it before),
`overwrite` (slots), `about`. An `autocard.labels.yaml` there lies beside the card, too.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import surface
import yaml

HERE = Path(__file__).parent
FOLDER = HERE / "stories"
LABELS = "autocard.labels.yaml"


def names() -> list[str]:
    """Return the stories."""
    return sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())


def told(name: str) -> dict[str, Any]:
    """Return what story.yaml says."""
    return dict(yaml.safe_load((FOLDER / name / "story.yaml").read_text(encoding="utf-8")))


def after(name: str, folder: Path) -> tuple[bytes, bytes]:
    """Return what becomes of the story's card, and of that when it is filled again; *folder* is empty."""
    story, about = FOLDER / name, told(name)
    card = folder / "README.md"
    shutil.copy(story / "before.md", card)
    if (story / LABELS).is_file():
        shutil.copy(story / LABELS, folder)
    if "beside" in about:
        shutil.copy(HERE / "records" / about["beside"] / "autocard.json", folder)
    words = ["fill", str(card), *(f"--overwrite={slot}" for slot in about.get("overwrite", ()))]
    if about["record"] != about.get("beside"):
        words += ["--record", str(HERE / "records" / about["record"])]
    once = _filled(words, card)
    return once, _filled(words[:2], card)


def _filled(words: list[str], card: Path) -> bytes:
    status, _ = surface.command(*words)
    if status:
        msg = f"autocard {' '.join(words)}: status {status}"
        raise AssertionError(msg)
    return card.read_bytes()


# -- cards that the training wrote and somebody changed: make.py writes their before.md ------------


def _own_hours(card: str) -> str:
    return re.sub(
        r"(?m)^(- \*\*Hours used:\*\*) .*$", r"\1 about ten seconds, by the clock on the wall", card
    )


def _without_impact(card: str) -> str:
    return re.sub(r"(?ms)^## Environmental Impact\n.*?(?=^## )", "", card)


def _with_own_section(card: str) -> str:
    own = "## How we chose the data\n\nBy hand, in two evenings.\n\n- **Hours used:** two evenings\n\n"
    return card.replace(
        "## Training Details\n", own + "## Training Details\n\nRead this with the paper.\n", 1
    )


OF_A_RECORD: dict[str, tuple[str, Callable[[str], str]]] = {
    "card-of-another-run": ("gpus", str),
    "second-run": ("lora", str),
    "edited-slot": ("measured", _own_hours),
    "edited-slot-overwritten": ("measured", _own_hours),
    "removed-section": ("measured", _without_impact),
    "own-section": ("measured", _with_own_section),
}
"""Story → the record whose card it begins with, and what a person did to it."""


def before_of_record(name: str) -> str:
    """Return the card that a training wrote, as the person of the story *name* left it."""
    record, edit = OF_A_RECORD[name]
    return edit((HERE / "records" / record / "README.md").read_text(encoding="utf-8"))
