"""The precision matrix: each way to a training regime, trained for real, and seen by what shares none of our code.

The oracle is `formats.Oracle`: the formats that layers put out in the forward pass, those of the
parameters that the optimizer was given, and those of what it keeps of them. What cannot run on a
CPU stands in `NOT_RUN`, by real configuration objects; docs/dev/fields.md is made of both tables.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers

from autocard.capture.training import precision
from autocard.record import empty_leaves
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models
from support.captured import value_of
from support.formats import Oracle, most

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning",
    "ignore::UserWarning",
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
)

ORACLE = "forward hooks and the optimizer's state"


@dataclass(frozen=True)
class Row:
    """One way to a regime."""

    term: str
    """What the card must say."""
    weights: str = "float32"
    """Format of the checkpoint."""
    put: Callable[[Any], Any] = lambda made: made
    """What is done to the model before the trainer gets it."""
    arguments: dict[str, Any] = field(default_factory=dict)
    """Of the trainer."""
    variable: str | None = None
    """ACCELERATE_MIXED_PRECISION."""
    load: dict[str, Any] = field(default_factory=dict)
    """Of from_pretrained."""
    layer: str = "mlp.up_proj"
    """Whose products are looked at."""
    states: str | None = None
    """Format of the optimizer's state, where it is not that of the weights."""


def peft(kind="LoraConfig", autocast_adapter_dtype=True, **settings):
    def put(made):
        import peft

        settings.setdefault("target_modules", ["q_proj", "v_proj"])
        chosen = {key: value for key, value in settings.items() if value is not None}
        config = getattr(peft, kind)(task_type="CAUSAL_LM", **chosen)
        return peft.get_peft_model(made, config, autocast_adapter_dtype=autocast_adapter_dtype)

    return put


def native(made):
    from peft import LoraConfig

    made.add_adapter(LoraConfig(r=2, target_modules=["q_proj"]))
    return made


def merged(made):
    return peft(r=2)(made).merge_and_unload().requires_grad_(True)


def first_layer_frozen(made):
    made.model.layers[0].requires_grad_(False)
    return made


def half_frozen(made):
    """Freeze all but the head, which stays in float32: classic transfer learning over a half base."""
    made.requires_grad_(False)
    made.lm_head.to(torch.float32).requires_grad_(True)
    made.lm_head.register_forward_pre_hook(lambda _, given: (given[0].float(),))
    return made


