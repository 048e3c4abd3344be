"""What the model is: title, summary, type, base, architecture, size, adapter, code."""

from __future__ import annotations

import json
import re
from typing import Any

from autocard import units
from autocard.card.fact import Fact, code, escape
from autocard.card.fields.words import (
    bullets,
    commit,
    data_name,
    inline,
    link,
    listed,
    quantization,
)
from autocard.record import Adapter, Model, RunRecord

_SCRATCH = "none"
"""How `base_model_description` begins where there was no base."""
_NOT_KNOWN = "not recorded"
"""How it begins where it says nothing."""

_DIMENSIONS = {
    "layers": "layers",
    "decoder_layers": "decoder layers",
    "hidden_size": "hidden size",
    "attention_heads": "attention heads",
    "key_value_heads": "key-value heads",
    "head_size": "head size",
    "query_key_head_size": "head size of queries and keys",
    "value_head_size": "head size of values",
    "intermediate_size": "intermediate size",
    "vocabulary": "vocabulary",
    "context_length": "context length",
    "experts": "experts",
    "experts_per_token": "experts per token",
    "expert_intermediate_size": "intermediate size of an expert",
    "shared_experts": "shared experts",
    "shared_expert_intermediate_size": "intermediate size of the shared expert",
    "state_size": "state size",
    "image_size": "image size",
    "patch_size": "patch size",
}
_COUNTED = frozenset(
    (
        "layers",
        "decoder_layers",
        "attention_heads",
        "key_value_heads",
        "experts",
        "experts_per_token",
        "shared_experts",
    )
)
"""Dimensions that stand after their number (6 layers); the others after their name (hidden size
384)."""

_SETTINGS = {
    "r": "r",
    "lora_alpha": "alpha",
    "lora_dropout": "dropout",
    "target_modules": "target modules",
    "modules_to_save": "trained in full",
    "use_dora": "weight-decomposed (DoRA)",
    "use_rslora": "rank-stabilised (rsLoRA)",
    "bias": "bias",
    "num_virtual_tokens": "virtual tokens",
    "mixed_adapters": "adapters mixed",
}
"""Adapter settings with a plainer name than PEFT's, in the order in which they are told; the others
follow."""

_START_SETTINGS = frozenset({"init_lora_weights", "init_weights", "init_ia3_weights"})
"""Settings whose default is on: the adapter starts as one that changes nothing."""

_SPELLED_OUT = ("X-", "LN ", "HRA")
"""Beginnings of methods whose first letter is spoken as its name, with a vowel: "an X-LoRA"."""

_LABELS = 30
"""Label names that are shown."""

_POLICY = ("aligned", "trained with", "distilled")
"""How the purposes begin that say more of a model than its task."""

_UNTRAINED = "trained in this run (0 optimizer steps)"
"""Said after a "not" or a "none of them" of a run that ended without a step."""

_MANY = 10**6
"""From here on a count is said in words too."""


def facts(record: RunRecord) -> dict[str, Fact | None]:
    """Return the facts that tell what the model is."""
    model = record.model
    return {
        "model_id": Fact(escape(model.name)) if model.name else None,
        "model_summary": _summary(record),
        "model_type": _type(record),
        "base_model": _base(record),
        "repo": _repo(record),
        "parameters": _as_fact(parameters(record)),
        "model_specs": _specs(record),
    }


def from_scratch(model: Model) -> bool:
    """Return whether the record says that there was no base."""
    return model.base_model is None and (model.base_model_description or "").startswith(_SCRATCH)


def is_untrained(record: RunRecord) -> bool:
    """Return whether the run ended without an optimizer step (`num_train_epochs=0`, an error in the first step)."""
    return record.run.status is not None and record.run.global_step == 0


