"""The model and its adapters."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from autocard.record.base import Frozen


class Model(Frozen):
    """What was trained."""

    name: str | None = None
    """The card's title: the Hub id, else the name of the output folder."""
    base_model: str | None = None
    """Hub id. Never a path, never empty."""
    base_model_description: str | None = None
    """Where there is no Hub id: what can honestly be said ("a local checkpoint", "none, trained
    from scratch")."""
    base_model_revision: str | None = None
    """Commit of the base on the Hub."""
    base_model_relation: Literal["adapter", "finetune", "merge", "quantized"] | None = None
    """As the Hub names it."""
    architecture: str | None = None
    """Class of the model, without wrappers."""
    model_type: str | None = None
    """`config.model_type`."""
    task: str | None = None
    """What the head does, in words."""
    pipeline_tag: str | None = None
    """One of the Hub's pipeline tags."""
    adapters_merged: bool = False
    """Whether the weights that were saved are whole ones, of the base with the adapters merged into
    it."""
    library_name: str | None = None
    """peft where an adapter is saved, else transformers or sentence-transformers."""
    auto_class: str | None = None
    """The transformers Auto class that loads it."""
    parameters_total: int | None = None
    """Adapters included; tied weights once."""
    parameters_trainable: int | None = None
    """Those that the optimizer's steps changed; where no step shows it, those that asked for
    gradients at the start."""
    dims: dict[str, int] = Field(default_factory=dict)
    """layers, hidden_size, attention_heads, key_value_heads, intermediate_size, vocabulary,
    context, …"""
    parts: dict[str, dict[str, int]] = Field(default_factory=dict)
    """The same of each part of a model of several: text, vision, audio, encoder, decoder; both:
    what two share."""
    labels: list[str] = Field(default_factory=list)
    """Label names of a classifier, where they are more than LABEL_0."""
    trained_modules: list[str] = Field(default_factory=list)
    """Modules that were trained whole, where a part of the model was frozen and there is no
    adapter; else tensors."""
    trained_in_some_steps: list[str] = Field(default_factory=list)
    """Modules that were trained in some of the steps and frozen, or not in the optimizer, in
    others."""
    trained_unsaved: list[str] = Field(default_factory=list)
    """Modules that were trained beside an adapter and are not saved with it."""
    saved_bytes: int | None = None
    """Size of the weights in the output folder, once they were saved there."""
    saved_dtype: str | None = None
    """Number format of most of the weights in the output folder, by torch's name; it may not be the
    trained one."""
    checkpoint_bytes: int | None = None
    """Size of the newest checkpoint of this run, with the optimizer's state if it holds that."""
    checkpoint_has_optimizer: bool | None = None
    """Whether that checkpoint holds the optimizer's state; with `save_only_model` it does not."""
    saved_files: list[str] = Field(default_factory=list)
    """Names of the files that loading reads, weights in one piece included, by allow-list; empty:
    none were saved.

    adapter_config.json is among them where an earlier run left it behind, too: loading follows it.
    """


class Adapter(Frozen):
    """One PEFT adapter."""

    name: str
    """Its name in the model; mostly "default"."""
    method: str | None = None
    """LoRA, DoRA, IA3, prompt tuning …"""
    config: dict[str, Any] = Field(default_factory=dict)
    """Settings by allow-list; names sorted."""
    peft_version_created: str | None = None
    """The peft that made the configuration."""
    peft_version_runtime: str | None = None
    """The peft that ran."""
    continued: bool = False
    """Whether it had been trained before this process made or loaded it: its weights were not those
    of a new one."""
    earlier_run: str = ""
    """Id of the run whose saved adapter it goes on with; empty: none is known."""
