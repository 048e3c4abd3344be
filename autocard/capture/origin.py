"""Where the weights came from: a Hub id with its commit, a local checkpoint, or nowhere (trained from scratch).

A local path is never told to anyone. What a path or a name says of the Hub is believed only where the disk bears it
out: a snapshot folder of the Hub's cache, an entry in that cache, or a name that cannot be a folder. No network.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autocard import files
from autocard.capture.unwrap import adapted, core

_SNAPSHOT = re.compile(r"(?:^|[/\\])models--(?P<id>[^/\\]+)[/\\]snapshots[/\\](?P<sha>[0-9a-f]{40})(?:[/\\]|$)")
_HUB_ID = re.compile(r"(?!\.)[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
_SHA = re.compile(r"[0-9a-f]{40}")
_LONGEST_ID = 96
_FOLDER_NAMES = """
base ckpt ckpts checkpoint checkpoints data experiments models model out output outputs result results run runs
saved saved_models scratch tmp weights work home mnt
"""
_FOLDERS = frozenset(_FOLDER_NAMES.split())
"""First parts of `a/b` that people give to folders; such a name is believed only if the Hub's cache knows it."""
_CHECKPOINT = re.compile(r"(?:checkpoint|ckpt|step|epoch)[-_]?\d+", re.IGNORECASE)
_READ_BYTES = 1_000_000
_MARKS_TENSORS = 5
"""First version of transformers whose `from_pretrained` marks the tensors that it fills."""

NOT_RECORDED = "not recorded by the model"
"""The description where nothing at all is known of the base."""


@dataclass(frozen=True)
class Origin:
    """What is known of the weights that training started from."""

    hub_id: str | None = None
    """Id on the Hub."""
    revision: str | None = None
    """Commit on the Hub."""
    description: str | None = None
    """In words, where the id does not say it all."""
    exists: bool = True
    """False: trained from scratch."""
    why_no_id: str = ""
    """Reason, where there is no id."""
    why_no_revision: str = ""
    """Reason, where there is no revision."""


def find(model: Any, given: str | None) -> Origin:
    """Return the origin of *model*; *given* is the id that a person named, and wins."""
    names = list(_names(model))
    if given is not None:
        return _given(given, names, model)
    if names and not _was_loaded(model):
        config_of_id, _ = _read_name(names[0])
        return _from_scratch(f", with the configuration of {config_of_id}" if config_of_id else "")
    for name in names:
        hub_id, revision = _read_name(name)
        if hub_id is not None:
            return _on_hub(hub_id, revision, model)
    for name in names:
        if Path(name).is_dir():
            return _local(Path(name))
    return _unknown(model, told=bool(names))


def _unknown(model: Any, *, told: bool) -> Origin:
    if told:
        why = "the base was loaded from a place that is no Hub id, and that is not there any more"
        return Origin(description="a local checkpoint", why_no_id=why, why_no_revision=why)
    if not _was_loaded(model):
        return _from_scratch("")
    why = "the model does not say where its weights came from"
    return Origin(description=NOT_RECORDED, why_no_id=why, why_no_revision=why)


def _from_scratch(words: str) -> Origin:
    why = "there is no base model: the weights were initialised, not loaded"
    description = f"none: trained from scratch{words}"
    return Origin(description=description, exists=False, why_no_id=why, why_no_revision=why)


def _given(given: str, names: list[str], model: Any) -> Origin:
    for name in names:
        hub_id, revision = _read_name(name)
        if hub_id == given:
            return _on_hub(hub_id, revision, model)
    why = "the author named the base model, without its revision"
    return Origin(hub_id=given, why_no_revision=why)


def _on_hub(hub_id: str, revision: str | None, model: Any) -> Origin:
    if revision is not None:
        return Origin(hub_id=hub_id, revision=revision)
    for wanted in _wanted_revisions(model):
        found = wanted if _SHA.fullmatch(wanted) else _cached_commit(hub_id, wanted)
        if found is not None:
            return Origin(hub_id=hub_id, revision=found)
    commits = _commits_with_weights(hub_id)
    if len(commits) == 1:
        return Origin(hub_id=hub_id, revision=commits[0])
    why = (
        "the local Hub cache holds several revisions, and transformers does not keep which one was loaded"
        if commits
        else "transformers does not keep the revision, and the local Hub cache does not hold it"
    )
    return Origin(hub_id=hub_id, why_no_revision=why)


def _local(folder: Path) -> Origin:
    """Follow a local folder's own card or configuration, one level."""
    for name in _own_bases(folder):
        hub_id, _ = _read_name(name)
        if hub_id is not None:
            words = f"a local checkpoint, which its own files derive from {hub_id}"
            why = f"the base is a local checkpoint made from {hub_id}; of which revision is not recorded"
            return Origin(hub_id=hub_id, description=words, why_no_revision=why)
    why = "the base was loaded from a local folder that names no Hub id; base_model=… can name it"
    return Origin(description="a local checkpoint", why_no_id=why, why_no_revision=why)


