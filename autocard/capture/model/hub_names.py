"""The Hub id that a name or a path stands for, where the disk confirms it. No network.

Confirmed are a snapshot folder of the Hub's cache, an entry in that cache, and a name that is no
folder anywhere near.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from autocard import files

_SNAPSHOT = re.compile(
    r"(?:^|[/\\])models--(?P<id>[^/\\]+)[/\\]snapshots[/\\](?P<sha>[0-9a-f]{40})(?:[/\\]|$)"
)
"""`/cache/models--org--name/snapshots/<commit>/config.json`."""
_HUB_ID = re.compile(r"(?!\.)[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
"""`org/name`, `gpt2`."""
SHA = re.compile(r"[0-9a-f]{40}")
_WEIGHTS = frozenset({".safetensors", ".bin", ".gguf", ".pt", ".pth"})
"""Endings of files that hold weights."""
_LONGEST_ID = 96
_READ_BYTES = 1_000
_FOLDER_NAMES = """
base ckpt ckpts checkpoint checkpoints client clients customer customers data experiments internal
local model models out output outputs private project projects result results run runs saved
saved_models scratch tmp weights work home mnt
"""
_FOLDERS = frozenset(_FOLDER_NAMES.split())
"""First parts of `a/b` that people give to folders; such a name is a Hub id only if the Hub's cache
has it."""
_CHECKPOINT = re.compile(r"(?:checkpoint|ckpt|step|epoch)[-_]?\d+", re.IGNORECASE)
"""`checkpoint-500`, `epoch_3`."""


def read_name(name: str, *near: Path) -> tuple[str | None, str | None]:
    """Return the (Hub id, commit) of *name*; (None, None) where it is, or may be, a local path.

    *near*: folders that a relative path may start from, beside those of this process.
    """
    snapshot = _SNAPSHOT.search(name)
    if snapshot is not None:
        return snapshot["id"].replace("--", "/", 1), snapshot["sha"]
    if not _HUB_ID.fullmatch(name) or len(name) > _LONGEST_ID or Path(name).exists():
        return None, None
    if ".." in name or "--" in name or name.endswith((".git", ".")):
        return None, None
    if _in_cache(name):
        return name, None
    if _is_near(name, near):
        return None, None
    owner, _, rest = name.partition("/")
    # A bare name may be a folder that is gone, or one of the Hub's few ids without an owner.
    is_id = bool(rest) and owner.lower() not in _FOLDERS and not _CHECKPOINT.fullmatch(rest)
    return (name, None) if is_id else (None, None)


def _is_near(name: str, near: Iterable[Path]) -> bool:
    """Return whether *name* is a file or folder, relative to a place that the run may have used."""
    return any((place / name).exists() for place in (*_places(), *near))


def _places() -> Iterator[Path]:
    """Yield the folders that relative paths of this process may start from.

    Scripts change the current one.
    """
    shell = os.environ.get("PWD")
    if shell:
        yield Path(shell)
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script:
        yield Path(script).parent


def _cache() -> Path | None:
    """Return the Hub's cache folder as the run uses it."""
    constants = sys.modules.get("huggingface_hub.constants")
    folder = getattr(constants, "HF_HUB_CACHE", None)
    return Path(folder) if folder else None


def snapshot_of(hub_id: str, commit: str) -> Path | None:
    """Return the folder of the Hub's cache that holds *hub_id* at *commit*."""
    folder = _repo_folder(hub_id)
    return None if folder is None else folder / "snapshots" / commit


def _repo_folder(hub_id: str) -> Path | None:
    cache = _cache()
    return None if cache is None else cache / f"models--{hub_id.replace('/', '--')}"


def _in_cache(hub_id: str) -> bool:
    folder = _repo_folder(hub_id)
    return folder is not None and (folder / "snapshots").is_dir()


def cached_commit(hub_id: str, ref: str) -> str | None:
    """Return the commit that the cache holds for the branch or tag *ref*."""
    folder = _repo_folder(hub_id)
    if folder is None or ".." in ref or Path(ref).is_absolute():
        return None
    file = folder / "refs" / ref
    try:
        commit = files.read_bytes(file, _READ_BYTES).decode("ascii", errors="replace").strip()
    except OSError:
        return None
    return commit if SHA.fullmatch(commit) else None


def commits_with_weights(hub_id: str) -> list[str]:
    """Return the commits of *hub_id* of which the cache holds weights."""
    folder = _repo_folder(hub_id)
    if folder is None or not (folder / "snapshots").is_dir():
        return []
    snapshots = sorted((folder / "snapshots").iterdir())
    return [one.name for one in snapshots if SHA.fullmatch(one.name) and _has_weights(one)]


def _has_weights(folder: Path) -> bool:
    return any(file.suffix in _WEIGHTS for file in folder.iterdir())
