"""Where the weights came from: a Hub id with its commit, a local checkpoint, or from nowhere.

A local path is never returned. A name is taken for the Hub's only where the disk confirms it, and
the weights are taken for those of the name only while their values are. No network.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autocard.capture.model import base_weights, initial_weights, local_checkpoint
from autocard.capture.model.hub_names import (
    SHA,
    cached_commit,
    commits_with_weights,
    read_name,
    snapshot_of,
)
from autocard.capture.observed import Start
from autocard.capture.unwrap import adapted, backbone

_MARKS_TENSORS = 5
"""First version of transformers whose `from_pretrained` marks the tensors that it fills."""

NOT_RECORDED = "not recorded by the model"
"""The description where nothing is known of the base."""
LOCAL = "a local checkpoint"
"""How the description of a base begins that is no Hub id."""


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


def find(model: Any, given: str | None, start: Start | None = None) -> Origin:
    """Return the origin of *model*; *given* is the id that a person named, and wins."""
    start = start or Start()
    names = list(_names(model))
    if given is not None:
        return _given(given, names, model)
    if not _was_loaded(model):
        return _not_loaded(model, names, start)
    for name in names:
        hub_id, revision = read_name(name)
        if hub_id is not None:
            return _checked(_on_hub(hub_id, revision, model), model, start)
    for name in names:
        if Path(name).is_dir():
            return _local(Path(name), model, start)
    return _unknown(told=bool(names))


FROM_SCRATCH = "none (trained from scratch)"
INITIALIZED = "no base model: the weights were initialized, not loaded"


def withheld(model: Any, base_model: str | None, processing_class: Any = None) -> frozenset[str]:
    """Return the names that *model* and its tokenizer were loaded by and that no card may show.

    Those are local paths, and ids that the author's *base_model* replaces.
    """
    names = {name.strip() for name in _names(model)}
    tokenizer = getattr(processing_class, "name_or_path", None)
    if isinstance(tokenizer, str) and tokenizer.strip() and read_name(tokenizer.strip())[0] is None:
        names.add(tokenizer.strip())
    found = {name for name in names if base_model is not None or read_name(name)[0] is None}
    return frozenset(found - {base_model})


def _not_loaded(model: Any, names: list[str], start: Start) -> Origin:
    """Return the origin of weights that `from_pretrained` did not load.

    They are fresh only where there is evidence of it.
    """
    is_fresh = start.fresh
    if is_fresh is None and not start.resumed:
        is_fresh = initial_weights.is_fresh(model)
    if is_fresh:
        config_of_id = read_name(names[0])[0] if names else None
        return _from_scratch(f" with the configuration of {config_of_id}" if config_of_id else "")
    why = "from_pretrained did not load the weights, and nothing shows that they are random"
    return Origin(description=NOT_RECORDED, why_no_id=why, why_no_revision=why)


def _unknown(*, told: bool) -> Origin:
    if told:
        why = "the base model was loaded from a path that no longer exists"
        return Origin(description=LOCAL, why_no_id=why, why_no_revision=why)
    why = "the model does not record where its weights came from"
    return Origin(description=NOT_RECORDED, why_no_id=why, why_no_revision=why)


def _from_scratch(words: str) -> Origin:
    why = INITIALIZED
    description = f"none (trained from scratch{words})"
    return Origin(description=description, exists=False, why_no_id=why, why_no_revision=why)


def _given(given: str, names: list[str], model: Any) -> Origin:
    for name in names:
        hub_id, revision = read_name(name)
        if hub_id == given:
            return _on_hub(hub_id, revision, model)
    why = "the author named the base model, without its revision"
    return Origin(hub_id=given, why_no_revision=why)


def _on_hub(hub_id: str, revision: str | None, model: Any) -> Origin:
    if revision is not None:
        return Origin(hub_id=hub_id, revision=revision)
    for wanted in _wanted_revisions(model):
        found = wanted if SHA.fullmatch(wanted) else cached_commit(hub_id, wanted)
        if found is not None:
            return Origin(hub_id=hub_id, revision=found)
    commits = commits_with_weights(hub_id)
    if len(commits) == 1:
        return Origin(hub_id=hub_id, revision=commits[0])
    if commits:
        why = (
            "the local Hub cache holds several revisions, "
            "and transformers does not keep which one was loaded"
        )
    else:
        why = "transformers does not keep the revision, and the local Hub cache does not hold it"
    return Origin(hub_id=hub_id, why_no_revision=why)


def _checked(origin: Origin, model: Any, start: Start) -> Origin:
    """Return *origin*, or another one where the weights are no longer those that it names."""
    if origin.hub_id is None or start.resumed:
        return origin
    folder = snapshot_of(origin.hub_id, origin.revision) if origin.revision else None
    state = base_weights.compare(model, folder)
    if state in (None, "same") or (start.trained_before and adapted(model) is None):
        return origin
    if state == "replaced":
        why = (
            f"all or most weights of {origin.hub_id}, "
            "which the model was loaded from, were replaced"
        )
        return Origin(description=NOT_RECORDED, why_no_id=why, why_no_revision=why)
    words = f"{origin.hub_id} with weights changed after loading (for example by a merged adapter)"
    return _derived(origin, words, model)


def _derived(origin: Origin, words: str, model: Any) -> Origin:
    """Return the origin of weights that were made from *origin*'s.

    An adapter of such weights does not fit *origin*, so that is not its base.
    """
    why = "the weights were derived from it on this machine; its revision is not recorded"
    if adapted(model) is None:
        return replace(origin, description=words, revision=None, why_no_revision=why)
    why_no_id = f"the adapter belongs to {words}, which is not on the Hub; base_model=… can name it"
    return Origin(description=words, why_no_id=why_no_id, why_no_revision=why_no_id)


def _local(folder: Path, model: Any, start: Start) -> Origin:
    """Follow a local folder's own record, card or configuration, one level."""
    if (
        not start.resumed
        and not start.trained_before
        and base_weights.compare(model, folder) == "replaced"
    ):
        why = (
            "all or most weights of the local checkpoint that the model was loaded from "
            "were replaced"
        )
        return Origin(description=NOT_RECORDED, why_no_id=why, why_no_revision=why)
    ancestor = _ancestor(folder)
    if ancestor is not None:
        return _derived(Origin(hub_id=ancestor), f"{LOCAL} fine-tuned from {ancestor}", model)
    named = _named_in_configuration(folder)
    if named is not None:
        return _named(named, model)
    why = "the base was loaded from a local folder that names no Hub id; base_model=… can name it"
    return Origin(description=LOCAL, why_no_id=why, why_no_revision=why)


