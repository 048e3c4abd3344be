"""Oracles of the settings of the training: arguments, batch, optimizer, number formats."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from truth.common import Said, Truth, plain


def training_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said, args = known["training"], true.args
    for name, value in said["hyperparameters"].items():
        there = plain(getattr(args, name, None))
        if isinstance(there, bool | int | float | str):
            # What was found by itself is told as it was used.
            found = name == "per_device_train_batch_size" and args.auto_find_batch_size
            used = getattr(true.trainer, "_train_batch_size", None) if found else there
            yield f"training.hyperparameters.{name}", value, value in (there, used)
    if said["seed"] is not None:
        yield "training.seed", said["seed"], said["seed"] == args.seed
    if said["optimizer"]:
        optimizer = true.trainer.optimizer
        while hasattr(optimizer, "optimizer"):  # accelerate's wrapper
            optimizer = optimizer.optimizer
        if getattr(optimizer, "optimizer_dict", None):  # one for each parameter
            optimizer = next(iter(optimizer.optimizer_dict.values()))
        if optimizer is not None:
            yield (
                "training.optimizer",
                said["optimizer"],
                type(optimizer).__name__ in said["optimizer"],
            )


def precision_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    said = known["precision"]
    if true.parameters is None:
        return
    sizes: dict[str, int] = {}
    for one in true.parameters:
        sizes[one.dtype] = sizes.get(one.dtype, 0) + one.count
    if said["weights_dtype"]:
        most = max(sizes, key=lambda dtype: sizes[dtype])
        yield "precision.weights_dtype", said["weights_dtype"], said["weights_dtype"] == most
    trained = {one.dtype for one in true.parameters if one.trained}
    if said["trainable_dtype"]:
        yield (
            "precision.trainable_dtype",
            said["trainable_dtype"],
            said["trainable_dtype"] in trained,
        )
    if said["regime"] == "fp32":
        yield "precision.regime", said["regime"], set(sizes) <= {"float32"} and not true.args.bf16
    elif said["regime"] == "bf16 mixed precision":
        yield (
            "precision.regime",
            said["regime"],
            bool(true.args.bf16) or trained == {"float32"} or len(trained) > 1,
        )
    elif said["regime"] and said["regime"].endswith("non-mixed precision"):
        wanted = {"bf16": "bfloat16", "fp16": "float16"}[said["regime"].split()[0]]
        yield "precision.regime", said["regime"], wanted in sizes
