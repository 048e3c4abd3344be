"""The losses that the Trainer logs under gradient accumulation: sums are called sums.

Truth: at a learning rate of zero each batch's mean loss is computed here, from logits and labels.
"""

from __future__ import annotations

import contextlib
import io

import pytest
import torch
import transformers
from datasets import Dataset

from autocard import AutoCardCallback
from autocard.record import load
from support import models

BATCHES = 2
ROWS = 8

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def sizes():
    return {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }


def made(cls, config, **settings):
    torch.manual_seed(0)
    return cls(config(**settings))


def text(labels):
    ids = [[5 + (row + place) % 9 for place in range(6)] for row in range(ROWS)]
    return Dataset.from_dict(
        {"input_ids": ids, "attention_mask": [[1] * 6] * ROWS, "labels": labels}
    )


def classes():
    return text([row % 2 for row in range(ROWS)])


def numbers():
    return text([0.5 * row for row in range(ROWS)])


def tags():
    return text([[(row + place) % 2 for place in range(6)] for row in range(ROWS)])


def words():
    return text([[5 + (row + place) % 9 for place in range(6)] for row in range(ROWS)])


def pictures():
    drawn = torch.rand(ROWS, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return Dataset.from_dict(
        {"pixel_values": drawn.tolist(), "labels": [row % 2 for row in range(ROWS)]}
    )


def bert(cls, **settings):
    return made(cls, transformers.BertConfig, vocab_size=14, **sizes(), **settings)


class Weighted(transformers.Trainer):
    """A loss of its own for each batch."""

    def compute_loss(self, model, inputs, return_outputs=False, **_):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = torch.nn.functional.cross_entropy(outputs.logits, labels)
        return (loss, outputs) if return_outputs else loss


class Passing(transformers.Trainer):
    """A loss of its own that hands everything on."""

    def compute_loss(self, model, inputs, return_outputs=False, **more):
        return super().compute_loss(model, inputs, return_outputs=return_outputs, **more)


def of_batch(outputs, labels, **_):
    return torch.nn.functional.cross_entropy(outputs.logits, labels)


def of_step(outputs, labels, num_items_in_batch=None):
    return (
        torch.nn.functional.cross_entropy(outputs.logits, labels, reduction="sum")
        / num_items_in_batch
    )


PLAIN = (transformers.Trainer, {})


def cases():
    hf = transformers
    vit = {"image_size": 16, "patch_size": 8, **sizes()}
    classifier = lambda: bert(hf.BertForSequenceClassification)  # noqa: E731
    return {
        "BERT, classes": (classifier, classes, PLAIN),
        "BERT, numbers": (
            lambda: bert(hf.BertForSequenceClassification, num_labels=1),
            numbers,
            PLAIN,
        ),
        "BERT, masked words": (lambda: bert(hf.BertForMaskedLM), words, PLAIN),
        "BERT, tags": (lambda: bert(hf.BertForTokenClassification), tags, PLAIN),
        "Llama": (models.llama, words, PLAIN),
        "Llama, classes": (
            lambda: made(
                hf.LlamaForSequenceClassification,
                hf.LlamaConfig,
                vocab_size=14,
                pad_token_id=0,
                **sizes(),
            ),
            classes,
            PLAIN,
        ),
        "Llama, numbers": (
            lambda: made(
                hf.LlamaForSequenceClassification,
                hf.LlamaConfig,
                vocab_size=14,
                pad_token_id=0,
                num_labels=1,
                **sizes(),
            ),
            numbers,
            PLAIN,
        ),
        "ViT": (lambda: made(hf.ViTForImageClassification, hf.ViTConfig, **vit), pictures, PLAIN),
        "own compute_loss": (classifier, classes, (Weighted, {})),
        "own compute_loss, handed on": (models.llama, words, (Passing, {})),
        "compute_loss_func of a batch": (
            classifier,
            classes,
            (hf.Trainer, {"compute_loss_func": of_batch}),
        ),
        "compute_loss_func of a step": (
            classifier,
            classes,
            (hf.Trainer, {"compute_loss_func": of_step}),
        ),
    }


def mean_loss(model, data, problem):
    """Return the mean loss of all rows."""
    rows = {name: torch.tensor(data[name]) for name in data.column_names}
    labels = rows.pop("labels")
    model.eval()
    with torch.no_grad():
        logits = model(**rows).logits
    if problem == "numbers":
        return float(torch.nn.functional.mse_loss(logits.squeeze(), labels))
    if problem == "Llama":
        logits, labels = logits[:, :-1], labels[:, 1:]
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten()))


