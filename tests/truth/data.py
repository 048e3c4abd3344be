"""Oracles of the data sets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from truth.common import SMALL_ROWS, Said, Truth, length_of


def data_of(known: dict[str, Any], true: Truth) -> Iterator[Said]:
    data, sets = true.trainer.train_dataset, known["data"]["train"]
    rows = length_of(data)
    if sets and rows is not None and all(one["rows"] is not None for one in sets) and not sets[0]["streaming"]:
        said = sum(one["rows"] for one in sets)
        yield "data.train[].rows", said, said == rows
    columns = getattr(data, "column_names", None)
    if len(sets) == 1 and isinstance(columns, list) and sets[0]["columns"]:
        yield "data.train[].columns", sets[0]["columns"], set(sets[0]["columns"]) <= set(columns)
    small = rows is not None and rows <= SMALL_ROWS and "input_ids" in (columns or ())
    if len(sets) == 1 and sets[0]["tokens"] is not None and small:
        count = sum(len(data[index]["input_ids"]) for index in range(rows))
        yield "data.train[].tokens", sets[0]["tokens"], sets[0]["tokens"] == count
    for one in sets:
        if one["dataset_id"] and one["inferred"] is False:
            given = true.given.get("datasets") or ()
            yield "data.train[].dataset_id", one["dataset_id"], one["dataset_id"] in given
