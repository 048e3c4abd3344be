"""Oracles of the data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from truth.common import SMALL_ROWS, Said, Truth, length_of


def leaves(value: Any, *, zeros: bool = True) -> int:
    """Return how many numbers nested lists hold, all or those that are not zero."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return sum(leaves(one, zeros=zeros) for one in value)
    return int(zeros or bool(value))


def data_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    data, sets = true.trainer.train_dataset, known["data"]["train"]
    rows = None if isinstance(data, Mapping) else length_of(data)
    if (
        sets
        and rows is not None
        and all(one["rows"] is not None for one in sets)
        and not sets[0]["streaming"]
    ):
        said = sum(one["rows"] for one in sets)
        yield "data.train[].rows", said, said == rows
    columns = getattr(data, "column_names", None)
    if len(sets) == 1 and isinstance(columns, list) and sets[0]["columns"]:
        yield "data.train[].columns", sets[0]["columns"], set(sets[0]["columns"]) <= set(columns)
    small = rows is not None and rows <= SMALL_ROWS and "input_ids" in (columns or ())
    if len(sets) == 1 and sets[0]["tokens"] is not None and small:
        count = sum(leaves(data[index]["input_ids"]) for index in range(rows))
        real = count
        if "attention_mask" in columns:
            real = sum(leaves(data[index]["attention_mask"], zeros=False) for index in range(rows))
        yield (
            "data.train[].tokens",
            f"{sets[0]['tokens']}: {count}, {real}",
            sets[0]["tokens"] in (count, real),
        )
    for one in sets:
        if one["dataset_id"] and one["inferred"] is False:
            given = true.given.get("datasets") or ()
            yield "data.train[].dataset_id", one["dataset_id"], one["dataset_id"] in given
