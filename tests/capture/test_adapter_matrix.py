"""The adapter matrix: every kind of adapter that PEFT makes on a CPU, held against what PEFT itself saves and counts.

Oracles: `adapter_config.json` as PEFT writes it; a loop of our own over the modules' parameters,
and PEFT's own count; for the trained ones, the tensors that changed. The table of docs/dev/fields.md is
made of `ROWS`.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from autocard.capture.model import adapter, model, peft_names
from autocard.card.fields import facts
from autocard.record import Model, RunRecord, empty_leaves
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models

pytestmark = pytest.mark.filterwarnings(
    "ignore::FutureWarning",
    "ignore::UserWarning",
    "ignore::DeprecationWarning",
    "ignore::ResourceWarning",
)

ORACLE = "adapter_config.json as PEFT saves it; PEFT's own count; a loop over the modules"

QK = {"target_modules": ["q_proj", "k_proj"]}
TASK = {"task_type": "CAUSAL_LM"}


@dataclass(frozen=True)
class Row:
    """One kind of adapter."""

    method: str
    """What the card calls it."""
    config: str = "LoraConfig"
    """Class of peft."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Of the class, beside the target modules."""
    targets: dict[str, Any] = field(default_factory=lambda: dict(QK))
    """Which modules; empty where the kind has none."""
    told: tuple[str, ...] = ()
    """Settings that the record must hold."""
    base: Callable[[], Any] = models.llama
    """Makes the base."""


def row(method, config, *told, targets=None, base=models.llama, **settings):
    return Row(
        method,
        config,
        settings,
        dict(QK) if targets is None else targets,
        told or tuple(settings),
        base,
    )


