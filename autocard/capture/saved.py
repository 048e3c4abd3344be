"""What the run left in its output folder: the weights' size, and the files that loading them needs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from autocard.errors import UnavailableError

_WEIGHTS = re.compile(r"(?P<adapter>adapter_)?(?:model|pytorch_model)(?:-\d+-of-\d+)?\.(?P<kind>safetensors|bin)")
ADAPTER_CONFIG = "adapter_config.json"
WHOLE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Whole weights, in one piece or several (transformers, utils/__init__.py)."""
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
"""An adapter's weights (peft, utils/constants.py)."""
_FILES = (
    *WHOLE,
    *ADAPTERS,
    *("config.json", ADAPTER_CONFIG, "tokenizer.json", "tokenizer_config.json", "generation_config.json"),
    *("chat_template.jinja", "preprocessor_config.json", "processor_config.json", "modules.json"),
    "config_sentence_transformers.json",
)
"""Files of transformers, peft and sentence-transformers that loading looks for."""


def saved_bytes(folder: str | os.PathLike[str], since_s: float | None = None) -> int | None:
    """Return the bytes of the weights that lie directly in *folder*, or None where there are none.

    Files older than *since_s* (seconds since the epoch) are those of an earlier run and are not counted. Where both
    formats lie there, the safetensors count; where an adapter lies beside whole weights, the adapter alone does, which
    is what such a folder is taken for.
    """
    sizes = {(adapter, kind): 0 for adapter in (True, False) for kind in ("safetensors", "bin")}
    place = Path(folder)
    if not place.is_dir():
        return None
    for file in place.iterdir():
        kind = _WEIGHTS.fullmatch(file.name)
        if kind is None or not file.is_file():
            continue
        status = file.stat()
        if since_s is None or status.st_mtime >= since_s:
            sizes[kind["adapter"] is not None, kind["kind"]] += status.st_size
    return next((size for size in sizes.values() if size), None)


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
    """Return the names of the files directly in *folder* that loading the model reads, those of this run only.

    With one exception: an adapter's configuration is named whatever its age. transformers follows it even where it was
    left behind by an earlier run, and puts that run's adapter on the weights that it loads.
    """
    place = Path(folder)
    if not place.is_dir():
        return []
    return sorted(
        name
        for name in _FILES
        if (file := place / name).is_file()
        and (since_s is None or name == ADAPTER_CONFIG or file.stat().st_mtime >= since_s)
    )
