"""What a model's base is: the weights that it stands on, and "from scratch" only where something shows it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from autocard import AutoCardCallback
from support import models

LOCAL = "a local checkpoint"


def quiet():
    return contextlib.redirect_stderr(io.StringIO())


def train(model, out, *, base_model=None, data=None, resume=None, **settings):
    """Train for a step with our callback; return the trainer."""
    ours = AutoCardCallback(base_model=base_model, emissions=False)
    with quiet():
        return models.train(
            model,
            data or models.language(),
            out,
            ours,
            resume=resume,
            **{"max_steps": 1, **settings},
        )


def record(out):
    return json.loads((Path(out) / "autocard.json").read_text())


def base_of(out):
    return record(out)["model"]["base_model"], record(out)["model"]["base_model_description"]


def card(out):
    return (Path(out) / "README.md").read_text()


def front(out):
    return yaml.safe_load(card(out).split("---\n")[1])


def adapter(model, **settings):
    return models.lora(model, task_type="CAUSAL_LM", target_modules=["q_proj"], **settings)


def load(folder):
    return models.load("AutoModelForCausalLM", str(folder))


@pytest.fixture
def stage(tmp_path):
    """A first stage's folder: a model fine-tuned from org/base-1b, saved by its trainer."""
    models.save(models.llama(), tmp_path / "base")
    train(load(tmp_path / "base"), tmp_path / "stage1", base_model="org/base-1b").save_model()
    return tmp_path / "stage1"


# -- local stages ----------------------------------------------------------------------------------


def test_an_adapter_on_a_local_stage_is_no_adapter_of_the_stage_s_own_base(stage, tmp_path):
    train(adapter(load(stage)), tmp_path / "stage2").save_model()

    assert base_of(tmp_path / "stage2") == (None, f"{LOCAL} fine-tuned from org/base-1b")
    assert "base_model" not in front(tmp_path / "stage2")
    assert "base_model_relation" not in front(tmp_path / "stage2")
    assert f"A LoRA adapter for {LOCAL} fine-tuned from org/base-1b" in card(tmp_path / "stage2")


def test_a_full_fine_tune_of_a_local_stage_may_name_the_ancestor(stage, tmp_path):
    train(load(stage), tmp_path / "stage2")

    assert base_of(tmp_path / "stage2") == (
        "org/base-1b",
        f"{LOCAL} fine-tuned from org/base-1b",
    )
    assert front(tmp_path / "stage2")["base_model_relation"] == "finetune"


def test_an_adapter_on_a_checkpoint_whose_configuration_names_another_model_is_none_of_that_model(
    tmp_path,
):
    models.save(models.llama(), tmp_path / "all-minilm")
    config = tmp_path / "all-minilm" / "config.json"
    config.write_text(
        json.dumps(
            {**json.loads(config.read_text()), "_name_or_path": "nreimers/MiniLM-L6-H384-uncased"}
        )
    )

    train(adapter(load(tmp_path / "all-minilm")), tmp_path / "out")

    assert base_of(tmp_path / "out")[0] is None
    assert "base_model" not in front(tmp_path / "out")


def test_a_local_stage_that_was_made_from_a_folder_names_no_ancestor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    models.save(models.llama(), "acme/llama-3")
    train(
        adapter(load("acme/llama-3")), tmp_path / "stage1"
    ).model.merge_and_unload().save_pretrained("stage1")
    shutil.rmtree("acme")

    train(adapter(load("stage1")), tmp_path / "stage2")

    assert base_of("stage2") == (None, LOCAL)
    assert "acme" not in card("stage2") + json.dumps(record("stage2"))


