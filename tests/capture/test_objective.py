"""The objective of a card, against the loss that each batch really had.

The oracle is the loss itself: a hook keeps the model's output of a training step, and the loss that
the Trainer used is compared with one that is computed here from logits and labels.
"""

import contextlib
import io
import math

import pytest
import torch
import transformers
from datasets import Dataset
from transformers import Trainer

from autocard import AutoCardCallback
from autocard.record import load
from support import models, training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def trained(folder, made, data, cls=Trainer, trainer=None, **arguments):
    """Train *made*; return the record and the card."""
    ours = AutoCardCallback(emissions=False)
    with contextlib.redirect_stderr(io.StringIO()):
        host = models.train(made, data, folder, ours, cls=cls, trainer=trainer, **arguments)
    return load(folder), (folder / "README.md").read_text(encoding="utf-8"), host


def first_loss(host):
    return next(entry["loss"] for entry in host.state.log_history if "loss" in entry)


class FocalBertForSequenceClassification(transformers.BertForSequenceClassification):
    """A classifier whose loss is a focal loss."""

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        output = super().forward(input_ids=input_ids, attention_mask=attention_mask)
        each = torch.nn.functional.cross_entropy(output.logits, labels, reduction="none")
        output.loss = ((1 - torch.exp(-each)) ** 2 * each).mean()
        return output


class OwnClassifier(torch.nn.Module):
    """A module that is none of transformers'."""

    def __init__(self):
        super().__init__()
        self.inner = training.bert()

    def forward(self, input_ids=None, attention_mask=None, labels=None):
        logits = self.inner(input_ids=input_ids, attention_mask=attention_mask).logits
        return {"loss": (logits[:, 0] - labels).abs().mean(), "logits": logits}


class Doubled(Trainer):
    """R-Drop's way: two passes for each batch, in a training step of its own."""

    def training_step(self, model, inputs, *_):
        loss = self.compute_loss(model, inputs) + self.compute_loss(model, inputs)
        self.accelerator.backward(loss)
        return loss.detach()


def squares(logits, **_):
    return logits.pow(2).mean()


def with_own_loss_function():
    made = models.llama()
    made.loss_function = squares
    return made


def with_own_loss_type(monkeypatch):
    from transformers.loss.loss_utils import LOSS_MAPPING

    monkeypatch.setitem(LOSS_MAPPING, "Squares", squares)
    made = models.llama()
    made.config.loss_type = made.loss_type = "Squares"
    return made


def replaced_forward():
    made = training.bert()
    library = made.forward

    def forward(input_ids=None, attention_mask=None, labels=None):
        output = library(input_ids=input_ids, attention_mask=attention_mask)
        output.loss = (output.logits[:, 0] - labels).pow(2).mean()
        return output

    made.forward = forward
    return made


@pytest.mark.parametrize(
    ("make", "cls", "where"),
    [
        (
            lambda: FocalBertForSequenceClassification(training.bert().config),
            Trainer,
            "forward of FocalBert",
        ),
        (replaced_forward, Trainer, "forward of BertForSequenceClassification"),
        (OwnClassifier, Trainer, "forward of OwnClassifier"),
        (training.bert, Doubled, "training_step overridden"),
    ],
)
def test_a_loss_of_the_run_s_own_code_is_called_custom(tmp_path, make, cls, where):
    record, card, _ = trained(tmp_path, make(), training.dataset(8), cls=cls)

    assert "custom loss" in record.training.objective
    assert where in record.training.objective
    assert "cross-entropy" not in card


def test_a_language_model_s_own_loss_function_is_called_custom(tmp_path, monkeypatch):
    for number, made in enumerate([with_own_loss_function(), with_own_loss_type(monkeypatch)]):
        record, card, host = trained(
            tmp_path / str(number), made, models.language(), learning_rate=0.0
        )

        batch = {name: torch.tensor(models.language()[name]) for name in ("input_ids", "labels")}
        with torch.no_grad():
            logits = made(input_ids=batch["input_ids"]).logits
        cross_entropy = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten()
        )
        assert not math.isclose(first_loss(host), float(cross_entropy), rel_tol=0.05)
        assert (
            record.training.objective
            == "causal language modeling, custom loss (loss_function: squares)"
        )
        assert "cross-entropy" not in card


