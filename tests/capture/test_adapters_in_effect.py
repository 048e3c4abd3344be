"""What an adapter really is: where it lies, what it mixes, which ranks it has, what is trained beside it."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from pathlib import Path

import pytest
import torch

from autocard import AutoCardCallback
from support import models

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def train(model, out, **settings):
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    with contextlib.redirect_stderr(io.StringIO()):
        return models.train(
            model,
            models.language(),
            out,
            ours,
            **{"max_steps": 1, "learning_rate": 0.1, **settings},
        )


def with_peft(config, model=None):
    from peft import get_peft_model

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return get_peft_model(model or models.llama(), config)


def lora(**settings):
    from peft import LoraConfig

    return LoraConfig(
        **{"r": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM", **settings}
    )


def record(out):
    return json.loads((Path(out) / "autocard.json").read_text())


def card(out):
    return (Path(out) / "README.md").read_text()


def line(out, label):
    return next((one for one in card(out).splitlines() if one.startswith(f"- {label}:")), "")


# -- several adapters ------------------------------------------------------------------------------


def test_the_trained_adapter_s_own_folder_and_size_are_told_where_another_lies_in_the_root(
    tmp_path,
):
    from peft import PeftModel

    models.save(models.llama(), tmp_path / "base")
    base = models.load("AutoModelForCausalLM", str(tmp_path / "base"))
    made = with_peft(lora(r=8, target_modules=["q_proj", "v_proj"]), base)
    made.add_adapter("second", lora(r=2, target_modules=["o_proj"]))
    made.set_adapter("second")
    out = tmp_path / "out"

    trainer = train(made, out)
    trainer.processing_class = None
    trainer.save_model()
    trainer.evaluate(models.language(4))

    told = record(out)["model"]
    assert told["saved_bytes"] == (out / "second" / "adapter_model.safetensors").stat().st_size
    assert told["saved_bytes"] != (out / "adapter_model.safetensors").stat().st_size
    assert "in `second/`" in line(out, "Size of saved weights")
    code = next(one for one in card(out).splitlines() if "PeftModel.from_pretrained" in one)
    assert 'subfolder="second"' in code
    loaded = PeftModel.from_pretrained(
        models.load("AutoModelForCausalLM", str(tmp_path / "base")), str(out), subfolder="second"
    )
    trained = {name: one for name, one in trainer.model.named_parameters() if one.requires_grad}
    assert trained
    assert all(
        torch.equal(dict(loaded.named_parameters())[_default(name)], one)
        for name, one in trained.items()
    )


def _default(name):
    return name.replace(".second.", ".default.")


def test_x_lora_is_told_as_such_with_the_adapters_that_it_mixes(tmp_path):
    from peft import XLoraConfig

    for name, rank in (("0", 2), ("1", 3)):
        models.save(with_peft(lora(r=rank)), tmp_path / name)
    base = models.llama()
    base.config.use_cache = False
    parts = {name: str(tmp_path / name) for name in ("0", "1")}
    mixer = XLoraConfig(
        task_type="CAUSAL_LM", hidden_size=16, xlora_depth=2, xlora_size=8, adapters=parts
    )

    trainer = train(with_peft(mixer, base), tmp_path / "out")

    (told,) = record(tmp_path / "out")["adapters"]
    assert told["method"] == "X-LoRA"
    assert (told["config"]["xlora_depth"], told["config"]["xlora_size"]) == (2, 8)
    assert told["config"]["mixed_adapters"] == ["0 (LoRA, r = 2)", "1 (LoRA, r = 3)"]
    assert "An X-LoRA adapter" in card(tmp_path / "out")
    assert "A LoRA adapter" not in card(tmp_path / "out")
    assert str(tmp_path) not in card(tmp_path / "out") + json.dumps(record(tmp_path / "out"))

    trainer.save_model()
    trainer.evaluate(models.language(4))

    files = sorted((tmp_path / "out").rglob("adapter_model.safetensors"))
    sizes = [file.stat().st_size for file in files]
    assert len(files) == 3
    assert max(sizes) > 1000
    assert record(tmp_path / "out")["model"]["saved_bytes"] == sum(sizes)


# -- settings that took effect ---------------------------------------------------------------------


def in_effect():
    import peft

    common = {"task_type": "CAUSAL_LM", "target_modules": ["q_proj"]}
    return {
        "AdaLoRA": (
            peft.AdaLoraConfig(init_r=6, target_r=3, total_step=10, **common),
            {"r": None, "init_r": 6},
        ),
        "OFT by block": (
            peft.OFTConfig(r=0, oft_block_size=4, **common),
            {"r": 4, "oft_block_size": 4},
        ),
        "OFT by rank": (
            peft.OFTConfig(r=2, oft_block_size=0, **common),
            {"r": 2, "oft_block_size": 8},
        ),
        "BOFT": (
            peft.BOFTConfig(boft_block_size=4, **common),
            {"boft_block_num": 4, "boft_block_size": 4},
        ),
        "prefix": (
            peft.PrefixTuningConfig(
                num_virtual_tokens=3, encoder_hidden_size=32, task_type="CAUSAL_LM"
            ),
            {"encoder_hidden_size": None, "num_virtual_tokens": 3},
        ),
        "prefix with an encoder": (
            peft.PrefixTuningConfig(
                num_virtual_tokens=3,
                encoder_hidden_size=32,
                prefix_projection=True,
                task_type="CAUSAL_LM",
            ),
            {"encoder_hidden_size": 32},
        ),
    }


@pytest.mark.parametrize(
    "name", ["AdaLoRA", "OFT by block", "OFT by rank", "BOFT", "prefix", "prefix with an encoder"]
)
def test_settings_are_those_that_took_effect(name, tmp_path):
    config, expected = in_effect()[name]

    train(with_peft(config), tmp_path / "out")

    (told,) = record(tmp_path / "out")["adapters"]
    assert {key: told["config"].get(key) for key in expected} == expected


def test_adalora_s_card_has_no_rank_that_peft_ignores(tmp_path):
    train(with_peft(in_effect()["AdaLoRA"][0]), tmp_path / "out")

    assert "`init_r` = 6" in line(tmp_path / "out", "Adapter")
    assert "r = 8" not in line(tmp_path / "out", "Adapter").replace("`init_r`", "")


def test_an_adapter_that_starts_with_random_weights_is_told_so(tmp_path):
    train(with_peft(lora(init_lora_weights=False)), tmp_path / "out")

    assert "`init_lora_weights` = False" in line(tmp_path / "out", "Adapter")
    assert not record(tmp_path / "out")["adapters"][0]["continued"]


def test_modules_that_were_left_out_are_no_targets(tmp_path):
    made = with_peft(lora(target_modules="all-linear", exclude_modules=["down_proj"]))

    train(made, tmp_path / "out")

    (told,) = record(tmp_path / "out")["adapters"]
    assert "down_proj" not in told["config"]["target_modules"]
    assert "q_proj" in told["config"]["target_modules"]


# -- what else was trained -------------------------------------------------------------------------


def test_modules_that_are_trained_beside_an_adapter_and_not_saved_with_it_are_named(tmp_path):
    made = with_peft(lora(modules_to_save=["lm_head"]))
    for name, weight in made.named_parameters():
        if "layernorm" in name:
            weight.requires_grad_(True)

    trainer = train(made, tmp_path / "out")
    trainer.save_model()

    from safetensors.torch import load_file

    saved = load_file(tmp_path / "out" / "adapter_model.safetensors")
    told = record(tmp_path / "out")["model"]["trained_unsaved"]
    assert told == ["input_layernorm", "post_attention_layernorm"] or len(told) == 4
    assert not any("layernorm" in name for name in saved)
    assert any("lm_head" in name for name in saved)
    assert "layernorm" in line(tmp_path / "out", "Also trained but not saved with the adapter")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"use_dora": True},
        {"trainable_token_indices": [1]},
    ],
)
def test_what_is_saved_with_an_adapter_is_not_said_to_be_left_out(settings, tmp_path):
    train(with_peft(lora(**settings)), tmp_path / "out")

    assert record(tmp_path / "out")["model"]["trained_unsaved"] == []
    assert not line(tmp_path / "out", "Also trained but not saved with the adapter")


def test_the_trained_modules_of_a_partly_frozen_model_are_named(tmp_path):
    made = models.llama()
    for name, weight in made.named_parameters():
        weight.requires_grad_(name.startswith(("model.layers.1", "lm_head")))

    train(made, tmp_path / "out")

    assert record(tmp_path / "out")["model"]["trained_modules"] == ["model.layers.1", "lm_head"]
    assert (
        line(tmp_path / "out", "Trained modules")
        == "- Trained modules: `model.layers.1`, `lm_head`"
    )


def test_a_full_fine_tune_names_no_modules(tmp_path):
    train(models.llama(), tmp_path / "out")

    assert record(tmp_path / "out")["model"]["trained_modules"] == []


# -- adapters that are not trained -----------------------------------------------------------------


def only_the_base(made):
    for name, weight in made.named_parameters():
        weight.requires_grad_("lora_" not in name)
    return made


def disabled_by_transformers():
    made = models.llama()
    made.add_adapter(lora())
    made.disable_adapters()
    return only_the_base(made)


def disabled_with_gradients():
    made = disabled_by_transformers()
    return made.requires_grad_(True)


def disabled_by_peft():
    made = with_peft(lora())
    made.base_model.disable_adapter_layers()
    return only_the_base(made)


def frozen():
    return only_the_base(with_peft(lora()))


@pytest.mark.parametrize(
    "make", [disabled_by_transformers, disabled_with_gradients, disabled_by_peft, frozen]
)
def test_weights_that_are_trained_under_an_adapter_that_is_not_are_no_adapter(make, tmp_path):
    made, out = make(), tmp_path / "out"
    before = {name: one.clone() for name, one in made.named_parameters()}

    trainer = train(made, out)

    changed = {
        name for name, one in trainer.model.named_parameters() if not torch.equal(one, before[name])
    }
    assert changed
    assert not any("lora_" in name for name in changed)
    told = record(out)
    assert told["adapters"] == []
    assert told["model"]["base_model_relation"] == "finetune"
    assert "A fine-tuned version of" in card(out)
    assert "LoRA adapter" not in card(out)
    assert not line(out, "Also trained but not saved with the adapter")
    assert "`q_proj`" in line(out, "Trained but not saved with the adapter")


def test_an_adapter_that_is_disabled_for_the_reference_alone_stays_one(tmp_path):
    made = with_peft(lora())
    with made.disable_adapter():
        pass

    train(made, tmp_path / "out")

    assert [one["method"] for one in record(tmp_path / "out")["adapters"]] == ["LoRA"]


# -- continued adapters ----------------------------------------------------------------------------


@pytest.fixture
def first(tmp_path):
    """The output folder of a run that trained and saved an adapter; its base lies beside it."""
    models.save(models.llama(), tmp_path / "base")
    base = models.load("AutoModelForCausalLM", str(tmp_path / "base"))
    train(with_peft(lora(), base), tmp_path / "run1", max_steps=3).save_model()
    return tmp_path / "run1"


def test_an_adapter_that_is_trained_further_names_the_run_that_made_it(first, tmp_path):
    from peft import PeftModel

    base = models.load("AutoModelForCausalLM", str(tmp_path / "base"))
    made = PeftModel.from_pretrained(base, str(first), is_trainable=True)

    train(made, tmp_path / "run2")

    run = record(first)["run"]["id"]
    (told,) = record(tmp_path / "run2")["adapters"]
    assert (told["continued"], told["earlier_run"]) == (True, run)
    assert f"continued from the adapter of run {run}" in card(tmp_path / "run2")
    assert "run1" not in card(tmp_path / "run2") + json.dumps(record(tmp_path / "run2"))


def test_an_adapter_that_was_loaded_by_name_is_continued_too(first, tmp_path):
    made = with_peft(
        lora(target_modules=["v_proj"]), models.load("AutoModelForCausalLM", str(tmp_path / "base"))
    )
    made.load_adapter(str(first), adapter_name="more", is_trainable=True)
    made.set_adapter("more")
    (first / "autocard.json").unlink()

    train(made, tmp_path / "run2")

    (told,) = record(tmp_path / "run2")["adapters"]
    assert (told["name"], told["continued"], told["earlier_run"]) == ("more", True, "")
    assert "continued from a previously trained adapter" in card(tmp_path / "run2")


def test_a_new_adapter_is_not_continued(first, tmp_path):  # noqa: ARG001 - another run's adapter lies beside it
    train(
        with_peft(lora(), models.load("AutoModelForCausalLM", str(tmp_path / "base"))),
        tmp_path / "run2",
    )

    assert not record(tmp_path / "run2")["adapters"][0]["continued"]
    assert "continued" not in card(tmp_path / "run2")
