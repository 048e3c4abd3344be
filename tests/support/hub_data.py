"""A data set of the Hub as the local caches hold it after a download, read back offline by `datasets` itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

SHA = "0123456789abcdef0123456789abcdef01234567"


def snake(name: str) -> str:
    from datasets.naming import camelcase_to_snakecase

    return camelcase_to_snakecase(name)


def lay(
    folder: Path, hub_id: str, splits: dict[str, Any], sha: str = SHA, card: bool = True
) -> None:
    """Lay *splits* (name → Dataset) into *folder*: the builder's Arrow files, and the card in the Hub's cache.

    The files are written by `datasets` from Parquet, as it does for the Hub's; then they get the
    Hub's names.
    """
    from datasets import load_dataset

    owner, _, name = hub_id.rpartition("/")
    parquet = folder / "parquet" / hub_id.replace("/", "-")
    parquet.mkdir(parents=True)
    for split, rows in splits.items():
        rows.to_parquet(parquet / f"{split}.parquet")
    files = {split: str(parquet / f"{split}.parquet") for split in splits}
    made = load_dataset("parquet", data_files=files, cache_dir=str(folder / "made" / hub_id))
    first = Path(next(iter(made.values())).cache_files[0]["filename"]).parent
    place = (
        folder
        / "datasets"
        / "___".join(filter(None, [owner, snake(name)]))
        / "default"
        / "0.0.0"
        / sha
    )
    place.parent.mkdir(parents=True)
    shutil.copytree(first, place)
    for file in place.glob("parquet-*.arrow"):
        file.rename(place / file.name.replace("parquet-", f"{snake(name)}-", 1))
    info = place / "dataset_info.json"
    info.write_text(
        json.dumps(
            {**json.loads(info.read_text()), "dataset_name": snake(name), "config_name": "default"}
        )
    )
    if card:
        (folder / "hub" / f"datasets--{hub_id.replace('/', '--')}" / "snapshots" / sha).mkdir(
            parents=True
        )


def load(folder: Path, hub_id: str, monkeypatch: Any, split: str | None = "train") -> Any:
    """Load *hub_id* by its name, offline, out of the caches in *folder*; `monkeypatch` names them to the libraries."""
    from datasets import config, load_dataset

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder / "hub"))
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    return load_dataset(hub_id, cache_dir=str(folder / "datasets"), split=split)
