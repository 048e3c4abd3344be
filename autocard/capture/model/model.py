"""The model: its name, its base, its architecture, its size.

Counts come from the parameters, names from the configuration; the model is never run. Imports no
torch: tensors have the attributes that it reads.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autocard.capture.model import adapter_layers
from autocard.capture.model.base_model import NOT_RECORDED, Origin, find
from autocard.capture.model.dimensions import dims, parts
from autocard.capture.model.sizes import size_of
from autocard.capture.model.tasks import Head, auto_class_of, head_of
from autocard.capture.observed import Observed
from autocard.capture.unwrap import (
    adapted,
    backbone,
    class_of,
    config_of,
    core,
    is_sentence_transformer,
    quantization_of,
    without_wrappers,
)
from autocard.errors import UnavailableError
from autocard.files import expanded
from autocard.record import Model
from autocard.record.gaps import Part, PartBuilder

if TYPE_CHECKING:
    from autocard.capture.model.trained_parameters import Changed

NOT_TRANSFORMERS = "not a transformers model: it has no such configuration"
_NO_NAMES = frozenset(
    {"", ".", "..", "/", "trainer_output", "output", "outputs", "out", "results", "tmp"}
)
"""Names of output folders that are no names of models."""
_MADE_UP = re.compile(r"tmp[\w-]{6,10}|checkpoint-\d+")
"""`tmpk3j2h1x9`, `checkpoint-500`."""
_SHORT = 3
"""Letters below which the name of a user or machine may be part of any word."""

TRL_REFERENCE = "ref"
"""Name that TRL's trainers give the frozen copy of an adapter that was loaded (trl,
trainer/dpo_trainer.py)."""
_COUNTABLE = frozenset({"bitsandbytes", "torchao", "quanto", "gguf", "fp8"})
"""Quantizations whose parameters still say how many weights they hold; the others pack them into
whole numbers."""


def capture(observed: Observed) -> Part[Model]:
    """Return what is known of the model when training begins."""
    part = PartBuilder(Model, "model")
    whole = without_wrappers(observed.model)
    origin = Origin()
    with part.guard("base_model"):
        origin = find(observed.model, observed.settings.base_model, observed.start)
        _fill_base(part, origin, observed.model)
    with part.guard("architecture"):
        part.fields["architecture"] = class_of(core(observed.model)).__name__
    with part.guard("model_type"):
        part.fields["model_type"] = _model_type(observed.model)
    with part.guard("task"):
        _fill_task(part, observed, whole)
    with part.guard("library_name"):
        part.fields["library_name"] = _library(observed.model, whole)
    with part.guard("auto_class"):
        part.fields["auto_class"] = _auto_class(observed.model, whole)
    with part.guard("parameters_total"):
        _fill_counts(part, observed)
    with part.guard("trained_modules"):
        part.fields.update(_trained(observed.model))
    with part.guard("dims"):
        part.fields["dims"] = dims(config_of(observed.model), backbone(observed.model))
        part.fields["parts"] = parts(config_of(observed.model), backbone(observed.model))
    with part.guard("labels"):
        part.fields["labels"] = _labels(config_of(observed.model))
    with part.guard("name"):
        part.fields["name"] = _name(observed, part.fields)
    part.gaps["saved_bytes"] = "the weights were not in the output folder when this was written"
    part.gaps["saved_dtype"] = part.gaps["saved_bytes"]
    part.gaps["checkpoint_bytes"] = "no checkpoint"
    part.gaps["checkpoint_has_optimizer"] = "no checkpoint"
    return part.build()


def count(model: Any, *, is_trl: bool = False) -> tuple[int | None, int | None]:
    """Return how many parameters *model* has, and how many of them require gradients.

    Adapters are included. Tied weights count once. Parameters that DeepSpeed's ZeRO-3 has taken
    apart count in full (`ds_numel`), and each packed weight of bitsandbytes' 4-bit parameters
    counts. None for the total: the weights are packed into whole numbers. To be called before FSDP1
    shards the model; after that they cannot be counted.

    Args:
        model: wrapped or not.
        is_trl: the trainer is one of TRL's. These add a frozen copy of the adapter to *model*, as
            the reference of their loss; it is saved nowhere and is not counted.

    Raises:
        UnavailableError: there is nothing to count, or FSDP1 has sharded it already.
    """
    if model is None:
        msg = "the trainer has no model yet"
        raise UnavailableError(msg)
    if any(type(module).__name__ == "FullyShardedDataParallel" for module in model.modules()):
        msg = "FSDP had sharded the parameters before they could be counted"
        raise UnavailableError(msg)
    total = trainable = 0
    reference = {id(parameter) for parameter in _reference_copy(model)} if is_trl else set[int]()
    for parameter in model.parameters():
        if id(parameter) in reference:
            continue
        size = size_of(parameter)
        total += size
        if parameter.requires_grad:
            trainable += size
    method = _quantization_method(model)
    return (None if method is not None and method not in _COUNTABLE else total), trainable


def _reference_copy(model: Any) -> list[Any]:
    """Return the parameters of the frozen adapter that TRL keeps beside the one that it trains."""
    if adapted(model) is None:
        return []
    found = list(adapter_layers.parameters_of(model, TRL_REFERENCE))
    return [] if any(parameter.requires_grad for parameter in found) else found


def _quantization_method(model: Any) -> str | None:
    settings = quantization_of(model)
    if settings is None:
        return None
    method = settings.get("quant_method")
    return str(getattr(method, "value", method))


def _fill_counts(part: PartBuilder[Model], observed: Observed) -> None:
    try:
        total, trainable = count(observed.model, is_trl=observed.trainer.method() is not None)
    except UnavailableError as exc:
        part.gaps["parameters_trainable"] = str(exc)
        raise
    method = _quantization_method(observed.model)
    part.put("parameters_total", total, f"{method} packs several weights into one number")
    part.fields["parameters_trainable"] = trainable


def _fill_base(part: PartBuilder[Model], origin: Origin, model: Any) -> None:
    relation = _relation(origin, model)
    part.put("base_model", origin.hub_id, origin.why_no_id)
    part.put("base_model_description", origin.description, "see base_model")
    part.put("base_model_revision", origin.revision, origin.why_no_revision)
    part.put("base_model_relation", relation, origin.why_no_id)


def _relation(origin: Origin, model: Any) -> str | None:
    """Return how the model relates to its base; None: there is none, or it was not recorded."""
    if not origin.exists:
        return None
    if origin.hub_id is None and origin.description == NOT_RECORDED:
        return None
    holder = adapted(model)
    is_adapter = holder is not None and adapter_layers.is_trained(holder)
    return "adapter" if is_adapter else "finetune"


def _model_type(model: Any) -> str:
    config = config_of(model)
    if config is None or not config.model_type:
        raise UnavailableError(NOT_TRANSFORMERS)
    return str(config.model_type)


def _fill_task(part: PartBuilder[Model], observed: Observed, whole: Any) -> None:
    model = observed.model
    head = head_of(model, whole)
    if head is None:
        part.gaps["pipeline_tag"] = "the task is not known"
        msg = "the model's class is not one whose head is known"
        raise UnavailableError(msg)
    method = observed.trainer.method()
    if method is not None and method.task:
        part.fields["task"] = method.task
    elif head.task == "sequence classification" and _is_regression(model, head):
        part.fields["task"] = "sequence regression"
    else:
        part.fields["task"] = head.task
    part.put("pipeline_tag", head.tag, f"the Hub has no single tag for {head.task}")


def _is_regression(model: Any, head: Head) -> bool:
    config = config_of(model)
    scores = getattr(config, "num_labels", None) if head.tag == "text-classification" else None
    return scores == 1 or getattr(config, "problem_type", None) == "regression"


def _library(model: Any, whole: Any) -> str:
    if is_sentence_transformer(whole):
        return "sentence-transformers"
    if adapted(model) is not None:
        return "peft"
    if any(cls.__name__ == "PreTrainedModel" for cls in type(whole).__mro__):
        return "transformers"
    raise UnavailableError(NOT_TRANSFORMERS)


def _auto_class(model: Any, whole: Any) -> str:
    if is_sentence_transformer(whole):
        msg = "sentence-transformers has its own class for it"
        raise UnavailableError(msg)
    found = auto_class_of(model)
    if found is None:
        msg = "none of transformers' Auto classes makes this class"
        raise UnavailableError(msg)
    return found


def as_trained(begun: Model, model: Any, changed: Changed) -> Model:
    """Return *begun* with what the optimizer steps of *model* have changed."""
    some = adapter_layers.trained_parts(core(model), changed.in_some_steps)
    update: dict[str, Any] = {
        "parameters_trainable": changed.parameters,
        "trained_in_some_steps": some,
        **_trained(model, changed.every),
    }
    return begun.model_copy(update=update)


def _trained(model: Any, trained: Collection[int] | None = None) -> dict[str, list[str]]:
    """Return the names of what was trained of *model*.

    Names of modules where a part was frozen, or where modules beside the adapters were trained.

    Args:
        model: the whole model.
        trained: ids of the tensors that were; None: those that require gradients.
    """
    inner, holder = core(model), adapted(model)
    if not hasattr(inner, "named_parameters"):
        return {}
    if holder is None:
        frozen = not all(adapter_layers.is_among(weight, trained) for weight in inner.parameters())
        return {"trained_modules": adapter_layers.trained_parts(inner, trained) if frozen else []}
    biases = [getattr(settings, "bias", None) for settings in holder.peft_config.values()]
    bias = next((name for name in biases if name not in (None, "none")), "none")
    return {"trained_unsaved": adapter_layers.trained_beside(holder, inner, str(bias), trained)}


def _labels(config: Any) -> list[str]:
    labels = getattr(config, "id2label", None) or {}
    names = [str(labels[key]) for key in sorted(labels, key=int)]
    return [] if all(re.fullmatch(r"LABEL_\d+", name) for name in names) else names


def _name(observed: Observed, facts: dict[str, Any]) -> str:
    """Return the Hub id that the run pushes to, else the folder's name, else base and task."""
    if observed.hub_id:
        return str(observed.hub_id)
    folder = _folder_name(observed.output_dir)
    is_made_up = folder.lower() in _NO_NAMES or _MADE_UP.fullmatch(folder) is not None
    if not is_made_up and not _is_private(folder):
        return folder
    start = facts.get("base_model") or facts.get("architecture") or "model"
    suffix = "adapter" if facts.get("library_name") == "peft" else "finetuned"
    suffix = facts.get("pipeline_tag") or suffix
    return f"{start.rpartition('/')[2]}-{suffix}"


def _folder_name(output_dir: Path) -> str:
    """Return the name of the output folder; links are not followed."""
    try:
        return Path(os.path.abspath(output_dir)).name  # noqa: PTH100 - no links followed
    except FileNotFoundError:  # the current folder has been removed
        return output_dir.name


def _is_private(name: str) -> bool:
    """Return whether *name* contains the user's or the machine's name."""
    name, host = name.lower(), platform.node().lower()
    accounts = [os.environ.get("USER"), os.environ.get("LOGNAME"), _account()]
    users = {user.lower() for user in (*accounts, expanded(Path("~")).name) if user}
    words = set(re.split(r"[^a-z0-9]+", name))
    names_user = any(len(user) >= _SHORT and user in words for user in users - {"root"})
    return name in users or names_user or (len(host) > _SHORT and host in name)


def _account() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
