"""Oracles of the model: classes, counts, dimensions, saved files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from truth.common import Said, Truth, named


def model_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["model"]
    if true.inner is not None and said["architecture"]:
        classes = [cls.__name__ for cls in type(true.inner).__mro__]
        yield "model.architecture", said["architecture"], said["architecture"] in classes[:2]
    if said["parameters_total"] is not None and true.parameters is not None:
        count = sum(one.count for one in true.parameters)
        yield (
            "model.parameters_total",
            f"{said['parameters_total']} of {count}",
            said["parameters_total"] == count,
        )
    trained = said["parameters_trainable"]
    fits = None if trained is None else true.fits_trained(trained)
    if fits is not None:
        yield "model.parameters_trainable", f"{trained} in {true.trained_at_least}", fits


def dims_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["model"]
    if true.config is not None and said["model_type"]:
        yield "model.model_type", said["model_type"], said["model_type"] == true.config.model_type
        names = {
            "layers": ("num_hidden_layers", "n_layer"),
            "hidden_size": ("hidden_size", "n_embd", "d_model"),
            "attention_heads": ("num_attention_heads", "n_head"),
            "vocabulary": ("vocab_size",),
            "intermediate_size": ("intermediate_size",),
        }
        for ours, theirs in names.items():
            number = named(true.config, *theirs)
            if ours in said["dims"] and isinstance(number, int):
                yield f"model.dims.{ours}", said["dims"][ours], said["dims"][ours] == number
        labels = getattr(true.config, "id2label", None) or {}
        if said["labels"]:
            yield (
                "model.labels",
                said["labels"],
                said["labels"] == [labels[index] for index in sorted(labels)],
            )


def saved_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    folder, said = Path(true.args.output_dir), known["model"]
    if said["saved_bytes"] is not None:
        files = [*folder.rglob("*.safetensors"), *folder.rglob("*model*.bin")]
        sizes = [
            file.stat().st_size
            for file in files
            if "checkpoint-" not in str(file.relative_to(folder))
        ]
        # more: in shards, or of several formats
        fits = said["saved_bytes"] in (*sizes, sum(sizes)) or len(sizes) > 2
        yield "model.saved_bytes", said["saved_bytes"], fits
    for name in said["saved_files"]:
        yield "model.saved_files", name, (folder / name).is_file()


def sizes_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    """Hold hidden and intermediate sizes against the tensors: a size that no tensor has is not the model's."""
    from torch import nn

    if not isinstance(true.whole, nn.Module) or true.parameters is None:
        return
    sizes = {size for one in true.whole.parameters() for size in one.shape}
    fused = sizes | {size // parts for size in sizes for parts in (2, 3) if size % parts == 0}
    for name in ("hidden_size", "intermediate_size", "vocabulary"):
        said = known["model"]["dims"].get(name)
        if isinstance(said, int):
            yield f"model.dims.{name} (tensors)", said, said in fused
