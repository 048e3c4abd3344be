"""How long the rows are, in tokens: read from the table's offsets, without formatting, decoding or transforms."""

from __future__ import annotations

import importlib
from typing import Any

from autocard.errors import UnavailableError

LOOKED_AT_ROWS = 1000
"""Rows whose length is looked at, to find the longest input."""

COUNTED_ROWS = 5_000_000
"""Rows whose tokens are counted at most: a few bytes of each are read."""

_COLUMN = "input_ids"
_DEPTH = 8


def inside(data: Any) -> Any:
    """Return the data set inside transformers' and accelerate's shards."""
    for _ in range(_DEPTH):
        if type(data).__name__ not in {"IterableDatasetShard", "SkipBatchSampler"}:
            break
        data = data.dataset
    return data


def longest(data: Any) -> int:
    """Return the length of the longest token list in the first rows.

    Raises:
        UnavailableError: the rows are not a table of token lists.
    """
    column, order = _table(data)
    count = min(len(data), LOOKED_AT_ROWS)
    # Row by row: taking many rows at once would copy the whole table of a shuffled data set.
    rows = range(count) if order is None else (order.column(0)[index].as_py() for index in range(count))
    found = [len(cell) for cell in (column[row] for row in rows) if hasattr(cell, "__len__") and cell.is_valid]
    if not found:
        msg = "the rows hold no token lists"
        raise UnavailableError(msg)
    return max(found)


def tokens(data: Any) -> int | None:
    """Return the number of token ids in all rows, or None where the rows are no such table, or too many."""
    try:
        column, order = _table(data)
    except UnavailableError:
        return None
    if not _is_list(column.type) or max(len(column), len(data)) > COUNTED_ROWS:
        return None
    pc = importlib.import_module("pyarrow.compute")  # datasets has imported pyarrow
    sizes = pc.list_value_length(column)
    if order is not None:
        sizes = pc.take(sizes, order.column(0))
    return int(pc.sum(sizes).as_py() or 0)


def _is_list(kind: Any) -> bool:
    return type(kind).__name__ in {"ListType", "LargeListType", "FixedSizeListType"}


def _table(data: Any) -> tuple[Any, Any]:
    """Return the column of token lists and the indices that choose its rows (None: all of them, in order)."""
    if type(data).__name__ != "Dataset" or not hasattr(data, "data") or _COLUMN not in data.column_names:
        msg = "the rows are not a table of token lists, so their lengths were not looked at"
        raise UnavailableError(msg)
    return data.data.column(_COLUMN), getattr(data, "_indices", None)