@pytest.mark.parametrize("name", cases())
def test_a_loss_that_is_a_sum_over_accumulated_batches_is_said_to_be_one(name, tmp_path):
    make, data, (cls, more) = cases()[name]
    model, rows = make(), data()
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    with contextlib.redirect_stderr(io.StringIO()):
        host = models.train(
            model, rows, tmp_path, AutoCardCallback(emissions=False), cls=cls, trainer=more, learning_rate=0.0,
            gradient_accumulation_steps=BATCHES, per_device_train_batch_size=ROWS // BATCHES, max_steps=1,
        )  # fmt: skip

    record, card = load(tmp_path), (tmp_path / "README.md").read_text()
    problem = (
        "numbers"
        if data is numbers
        else "Llama"
        if data is words and "BERT" not in name
        else "classes"
    )
    times = host.state.log_history[0]["loss"] / mean_loss(model, rows, problem)
    assert times == pytest.approx(1, rel=0.02) or times == pytest.approx(BATCHES, rel=0.02)
    is_sum = round(times) == BATCHES
    assert record.training.losses_summed == (BATCHES if is_sum else None)
    assert ("(sum over the 2 batches of each step)" in card) is is_sum


def test_a_loss_of_single_batches_is_a_mean(tmp_path):
    models.train(
        bert(transformers.BertForSequenceClassification),
        classes(),
        tmp_path,
        AutoCardCallback(emissions=False),
    )

    assert load(tmp_path).training.losses_summed is None
    assert "sum over" not in (tmp_path / "README.md").read_text()


class CountedBatches(transformers.Trainer):
    """Count the batches of each optimizer step."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.batches = []

    def get_batch_samples(self, *args, **kwargs):
        batches, items = super().get_batch_samples(*args, **kwargs)
        self.batches.append(len(batches))
        return batches, items


@pytest.mark.parametrize(
    ("rows_per_batch", "settings", "words"),
    [
        (4, {"max_steps": 2}, "sum over the 2 batches of each step"),
        (
            3,
            {"max_steps": 2, "dataloader_drop_last": True},
            "sum over the 2 batches of each step",
        ),
        (
            2,
            {"num_train_epochs": 1, "gradient_accumulation_steps": 3},
            "3 batches of each step, 1 in the last step",
        ),
        (
            2,
            {"max_steps": 1, "gradient_accumulation_steps": 3},
            "sum over the 3 batches of each step)",
        ),
        (8, {"max_steps": 2}, None),
    ],
)
def test_the_batches_of_a_sum_are_those_that_the_steps_took(
    rows_per_batch, settings, words, tmp_path
):
    with contextlib.redirect_stderr(io.StringIO()):
        host = models.train(
            bert(transformers.BertForSequenceClassification), classes(), tmp_path, AutoCardCallback(emissions=False),
            cls=CountedBatches, per_device_train_batch_size=rows_per_batch,
            **{"gradient_accumulation_steps": 4, "max_steps": -1, **settings},
        )  # fmt: skip

    training, card = load(tmp_path).training, (tmp_path / "README.md").read_text()
    usual, last = max(host.batches), min(host.batches)
    assert training.losses_summed == (usual if usual > 1 else None)
    assert training.losses_summed_last == (last if last < usual else None)
    assert (words in card) if words else ("sum over" not in card)