def test_a_loss_function_that_forward_does_not_use_is_not_the_objective(tmp_path):
    made = training.bert()
    made.loss_function = squares

    record, _, host = trained(tmp_path, made, training.dataset(8), learning_rate=0.0)

    assert record.training.objective == "sequence classification (cross-entropy)"
    assert first_loss(host) == pytest.approx(math.log(2), rel=0.2)


@pytest.mark.parametrize("arguments", [{}, {"bf16": True}])
def test_a_library_s_loss_is_named_under_autocast_and_adapters_too(tmp_path, arguments):
    for number, made in enumerate([training.bert(), training.lora(training.bert())]):
        record, _, _ = trained(tmp_path / str(number), made, training.dataset(8), **arguments)

        assert record.training.objective == "sequence classification (cross-entropy)"


@pytest.mark.parametrize(("on", "coefficient"), [(True, 10.0), (True, 0.0), (False, 10.0)])
def test_the_load_balancing_loss_of_a_router_is_part_of_the_objective(tmp_path, on, coefficient):
    torch.manual_seed(0)
    sizes = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "num_local_experts": 4}
    config = transformers.MixtralConfig(
        **sizes, **heads, output_router_logits=on, router_aux_loss_coef=coefficient
    )

    record, _, host = trained(
        tmp_path, transformers.MixtralForCausalLM(config), models.language(), learning_rate=0.0
    )

    alone = "causal language modeling (next-token cross-entropy)"
    # an untrained model's cross-entropy is about ln V
    added = abs(first_loss(host) - math.log(20)) > 1
    assert added is (on and coefficient > 0)
    both = "causal language modeling (next-token cross-entropy + 10 × load-balancing loss of the router)"
    assert record.training.objective == (both if added else alone)


def test_clip_is_trained_with_a_contrastive_loss(tmp_path):
    sizes = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = {**sizes, "vocab_size": 40, "max_position_embeddings": 8, "eos_token_id": 2}
    image = {**sizes, "image_size": 8, "patch_size": 4}
    config = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=8)
    rows = [
        {"input_ids": [5, 6 + row, 2], "pixel_values": [[[float(row)] * 8] * 8] * 3}
        for row in range(8)
    ]

    def collate(batch):
        return {
            **{name: torch.tensor([row[name] for row in batch]) for name in batch[0]},
            "return_loss": True,
        }

    given = {"data_collator": collate}
    record, card, _ = trained(
        tmp_path, transformers.CLIPModel(config), Dataset.from_list(rows), trainer=given
    )

    assert record.training.objective == "contrastive image-text loss"
    assert "trained with a contrastive image-text loss" in card
    assert "for zero-shot image classification" not in card


def test_the_loss_of_float_labels_is_named_when_the_head_has_chosen_it(tmp_path):
    data = training.dataset(8).remove_columns("labels").add_column("labels", [[0.0, 1.0]] * 8)
    made = training.bert()

    record, _, _ = trained(tmp_path, made, data)

    assert made.config.problem_type == "multi_label_classification"
    assert (
        record.training.objective
        == "sequence classification (binary cross-entropy, several labels)"
    )


