"""The card of sentence-transformers or TRL that ours is filled into: its text, in a folder apart.

One rule: the library writes it by its own method; nothing of it is made up here, and no file of the
user is touched. Read in TRL 1.16 (trainer/base_trainer.py) and sentence-transformers 5.1 and 6.2
(base/model.py).
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from autocard.card.libraries import trl_card, usage_code
from autocard.card_guard.card_library import Library, is_sentence_transformer, layers
from autocard.card_guard.class_wrapper import original
from autocard.record import RunRecord


def written(library: Library, trainer: Any, model: Any) -> str | None:
    """Return the card that *library* writes now; None: it writes none in this process."""
    with tempfile.TemporaryDirectory(prefix="autocard-") as folder:
        if library == "trl":
            _write_trl_card(trainer, folder)
        elif library:
            _write_sentence_transformers_card(model, folder)
        card = Path(folder) / "README.md"
        return card.read_text(encoding="utf-8") if card.is_file() else None


def _write_trl_card(trainer: Any, folder: str) -> None:
    """Let TRL write its card into *folder*: the method only knows the trainer's output folder."""
    twin = copy.copy(trainer)
    twin.args = copy.copy(trainer.args)
    twin.args.output_dir = folder
    original(twin, "create_model_card")()


def _write_sentence_transformers_card(model: Any, folder: str) -> None:
    """Let the model write its card, as its own `save_pretrained` does."""
    for layer in layers(model):
        if is_sentence_transformer(layer):
            original(layer, "_create_model_card")(folder)
            return


def prepared(
    text: str, library: Library, record: RunRecord | None, local_names: Collection[str]
) -> str:
    """Return the library's card *text* with usage code that works where the card lies.

    Nothing else of it is changed but what TRL writes for want of a fact.

    Args:
        text: the card.
        library: which library wrote it.
        record: of the run; None: it is not known yet.
        local_names: paths that the model was loaded from.
    """
    if library == "trl":
        return trl_card.prepared(text, record, local_names)
    return usage_code.at_home(text) if library else text


def name_model(model: Any, repository: str | None) -> None:
    """Set the repository of a sentence-transformers model, which its usage code names."""
    for layer in layers(model):
        if is_sentence_transformer(layer) and repository and "/" in repository:
            layer.model_card_data.model_id = repository