ROWS = {
    "LoRA": row("LoRA", "LoraConfig", r=2, lora_alpha=6, lora_dropout=0.1),
    "DoRA": row("DoRA", "LoraConfig", r=2, use_dora=True),
    "rsLoRA": row("LoRA (rank-stabilized)", "LoraConfig", r=2, use_rslora=True),
    "PiSSA": row("LoRA (PiSSA)", "LoraConfig", r=2, init_lora_weights="pissa"),
    "PiSSA, iterated": row("LoRA (PiSSA)", "LoraConfig", r=2, init_lora_weights="pissa_niter_2"),
    "OLoRA": row("LoRA (OLoRA)", "LoraConfig", r=2, init_lora_weights="olora"),
    "MiCA": row("LoRA (MiCA)", "LoraConfig", r=2, init_lora_weights="mica"),
    "LoRA, orthogonal": row("LoRA (orthogonal initialization)", "LoraConfig", r=2, init_lora_weights="orthogonal"),
    "LoRA, rank and alpha patterns": row(
        "LoRA", "LoraConfig", r=2, rank_pattern={"q_proj": 4}, alpha_pattern={"k_proj": 3}
    ),
    "LoRA, modules_to_save": row("LoRA", "LoraConfig", r=2, modules_to_save=["lm_head"]),
    "LoRA, some layers": row("LoRA", "LoraConfig", r=2, layers_to_transform=[1]),
    "LoRA, bias": row("LoRA", "LoraConfig", r=2, bias="lora_only"),
    "LoRA, replicated layers": row("LoRA", "LoraConfig", r=2, layer_replication=[[0, 2], [0, 2]]),
    "LoRA, trainable tokens": row("LoRA", "LoraConfig", r=2, trainable_token_indices=[1, 2]),
    "LoRA, parameters as targets": row("LoRA", "LoraConfig", r=2, target_parameters=["mlp.gate_proj.weight"]),
    "aLoRA": row("LoRA (aLoRA)", "LoraConfig", "r", r=2, alora_invocation_tokens=[5, 6]),
    "AdaLoRA": row("AdaLoRA", "AdaLoraConfig", init_r=4, target_r=2, total_step=10),
    "IA3": row(
        "IA³", "IA3Config", feedforward_modules=["down_proj"], targets={"target_modules": ["k_proj", "down_proj"]}
    ),
    "LoHa": row("LoHa", "LoHaConfig", r=2, alpha=4),
    "LoKr": row("LoKr", "LoKrConfig", r=2, alpha=4),
    "OFT": row("OFT", "OFTConfig", "oft_block_size", r=0, oft_block_size=4),
    "BOFT": row("BOFT", "BOFTConfig", boft_block_size=4),
    "VeRA": row("VeRA", "VeraConfig", r=2),
    "PVeRA": row("PVeRA", "PveraConfig", r=2),
    "VB-LoRA": row("VB-LoRA", "VBLoRAConfig", r=2, num_vectors=6, vector_length=4),
    "RandLoRA": row("RandLoRA", "RandLoraConfig", r=2),
    "FourierFT": row("FourierFT", "FourierFTConfig", n_frequency=5),
    "WaveFT": row("WaveFT", "WaveFTConfig", n_frequency=5),
    "HRA": row("HRA", "HRAConfig", r=2),
    "HiRA": row("HiRA", "HiraConfig", r=2),
    "MiSS": row("MiSS", "MissConfig", r=2),
    "C3A": row("C3A", "C3AConfig", block_size=4),
    "RoAd": row("RoAd", "RoadConfig", group_size=4),
    "SHiRA": row("SHiRA", "ShiraConfig", r=2),
    "DeLoRA": row("DeLoRA", "DeloraConfig", r=2),
    "GraLoRA": row("GraLoRA", "GraloraConfig", r=2, gralora_k=2),
    "GLoRA": row("GLoRA", "GloraConfig", r=2),
    "TinyLoRA": row("TinyLoRA", "TinyLoraConfig", r=2),
    "UniLoRA": row("UniLoRA", "UniLoraConfig", r=2),
    "AdaMSS": row("AdaMSS", "AdamssConfig", r=2),
    "BEFT": row("BEFT", "BeftConfig", "task_type"),
    "FRoD": row("FRoD", "FrodConfig", "task_type"),
    "Lily": row("Lily", "LilyConfig", r=2),
    "OSF": row("OSF", "OSFConfig", "task_type"),
    "PEANuT": row("PEANuT", "PeanutConfig", r=2),
    "PSOFT": row("PSOFT", "PsoftConfig", r=2),
    "DEFT": row("DEFT", "DeftConfig", r=2),
    "Polytropon": row("Polytropon", "PolyConfig", r=2, n_tasks=2, n_skills=3),
    "LN tuning": row("LN tuning", "LNTuningConfig", "task_type", targets={"target_modules": ["input_layernorm"]}),
    "adaption prompt": row(
        "adaption prompt (LLaMA-Adapter)", "AdaptionPromptConfig", adapter_len=4, adapter_layers=1, targets={}
    ),
    "trainable tokens": row(
        "trainable tokens", "TrainableTokensConfig", token_indices=[1, 2], targets={"target_modules": ["embed_tokens"]}
    ),
    "prompt tuning": row("prompt tuning", "PromptTuningConfig", num_virtual_tokens=3, targets={}),
    "multitask prompt tuning": row(
        "multitask prompt tuning", "MultitaskPromptTuningConfig", num_virtual_tokens=3, num_tasks=2, targets={}
    ),
    "P-tuning": row("P-tuning", "PromptEncoderConfig", num_virtual_tokens=3, encoder_hidden_size=8, targets={}),
    "prefix tuning": row("prefix tuning", "PrefixTuningConfig", num_virtual_tokens=3, targets={}),
    "prefix tuning, projected": row(
        "prefix tuning", "PrefixTuningConfig", num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=8,
        targets={},
    ),
    "context-aware prompt tuning": row("context-aware prompt tuning", "CPTConfig", "num_virtual_tokens", targets={}),
    "Cartridge": row("Cartridge (trained key-value prefix)", "CartridgeConfig", num_virtual_tokens=3, targets={}),
    "LoRA on a classifier": row(
        "LoRA", "LoraConfig", r=2, task_type="SEQ_CLS", base=models.bert, targets={"target_modules": ["query"]}
    ),
}  # fmt: skip


