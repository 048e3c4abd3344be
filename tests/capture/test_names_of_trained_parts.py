"""Names of trained modules, against the bytes of each tensor before and after the training."""

from __future__ import annotations

import contextlib
import io
import json
import re

import pytest
import torch
from transformers import Trainer, Wav2Vec2Config, Wav2Vec2ForSequenceClassification

from autocard import AutoCardCallback
from support import training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def train(folder, model, data=None):
    """Train; return (model's part of the record, card, {name of a tensor: whether its bytes changed})."""
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    arguments = training.arguments(
        folder, learning_rate=1e-2, max_steps=3, lr_scheduler_type="constant"
    )
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    data = training.dataset(16) if data is None else data
    with contextlib.redirect_stdout(io.StringIO()):
        Trainer(model=model, args=arguments, train_dataset=data, callbacks=[ours]).train()
    changed = {name: not torch.equal(before[name], one) for name, one in model.named_parameters()}
    return (
        json.loads((folder / "autocard.json").read_text())["model"],
        (folder / "README.md").read_text(),
        changed,
    )


def covered(name, tensors):
    """Return those of *tensors* in whose path the words of *name* stand; `a.2-4` are the words of a.2, a.3 and a.4."""
    pattern = ""
    for word in name.split("."):
        span = re.fullmatch(r"(\d+)-(\d+)", word)
        numbers = (
            "|".join(str(one) for one in range(int(span[1]), int(span[2]) + 1))
            if span
            else re.escape(word)
        )
        pattern += rf"\.(?:{numbers})"
    return {
        one
        for one in tensors
        if re.search(rf"{pattern}(?:\.|$)", f".{one.replace('.base_layer.', '.')}")
    }


def ask(model, asks):
    for name, one in model.named_parameters():
        one.requires_grad_(bool(asks(name)))
    return model


PARTS = {
    "biases alone": lambda name: name.endswith("bias"),
    "biases and the head": lambda name: name.endswith("bias") or name.startswith("classifier"),
    "norms": lambda name: "LayerNorm" in name,
    "biases of the last blocks": lambda name: re.search(r"layer\.[3-5]\..*bias$|classifier", name),
    "weights of some blocks": lambda name: re.search(r"layer\.(0|2|3|4)\.|classifier|pooler", name),
    "one tensor of a leaf": lambda name: name in ("classifier.bias", "bert.pooler.dense.weight"),
    "six whole blocks and more": lambda name: (
        "encoder" in name or "LayerNorm" in name or "classifier" in name
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_names_of_trained_parts_cover_what_was_trained_and_nothing_frozen(part, tmp_path):
    made = ask(training.bert(num_hidden_layers=6), PARTS[part])

    said, _, changed = train(tmp_path / "out", made)

    each = [covered(name, changed) for name in said["trained_modules"]]
    assert all(each)
    assert {name for name, moved in changed.items() if moved} == set().union(*each)


def test_biases_alone_are_named_biases(tmp_path):
    _, card, _ = train(tmp_path / "out", ask(training.bert(), PARTS["biases alone"]))

    assert "- Trained modules: `bias`\n" in card


def test_a_module_with_a_tensor_of_its_own_is_not_named_for_the_frozen_one_inside(tmp_path):
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    conv = {
        "conv_dim": (8, 8),
        "conv_stride": (5, 2),
        "conv_kernel": (10, 3),
        "num_feat_extract_layers": 2,
    }
    small = {
        "num_conv_pos_embeddings": 4,
        "num_conv_pos_embedding_groups": 2,
        "classifier_proj_size": 8,
    }
    config = Wav2Vec2Config(
        **sizes,
        **conv,
        **small,
        mask_time_prob=0.5,
        mask_time_length=2,
        mask_time_min_masks=1,
        num_labels=2,
    )
    made = Wav2Vec2ForSequenceClassification(config)
    made.freeze_feature_encoder()
    sounds = [{"input_values": torch.randn(400).tolist(), "labels": one % 2} for one in range(16)]

    said, _, _ = train(tmp_path / "out", made, sounds)

    frozen = {
        name
        for name, _ in made.wav2vec2.feature_extractor.named_parameters(
            prefix="wav2vec2.feature_extractor"
        )
    }
    tensors = dict(made.named_parameters())
    assert frozen
    assert not any(covered(name, tensors) & frozen for name in said["trained_modules"])
    assert "masked_spec_embed" in said["trained_modules"]


def test_beside_an_adapter_a_module_whose_bias_alone_is_trained_is_not_named_whole(tmp_path):
    made = training.lora(training.bert(), target_modules=["query"])
    for name, one in made.named_parameters():
        if name.endswith(("LayerNorm.bias", "value.bias", "query.base_layer.bias")):
            one.requires_grad_(True)

    said, _, changed = train(tmp_path / "out", made)

    base = {
        name: moved
        for name, moved in changed.items()
        if "lora_" not in name and "modules_to_save" not in name
    }
    each = [covered(name, base) for name in said["trained_unsaved"]]
    assert {name for name, moved in base.items() if moved} == set().union(*each)
