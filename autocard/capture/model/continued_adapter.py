"""Whether an adapter had been trained before this process, and by which run.

A new adapter changes nothing: LoRA's B is zero, IA³'s factors are one. Where it does change
something when training begins, it was loaded. PEFT does not keep where from, so adapters that lie
beside the output folder are compared.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from autocard.capture.model import local_checkpoint
from autocard.capture.model.adapter_layers import carriers

_STARTS = {"lora_B": 0.0, "lora_embedding_B": 0.0, "lora_E": 0.0, "ia3_l": 1.0, "oft_R": 0.0}
"""Weights of PEFT's layers → the value with which all of them start."""
_WEIGHTS = "adapter_model.safetensors"
_FOLDERS = 100
"""Most folders that are read."""
_LAYERS = 3
"""Layers whose weights are compared."""
_VALUES = 64
"""Values that are compared of each weight."""


def is_continued(model: Any, adapter: str, settings: Any) -> bool:
    """Return whether the weights of *adapter* in *model* differ from those of a new one."""
    start = getattr(settings, "init_lora_weights", True)
    if start is not True and start != "gaussian":
        return False
    for _, layer in carriers(model, adapter):
        for name, value in _STARTS.items():
            weight = _weight(layer, name, adapter)
            if weight is not None and not weight.is_meta and bool((weight.detach() != value).any()):
                return True
    return False


def _weight(layer: Any, name: str, adapter: str) -> Any:
    """Return the weight *name* of *adapter* in a layer of PEFT; some have it in a module."""
    held = getattr(layer, name, None)
    if held is None or adapter not in held:
        return None
    return getattr(held[adapter], "weight", held[adapter])


def run_before(model: Any, adapter: str, output_dir: Path) -> str:
    """Return the id of the run that saved *adapter*, by comparing weights; empty: none is found."""
    wanted = []
    for path, layer in carriers(model, adapter)[:_LAYERS]:
        for name in _STARTS:
            weight = _weight(layer, name, adapter)
            if weight is not None:
                wanted.append((f"{path}.{name}", _values(weight)))
    if not wanted or "safetensors" not in sys.modules:
        return ""
    for folder in _folders(output_dir):
        run = local_checkpoint.run_of(folder)
        if run is not None and _has(folder / _WEIGHTS, wanted):
            return run
    return ""


def _folders(output_dir: Path) -> Iterator[Path]:
    """Yield the folders near *output_dir* and the current one that hold an adapter."""
    seen = 0
    for place in dict.fromkeys((output_dir.resolve().parent, Path.cwd())):
        for file in sorted(place.glob(f"*/{_WEIGHTS}")):
            seen += 1
            if seen > _FOLDERS:
                return
            yield file.parent


def _has(file: Path, wanted: list[tuple[str, list[float]]]) -> bool:
    with importlib.import_module("safetensors").safe_open(str(file), framework="pt") as tensors:
        keys = list(tensors.keys())
        for name, values in wanted:
            key = next((key for key in keys if name in key), None)
            if key is None or _values(tensors.get_tensor(key)) != values:
                return False
    return True


def _values(weight: Any) -> list[float]:
    return [float(value) for value in weight.detach().flatten()[:_VALUES].float().cpu().tolist()]