PROMPT = {"num_virtual_tokens": 2, "target_modules": None}
ROWS = {
    "default, fp32 ckpt, CPU": Row("fp32"),
    "bf16=True, use_cpu=True": Row("bf16 mixed precision", arguments={"bf16": True}),
    "fp16=True, use_cpu=True": Row("fp32", arguments={"fp16": True}),
    "bf16 ckpt, no flags": Row("bf16 non-mixed precision", "bfloat16"),
    "bf16 ckpt + bf16=True": Row("bf16 non-mixed precision", "bfloat16", arguments={"bf16": True}),
    "fp16 ckpt, no flags": Row("fp16 non-mixed precision", "float16"),
    "LoRA on bf16 ckpt, no flags": Row("bf16 mixed precision", "bfloat16", peft(r=2)),
    "LoRA on bf16 ckpt + bf16=True": Row(
        "bf16 mixed precision", "bfloat16", peft(r=2), {"bf16": True}
    ),
    "LoRA on bf16, autocast_adapter_dtype=False": Row(
        "bf16 non-mixed precision", "bfloat16", peft(r=2, autocast_adapter_dtype=False)
    ),
    "env ACCELERATE_MIXED_PRECISION=bf16, no flags": Row("bf16 mixed precision", variable="bf16"),
    "env=fp16 + bf16=True": Row("bf16 mixed precision", variable="fp16", arguments={"bf16": True}),
    "env=fp16, no flags, CPU": Row("fp32", variable="fp16"),
    "env=bf16, bf16 ckpt": Row("bf16 non-mixed precision", "bfloat16", variable="bf16"),
    "fp32 ckpt, bf16_full_eval": Row("fp32", arguments={"bf16_full_eval": True}),
    "fp32 ckpt, fp16_full_eval": Row("fp32", arguments={"fp16_full_eval": True}),
    "bf16 ckpt, loaded as float32": Row("fp32", "bfloat16", load={"dtype": "float32"}),
    "fp32 ckpt, loaded as bfloat16": Row("bf16 non-mixed precision", load={"dtype": "bfloat16"}),
    "fp32 ckpt, cast by the user": Row(
        "bf16 non-mixed precision", put=lambda made: made.to(torch.bfloat16)
    ),
    "gradient checkpointing + bf16=True": Row(
        "bf16 mixed precision", arguments={"bf16": True, "gradient_checkpointing": True}
    ),
    "LoRA on fp32": Row("fp32", put=peft(r=2)),
    "LoRA on fp32 + bf16=True": Row(
        "bf16 mixed precision", put=peft(r=2), arguments={"bf16": True}
    ),
    "LoRA on fp16, no flags": Row("fp16 mixed precision", "float16", peft(r=2)),
    "DoRA on bf16, no flags": Row("bf16 mixed precision", "bfloat16", peft(r=2, use_dora=True)),
    "IA3 on bf16, no flags": Row(
        "bf16 mixed precision",
        "bfloat16",
        peft("IA3Config", target_modules=["k_proj"], feedforward_modules=[]),
    ),
    "prompt tuning on bf16": Row(
        "bf16 mixed precision", "bfloat16", peft("PromptTuningConfig", **PROMPT)
    ),
    "native adapter on bf16": Row("bf16 non-mixed precision", "bfloat16", native),
    "merged adapter on bf16": Row("bf16 non-mixed precision", "bfloat16", merged),
    "first layer frozen, bf16 ckpt": Row(
        "bf16 non-mixed precision", "bfloat16", first_layer_frozen
    ),
    "fp32 head over a frozen bf16 base": Row("bf16 mixed precision", "bfloat16", half_frozen),
    "Adafactor on bf16 ckpt": Row(
        "bf16 non-mixed precision",
        "bfloat16",
        arguments={"optim": "adafactor"},
        states="torch.float32",
    ),
    "plain SGD, bf16=True": Row("bf16 mixed precision", arguments={"optim": "sgd", "bf16": True}),
    "torch.compile (eager backend), bf16=True": Row(
        "bf16 mixed precision",
        arguments={"bf16": True, "torch_compile": True, "torch_compile_backend": "eager"},
    ),
}
"""Rows of the project's truth table that a CPU can run with transformers' Trainer; the first eleven
in its words."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Folders with the same weights in three formats, each with its tokenizer."""
    folder = tmp_path_factory.mktemp("formats")
    found = {}
    for name in ("float32", "float16", "bfloat16"):
        found[name] = models.save(models.llama(), folder / name, getattr(torch, name))
        models.tokenizer().save_pretrained(found[name])
    return found


def look(missing):
    return models.Watch(lambda seen: value_of("precision", precision.capture, missing, seen))


def hold(found, missing, oracle, term):
    """Hold what was captured against what was seen."""
    assert found.regime == oracle.term() == term
    assert f"torch.{found.compute_dtype}" == most(oracle.outputs)
    assert f"torch.{found.trainable_dtype}" == most(oracle.trainable)
    assert [path for path in empty_leaves(found, "precision") if path not in missing] == []


@pytest.mark.parametrize("name", ROWS)
def test_the_regime_is_what_hooks_and_optimizer_show(saved, tmp_path, monkeypatch, name):
    row, missing = ROWS[name], {}
    if row.variable:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", row.variable)
    made = row.put(models.load("AutoModelForCausalLM", saved[row.weights], **row.load))
    oracle, watch = Oracle(made, row.layer), look(missing)

    trainer = models.train(made, models.language(), tmp_path, watch, **row.arguments)

    oracle.after(trainer.optimizer)
    # Adafactor keeps its factors in float32 over half weights; the terms do not speak of that
    if row.states:
        assert set(oracle.states) == {row.states}
        oracle.states.clear()
    hold(watch.result, missing, oracle, row.term)