def parameters(record: RunRecord) -> str | None:
    """Return the number of parameters, and how many of them were trained."""
    total, trained = record.model.parameters_total, record.model.parameters_trainable
    if is_untrained(record):
        return None if total is None else f"{_exactly(total)}, none of them {_UNTRAINED}"
    if total is None:
        return None if trained is None else f"{_exactly(trained)} were trained"
    if trained is None:
        return _exactly(total)
    if trained == total:
        return f"{_exactly(total)}, all of them trained"
    share = f" ({units.percent(trained, total)})" if total else ""
    return f"{_exactly(total)} in total, {_exactly(trained)} of them trained{share}"


def _exactly(number: int) -> str:
    """Return a count as people say it, and exactly."""
    return (
        f"{units.amount(number)} ({units.count(number)})"
        if number >= _MANY
        else units.count(number)
    )


def _as_fact(line: str | None) -> Fact | None:
    return None if line is None else Fact(line)


def _summary(record: RunRecord) -> Fact | None:
    """Return one sentence: what was made of which base, for which task, on which data."""
    model = record.model
    methods = list(dict.fromkeys(adapter.method for adapter in record.adapters if adapter.method))
    base = link(model.base_model) if model.base_model else _base_in_words(model)
    if record.adapters and not model.adapters_merged:
        made = (
            f"{_article(methods[0])} {listed(escape(name) for name in methods)} adapter"
            if methods
            else "An adapter"
        )
        made += f" for {base}" if base else ""
    elif from_scratch(model) or (base and is_untrained(record)):
        made = (
            f"{_article(model.architecture)} {code(model.architecture)} model"
            if model.architecture
            else "A model"
        )
        made += f" with weights of {base}" if base else ""
    elif base:
        made = f"A fine-tuned version of {base}"
    else:
        return None
    task = model.task or model.pipeline_tag
    labels = f" ({units.count(len(model.labels))} labels)" if model.labels else ""
    purpose = (
        f" for {escape(task.replace('-', ' ') if task == model.pipeline_tag else task)}{labels}"
        if task
        else ""
    )
    if is_untrained(record):
        return Fact(f"{made}{purpose}, not {_UNTRAINED}.")
    named = [data_name(data) for data in record.data.train if data.dataset_id or data.description]
    data = f" on {listed(named)}" if named else ""
    how = (
        "trained from scratch" if from_scratch(model) and not record.run.earlier_run else "trained"
    )
    how += (
        f" on from the weights of run {escape(record.run.earlier_run)}"
        if record.run.earlier_run
        else ""
    )
    how += _on_from_adapter(record)
    if record.training.purpose:
        how = ", ".join(
            filter(None, ["" if how == "trained" else how, escape(record.training.purpose)])
        )
        purpose = ""
    how += _merged(methods) if model.adapters_merged else ""
    said = purpose or data or from_scratch(model) or record.training.purpose
    return Fact(f"{made}{', ' + how + purpose + data if said else ''}.")


def _on_from_adapter(record: RunRecord) -> str:
    """Return that the adapter was loaded with weights of an earlier training."""
    before = next((adapter for adapter in record.adapters if adapter.continued), None)
    if before is None:
        return ""
    return f" on from an earlier adapter{f' (run {escape(before.earlier_run)})' if before.earlier_run else ''}"


def _base_in_words(model: Model) -> str | None:
    """Return what is said of a base that is no model of the Hub."""
    said = model.base_model_description
    return escape(said) if said and not said.startswith((_SCRATCH, _NOT_KNOWN)) else None


def _merged(methods: list[str]) -> str:
    """Return by which adapters a model was trained that they are now a part of."""
    names = (
        f"{_article(methods[0]).lower()} {listed(escape(name) for name in methods)}"
        if methods
        else "an"
    )
    return f" with {names} adapter that was merged into the saved weights"


def _article(noun: str | None) -> str:
    """Return "A" or "An", by how *noun* is spoken: a LoRA, an LN tuning, an X-LoRA, an IA³."""
    spelled_out = bool(noun) and noun.startswith(_SPELLED_OUT)  # type: ignore[union-attr] # not None here
    return "An" if spelled_out or (noun and noun[0] in "AEIOaeio") else "A"


