"""What the run left in its output folder: the size of the weights, and the files to load them."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from autocard import files
from autocard.errors import UnavailableError

_WEIGHTS = re.compile(
    r"(?P<adapter>adapter_)?(?:model|pytorch_model)(?:-\d+-of-\d+)?\.(?P<kind>safetensors|bin)"
)
"""`model.safetensors`, `model-00001-of-00002.safetensors`, `adapter_model.bin`."""
ADAPTER_CONFIG = "adapter_config.json"
WHOLE = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
"""Whole weights, in one piece or several (transformers, utils/__init__.py)."""
ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
"""An adapter's weights (peft, utils/constants.py)."""
DEFAULT = "default"
"""The adapter that PEFT saves in the model's own folder; every other one has a folder of its name
in it."""
_CONFIG_BYTES = 1_000_000
"""Size that an adapter's configuration stays under."""
_HEADER_BYTES = 100_000_000
"""Size that the header of a safetensors file stays under (its specification)."""
_FORMATS = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
"""Number format in a safetensors header → torch's name of it; whole numbers are packed weights."""
_POINTER_BYTES = 1024
"""Size that a pointer of Git LFS stays under (its specification)."""
_OPTIMIZER_STATE = ("optimizer", "global_step")
"""Beginnings of what holds it: optimizer.pt, FSDP's optimizer_0/, DeepSpeed's global_step<N>/."""
_OF_ADAPTERS = (*ADAPTERS, ADAPTER_CONFIG)
_FILES = (
    *WHOLE,
    *ADAPTERS,
    *(
        "config.json",
        ADAPTER_CONFIG,
        "tokenizer.json",
        "tokenizer_config.json",
        "generation_config.json",
    ),
    *("chat_template.jinja", "preprocessor_config.json", "processor_config.json", "modules.json"),
    "config_sentence_transformers.json",
)
"""Files of transformers, peft and sentence-transformers that loading looks for."""


def saved_bytes(
    folder: str | os.PathLike[str], since_s: float | None = None, adapters: Collection[str] = ()
) -> int | None:
    """Return the bytes of the weights that lie in *folder*, or None where there are none.

    Files older than *since_s* (seconds since the epoch) are those of an earlier run and are not
    counted. Where both formats lie there, the safetensors count; where an adapter lies beside whole
    weights, the adapter alone does, which is what such a folder is taken for.

    Args:
        folder: where the model was saved.
        since_s: when the run began.
        adapters: names of the trained adapters. PEFT saves each but "default" in a folder of its
            own inside *folder*; where such folders are there, those of the trained adapters count
            and no other's. Of X-LoRA the folders of the adapters that it mixes count too.
    """
    places = _places(folder, adapters)
    sizes = [_bytes_in(place, since_s) for place in places.values()]
    return None if None in sizes else sum(filter(None, sizes))


def _places(folder: str | os.PathLike[str], adapters: Collection[str]) -> dict[str, Path]:
    """Return where the weights lie, by what stands before the file names: "" or "name/"."""
    root = Path(folder)
    names = [name for name in (*adapters, *_mixed(root, adapters)) if name != DEFAULT]
    own = {f"{name}/": root / name for name in names}
    if not any((place / ADAPTER_CONFIG).is_file() for place in own.values()):
        return {"": root}
    return {"": root, **own} if DEFAULT in adapters else own


def _mixed(root: Path, adapters: Collection[str]) -> list[str]:
    """Return the adapters that an X-LoRA adapter in *root* mixes.

    PEFT saves the trained tensors of X-LoRA in their folders.
    """
    file = root / ADAPTER_CONFIG
    if DEFAULT not in adapters or not file.is_file():
        return []
    try:
        settings = json.loads(files.read_bytes(file, _CONFIG_BYTES))
    except ValueError:
        return []
    if not isinstance(settings, dict) or settings.get("peft_type") != "XLORA":
        return []
    mixed = settings.get("adapters")
    return [name for name in mixed if Path(name).name == name] if isinstance(mixed, dict) else []


def _bytes_in(place: Path, since_s: float | None) -> int | None:
    """Return the bytes of the weights directly in *place*."""
    sizes = {(adapter, kind): 0 for adapter in (True, False) for kind in ("safetensors", "bin")}
    if not place.is_dir():
        return None
    for file in place.iterdir():
        kind = _WEIGHTS.fullmatch(file.name)
        if kind is None or not file.is_file():
            continue
        status = file.stat()
        is_recent = since_s is None or status.st_mtime >= since_s
        if is_recent and not _is_pointer(file, status.st_size):
            sizes[kind["adapter"] is not None, kind["kind"]] += status.st_size
    return next((size for size in sizes.values() if size), None)