def look(made):
    part = adapter.capture(observe(Settings(), SimpleNamespace(), None, model=made))
    assert [path for path in empty_leaves(part.value) if path not in part.gaps] == []
    return part.value


def adapted(one):
    import peft

    config = getattr(peft, one.config)(**{**TASK, **one.targets, **one.settings})
    return peft.get_peft_model(one.base(), config)


def counted(made):
    """Count by a loop of our own: each tensor once, told by where it lies."""
    total = trained = 0
    there = set()
    for module in made.modules():
        for parameter in vars(module)["_parameters"].values():
            if parameter is None or id(parameter) in there:
                continue
            there.add(id(parameter))
            size = 1
            for side in parameter.shape:
                size *= side
            total += size
            trained += size if parameter.requires_grad else 0
    return total, trained


@pytest.mark.parametrize("name", ROWS)
def test_an_adapter_is_told_as_peft_saves_and_counts_it(name, tmp_path):
    one = ROWS[name]
    made = adapted(one)
    models.save(made, tmp_path)
    saved = json.loads((tmp_path / "adapter_config.json").read_text())

    (found,) = look(made)

    assert found.method == one.method
    for key, value in found.config.items():
        told, kept = (
            sorted(side, key=str) if isinstance(side, list) else side
            for side in (value, saved[key])
        )
        # What the model does not have is not told: PEFT names both "classifier" and "score".
        derived = kept == 0 and told != 0  # PEFT works it out of another setting
        assert told == kept or derived or (key == "modules_to_save" and set(told) < set(kept))
    assert set(one.told) <= set(found.config)
    assert found.peft_version_runtime == saved["peft_version"]
    total, trained = model.count(made)
    assert (total, trained) == counted(made)
    # PEFT's count of a nested tied tensor is its own; where it has none, the loop stands alone.
    if hasattr(made, "get_nb_trainable_parameters"):
        assert (trained, total) == made.get_nb_trainable_parameters()


def test_the_matrix_names_every_kind_that_peft_has_but_for_those_that_need_more_than_a_model():
    import peft
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    tested = {getattr(peft, one.config) for one in ROWS.values()}

    left = {
        kind.value for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items() if config not in tested
    }

    # X-LoRA mixes saved adapters (tested below), Shadow brings a model, Supertuning looks at data
    # first.
    assert left <= {"XLORA", "SHADOW", "SUPERTUNING"}
    assert {kind.value for kind in PEFT_TYPE_TO_CONFIG_MAPPING} <= set(peft_names.METHODS)


# -- what is trained -------------------------------------------------------------------------------


TRAINED = [
    "LoRA",
    "DoRA",
    "LoRA, modules_to_save",
    "IA3",
    "prompt tuning",
    "prefix tuning",
    "OFT",
    "LN tuning",
]


@pytest.mark.parametrize("name", TRAINED)
def test_no_more_is_told_to_be_trained_than_a_training_changes(name, tmp_path):
    made = adapted(ROWS[name])
    before = {key: value.detach().clone() for key, value in made.named_parameters()}
    watch = models.Watch(lambda seen: model.count(seen.model)[1])

    models.train(
        made, models.language(), tmp_path, watch, max_steps=2, learning_rate=0.5, weight_decay=0.1
    )

    changed = sum(
        value.numel()
        for key, value in made.named_parameters()
        if not torch.equal(value, before[key])
    )
    assert watch.result == changed


# -- several, mixed, native, merged, inside others -------------------------------------------------


