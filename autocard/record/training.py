"""How the model was trained: number formats, hyperparameters, loss."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from autocard.record.base import Frozen, Scalar

Regime = Literal[
    "fp32",
    "fp16 mixed precision",
    "bf16 mixed precision",
    "bf16 non-mixed precision",
    "fp16 non-mixed precision",
    "fp8 mixed precision",
]
"""The six terms that the Hub's template lists beside its "Training regime"."""

BatchUnit = Literal["samples", "completions", "packed sequences"]
"""samples: rows of the training data; completions: generated from them; packed sequences: each
holds several rows."""


class Precision(Frozen):
    """Number formats in training; captured when training begins."""

    regime: Regime | None = None
    """One of the six terms."""
    weights_dtype: str | None = None
    """Format of most floating-point parameters."""
    trainable_dtype: str | None = None
    """Format of most trainable parameters."""
    compute_dtype: str | None = None
    """Format of most matrix products in the forward pass."""
    quantization: dict[str, Scalar] | None = None
    """Method, bits, type, compute format of a quantized base."""
    tf32: bool | None = None
    """Whether float32 matrix products may use TF32."""
    note: str | None = None
    """What the term alone does not say."""


class Training(Frozen):
    """How it was trained."""

    objective: str | None = None
    """In words: causal language modelling (next-token cross-entropy), sequence classification
    (custom loss …), …"""
    purpose: str = ""
    """What training did to the model, for a sentence: aligned with DPO, …; "": the task says it."""
    reward_functions: dict[str, float] = Field(default_factory=dict)
    """Reward function of a policy's training (GRPO, RLOO) to its weight."""
    hyperparameters: dict[str, Scalar] = Field(default_factory=dict)
    """Allow-listed training arguments, with the values really used; of a resumed training, the last
    leg's."""
    non_default: list[str] = Field(default_factory=list)
    """Names in `hyperparameters` whose value is not the library's default."""
    optimizer: str | None = None
    """Name and its settings, in words."""
    scheduler: str | None = None
    """Name and its settings, in words."""
    changed: list[str] = Field(default_factory=list)
    """Settings that code of the run changed between optimizer steps, in words, with the step."""
    learning_rates: dict[str, float] = Field(default_factory=dict)
    """Step to the learning rate of the first parameter group before it: first steps of the last
    leg, last step."""
    effective_batch_size: int | None = None
    """Samples per optimizer step: per device × devices × accumulation; of a resumed training, the
    last leg's."""
    batch_unit: BatchUnit = "samples"
    """What batch size and `time.samples_per_s` count."""
    batch_detail: str = ""
    """How the completions of an optimizer step were generated, in words; empty: they were not."""
    losses_summed: int | None = None
    """Batches whose mean losses the trainer adds up in each training loss that it logs; None: they
    are means."""
    losses_summed_last: int | None = None
    """The same of the last optimizer step of an epoch, where it has fewer batches than the others.
    """
    seed: int | None = None
    """`TrainingArguments.seed`; of a resumed training, the last leg's."""
    gradient_checkpointing: bool | None = None
    """Whether activations were worked out a second time in the backward pass, to save memory."""
    compiled: bool | None = None
    """Whether the model, or a module of it, ran through torch.compile."""
    attention_implementation: str | None = None
    """Name of transformers' attention function: sdpa, eager, flash_attention_2, …"""
    kernels: list[str] = Field(default_factory=list)
    """Sets of hand-written kernels that stood in for the model's own layers (liger-kernel, …)."""
