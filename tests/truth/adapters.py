"""Oracles of the adapters: their configuration, and their tensors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from truth.base import digests_of_file
from truth.common import Said, Truth, plain

KINDS = {
    "XLORA": "x-lora",
    "ADALORA": "adalora",
    "IA3": "ia",
    "LOHA": "loha",
    "LOKR": "lokr",
    "OFT": "oft",
    "BOFT": "boft",
}
"""PEFT's kind → what its name has, in small letters."""

TENSORS = (
    "lora_A",
    "lora_B",
    "lora_embedding",
    "lora_magnitude",
    "hada_",
    "lokr_",
    "ia3_",
    "oft_",
    "boft_",
    "vera_lambda",
)
"""Beginnings of the names that adapters' tensors have."""


def adapters_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    for said in known["adapters"]:
        config = true.adapters.get(said["name"])
        if config is None:
            if true.adapters:  # with none left they were unloaded or merged since training
                yield "adapters[].name", said["name"], False
            continue
        for name, value in said["config"].items():
            there = plain(getattr(config, name, None))
            if name == "target_modules":
                continue  # by the tensors, below
            if isinstance(there, int | float | str | bool):
                derived = there == 0 and value != 0  # PEFT works it out of another setting
                yield (
                    f"adapters[].config.{name}",
                    value,
                    value == there or str(value) == str(there) or derived,
                )


def _tensors(true: Truth, name: str) -> dict[str, Any]:
    """Return the tensors of the adapter *name*, by their full names."""
    marks = (f".{name}.", f".{name}")
    named = getattr(true.whole, "named_parameters", None)
    found = dict(named()) if named is not None else {}
    return {
        path: one
        for path, one in found.items()
        if any(kind in path for kind in TENSORS) and (marks[0] in path or path.endswith(marks[1]))
    }


def tensors_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold ranks and targets against the tensors that carry the adapter."""
    for said in known["adapters"]:
        tensors = _tensors(true, said["name"])
        kind = str(plain(getattr(true.adapters.get(said["name"]), "peft_type", "")))
        if kind in KINDS:
            yield (
                "adapters[].method",
                f"{said['method']}: {kind}",
                KINDS[kind] in said["method"].lower(),
            )
        ranks = {
            one.shape[0] for path, one in tensors.items() if ".lora_A." in path and one.ndim == 2
        }
        rank = said["config"].get("r")
        if ranks and rank is not None:
            yield "adapters[].config.r (tensors)", f"{rank}: {sorted(ranks)}", rank in ranks
        targets = said["config"].get("target_modules")
        if isinstance(targets, list) and tensors:
            carrying = {path.split(f".{part}")[0] for path in tensors for part in _parts(path)}
            for target in targets:
                there = any(f".{target}." in f".{path}." for path in carrying)
                yield "adapters[].config.target_modules (tensors)", target, there
    if any(str(plain(getattr(one, "peft_type", ""))) == "XLORA" for one in true.adapters.values()):
        methods = [one["method"] for one in known["adapters"]]
        yield "adapters[].method (X-LoRA)", methods, any("x-lora" in one.lower() for one in methods)


def _parts(path: str) -> list[str]:
    return [part for part in path.split(".") if part.startswith(TENSORS)][:1]


def card_of_adapters(card_slots: dict[str, str], true: Truth) -> Iterator[Said]:
    """Hold the card's "r = …" of AdaLoRA against its tensors: its `r` is not used."""
    specs = card_slots.get("model_specs", "")
    for name, config in true.adapters.items():
        if str(plain(getattr(config, "peft_type", ""))) != "ADALORA":
            continue
        ranks = {
            one.shape[0]
            for path, one in _tensors(true, name).items()
            if "lora_A" in path and one.ndim == 2
        }
        for said in re.findall(r"(?<!_)\br = (\d+)", specs):
            yield "card: AdaLoRA's r", f"{said}: {sorted(ranks)}", int(said) in ranks


def weights_saved(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold the size of the saved weights against the files: the one of that size has the trained tensors."""
    folder, said = Path(true.args.output_dir), known["model"]["saved_bytes"]
    if not said or not true.at_end:
        return
    files = [
        file
        for file in folder.rglob("*.safetensors")
        if "checkpoint-" not in str(file.relative_to(folder))
    ]
    if len(files) < 2:
        return
    trained = {true.at_end[name] for name in true.asking_for_gradients if name in true.at_end}
    having = [file for file in files if digests_of_file(file) & trained]
    if having:
        sizes = sorted(file.stat().st_size for file in having)
        whole = sum(file.stat().st_size for file in files)
        yield (
            "model.saved_bytes (tensors)",
            f"{said}: {sizes}",
            said in sizes or sum(sizes) <= said <= whole,
        )