def heads():
    bert = training.bert().config
    ids = [[5, 6, 7, 8]] * 8
    mask = [[1] * 4] * 8
    plain = {"input_ids": ids, "attention_mask": mask}
    choices = {
        "input_ids": [[[5, 6], [7, 8]]] * 8,
        "attention_mask": [[[1, 1], [1, 1]]] * 8,
        "labels": [0, 1] * 4,
    }
    yield (
        transformers.BertForQuestionAnswering(bert),
        {**plain, "start_positions": [1] * 8, "end_positions": [2] * 8},
        "extractive question answering (cross-entropy of start and end positions)",
    )
    yield transformers.BertForMultipleChoice(bert), choices, "multiple choice (cross-entropy)"
    yield (
        transformers.BertForTokenClassification(bert),
        {**plain, "labels": [[0, 1, 0, 1]] * 8},
        "token classification (cross-entropy)",
    )
    yield (
        transformers.BertForMaskedLM(bert),
        {**plain, "labels": ids},
        "masked language modeling (cross-entropy)",
    )
    distil = transformers.DistilBertConfig(
        vocab_size=60, dim=32, n_layers=1, n_heads=2, hidden_dim=32
    )
    yield (
        transformers.DistilBertForMaskedLM(distil),
        {**plain, "labels": ids},
        "masked language modeling (cross-entropy)",
    )
    small = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    vit = transformers.ViTConfig(**small, image_size=8, patch_size=4, num_labels=2)
    pixels = [[[[0.5] * 8] * 8] * 3] * 8
    yield (
        transformers.ViTForImageClassification(vit),
        {"pixel_values": pixels, "labels": [0, 1] * 4},
        "image classification (cross-entropy)",
    )
    t5 = {
        "d_model": 16,
        "d_kv": 8,
        "d_ff": 32,
        "num_layers": 1,
        "num_heads": 2,
        "decoder_start_token_id": 0,
    }
    yield (
        transformers.T5ForConditionalGeneration(transformers.T5Config(vocab_size=60, **t5)),
        {**plain, "labels": ids},
        "sequence-to-sequence generation (cross-entropy)",
    )
    bart = {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 1,
        "encoder_ffn_dim": 16,
        "decoder_ffn_dim": 16,
    }
    bart |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "vocab_size": 60}
    yield (
        transformers.BartForConditionalGeneration(transformers.BartConfig(**bart)),
        {**plain, "labels": ids},
        "sequence-to-sequence generation (cross-entropy)",
    )
    # Its forward takes router logits from its caller alone, so the Trainer never adds the router's
    # loss.
    switch = {**t5, "num_experts": 2, "output_router_logits": True, "router_aux_loss_coef": 10.0}
    yield (
        transformers.SwitchTransformersForConditionalGeneration(
            transformers.SwitchTransformersConfig(vocab_size=60, **switch)
        ),
        {**plain, "labels": ids},
        "sequence-to-sequence generation (cross-entropy)",
    )
    towers = {
        "text_config": {**small, "vocab_size": 60},
        "vision_config": {**small, "image_size": 8, "patch_size": 4},
    }
    yield (
        PairedSiglip(transformers.SiglipConfig(**towers)),
        {"input_ids": ids, "pixel_values": pixels},
        "sigmoid image-text loss",
    )


class PairedSiglip(transformers.SiglipModel):
    """SigLIP that returns its loss without being asked; its loss is the library's."""

    def __init__(self, config):
        super().__init__(config)
        self.register_forward_pre_hook(
            lambda _, args, kwargs: (args, {**kwargs, "return_loss": True}), with_kwargs=True
        )


def test_the_losses_of_transformers_heads_are_named(tmp_path):
    for number, (made, rows, expected) in enumerate(heads()):
        record, _, _ = trained(tmp_path / str(number), made, Dataset.from_dict(rows), max_steps=1)

        assert record.training.objective == expected


def test_label_smoothing_takes_the_place_of_a_loss_in_forward(tmp_path):
    made = FocalBertForSequenceClassification(training.bert().config)
    # a loss of labels, which the Trainer then leaves out
    made.forward = type(made).__mro__[1].forward.__get__(made)
    record, _, _ = trained(tmp_path, made, training.dataset(8), label_smoothing_factor=0.2)

    assert (
        record.training.objective == "sequence classification (cross-entropy), label smoothing 0.2"
    )


def adalora(**settings):
    from peft import AdaLoraConfig, get_peft_model

    config = {
        "init_r": 6,
        "target_r": 3,
        "total_step": 10,
        "target_modules": ["q_proj"],
        "task_type": "CAUSAL_LM",
    }
    return get_peft_model(models.llama(), AdaLoraConfig(**config, **settings))


def language_batch():
    return {name: torch.tensor(models.language(4)[name]) for name in ("input_ids", "labels")}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("weight", [0.5, 0.2, 0.0])
def test_the_regularization_that_adalora_adds_to_the_loss_is_part_of_the_objective(
    tmp_path, weight
):
    made = adalora(orth_reg_weight=weight)
    with torch.no_grad():
        returned = float(made(**language_batch()).loss)
        alone = float(made.get_base_model()(**language_batch()).loss)

    record, _, _ = trained(tmp_path, made, models.language(), max_steps=1)

    term = f" + {weight:g} × orthogonality regularization of AdaLoRA"
    assert (returned > alone + 0.01) is bool(weight)
    assert (
        record.training.objective
        == f"causal language modeling (next-token cross-entropy{term if weight else ''})"
    )


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_smoothed_loss_of_the_trainer_has_no_term_of_adalora(tmp_path):
    record, _, _ = trained(
        tmp_path, adalora(), models.language(), max_steps=1, label_smoothing_factor=0.1
    )

    assert "AdaLoRA" not in record.training.objective