REFUSED = {
    "bf16=True, use_cpu=False on a CPU box": ({"bf16": True, "use_cpu": False}, None),
    "env =fp8": ({}, "fp8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_trainer_refuses_has_no_regime_to_tell(tmp_path, monkeypatch, name):
    arguments, variable = REFUSED[name]
    if torch.cuda.is_available():
        pytest.skip("a GPU allows it")
    if variable:
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", variable)

    with pytest.raises((ValueError, ImportError, RuntimeError)):
        models.train(models.llama(), models.language(), tmp_path, **arguments)


TRL = {
    "TRL model string, bf16 ckpt, use_cpu": ("bf16 mixed precision", "string", None, {}),
    "TRL model string + LoRA, bf16 ckpt": ("bf16 mixed precision", "string", "LoRA", {}),
    "TRL object bf16 + peft_config, bf16=False": (
        "bf16 mixed precision",
        "object",
        "LoRA",
        {"bf16": False},
    ),
    "TRL object bf16, bf16=True": ("bf16 non-mixed precision", "object", None, {"bf16": True}),
    "TRL model string, dtype in model_init_kwargs": (
        "bf16 non-mixed precision",
        "string",
        None,
        {"bf16": False, "model_init_kwargs": {"dtype": "bfloat16"}},
    ),
}


@pytest.mark.parametrize("name", TRL)
def test_the_regime_of_trl_is_what_hooks_and_optimizer_show(saved, tmp_path, name):
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    term, how, adapter, arguments = TRL[name]
    missing = {}
    watch = look(missing)
    made = (
        saved["bfloat16"]
        if how == "string"
        else models.load("AutoModelForCausalLM", saved["bfloat16"])
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer = SFTTrainer(
            model=made,
            args=models.arguments(tmp_path, SFTConfig, **arguments),
            train_dataset=models.language().remove_columns(["labels", "attention_mask"]),
            processing_class=models.tokenizer(),
            peft_config=LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
            if adapter
            else None,
            callbacks=[watch],
        )
        oracle = Oracle(trainer.model)
        trainer.train()

    oracle.after(trainer.optimizer)
    hold(watch.result, missing, oracle, term)


def test_the_regime_of_sentence_transformers_is_what_hooks_and_optimizer_show(tmp_path):
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = models.save(models.bert().bert, tmp_path / "encoder", torch.bfloat16)
    models.tokenizer().save_pretrained(folder)
    words = Transformer(folder)
    made = SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu"
    )
    missing = {}
    watch, oracle = look(missing), Oracle(made, "intermediate.dense")
    rows = Dataset.from_dict(
        {"a": ["the cat", "a dog"] * 4, "b": ["a cat", "the dog"] * 4, "score": [1.0, 0.0] * 4}
    )
    arguments = models.arguments(tmp_path / "out", SentenceTransformerTrainingArguments)

    trainer = SentenceTransformerTrainer(
        model=made, args=arguments, train_dataset=rows, callbacks=[watch]
    )
    trainer.train()

    oracle.after(trainer.optimizer)
    hold(watch.result, missing, oracle, oracle.term())


# -- what no CPU runs: proved as far as real configuration objects go ------------------------------


def bitsandbytes(**settings):
    def put(made):
        made.config.quantization_config = transformers.BitsAndBytesConfig(**settings)
        return made

    return put


def quantized(kind, **settings):
    def put(made):
        made.config.quantization_config = getattr(transformers, kind)(**settings)
        return made

    return put


def deepspeed(**config):
    """Return arguments as DeepSpeed's integration leaves them, with accelerate's own configuration object."""
    from accelerate.utils.deepspeed import HfDeepSpeedConfig

    whole = HfDeepSpeedConfig(
        {"train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": 3}, **config}
    )
    return SimpleNamespace(deepspeed="zero.json", hf_deepspeed_config=whole, mixed_precision="no")


@dataclass(frozen=True)
class NotRun:
    """A way that needs hardware or a library that is not here."""

    regime: str
    needs: str
    put: Callable[[Any], Any] = lambda made: made
    args: Callable[[], Any] = SimpleNamespace
    quantization: dict[str, Any] | None = None
    weights: str = "float32"


NF4 = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "bnb_4bit_compute_dtype": torch.bfloat16,
}
NOT_RUN = {
    "QLoRA: NF4 base with double quantization, computes in bf16": NotRun(
        "bf16 mixed precision",
        "bitsandbytes on a GPU",
        lambda made: bitsandbytes(**NF4)(peft(r=2)(made)),
        weights="bfloat16",
        quantization={
            "method": "bitsandbytes",
            "bits": 4,
            "type": "nf4",
            "compute_dtype": "bfloat16",
            "double_quantization": True,
            "storage_dtype": "uint8",
        },
    ),
    "8-bit base, LoRA": NotRun(
        "fp16 mixed precision",
        "bitsandbytes on a GPU",
        lambda made: bitsandbytes(load_in_8bit=True)(peft(r=2)(made)),
        weights="float16",
        quantization={"method": "bitsandbytes", "bits": 8},
    ),
    "GPTQ base, LoRA": NotRun(
        "fp16 mixed precision",
        "gptqmodel on a GPU",
        lambda made: quantized("GPTQConfig", bits=4, group_size=128, desc_act=True)(
            peft(r=2)(made)
        ),
        weights="float16",
        quantization={"method": "gptq", "bits": 4, "group_size": 128, "desc_act": True},
    ),
    "AWQ base, LoRA": NotRun(
        "fp16 mixed precision",
        "gptqmodel on a GPU",
        lambda made: quantized("AwqConfig", bits=4, group_size=64)(peft(r=2)(made)),
        weights="float16",
        quantization={"method": "awq", "bits": 4, "group_size": 64},
    ),
    "Quanto base, LoRA": NotRun(
        "bf16 mixed precision",
        "optimum-quanto on a GPU",
        lambda made: quantized("QuantoConfig", weights="int4")(peft(r=2)(made)),
        weights="bfloat16",
        quantization={"method": "quanto", "weights": "int4"},
    ),
    "DeepSpeed, bf16 enabled": NotRun(
        "bf16 mixed precision",
        "deepspeed",
        args=lambda: deepspeed(bf16={"enabled": True}),
        weights="bfloat16",
    ),
    "DeepSpeed, fp16 enabled": NotRun(
        "fp16 mixed precision",
        "deepspeed",
        args=lambda: deepspeed(fp16={"enabled": True}),
        weights="float16",
    ),
    "DeepSpeed, neither": NotRun("fp32", "deepspeed", args=deepspeed),
    "fp8 asked for, not given (accelerate falls back in silence)": NotRun(
        "fp32", "a GPU with fp8", args=lambda: SimpleNamespace(mixed_precision="fp8")
    ),
}
"""Rows that are read from real configuration objects (fp8 layers stand in
tests/capture/test_precision.py)."""


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_cannot_run_here_is_read_from_real_configuration_objects(saved, name):
    row = NOT_RUN[name]
    made = row.put(models.load("AutoModelForCausalLM", saved[row.weights]))

    found = value_of(
        "precision", precision.capture, {}, observe(Settings(), row.args(), None, model=made)
    )

    assert found.regime == row.regime
    assert {key: (found.quantization or {}).get(key) for key in row.quantization or {}} == (
        row.quantization or {}
    )


def test_the_matrix_has_at_least_twenty_real_rows():
    assert len(ROWS) + len(TRL) + 1 >= 20