def saved_dtype(
    folder: str | os.PathLike[str], since_s: float | None = None, adapters: Collection[str] = ()
) -> str | None:
    """Return the number format of most of the weights that `saved_bytes` counts, by torch's name.

    None: there are none, or they are not safetensors, whose headers have it.
    """
    numbers: Counter[str] = Counter()
    for place in _places(folder, adapters).values():
        for file in _safetensors_in(place, since_s):
            numbers.update(_formats_in(file))
    return numbers.most_common(1)[0][0] if numbers else None


def _safetensors_in(place: Path, since_s: float | None) -> list[Path]:
    """Return the safetensors files of this run in *place*: those of an adapter, else all."""
    if not place.is_dir():
        return []
    found = [one for one in place.iterdir() if _WEIGHTS.fullmatch(one.name)]
    own = [one for one in found if one.suffix == ".safetensors" and _counts(one, since_s)]
    only_adapters = [one for one in own if one.name.startswith("adapter_")]
    return only_adapters or own


def _formats_in(file: Path) -> Counter[str]:
    """Return number format → how many numbers of *file* have it, by its safetensors header."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header = opened.read(size) if 0 < size <= _HEADER_BYTES else b"{}"
    try:
        tensors = json.loads(header)
    except ValueError:
        tensors = None
    found: Counter[str] = Counter()
    if not isinstance(tensors, dict):
        return found
    for name, tensor in tensors.items():
        if name == "__metadata__" or not isinstance(tensor, dict):
            continue
        kind = _FORMATS.get(str(tensor.get("dtype")))
        if kind is not None:
            found[kind] += math.prod(tensor.get("shape") or (1,))
    return found


def checkpoint_bytes(folder: str | os.PathLike[str], since_s: float | None = None) -> int:
    """Return the bytes of the newest checkpoint-<step> in *folder*, not older than *since_s*.

    Raises:
        UnavailableError: there is none.
    """
    newest = _newest_checkpoint(folder, since_s)
    return sum(file.stat().st_size for file in newest.rglob("*") if file.is_file())


def checkpoint_has_optimizer(folder: str | os.PathLike[str], since_s: float | None = None) -> bool:
    """Return whether the newest checkpoint holds the optimizer's state.

    With `save_only_model` it does not.

    Raises:
        UnavailableError: there is no checkpoint.
    """
    newest = _newest_checkpoint(folder, since_s)
    return any(file.name.startswith(_OPTIMIZER_STATE) for file in newest.iterdir())


def _newest_checkpoint(folder: str | os.PathLike[str], since_s: float | None) -> Path:
    place = Path(folder)
    steps: dict[int, Path] = {}
    for one in place.glob("checkpoint-*"):
        step = one.name.removeprefix("checkpoint-")
        if step.isdigit() and one.is_dir() and (since_s is None or one.stat().st_mtime >= since_s):
            steps[int(step)] = one
    if not steps:
        msg = "the run kept no checkpoint"
        raise UnavailableError(msg)
    return steps[max(steps)]


def _is_pointer(file: Path, size: int) -> bool:
    """Return whether *file* is a pointer of Git LFS, in a clone without the weights."""
    if size > _POINTER_BYTES:
        return False
    return files.read_bytes(file, _POINTER_BYTES).startswith(b"version https://git-lfs")


def saved_files(
    folder: str | os.PathLike[str], since_s: float | None = None, adapters: Collection[str] = ()
) -> list[str]:
    """Return the names of the files of this run in *folder* that loading the model reads.

    An adapter's configuration is included even if an earlier run wrote it: transformers reads it
    anyway, and loads that run's adapter with the weights.

    Args:
        folder: where the model was saved.
        since_s: when the run began.
        adapters: names of the trained adapters; files in a folder of an adapter's own are named
            with it.
    """
    root, places = Path(folder), _places(folder, adapters)
    names = [name for name in _FILES if "" in places or name not in _OF_ADAPTERS]
    names += [prefix + name for prefix in places if prefix for name in _OF_ADAPTERS]
    return sorted(name for name in names if _counts(root / name, since_s))


def _counts(file: Path, since_s: float | None) -> bool:
    """Return whether *file* is there and of this run."""
    if not file.is_file():
        return False
    return since_s is None or file.name == ADAPTER_CONFIG or file.stat().st_mtime >= since_s