def _names(model: Any) -> Iterator[str]:
    """Yield what the model's configuration and its adapters say they were loaded from."""
    config = getattr(core(model), "config", None)
    name = getattr(config, "_name_or_path", None)
    if isinstance(name, str | os.PathLike) and str(name).strip():
        yield str(name)
    holder = adapted(model)
    if holder is None:
        return
    for settings in holder.peft_config.values():
        name = getattr(settings, "base_model_name_or_path", None)
        if isinstance(name, str) and name.strip():
            yield name


def _wanted_revisions(model: Any) -> Iterator[str]:
    """Yield the base's revision that the adapters' configurations ask for."""
    holder = adapted(model)
    if holder is None:
        return
    for settings in holder.peft_config.values():
        revision = getattr(settings, "revision", None)
        if isinstance(revision, str) and revision.strip():
            yield revision.strip()


def _can_tell(model: Any) -> bool:
    """Return whether transformers made the model; of others we do not know what loading leaves behind."""
    return any(cls.__name__ == "PreTrainedModel" for cls in type(core(model)).__mro__)


def _was_loaded(model: Any) -> bool:
    """Return whether `from_pretrained` put weights into the model.

    Since transformers 5 it leaves its list of conversions on the model and a flag on each tensor that it filled
    (core_model_loading.py and modeling_utils.py); initialising weights leaves neither. transformers 4 leaves nothing
    but the name that weights or, with `AutoConfig.from_pretrained`, only a configuration came from: there, a name is
    believed to be the weights'.
    """
    inner = core(model)
    if not _can_tell(model):
        return True
    if _version("transformers") < _MARKS_TENSORS:
        return bool(getattr(inner.config, "_name_or_path", ""))
    if hasattr(inner, "_weight_conversions"):
        return True
    return any(getattr(tensor, "_is_hf_initialized", False) for tensor in inner.parameters())


def _version(package: str) -> int:
    """Return the first number of the version of a package that the run has imported."""
    return int(str(getattr(sys.modules.get(package), "__version__", "0")).split(".", 1)[0])


def _read_name(name: str) -> tuple[str | None, str | None]:
    """Return (Hub id, commit) that *name* stands for; (None, None) where it is, or may be, a local path."""
    snapshot = _SNAPSHOT.search(name)
    if snapshot is not None:
        return snapshot["id"].replace("--", "/", 1), snapshot["sha"]
    if not _HUB_ID.fullmatch(name) or len(name) > _LONGEST_ID or Path(name).exists():
        return None, None
    if ".." in name or "--" in name or name.endswith((".git", ".")):
        return None, None
    if _in_cache(name):
        return name, None
    owner, _, rest = name.partition("/")
    # A bare name is a folder that has gone just as well as one of the Hub's few ids without an owner.
    believable = bool(rest) and owner.lower() not in _FOLDERS and not _CHECKPOINT.fullmatch(rest)
    return (name, None) if believable else (None, None)


def _cache() -> Path | None:
    """Return the Hub's cache folder as the run uses it."""
    constants = sys.modules.get("huggingface_hub.constants")
    folder = getattr(constants, "HF_HUB_CACHE", None)
    return Path(folder) if folder else None


def _repo_folder(hub_id: str) -> Path | None:
    cache = _cache()
    return None if cache is None else cache / f"models--{hub_id.replace('/', '--')}"


def _in_cache(hub_id: str) -> bool:
    folder = _repo_folder(hub_id)
    return folder is not None and (folder / "snapshots").is_dir()


def _cached_commit(hub_id: str, ref: str) -> str | None:
    """Return the commit that the cache holds for the branch or tag *ref*."""
    folder = _repo_folder(hub_id)
    if folder is None or ".." in ref or Path(ref).is_absolute():
        return None
    file = folder / "refs" / ref
    commit = _text(file).strip()
    return commit if _SHA.fullmatch(commit) else None


def _commits_with_weights(hub_id: str) -> list[str]:
    """Return the commits of *hub_id* of which the cache holds weights."""
    folder = _repo_folder(hub_id)
    if folder is None or not (folder / "snapshots").is_dir():
        return []
    return [
        snapshot.name
        for snapshot in sorted((folder / "snapshots").iterdir())
        if _SHA.fullmatch(snapshot.name)
        and any(file.suffix in {".safetensors", ".bin", ".gguf", ".pt", ".pth"} for file in snapshot.iterdir())
    ]


def _own_bases(folder: Path) -> Iterator[str]:
    """Yield what the files of a checkpoint's *folder* say of its base: card, adapter configuration, configuration."""
    yield from _card_bases(folder / "README.md")
    for file, key in (("adapter_config.json", "base_model_name_or_path"), ("config.json", "_name_or_path")):
        found = _json(folder / file).get(key)
        if isinstance(found, str):
            yield found


def _card_bases(card: Path) -> list[str]:
    """Return `base_model` of a card's front matter, where it names exactly one."""
    from autocard.card.yamlkeys import front_values  # noqa: PLC0415 - only where a local checkpoint has a card

    bases = front_values(_text(card), ["base_model"]).get("base_model")
    if isinstance(bases, list) and len(bases) == 1:
        bases = bases[0]
    return [bases] if isinstance(bases, str) else []


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(_text(file) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(file: Path) -> str:
    """Return the text of a small *file*; empty where it cannot be read."""
    try:
        return files.read_bytes(file, _READ_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return ""
