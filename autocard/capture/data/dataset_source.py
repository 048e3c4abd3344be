"""Where a data set came from: a Hub id with its commit, local files, memory, the user's own class.

Reads what `datasets` leaves on its objects, and the names in its cache and in the Hub's. Rows are
not read, nothing is called that could run the user's code, and no path is returned.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_UNKNOWN = "a dataset from Arrow files (source not recorded)"
"""Description of files that `datasets` writes for rows from memory and from elsewhere alike: a
cache, `save_to_disk`."""
_FROM_HUB = "a Hub dataset (exact ID not in the local cache)"
IN_MEMORY = "an in-memory dataset"
_STREAM = "a streamed dataset"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"[0-9a-f]{64}")
"""Folder in the cache of `datasets` for rows that it read from local files."""
_STREAMED = re.compile(r"hf://datasets/(?P<id>[^@\s]+?)@(?P<sha>[0-9a-f]{40})/")
"""`hf://datasets/org/name@<commit>/data/train.parquet`, a file of a stream."""
_DEPTH = 16
"""Most steps of a stream that are followed."""
_CHUNKS = 8
"""Most chunks of a column that are compared."""
_FILES = 8
"""Most names of files that are read in each step of a stream."""


@dataclass(frozen=True)
class Source:
    """What is known of where a data set came from."""

    hub_id: str | None = None
    """Id on the Hub."""
    revision: str | None = None
    """Commit on the Hub."""
    config: str | None = None
    """Configuration (subset)."""
    split: str | None = None
    """train, test, …"""
    description: str | None = None
    """In words."""


def find(data: Any) -> Source:
    """Return where *data* came from."""
    kind = _kind(data)
    if kind is None:
        return Source(description=_own_class(data))
    info = getattr(data, "info", None)
    split = str(data.split) if getattr(data, "split", None) is not None else None
    streams = kind == "IterableDataset"
    hub_id, revision = _from_stream(data) if streams else _from_cache(data)
    if hub_id is not None:
        config = getattr(info, "config_name", None)
        description = "streamed from the Hub" if streams else None
        return Source(hub_id, revision, config, split, description)
    if revision is not None:
        return Source(split=split, description=_FROM_HUB)
    return Source(split=split, description=_without_id(data, kind))


def of_file(path: str) -> Source:
    """Return where the rows of the Arrow file *path* came from, by its place in the cache."""
    file = Path(path)
    hub_id, revision = _of_place(file)
    if hub_id is not None:
        return Source(hub_id, revision, split=_split_of(file))
    if revision is not None:
        return Source(description=_FROM_HUB)
    is_local = _HASH.fullmatch(file.parent.name) is not None
    return Source(description="local files" if is_local else _UNKNOWN)


def of_stream(step: Any) -> Source:
    """Return where one stream inside a joined one came from."""
    hub_id, revision = _one_of(_file_names(step))
    if hub_id is not None:
        return Source(hub_id, revision, description="streamed from the Hub")
    return Source(description=_STREAM)


def share_rows(some: Any, others: Any) -> bool:
    """Return whether two data sets hold rows of one table, as the parts of a split do."""
    return not _buffers(some).isdisjoint(_buffers(others))


def _buffers(data: Any) -> set[int]:
    """Return where the columns of *data* lie in memory; slices lie where the whole does."""
    table = getattr(getattr(data, "data", None), "table", None)
    found = set[int]()
    for column in getattr(table, "columns", ()):
        for chunk in column.chunks[:_CHUNKS]:
            found.update(buffer.address for buffer in chunk.buffers() if buffer and buffer.size)
    return found


def _split_of(path: Path) -> str | None:
    """Return the split in the name of an Arrow file of `datasets`.

    Its names are <name>-<split>.arrow and <name>-<split>-00000-of-00002.arrow.
    """
    name = re.escape(path.parts[-5].rpartition("___")[2])
    pattern = rf"{name}-(?P<split>\w+)(?:-\d{{5}}-of-\d{{5}})?\.arrow"
    found = re.fullmatch(pattern, path.name)
    return found["split"] if found else None


def _without_id(data: Any, kind: str) -> str:
    """Describe a data set without a trace of the Hub; the name of a folder is not in it."""
    info = getattr(data, "info", None)
    builder = getattr(info, "builder_name", None)
    if kind == "Dataset" and not getattr(data, "cache_files", None):
        # perhaps loaded once, but what is held now was made here
        return IN_MEMORY
    if kind == "Dataset" and any(_of_place(file)[1] for file in _cache_files(data)):
        return "a combination of Hub datasets (which ones is not recorded)"
    if builder == "generator":
        return "a dataset made by a generator function"
    if kind == "Dataset" and builder is None:
        return _UNKNOWN
    if builder is not None:
        # The builder's name is the data set's where it was asked for by name: load_dataset("csv",
        # …).
        named = getattr(info, "dataset_name", None) == builder
        return f"local files ({builder})" if named else "local files"
    return _STREAM


def _cache_files(data: Any) -> list[Path]:
    """Return the Arrow files that hold the rows of *data*."""
    entries = getattr(data, "cache_files", None) or ()
    return [Path(str(entry.get("filename", ""))) for entry in entries]


def _kind(data: Any) -> str | None:
    """Return Dataset or IterableDataset where *data* is one of the `datasets` library."""
    for cls in type(data).__mro__:
        is_of_library = cls.__module__.split(".")[0] == "datasets"
        if is_of_library and cls.__name__ in {"Dataset", "IterableDataset"}:
            return cls.__name__
    return None


def _own_class(data: Any) -> str:
    """Describe data of other kinds than those of `datasets`: a list, torch's classes, others."""
    module, name = type(data).__module__, type(data).__name__
    if module == "builtins":
        return f"a Python {name}"
    if module.startswith("torch.utils.data"):
        return f"a PyTorch {name}"
    package = module.split(".")[0]
    if package in {"torch", "sentence_transformers", "trl"}:
        return f"a {name} dataset of {package}"
    return f"a custom {name} dataset"


