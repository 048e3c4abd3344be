"""Describe the saved weights, in the output folder or in a card's folder, in the model's part.

Weights are often saved after the card was written, and adapters are often merged into the weights
after the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from autocard.capture.model.artifacts import (
    ADAPTER_CONFIG,
    ADAPTERS,
    WHOLE,
    saved_bytes,
    saved_dtype,
    saved_files,
)
from autocard.record import Adapter, Model, RunRecord
from autocard.record.gaps import Part

NOT_SAVED = "the weights were not in the output folder when this was written"
NO_FORMAT = "the weights are not safetensors whose header has one data type"


def saved_part(
    model: Model, adapters: Sequence[Adapter], size: int, dtype: str | None, files: Sequence[str]
) -> Part[Model]:
    """Return *model* with a description of its saved weights.

    Args:
        model: as it was captured.
        adapters: that were trained.
        size: bytes of the weights.
        dtype: their number format; None: unknown.
        files: names of the files that loading reads.
    """
    found: dict[str, Any] = {"saved_bytes": size, "saved_dtype": dtype, "saved_files": list(files)}
    if adapters and is_whole(files):
        found |= _merged(model)
    gaps = {"saved_dtype": NO_FORMAT} if dtype is None else {}
    return Part(model.model_copy(update=found), gaps)


def _merged(model: Model) -> dict[str, Any]:
    """Return the leaves of *model* that change when its adapters are merged into the weights."""
    return {
        "adapters_merged": True,
        "base_model_relation": model.base_model_relation and "finetune",
        "library_name": "transformers" if model.library_name == "peft" else model.library_name,
    }


def is_whole(files: Sequence[str]) -> bool:
    """Return whether *files*, saved by the run, are a whole model and not an adapter."""
    has_weights = "config.json" in files and not set(files).isdisjoint(WHOLE)
    return has_weights and {name.rpartition("/")[2] for name in files}.isdisjoint(ADAPTERS)


def with_merged_adapters(record: RunRecord, folder: Path) -> RunRecord:
    """Return *record* for a card in *folder*, where its adapters may have been merged.

    They have been merged if the folder has whole weights and no adapter, as
    `merge_and_unload().save_pretrained(folder)` writes them after the run.
    """
    files = saved_files(folder)
    whole = is_whole(files) and ADAPTER_CONFIG not in files
    if not record.adapters or record.model.adapters_merged or not whole:
        return record
    found = {**_merged(record.model), "saved_files": files, "saved_bytes": saved_bytes(folder)}
    model = record.model.model_copy(update={**found, "saved_dtype": saved_dtype(folder)})
    return _with_model(record, model)


def with_saved_weights(record: RunRecord, folder: Path, *, elsewhere: bool = False) -> RunRecord:
    """Return *record* with the weights that are now in *folder*.

    Args:
        record: as it was written.
        folder: of the card.
        elsewhere: *folder* is not the run's output folder, so the size in *record* is that of
            another folder.
    """
    merged = with_merged_adapters(record, folder)
    if merged is not record:
        return merged
    began_s = seconds_of(record.run.started_at)
    names = [adapter.name for adapter in record.adapters]
    size = saved_bytes(folder, began_s, names)
    if size is None or (not elsewhere and record.model.saved_bytes not in (None, size)):
        return record  # there are no weights, or other weights than those of the record
    dtype = saved_dtype(folder, began_s, names)
    files = saved_files(folder, began_s, names)
    return _with_model(record, saved_part(record.model, record.adapters, size, dtype, files).value)


def _with_model(record: RunRecord, model: Model) -> RunRecord:
    """Return *record* with *model*, which describes the saved weights."""
    missing = dict(record.missing)
    missing.pop("model.saved_bytes", None)
    missing.pop("model.saved_dtype", None)
    if model.saved_dtype is None:
        missing["model.saved_dtype"] = NO_FORMAT
    return record.model_copy(update={"model": model, "missing": missing})


def seconds_of(started_at: str | None) -> float | None:
    """Return a time stamp (ISO 8601) in seconds since the epoch; None: it is not a time stamp."""
    if started_at is None:
        return None
    try:
        return datetime.fromisoformat(started_at.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None