def _named(hub_id: str, model: Any) -> Origin:
    """Return the origin of a local checkpoint whose configuration alone names *hub_id*.

    It is a copy, or was made from it: transformers 4 writes that name whenever it saves a model,
    whether or not the model was trained.
    """
    words = f"{LOCAL} whose configuration names {hub_id}"
    why = f"{words}; whether it is a copy or was derived from it is not recorded"
    if adapted(model) is None:
        return Origin(hub_id=hub_id, description=words, why_no_revision=why)
    why_no_id = f"the adapter belongs to {why}; base_model=… can name it"
    return Origin(description=words, why_no_id=why_no_id, why_no_revision=why_no_id)


def _ancestor(folder: Path) -> str | None:
    """Return the Hub id that the checkpoint in *folder* was made from, by our record or a card."""
    record = local_checkpoint.record_of(folder)
    if record:
        base = record["model"].get("base_model")
        return base if isinstance(base, str) and base else None
    return _hub_id(local_checkpoint.own_bases(folder), folder)


def _named_in_configuration(folder: Path) -> str | None:
    """Return the Hub id in the configuration in *folder*, where autocard left no record there."""
    if local_checkpoint.record_of(folder):
        return None
    return _hub_id(local_checkpoint.name_in_configuration(folder), folder)


def _hub_id(names: Iterator[str], folder: Path) -> str | None:
    """Return the first of *names* that is a Hub id."""
    near = (folder.resolve(), *list(folder.resolve().parents)[:3])
    for name in names:
        hub_id, _ = read_name(name, *near)
        if hub_id:
            return hub_id
    return None


def _names(model: Any) -> Iterator[str]:
    """Yield the names that the model's configuration and its adapters were loaded by."""
    config = getattr(backbone(model), "config", None)
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
    """Yield the base's revisions in the adapters' configurations."""
    holder = adapted(model)
    if holder is None:
        return
    for settings in holder.peft_config.values():
        revision = getattr(settings, "revision", None)
        if isinstance(revision, str) and revision.strip():
            yield revision.strip()


def _was_loaded(model: Any) -> bool:
    """Return whether `from_pretrained` put weights into the model.

    Since transformers 5 it leaves its list of conversions on the model and a flag on each tensor
    that it filled (core_model_loading.py and modeling_utils.py); initializing weights leaves
    neither. transformers 4 leaves nothing but the name that weights or, with
    `AutoConfig.from_pretrained`, only a configuration came from: there, a name is taken for that
    of the weights. Of models that are not transformers' it is not known what loading leaves behind.
    """
    inner = backbone(model)
    if inner is None:
        return True
    if _version("transformers") < _MARKS_TENSORS:
        return bool(getattr(inner.config, "_name_or_path", ""))
    if hasattr(inner, "_weight_conversions"):
        return True
    return any(getattr(tensor, "_is_hf_initialized", False) for tensor in inner.parameters())


def _version(package: str) -> int:
    """Return the first number of the version of a package that the run has imported."""
    return int(str(getattr(sys.modules.get(package), "__version__", "0")).split(".", 1)[0])
