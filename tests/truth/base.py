"""Oracles of the base model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from truth.common import Said, Truth


def base_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["model"]
    base = said["base_model"]
    if base:
        names_there = [str(getattr(true.config, "_name_or_path", ""))]
        names_there += [str(getattr(one, "base_model_name_or_path", "")) for one in true.adapters.values()]
        cached = f"models--{base.replace('/', '--')}"
        there = any(base == name or cached in name or name.endswith(f"/{base}") for name in names_there)
        # A local folder's own files may name its base: which they are is not known here, but that it is a folder is.
        local = any(Path(name).is_dir() for name in names_there if name)
        yield "model.base_model", base, there or local or base == true.given.get("base_model")
        if said["base_model_relation"] and not said["adapters_merged"]:
            is_adapter = said["base_model_relation"] == "adapter"
            yield "model.base_model_relation", said["base_model_relation"], is_adapter is bool(true.adapters)
    if said["library_name"]:
        sentences = any(cls.__module__.startswith("sentence_transformers") for cls in type(true.whole).__mro__)
        is_peft = any(cls.__name__ in ("PeftModel", "PeftMixedModel") for cls in type(true.whole).__mro__)
        right = "sentence-transformers" if sentences else "peft" if is_peft else "transformers"
        yield "model.library_name", said["library_name"], said["library_name"] == right or said["adapters_merged"]