def _from_cache(data: Any) -> tuple[str | None, str | None]:
    """Return the (id, commit) that the places of the Arrow files prove.

    (None, None) where they differ or prove nothing. Rows that were mapped after joining several
    data sets are in the folder of the first; but then the information on the data set is gone
    (datasets, info.py, `from_merge`), and nothing is claimed.
    """
    places = {_of_place(file) for file in _cache_files(data)}
    if len(places) != 1 or not getattr(getattr(data, "info", None), "dataset_name", None):
        return None, None
    return places.pop()


def _of_place(file: Path) -> tuple[str | None, str | None]:
    """Return (id, commit) that the place of one Arrow file proves.

    `datasets` keeps <owner>___<name, in snake case>/<config>/<version>/<commit>/…arrow
    (builder.py). Snake case loses letters, so the id is taken from the Hub's cache, which has the
    same commit under the exact name.
    """
    parts = file.parts
    if len(parts) < 5 or not _COMMIT.fullmatch(parts[-2]):  # noqa: PLR2004 - the five parts above
        return None, None
    return _exact_id(parts[-2], parts[-5]), parts[-2]


def _exact_id(commit: str, folder: str) -> str | None:
    cache = getattr(sys.modules.get("huggingface_hub.constants"), "HF_HUB_CACHE", None)
    if not cache or not Path(cache).is_dir():
        return None
    owner = folder.partition("___")[0] if "___" in folder else ""
    for repo in sorted(Path(cache).glob(f"datasets--{owner}--*" if owner else "datasets--*")):
        if (repo / "snapshots" / commit).is_dir():
            return repo.name.removeprefix("datasets--").replace("--", "/", 1)
    return None


def _from_stream(data: Any) -> tuple[str | None, str | None]:
    """Return the (id, commit) in the names of all files of a stream, or (None, None)."""
    step = getattr(data, "_ex_iterable", None)
    hub_id, revision = _one_of(_file_names(step))
    if hub_id is not None or any(_STREAMED.search(name) for name in _file_names(step)):
        return hub_id, revision
    ids = list(getattr(data, "_token_per_repo_id", None) or ())
    return (str(ids[0]), None) if len(ids) == 1 else (None, None)


def _one_of(names: Iterator[str]) -> tuple[str | None, str | None]:
    """Return the one (id, commit) in the file *names* of a stream, or (None, None)."""
    matches = [_STREAMED.search(name) for name in names]
    found = {(match["id"], match["sha"]) for match in matches if match is not None}
    return found.pop() if len(found) == 1 else (None, None)


def _file_names(step: Any) -> Iterator[str]:
    for _ in range(_DEPTH):
        if step is None:
            return
        for key in ("base_files", "files"):
            names = (getattr(step, "kwargs", None) or {}).get(key)
            if isinstance(names, list | tuple):
                yield from (name for name in names[:_FILES] if isinstance(name, str))
        step = getattr(step, "ex_iterable", None)