# -- weights that are no longer what the name says -------------------------------------------------


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A model in the Hub's cache; its snapshot's folder."""
    import huggingface_hub.constants

    snapshot = tmp_path / "cache" / "models--some-org--base-7b" / "snapshots" / ("a" * 40)
    models.save(models.llama(), snapshot)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return snapshot


def trained_adapter(model):
    """An adapter that does something, as one that was trained."""
    made = adapter(model)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    return made


def test_an_adapter_of_a_model_of_the_hub_names_it(cached, tmp_path):
    train(adapter(load(cached)), tmp_path / "out")

    assert base_of(tmp_path / "out") == ("some-org/base-7b", None)


def test_a_base_that_was_loaded_in_another_format_is_still_that_base(cached, tmp_path):
    loaded = models.load("AutoModelForCausalLM", str(cached), dtype=torch.bfloat16).float()

    train(adapter(loaded), tmp_path / "out")

    assert base_of(tmp_path / "out")[0] == "some-org/base-7b"


def test_an_adapter_on_merged_weights_is_none_of_the_model_that_was_loaded(cached, tmp_path):
    merged = trained_adapter(load(cached)).merge_and_unload()

    train(adapter(merged), tmp_path / "out").save_model()

    assert base_of(tmp_path / "out")[0] is None
    assert "some-org/base-7b" in base_of(tmp_path / "out")[1]
    assert "base_model" not in front(tmp_path / "out")
    assert not any(tag.startswith("base_model:") for tag in front(tmp_path / "out")["tags"])


def test_merged_weights_are_known_without_their_files_where_both_trainings_are_of_this_process(
    cached, tmp_path
):
    loaded = load(cached)
    first = train(adapter(loaded), tmp_path / "first", learning_rate=0.1, max_steps=3)
    assert base_of(tmp_path / "first")[0] == "some-org/base-7b"
    merged = first.model.merge_and_unload()
    shutil.rmtree(cached.parents[1])

    train(adapter(merged), tmp_path / "second")

    assert base_of(tmp_path / "second")[0] is None


def test_an_unloaded_adapter_leaves_the_base_as_it_was(cached, tmp_path):
    unloaded = trained_adapter(load(cached)).unload()

    train(adapter(unloaded), tmp_path / "out")

    assert base_of(tmp_path / "out")[0] == "some-org/base-7b"


def test_weights_that_another_checkpoint_replaced_are_not_those_of_the_name(cached, tmp_path):
    loaded = load(cached)
    torch.manual_seed(7)
    loaded.load_state_dict(
        {name: torch.rand_like(weight) for name, weight in loaded.state_dict().items()}
    )

    train(loaded, tmp_path / "out")

    assert base_of(tmp_path / "out") == (None, "not recorded by the model")


@pytest.fixture
def other_llama():
    """A model of other weights than the cached one."""
    made = models.llama()
    torch.manual_seed(11)
    with torch.no_grad():
        for weight in made.parameters():
            weight.normal_(std=0.02)
    return made


def test_a_model_most_of_whose_weights_are_another_s_does_not_name_the_one_it_was_loaded_from(
    cached, other_llama, tmp_path
):
    loaded = load(cached)
    loaded.model.load_state_dict(other_llama.model.state_dict())
    before = load(cached).state_dict()
    kept = [
        name for name, weight in loaded.state_dict().items() if torch.equal(weight, before[name])
    ]
    assert kept == ["lm_head.weight"]

    train(loaded, tmp_path / "out").save_model()

    assert base_of(tmp_path / "out") == (None, "not recorded by the model")
    assert "base_model" not in front(tmp_path / "out")
    assert "some-org/base-7b" not in card(tmp_path / "out")


def test_a_model_with_a_body_of_another_size_does_not_name_the_one_it_was_loaded_from(
    cached, tmp_path
):
    loaded = load(cached)
    loaded.config.intermediate_size = 256
    loaded.model.layers = type(loaded)(loaded.config).model.layers

    train(loaded, tmp_path / "out").save_model()

    assert base_of(tmp_path / "out") == (None, "not recorded by the model")


def test_a_model_with_a_few_other_weights_still_names_its_base(cached, other_llama, tmp_path):
    loaded = load(cached)
    loaded.model.layers[0].self_attn.load_state_dict(
        other_llama.model.layers[0].self_attn.state_dict()
    )

    train(loaded, tmp_path / "out")

    assert base_of(tmp_path / "out")[0] == "some-org/base-7b"


def test_linear_layers_that_were_all_moved_a_little_are_not_taken_for_another_model_s(cached):
    from autocard.capture.model import base_weights

    loaded = load(cached)
    torch.manual_seed(12)
    with torch.no_grad():
        for weight in loaded.model.layers.parameters():
            if weight.dim() > 1:
                weight.add_(0.1 * weight.abs().mean() * torch.randn_like(weight))

    assert base_weights.compare(loaded, cached) == "changed"


def test_a_resized_vocabulary_leaves_the_base_as_it_was(cached, tmp_path):
    loaded = load(cached)
    loaded.resize_token_embeddings(200)

    train(loaded, tmp_path / "out")

    assert base_of(tmp_path / "out") == ("some-org/base-7b", None)


def test_a_second_training_of_the_same_weights_keeps_their_base(cached, tmp_path):
    loaded = load(cached)
    train(loaded, tmp_path / "first", learning_rate=0.1)

    train(loaded, tmp_path / "second")

    assert base_of(tmp_path / "second")[0] == "some-org/base-7b"
    assert (
        record(tmp_path / "second")["run"]["earlier_run"] == record(tmp_path / "first")["run"]["id"]
    )


def test_an_adapter_on_weights_that_were_trained_in_this_process_is_none_of_their_base(
    cached, tmp_path
):
    loaded = load(cached)
    train(loaded, tmp_path / "first", learning_rate=0.1)

    train(adapter(loaded), tmp_path / "second")

    assert base_of(tmp_path / "second")[0] is None


# -- from scratch ----------------------------------------------------------------------------------


def by_state_dict(folder):
    made = models.llama()
    made.load_state_dict(load(folder).state_dict())
    return made


def by_torch_load(folder):
    torch.save(load(folder).state_dict(), folder / "weights.pt")
    made = models.llama()
    made.load_state_dict(torch.load(folder / "weights.pt", weights_only=True), strict=False)
    return made


def by_safetensors(folder):
    from safetensors.torch import load_model

    made = models.llama()
    load_model(made, str(folder / "model.safetensors"), strict=False)
    return made


def from_teacher(folder):
    teacher, student = load(folder), models.llama()
    with torch.no_grad():
        for mine, its in zip(student.parameters(), teacher.parameters(), strict=True):
            mine.copy_(its)
    return student


def from_trained_teacher_by_data(folder):
    teacher, student = load(folder), models.llama()
    for mine, its in zip(student.parameters(), teacher.parameters(), strict=True):
        mine.data = its.data + 0.01
    return student


def with_a_teacher_s_layers(folder):
    student = models.llama()
    student.model.layers = load(folder).model.layers
    return student


@pytest.mark.parametrize(
    "made",
    [
        by_state_dict,
        by_torch_load,
        by_safetensors,
        from_teacher,
        from_trained_teacher_by_data,
        with_a_teacher_s_layers,
    ],
)
def test_weights_that_came_from_elsewhere_are_not_from_scratch(made, tmp_path):
    models.save(models.llama(), tmp_path / "pretrained")

    train(made(tmp_path / "pretrained"), tmp_path / "out")

    assert base_of(tmp_path / "out") == (None, "not recorded by the model")
    assert "scratch" not in card(tmp_path / "out")
    assert "pre-training" not in card(tmp_path / "out")


def test_weights_that_a_model_init_loads_are_not_from_scratch(tmp_path):
    from transformers import Trainer

    models.save(models.llama(), tmp_path / "pretrained")
    trainer = Trainer(
        model_init=lambda: by_state_dict(tmp_path / "pretrained"),
        args=models.arguments(tmp_path / "out", max_steps=1),
        train_dataset=models.language(),
        callbacks=[AutoCardCallback(emissions=False)],
    )

    trainer.train()

    assert base_of(tmp_path / "out")[1] == "not recorded by the model"


def test_weights_that_are_loaded_after_the_trainer_was_made_are_not_from_scratch(tmp_path):
    from transformers import Trainer

    models.save(models.llama(), tmp_path / "pretrained")
    trainer = Trainer(
        model=models.llama(),
        args=models.arguments(tmp_path / "out", max_steps=1),
        train_dataset=models.language(),
        callbacks=[AutoCardCallback(emissions=False)],
    )
    trainer.model.load_state_dict(load(tmp_path / "pretrained").state_dict())

    trainer.train()

    assert base_of(tmp_path / "out")[1] == "not recorded by the model"


def architectures():
    import transformers as hf

    small = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    return {
        "Llama": models.llama(),
        "BERT": models.bert(),
        "T5": hf.T5ForConditionalGeneration(
            hf.T5Config(vocab_size=50, d_model=16, num_layers=2, num_heads=2, d_kv=8, d_ff=32)
        ),
        "GPT-2": hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2)),
        "Gemma": hf.GemmaForCausalLM(
            hf.GemmaConfig(vocab_size=50, num_key_value_heads=1, head_dim=8, **small)
        ),
        "ViT": hf.ViTForImageClassification(hf.ViTConfig(image_size=16, patch_size=8, **small)),
        "Mamba": hf.MambaForCausalLM(
            hf.MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4)
        ),
    }


@pytest.mark.parametrize("name", ["Llama", "BERT", "T5", "GPT-2", "Gemma", "ViT", "Mamba"])
def test_freshly_initialized_weights_are_known_as_such(name):
    from autocard.capture.model.initial_weights import is_fresh

    made = architectures()[name]
    before = torch.get_rng_state()

    assert is_fresh(made) is True
    assert torch.equal(torch.get_rng_state(), before)


def test_an_adapter_on_fresh_weights_leaves_them_fresh():
    from autocard.capture.model.initial_weights import is_fresh

    assert is_fresh(adapter(models.llama(), modules_to_save=["lm_head"])) is True


def test_a_fresh_model_is_from_scratch_before_and_after_a_resume(tmp_path):
    out = tmp_path / "out"
    train(models.llama(), out, save_strategy="steps", save_steps=1)
    assert base_of(out)[1] == "none (trained from scratch)"

    train(models.llama(), out, max_steps=2, resume=str(out / "checkpoint-1"))

    assert base_of(out)[1] == "none (trained from scratch)"


def test_a_checkpoint_of_loaded_weights_that_a_fresh_model_goes_on_with_is_not_from_scratch(
    tmp_path,
):
    models.save(models.llama(), tmp_path / "pretrained")
    out = tmp_path / "out"
    train(load(tmp_path / "pretrained"), out, save_strategy="steps", save_steps=1)

    train(models.llama(), out, max_steps=2, resume=str(out / "checkpoint-1"))

    assert "scratch" not in base_of(out)[1]
    assert "scratch" not in card(out)


def test_a_fresh_model_with_a_larger_vocabulary_is_from_scratch(tmp_path):
    made = models.llama()
    with quiet():
        made.resize_token_embeddings(40)

    train(made, tmp_path / "out")

    assert base_of(tmp_path / "out")[1] == "none (trained from scratch)"


# -- a module around a model -----------------------------------------------------------------------


class Around(torch.nn.Module):
    """A head of one's own on an encoder."""

    def __init__(self, folder):
        super().__init__()
        self.encoder = models.load("AutoModel", str(folder))
        self.head = torch.nn.Linear(16, 2)

    def forward(self, input_ids, attention_mask=None, labels=None):
        scores = self.head(
            self.encoder(input_ids, attention_mask=attention_mask).last_hidden_state[:, 0]
        )
        return {"loss": torch.nn.functional.cross_entropy(scores, labels), "logits": scores}


def test_a_module_of_one_s_own_has_the_base_and_the_dimensions_of_the_model_inside(
    tmp_path, monkeypatch
):
    import huggingface_hub.constants

    snapshot = tmp_path / "cache" / "models--org--encoder" / "snapshots" / ("b" * 40)
    models.save(models.bert(), snapshot)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    data = models.tokens().rename_column("label", "labels").remove_columns(["text"])
    same_length = data.filter(lambda row: len(row["input_ids"]) == len(data[0]["input_ids"]))

    train(Around(snapshot), tmp_path / "out", data=same_length)

    told = record(tmp_path / "out")["model"]
    assert (told["base_model"], told["base_model_revision"]) == ("org/encoder", "b" * 40)
    assert told["architecture"] == "Around"
    assert told["dims"]["hidden_size"] == 16
    assert "A fine-tuned version of [org/encoder]" in card(tmp_path / "out")