def lora(**settings):
    from peft import LoraConfig

    return LoraConfig(
        **{"r": 2, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", **settings}
    )


def test_the_reference_adapter_that_trl_keeps_beside_the_trained_one_is_left_out(tmp_path):
    from datasets import Dataset
    from peft import get_peft_model
    from trl import DPOConfig, DPOTrainer

    made = get_peft_model(models.llama(), lora(r=3))
    folder = models.save(models.llama(), tmp_path / "base")
    made.base_model.model.config._name_or_path = folder
    rows = Dataset.from_dict(
        {"prompt": ["the cat"] * 4, "chosen": [" sat on a mat"] * 4, "rejected": [" ran off"] * 4}
    )
    watch = models.Watch(lambda seen: (look(seen.model), model.count(seen.model)))
    words = models.tokenizer()
    words.add_special_tokens({"eos_token": "[SEP]"})
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer = DPOTrainer(
            model=made,
            args=models.arguments(tmp_path / "out", DPOConfig, bf16=False, max_steps=1),
            train_dataset=rows,
            processing_class=words,
            callbacks=[watch],
        )
        trainer.train()

    (told, (_, trained)) = watch.result
    assert set(trainer.model.peft_config) == {"default", "ref"}  # TRL did make one
    assert [one.name for one in told] == ["default"]
    assert trained == 2 * (3 * 16 + 16 * 3)  # layers × (A and B), those of "default" alone
    assert counted(trainer.model)[1] == trained


def test_x_lora_is_told_with_its_own_settings(tmp_path):
    import peft

    folder = tmp_path / "part"
    models.save(peft.get_peft_model(models.llama(), lora()), folder)
    base = models.llama()
    base.config.use_cache = False
    config = peft.XLoraConfig(
        task_type="CAUSAL_LM",
        hidden_size=16,
        xlora_depth=2,
        adapters={"first": str(folder)},
        xlora_size=8,
    )
    made = peft.get_peft_model(base, config)

    (found,) = look(made)

    assert (found.method, found.config["xlora_depth"], found.config["xlora_size"]) == (
        "X-LoRA",
        2,
        8,
    )
    assert str(tmp_path) not in found.model_dump_json()
    assert model.count(made) == counted(made)


def test_a_merged_adapter_is_no_adapter_any_more():
    from peft import get_peft_model

    merged = get_peft_model(models.llama(), lora()).merge_and_unload()

    assert look(merged) == []
    assert model.count(merged)[0] == counted(models.llama())[0]


def test_an_adapter_that_was_loaded_again_tells_both_versions_of_peft(tmp_path):
    import peft

    folder = tmp_path / "old"
    models.save(peft.get_peft_model(models.llama(), lora(r=3)), folder)
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "peft_version": "0.10.0"}))
    made = peft.PeftModel.from_pretrained(models.llama(), str(folder), is_trainable=True)

    (found,) = look(made)

    assert (found.peft_version_created, found.peft_version_runtime) == ("0.10.0", peft.__version__)
    record = RunRecord(adapters=[found], model=Model(architecture="LlamaForCausalLM"))
    assert (
        f"PEFT {peft.__version__}, configuration created with PEFT 0.10.0"
        in facts(record)["model_specs"].body()
    )


def test_an_adapter_inside_a_sentence_transformers_model_is_told(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = models.save(models.bert().bert, tmp_path / "encoder")
    models.tokenizer().save_pretrained(folder)
    words = Transformer(folder)
    made = SentenceTransformer(
        modules=[words, Pooling(words.get_embedding_dimension())], device="cpu"
    )
    made.add_adapter(lora(r=4, target_modules=["query"], task_type="FEATURE_EXTRACTION"))
    made.save_pretrained(str(tmp_path / "saved"))
    (file,) = (tmp_path / "saved").rglob("adapter_config.json")
    saved = json.loads(file.read_text())

    (found,) = look(made)

    assert (found.method, found.config["r"]) == ("LoRA", saved["r"])
    assert found.config["target_modules"] == sorted(saved["target_modules"])
    assert model.count(made) == counted(made)


def test_an_adapter_of_a_model_with_several_modalities_keeps_its_modules_apart():
    from peft import get_peft_model

    made = get_peft_model(models.llama(), lora(target_modules=r".*layers\.0.*(q_proj|v_proj)"))

    (found,) = look(made)

    assert found.config["target_modules"] == r".*layers\.0.*(q_proj|v_proj)"
