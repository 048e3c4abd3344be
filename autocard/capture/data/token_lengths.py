"""The lengths of the rows in tokens, by the table's offsets and masks; no transform is run.

Token ids are read only where there is no mask, to find the padding. A cell may hold one sequence,
or several (multiple choice).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from autocard.errors import UnavailableError

LOOKED_AT_ROWS = 1000
"""Rows whose length is read, to find the longest input."""

COUNTED_ROWS = 5_000_000
"""Most rows whose tokens are counted: a few bytes of each are read."""

COUNTED_TOKENS = 20_000_000
"""Most tokens that are checked for padding: this reads the mask of each."""

_COLUMN = "input_ids"
_MASK = "attention_mask"
_TEXTS = "seq_lengths"
"""TRL's column of packed rows: the length of each text in them."""
_DEPTH = 8


@dataclass(frozen=True)
class Longest:
    """The longest input among the first rows."""

    tokens: int
    """Without padding, where there is a mask."""
    with_padding: int
    """As the rows are stored, cut and padded."""
    rows: int
    """Rows that were read."""


def inside(data: Any) -> Any:
    """Return the data set inside transformers' and accelerate's shards."""
    for _ in range(_DEPTH):
        if type(data).__name__ not in {"IterableDatasetShard", "SkipBatchSampler"}:
            break
        data = data.dataset
    return data


def longest(data: Any) -> Longest:
    """Return the length of the longest sequence in the first rows.

    Raises:
        UnavailableError: the rows are not a table of token lists.
    """
    column, order = _table(data)
    masks = data.data.column(_MASK) if _MASK in data.column_names else None
    count = min(len(data), LOOKED_AT_ROWS)
    # Row by row: taking many rows at once would copy the whole table of a shuffled data set.
    rows = list(range(count))
    if order is not None:
        rows = [order.column(0)[index].as_py() for index in rows]
    found = [_longest_of(column[row], None if masks is None else masks[row]) for row in rows]
    known = [length for length in found if length is not None]
    if not known:
        msg = "the rows hold no token lists"
        raise UnavailableError(msg)
    lengths = [_longest_of(column[row], None) for row in rows]
    stored = [length for length in lengths if length is not None]
    return Longest(max(known), max(stored), count)


def _longest_of(cell: Any, mask: Any) -> int | None:
    """Return the length of the longest sequence in a row's *cell*; *mask*: its attention mask."""
    if not hasattr(cell, "__len__") or not cell.is_valid:
        return None
    has_mask = mask is not None and mask.is_valid
    if _is_list(cell.values.type):
        masks = list(mask.values) if has_mask else [None] * len(cell.values)
        lengths = [_longest_of(*pair) for pair in zip(cell.values, masks, strict=False)]
        return max((length for length in lengths if length is not None), default=None)
    if not has_mask or not _is_list(mask.type) or len(mask.values) != len(cell.values):
        return len(cell)
    pc = _compute()
    return int(pc.sum(pc.not_equal(mask.values, 0)).as_py() or 0)


def tokens(data: Any) -> int | None:
    """Return the number of token ids in all rows; None: they have none, or they are too many."""
    try:
        column, order = _table(data)
    except UnavailableError:
        return None
    return _total(_sizes(column), order) if _can_be_counted(data, column) else None


def tokens_without_padding(data: Any, pad_id: int | None) -> int | None:
    """Return the number of token ids in all rows that are not padding; None: it is not known.

    By the attention mask, else by *pad_id*: the token that pads and does nothing else (None: there
    is none).
    """
    try:
        column, order = _table(data)
    except UnavailableError:
        return None
    if not _can_be_counted(data, column) or int(_sizes(column).sum()) > COUNTED_TOKENS:
        return None
    if _MASK in data.column_names:
        masks = data.data.column(_MASK)
        if not _is_list(masks.type) or not _same_shape(masks, column):
            return None
        return _total(_sizes(masks, other_than=0), order)
    return None if pad_id is None else _total(_sizes(column, other_than=pad_id), order)


def packed_texts(data: Any) -> int | None:
    """Return how many texts TRL packed into the rows; None: it is not recorded in them."""
    try:
        _, order = _table(data)
    except UnavailableError:
        return None
    if _TEXTS not in data.column_names:
        return None
    column = data.data.column(_TEXTS)
    return _total(_sizes(column), order) if _can_be_counted(data, column) else None


def _can_be_counted(data: Any, column: Any) -> bool:
    return _is_list(column.type) and max(len(column), len(data)) <= COUNTED_ROWS


def _sizes(column: Any, other_than: int | None = None) -> Any:
    """Return how many numbers each row has, as an array; only those *other_than* a given value."""
    import numpy as np  # noqa: PLC0415 - datasets has imported it

    pc = _compute()
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
    inner = pc.list_flatten(column)
    if _is_list(inner.type):
        counts = _sizes(inner, other_than)
    elif other_than is None:
        return lengths
    else:
        counts = (
            pc.fill_null(pc.not_equal(inner, other_than), False)  # noqa: FBT003
            .to_numpy(**_copies(inner))
            .astype(np.int64)
        )
    before = np.concatenate([[0], np.cumsum(counts)])
    ends = np.cumsum(lengths)
    return before[ends] - before[ends - lengths]


def _copies(array: Any) -> dict[str, bool]:
    """Return the arguments by which pyarrow turns bits into bytes; chunked arrays need none."""
    return {} if hasattr(array, "chunks") else {"zero_copy_only": False}


def _same_shape(one: Any, other: Any) -> bool:
    sizes, others = _sizes(one), _sizes(other)
    return len(sizes) == len(others) and bool((sizes == others).all())


def _total(sizes: Any, order: Any) -> int:
    """Return the sum of the *sizes* of the rows in *order*, their indices (None: of all rows)."""
    return int(sizes.sum() if order is None else sizes[order.column(0).to_numpy()].sum())


def _compute() -> Any:
    return importlib.import_module("pyarrow.compute")  # datasets has imported pyarrow


def _is_list(kind: Any) -> bool:
    return type(kind).__name__ in {"ListType", "LargeListType", "FixedSizeListType"}


def _table(data: Any) -> tuple[Any, Any]:
    """Return the column of token lists and the indices of its rows; None: all of them, in order."""
    is_table = type(data).__name__ == "Dataset" and hasattr(data, "data")
    if not is_table or _COLUMN not in data.column_names:
        msg = "the rows are not a table of token lists, so their lengths were not examined"
        raise UnavailableError(msg)
    return data.data.column(_COLUMN), getattr(data, "_indices", None)
