"""The parts of a data set that joins several: which tables or streams, how many rows of each, drawn how often.

`datasets` joins tables block by block and notes nothing of it, so the parts are told by the folders
that the blocks lie in; a stream keeps its parts as objects. Rows are counted, not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard.capture.data.dataset_source import Source, of_file, of_stream

MOST_ROWS = 5_000_000
"""Rows whose places are looked at, to count those of each part."""

_DEPTH = 16


@dataclass(frozen=True)
class MixturePart:
    """One part of a mixture."""

    source: Source
    """Where it came from."""
    rows: int | None = None
    """Rows of it that the run sees; None: a stream, or too many to count."""
    probability: float | None = None
    """Chance of each row to come from it, where rows are drawn at random."""


def parts(data: Any) -> list[MixturePart]:
    """Return the parts of *data*, or an empty list where it is not known to have several."""
    if any(cls.__name__ == "IterableDataset" for cls in type(data).__mro__):
        return _of_stream(data)
    blocks = getattr(getattr(data, "data", None), "blocks", None)
    return _of_blocks(data, blocks) if isinstance(blocks, list) else []


def _of_stream(data: Any) -> list[MixturePart]:
    step = getattr(data, "_ex_iterable", None)
    for _ in range(_DEPTH):
        several = getattr(step, "ex_iterables", None)
        if isinstance(several, list):
            break
        step = getattr(step, "ex_iterable", None)
    else:
        return []
    # Streams joined side by side hold columns of the same rows, not rows of their own.
    if len(several) < 2 or type(step).__name__.startswith("Horizontally"):  # noqa: PLR2004
        return []
    chances = getattr(step, "probabilities", None)
    known = isinstance(chances, list) and len(chances) == len(several)
    return [
        MixturePart(of_stream(one), probability=float(chances[number]) if known else None)  # type: ignore[index] # known: a list
        for number, one in enumerate(several)
    ]


def _of_blocks(data: Any, blocks: list[Any]) -> list[MixturePart]:
    """Return the parts that the blocks of a joined table come from; blocks in one folder are one part."""
    if any(len(row) != 1 for row in blocks):  # columns were joined too
        return []
    paths = [getattr(row[0], "path", None) for row in blocks]
    places = [str(Path(path).parent) if isinstance(path, str) else "" for path in paths]
    if len(set(places)) < 2:  # noqa: PLR2004
        return []
    counts = _rows(data, [row[0].num_rows for row in blocks])
    found: dict[str, MixturePart] = {}
    for number, (place, path) in enumerate(zip(places, paths, strict=True)):
        rows = None if counts is None else counts[number]
        if place in found:
            before = found[place]
            found[place] = MixturePart(
                before.source, None if rows is None else (before.rows or 0) + rows
            )
        else:
            source = (
                of_file(path)
                if path
                else Source(description="an in-memory data set (datasets.Dataset)")
            )
            found[place] = MixturePart(source, rows)
    return list(found.values())


def _rows(data: Any, sizes: list[int]) -> list[int] | None:
    """Return how many rows of each block *data* shows: all, or those that its indices choose."""
    order = getattr(data, "_indices", None)
    if order is None:
        return sizes
    if order.num_rows > MOST_ROWS:
        return None
    import numpy as np  # noqa: PLC0415 - datasets has imported it

    ends = np.cumsum(sizes)
    places = np.searchsorted(ends, order.column(0).to_numpy(), side="right")
    return [int(count) for count in np.bincount(places, minlength=len(sizes))]
