"""Adapters, against the configuration files that peft itself saves."""

import json
from types import SimpleNamespace

import pytest

from autocard.capture.model import adapter, peft_names
from autocard.record import empty_leaves
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def look(made):
    part = adapter.capture(observe(Settings(), SimpleNamespace(), None, model=made))
    assert [path for path in empty_leaves(part.value) if path not in part.gaps] == []
    return part.value


def with_peft(settings, made=None):
    from peft import get_peft_model

    return get_peft_model(made or models.llama(), settings)


def lora(**settings):
    from peft import LoraConfig

    return LoraConfig(
        **{"r": 3, "target_modules": ["v_proj", "q_proj"], "task_type": "CAUSAL_LM", **settings}
    )


def test_a_full_fine_tune_has_no_adapters():
    assert look(models.llama()) == []


def test_the_settings_of_lora_are_those_that_peft_saves(tmp_path):
    settings = lora(
        lora_alpha=6,
        lora_dropout=0.1,
        bias="lora_only",
        use_rslora=True,
        rank_pattern={"q_proj": 2},
        alpha_pattern={"v_proj": 5},
        modules_to_save=["lm_head"],
        layers_to_transform=[1],
    )
    made = with_peft(settings)
    models.save(made, tmp_path)
    saved = json.loads((tmp_path / "adapter_config.json").read_text())

    (found,) = look(made)

    assert found.name == "default"
    assert found.config["target_modules"] == sorted(saved["target_modules"])
    for name in (
        "r",
        "lora_alpha",
        "lora_dropout",
        "bias",
        "use_rslora",
        "use_dora",
        "init_lora_weights",
    ):
        assert found.config[name] == saved[name]
    for name in (
        "rank_pattern",
        "alpha_pattern",
        "modules_to_save",
        "layers_to_transform",
        "task_type",
    ):
        assert found.config[name] == saved[name]
    assert found.peft_version_runtime == saved["peft_version"]


@pytest.mark.parametrize(
    ("settings", "method"),
    [
        ({}, "LoRA"),
        ({"use_dora": True}, "DoRA"),
        ({"use_rslora": True}, "LoRA (rank-stabilized)"),
        ({"init_lora_weights": "pissa"}, "LoRA (PiSSA)"),
        ({"init_lora_weights": "olora", "use_rslora": True}, "LoRA (rank-stabilized, OLoRA)"),
        ({"init_lora_weights": "gaussian"}, "LoRA"),
    ],
)
def test_the_variants_of_lora_have_their_names(settings, method):
    (found,) = look(with_peft(lora(**settings)))

    assert found.method == method


def test_lora_on_a_four_bit_base_is_qlora():
    from transformers import BitsAndBytesConfig

    made = with_peft(lora())
    made.base_model.model.config.quantization_config = BitsAndBytesConfig(load_in_4bit=True)

    (found,) = look(made)

    assert found.method == "QLoRA"


def test_all_linear_is_told_by_the_modules_last_names():
    (found,) = look(with_peft(lora(target_modules="all-linear")))

    assert found.config["target_modules"] == [
        "down_proj",
        "gate_proj",
        "k_proj",
        "o_proj",
        "q_proj",
        "up_proj",
        "v_proj",
    ]


def test_modules_of_some_layers_only_keep_their_full_names():
    only = ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj"]

    (found,) = look(with_peft(lora(target_modules=only)))

    assert found.config["target_modules"] == only


