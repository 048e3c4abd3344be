"""The parts of a data set that joins several: which they are, and how many rows each has.

`datasets` joins tables block by block and does not record it, so the folders of the blocks identify
the parts. A stream keeps its parts as objects. Rows are counted, not read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard.capture.data.dataset_source import IN_MEMORY, Source, of_file, of_stream

MOST_ROWS = 5_000_000
"""Most rows whose places are read, to count those of each part."""

_DEPTH = 16
"""Most steps of a stream that are followed."""


@dataclass(frozen=True)
class MixturePart:
    """One part of a mixture."""

    source: Source
    """Where it came from."""
    rows: int | None = None
    """Rows of it that the run uses; None: a stream, or too many to count."""
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
    if not isinstance(chances, list) or len(chances) != len(several):
        return [MixturePart(of_stream(one)) for one in several]
    return [
        MixturePart(of_stream(one), probability=float(chance))
        for one, chance in zip(several, chances, strict=True)
    ]


def _of_blocks(data: Any, blocks: list[Any]) -> list[MixturePart]:
    """Return the parts of a joined table; its blocks from one folder are one part."""
    if any(len(row) != 1 for row in blocks):  # columns were joined too
        return []
    paths = [getattr(row[0], "path", None) for row in blocks]
    places = [_folder(path) for path in paths]
    if len(set(places)) < 2:  # noqa: PLR2004
        return []
    rows = _rows_in(places, _rows(data, [row[0].num_rows for row in blocks]))
    first = dict(zip(reversed(places), reversed(paths), strict=True))
    return [MixturePart(_source(first[place]), rows.get(place)) for place in dict.fromkeys(places)]


def _source(path: Any) -> Source:
    return of_file(path) if path else Source(description=IN_MEMORY)


def _rows_in(places: list[str], counts: list[int] | None) -> dict[str, int]:
    """Return place → rows of its blocks; empty: they are not known."""
    rows: Counter[str] = Counter()
    for place, count in zip(places, counts or (), strict=False):
        rows[place] += count
    return rows


def _folder(path: Any) -> str:
    """Return the folder of a block; empty: it is in memory."""
    return str(Path(path).parent) if isinstance(path, str) else ""


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