def _type(record: RunRecord) -> Fact | None:
    """Return type, class and task; of a model that was aligned, that it was, and how."""
    model, purpose = record.model, "" if is_untrained(record) else record.training.purpose
    if not (model.architecture or model.model_type):
        return None
    names = [code(name) for name in (model.model_type, model.architecture) if name]
    task = f", {escape(model.task)}" if model.task else ""
    if purpose.startswith(_POLICY):
        noun = (model.task or "").replace("modelling", "model").replace("modeling", "model")
        task = f", {escape(' '.join(filter(None, [noun, purpose])))}"
    return Fact(f"{names[0]}{' (' + names[1] + ')' if names[1:] else ''}{task}")


def _base(record: RunRecord) -> Fact | None:
    model, said = record.model, record.model.base_model_description
    if is_untrained(record) and from_scratch(model) and not record.run.earlier_run:
        return Fact(f"{_SCRATCH}: freshly initialized weights, not {_UNTRAINED}")
    if model.base_model:
        where = link(model.base_model, revision=model.base_model_revision)
        return Fact(f"{where} ({escape(said)})" if said else where)
    return Fact(escape(said)) if said and not said.startswith(_NOT_KNOWN) else None


def _repo(record: RunRecord) -> Fact | None:
    """Return where the code is; without a public address a commit alone leads nowhere."""
    remote = record.code.remote
    if not remote:
        return None
    shown = re.sub(r"^https?://", "", remote)
    is_url = re.fullmatch(r"https?://[\w.~/:%+-]+", remote, re.ASCII) is not None
    where = f"[{escape(shown)}]({remote})" if is_url else code(remote)
    if record.code.script:
        where += f", {code(record.code.script)}"
    if record.code.commit:
        changed = ", with changes that are not in it" if record.code.dirty else ""
        where += f", at {commit(record.code.commit)}{changed}"
    if record.code.note:
        where += f" ({escape(record.code.note)})"
    return Fact(where)


def _specs(record: RunRecord) -> Fact | None:
    model = record.model
    name = code(model.architecture) if model.architecture else None
    kind = f" ({code(model.model_type)})" if name and model.model_type else ""
    unmerged = not model.adapters_merged
    unsaved = f"{'Also trained' if record.adapters else 'Trained'}, not in the saved adapter"
    entries = {
        "Architecture": f"{name}{kind}" if name else None,
        "Dimensions": _dimensions(model),
        "Labels": _labels(model.labels),
        "Parameters": parameters(record),
        "Trained modules": _modules([] if is_untrained(record) else model.trained_modules),
        "Trained in some of the steps only": _modules(model.trained_in_some_steps),
        unsaved: _modules(model.trained_unsaved if unmerged and not is_untrained(record) else []),
        "Objective": escape(record.training.objective) if record.training.objective else None,
        "Number formats": _formats(record),
        "Quantization of the base": quantization(record.precision.quantization),
        **{_adapter_label(record, adapter): _adapter(adapter) for adapter in record.adapters},
    }
    block = bullets(entries)
    if block is None:
        return None
    line = [
        entries["Architecture"],
        entries["Dimensions"],
        f"parameters: {entries['Parameters']}" if entries["Parameters"] else None,
    ]
    return Fact(
        "; ".join(filter(None, line)) or " ".join(block.removeprefix("- ").split("\n- ")), block
    )


def _modules(names: list[str]) -> str | None:
    return ", ".join(code(name) for name in names) or None