def other_methods():
    import peft

    common = {"task_type": "CAUSAL_LM"}
    return {
        "IA³": peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[], **common),
        "LoHa": peft.LoHaConfig(r=2, target_modules=["q_proj"], **common),
        "LoKr": peft.LoKrConfig(r=2, target_modules=["q_proj"], **common),
        "OFT": peft.OFTConfig(r=0, oft_block_size=4, target_modules=["q_proj"], **common),
        "BOFT": peft.BOFTConfig(boft_block_size=4, target_modules=["q_proj"], **common),
        "VeRA": peft.VeraConfig(r=2, target_modules=["q_proj"], **common),
        "LN tuning": peft.LNTuningConfig(target_modules=["input_layernorm"], **common),
        "AdaLoRA": peft.AdaLoraConfig(
            init_r=4, target_r=2, total_step=10, target_modules=["q_proj"], **common
        ),
        "prompt tuning": peft.PromptTuningConfig(num_virtual_tokens=3, **common),
        "P-tuning": peft.PromptEncoderConfig(num_virtual_tokens=3, encoder_hidden_size=8, **common),
        "prefix tuning": peft.PrefixTuningConfig(num_virtual_tokens=3, **common),
        "trainable tokens": peft.TrainableTokensConfig(
            token_indices=[1, 2], target_modules=["embed_tokens"]
        ),
        "HRA": peft.HRAConfig(r=2, target_modules=["q_proj"], **common),
        "FourierFT": peft.FourierFTConfig(n_frequency=5, target_modules=["q_proj"], **common),
        "MiSS": peft.MissConfig(r=2, target_modules=["q_proj"], **common),
    }


@pytest.mark.parametrize("method", [
    "IA³", "LoHa", "LoKr", "OFT", "BOFT", "VeRA", "LN tuning", "AdaLoRA", "prompt tuning", "P-tuning",
    "prefix tuning", "trainable tokens", "HRA", "FourierFT", "MiSS",
])  # fmt: skip
def test_the_other_methods_are_told_by_name_and_settings(method, tmp_path):
    made = with_peft(other_methods()[method])
    models.save(made, tmp_path)
    saved = json.loads((tmp_path / "adapter_config.json").read_text())

    (found,) = look(made)

    assert found.method == method
    assert found.config
    for name, value in found.config.items():
        expected = sorted(saved[name]) if isinstance(saved[name], list) else saved[name]
        derived = expected == 0 and value != 0  # PEFT works it out of another setting
        assert derived or (sorted(value) if isinstance(value, list) else value) == expected


def test_every_kind_of_peft_has_a_name():
    import peft

    kinds = {kind.value for kind in peft.PeftType}

    assert set(peft_names.METHODS) <= kinds


def test_texts_and_paths_in_a_configuration_are_not_told():
    import peft

    settings = peft.PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM")
    made = with_peft(settings)
    settings.prompt_tuning_init_text = "the secret prompt"
    settings.tokenizer_name_or_path = "/home/alice/tokenizer"
    settings.base_model_name_or_path = "/home/alice/base"

    (found,) = look(made)

    assert "secret" not in found.model_dump_json()
    assert "alice" not in found.model_dump_json()


def test_an_adapter_that_is_not_active_is_not_told():
    made = with_peft(lora())
    made.add_adapter("ref", lora(r=7))

    (found,) = look(made)

    assert found.name == "default"


def test_several_active_adapters_are_all_told():
    made = with_peft(lora())
    made.add_adapter("second", lora(r=7))
    made.base_model.set_adapter(["default", "second"])

    assert [(one.name, one.config["r"]) for one in look(made)] == [("default", 3), ("second", 7)]


def test_a_mixed_model_tells_both_methods():
    from peft import LoHaConfig, get_peft_model

    made = get_peft_model(models.llama(), lora(), mixed=True)
    made.add_adapter("other", LoHaConfig(r=2, target_modules=["k_proj"]))
    made.set_adapter(["default", "other"])

    assert [one.method for one in look(made)] == ["LoRA", "LoHa"]


def test_a_native_adapter_is_told():
    made = models.llama()
    made.add_adapter(lora(), "mine")

    (found,) = look(made)

    assert (found.name, found.method, found.config["r"]) == ("mine", "LoRA", 3)


def test_the_version_that_made_a_configuration_is_not_the_one_that_runs():
    import peft

    made = with_peft(lora())
    made.peft_config["default"].peft_version = "0.10.0"

    (found,) = look(made)

    assert (found.peft_version_created, found.peft_version_runtime) == ("0.10.0", peft.__version__)


def test_a_configuration_of_an_old_peft_gives_a_reason():
    made = with_peft(lora())
    made.peft_config["default"].peft_version = None

    (found,) = look(made)

    assert found.peft_version_created is None


def test_a_compiled_model_keeps_its_adapter():
    import torch

    (found,) = look(torch.compile(with_peft(lora()), backend="eager"))

    assert found.method == "LoRA"
