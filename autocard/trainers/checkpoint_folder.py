"""What transformers' Trainer saves in a checkpoint's folder, read without transformers.

JSON only: `training_args.bin` and the optimizer's state are pickles and are never opened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

from autocard import files
from autocard.capture.observed import Progress, TrainerView

STATE = "trainer_state.json"
_STATE_BYTES = 200_000_000
"""Of a state: its log has an entry for each logged step."""
_CONFIG_BYTES = 10_000_000
_NAME = re.compile(r"checkpoint-(\d+)")


def is_checkpoint(folder: Path) -> bool:
    """Return whether *folder* is a checkpoint that was written to its end."""
    return files.exists(folder / STATE)


def newest(output: Path) -> Path | None:
    """Return the newest whole checkpoint in the folder *output*; None: there is none."""
    found = {
        int(name[1]): folder
        for folder in output.glob("checkpoint-*")
        if (name := _NAME.fullmatch(folder.name)) is not None and is_checkpoint(folder)
    }
    return found[max(found)] if found else None


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """Return the JSON object in the file *name* of *folder*; empty: there is none."""
    return _json(folder / name, _CONFIG_BYTES)


def _json(file: Path, limit: int) -> dict[str, Any]:
    try:
        found = json.loads(files.read_text(file, limit))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


class SavedTrainer(TrainerView):
    """A trainer as a checkpoint has it."""

    def __init__(self, folder: Path) -> None:
        self._state: dict[str, Any] = _json(folder / STATE, _STATE_BYTES)

    def progress(self) -> Progress:
        """Return how far the training was."""
        log = self._state.get("log_history")
        entries = log if isinstance(log, list) else []
        return Progress(
            step=self._number("global_step") or 0,
            max_steps=self._number("max_steps") or 0,
            epoch=self._figure("epoch"),
            log=[entry for entry in entries if isinstance(entry, Mapping)],
            best_metric=self._figure("best_metric"),
            best_step=self._number("best_global_step"),
        )

    def keeps_log(self) -> bool:
        """Return True: the state has it."""
        return True

    def checkpoint_state(self) -> MutableMapping[str, Any] | None:
        """Return the state of the callbacks."""
        found = self._state.get("stateful_callbacks")
        return found if isinstance(found, dict) else None

    def _number(self, name: str) -> int | None:
        value = self._state.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _figure(self, name: str) -> float | None:
        value = self._state.get(name)
        return float(value) if isinstance(value, int | float) else None
