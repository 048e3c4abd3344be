"""What the run left in its output folder: the weights' size, and the files that loading them needs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from autocard.errors import UnavailableError

_WEIGHTS = re.compile(r"(?:adapter_)?(?:model|pytorch_model)(?:-\d+-of-\d+)?\.(?P<kind>safetensors|bin)")
_FILES = (
    *("config.json", "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"),
    *("chat_template.jinja", "preprocessor_config.json", "processor_config.json", "modules.json"),
    "config_sentence_transformers.json",
)
"""Files of transformers, peft and sentence-transformers that loading looks for."""


def saved_bytes(folder: str | os.PathLike[str], since_s: float | None = None) -> int | None:
    """Return the bytes of the weights that lie directly in *folder*, or None where there are none.

    Files older than *since_s* (seconds since the epoch) are those of an earlier run and are not counted. Where both
    formats lie there, the safetensors count.
    """
    sizes = {"safetensors": 0, "bin": 0}
    place = Path(folder)
    if not place.is_dir():
        return None
    for file in place.iterdir():
        kind = _WEIGHTS.fullmatch(file.name)
        if kind is None or not file.is_file():
            continue
        status = file.stat()
        if since_s is None or status.st_mtime >= since_s:
            sizes[kind["kind"]] += status.st_size
    return sizes["safetensors"] or sizes["bin"] or None


def checkpoint_bytes(folder: str | os.PathLike[str], since_s: float | None = None) -> int:
    """Return the bytes of the newest checkpoint-<step> in *folder* that was written since *since_s*.

    Raises:
        UnavailableError: there is none.
    """
    place = Path(folder)
    found = [one for one in place.glob("checkpoint-*") if one.name.removeprefix("checkpoint-").isdigit()]
    ours = [one for one in found if one.is_dir() and (since_s is None or one.stat().st_mtime >= since_s)]
    if not ours:
        msg = "the run kept no checkpoint"
        raise UnavailableError(msg)
    newest = max(ours, key=lambda one: int(one.name.removeprefix("checkpoint-")))
    return sum(file.stat().st_size for file in newest.rglob("*") if file.is_file())


def saved_files(folder: str | os.PathLike[str], since_s: float | None = None) -> list[str]:
    """Return the names of the files directly in *folder* that loading the model needs, those of this run only."""
    place = Path(folder)
    if not place.is_dir():
        return []
    return sorted(
        name
        for name in _FILES
        if (file := place / name).is_file() and (since_s is None or file.stat().st_mtime >= since_s)
    )