def _formats(record: RunRecord) -> str | None:
    """Return what weights are kept, trained and multiplied in; one alone is the regime, which stands elsewhere.

    The format of the saved weights is named where it is not the one that they were trained in.
    """
    precision, model = record.precision, record.model
    is_adapter = bool(record.adapters) and not model.adapters_merged
    as_trained = precision.trainable_dtype if is_adapter else precision.weights_dtype
    # A quantized base is not saved as it was kept.
    cast = (
        as_trained is not None
        and model.saved_dtype != as_trained
        and (is_adapter or not precision.quantization)
    )
    kinds = {
        "weights that are not quantized"
        if precision.quantization
        else "weights": precision.weights_dtype,
        "trained parameters": precision.trainable_dtype,
        "matrix products": precision.compute_dtype,
        "saved weights": model.saved_dtype if cast else None,
    }
    known = {name: code(kind) for name, kind in kinds.items() if kind}
    return ", ".join(f"{name} {kind}" for name, kind in known.items()) if len(known) > 1 else None


def _dimensions(model: Model) -> str | None:
    """Return the dimensions, of a model of parts those of each part behind its name."""
    if not model.parts:
        return _sizes(model.dims)
    sizes = {name: _sizes(dims) for name, dims in model.parts.items()}
    return (
        "; ".join(
            f"{escape(name.replace('_', ' '))}: {words}" for name, words in sizes.items() if words
        )
        or None
    )


def _sizes(dims: dict[str, int]) -> str | None:
    return ", ".join(_dimension(*item) for item in dims.items()) or None


def _dimension(name: str, value: int) -> str:
    words = _DIMENSIONS.get(name, name.replace("_", " "))
    number = units.count(value)
    return f"{number} {words}" if name in _COUNTED else f"{words} {number}"


def _labels(labels: list[str]) -> str | None:
    if not labels:
        return None
    more = f" and {units.count(len(labels) - _LABELS)} more" if len(labels) > _LABELS else ""
    return f"{', '.join(escape(label) for label in labels[:_LABELS])}{more} ({units.count(len(labels))})"


def _adapter_label(record: RunRecord, adapter: Adapter) -> str:
    merged = ", merged into the saved weights" if record.model.adapters_merged else ""
    return (
        f"Adapter{merged}" if len(record.adapters) == 1 else f"Adapter {code(adapter.name)}{merged}"
    )


def _adapter(adapter: Adapter) -> str:
    """Return method and settings; what is switched off, or as PEFT always has it, says nothing and is left out."""
    settings = {
        name: value for name, value in adapter.config.items() if not _says_nothing(name, value)
    }
    order = [
        *(name for name in _SETTINGS if name in settings),
        *sorted(settings.keys() - _SETTINGS.keys()),
    ]
    words = "; ".join(_setting(name, settings[name]) for name in order)
    method = escape(adapter.method) if adapter.method else "method not recorded"
    version = _versions(adapter)
    start = f"{method}{version}{_continued(adapter)}"
    return f"{start}: {words}" if words else start


def _continued(adapter: Adapter) -> str:
    if not adapter.continued:
        return ""
    if adapter.earlier_run:
        return f", continued from the adapter of run {escape(adapter.earlier_run)}"
    return ", continued from an adapter that had been trained before"


def _versions(adapter: Adapter) -> str:
    """Return the peft that ran, and the one that made the configuration where that is another."""
    ran, made = adapter.peft_version_runtime, adapter.peft_version_created
    if not ran:
        return ""
    other = f", its configuration made by PEFT {inline(made)}" if made and made != ran else ""
    return f" (PEFT {inline(ran)}{other})"


def _says_nothing(name: str, value: Any) -> bool:
    if name in _START_SETTINGS:
        return value is True
    off = value is None or value is False or value in ([], {}, "", "none")
    return off or name == "task_type"


def _setting(name: str, value: Any) -> str:
    label = _SETTINGS.get(name, code(name))
    if isinstance(value, list):
        return f"{label}: {', '.join(code(str(item)) for item in value)}"
    if value is True:
        return label if name in _SETTINGS else f"{label} on"
    if isinstance(value, dict):
        return f"{label} = {code(json.dumps(value, ensure_ascii=False))}"
    return f"{label} = {escape(value) if isinstance(value, str) else value}"
