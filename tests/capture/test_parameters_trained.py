"""Which parameters a training has changed, against their bytes before and after it."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import torch
from transformers import Trainer, TrainerCallback

from autocard import AutoCardCallback
from support import training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


class Does(TrainerCallback):
    """Sets whether the body asks for gradients when an event comes: {event: {step: asks}}."""

    def __init__(self, model, **events):
        self.body, self.events = model.bert, events

    def _at(self, event, state):
        asks = self.events.get(event, {}).get(state.global_step)
        if asks is not None:
            self.body.requires_grad_(asks)

    def on_train_begin(self, args, state, control, **_):
        self._at("train_begin", state)

    def on_step_begin(self, args, state, control, **_):
        self._at("step_begin", state)

    def on_step_end(self, args, state, control, **_):
        self._at("step_end", state)


def train(folder, model, *, callbacks=(), cls=Trainer, optimizers=(None, None), **settings):
    """Train; return (model's part of the record, card, count of the tensors' numbers that changed, count of all)."""
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    arguments = training.arguments(
        folder,
        **{"learning_rate": 1e-2, "max_steps": 5, "lr_scheduler_type": "constant", **settings},
    )
    with contextlib.redirect_stdout(io.StringIO()):
        trainer = cls(
            model=model,
            args=arguments,
            train_dataset=training.dataset(32),
            callbacks=[ours, *callbacks],
            optimizers=optimizers,
        )
        trainer.train()
    changed = [
        one.numel() for name, one in model.named_parameters() if not torch.equal(before[name], one)
    ]
    record = json.loads((folder / "autocard.json").read_text())
    return (
        record["model"],
        (folder / "README.md").read_text(),
        sum(changed),
        sum(one.numel() for one in before.values()),
    )


def adamw(*groups):
    return torch.optim.AdamW(
        [{"params": list(parameters), "lr": rate} for parameters, rate in groups]
    )


HEAD = 66


@pytest.mark.parametrize(
    "order",
    [
        "frozen when training begins",
        "not in the optimizer",
        "in a group without a rate",
        "without gradients",
    ],
)
def test_a_body_that_no_step_changes_is_not_counted_as_trained(tmp_path, order):
    model, callbacks, cls, optimizers = training.bert(), [], Trainer, (None, None)
    if order == "frozen when training begins":
        callbacks = [Does(model, train_begin={0: False})]
    elif order == "not in the optimizer":
        optimizers = adamw((model.classifier.parameters(), 1e-2)), None
    elif order == "in a group without a rate":
        optimizers = (
            adamw((model.bert.parameters(), 0.0), (model.classifier.parameters(), 1e-2)),
            None,
        )
    else:

        class cls(Trainer):  # noqa: N801
            def compute_loss(self, model, inputs, *args, return_outputs=False, **more):
                with torch.no_grad():
                    pooled = model.bert(inputs["input_ids"], inputs["attention_mask"]).pooler_output
                return torch.nn.functional.cross_entropy(model.classifier(pooled), inputs["labels"])

    said, card, changed, total = train(
        tmp_path, model, callbacks=callbacks, cls=cls, optimizers=optimizers
    )

    assert changed == HEAD
    assert said["parameters_trainable"] == changed
    assert said["trained_modules"] == ["classifier"]
    assert said["trained_in_some_steps"] == []
    assert f"{total:,} in total, {HEAD} trained" in card


@pytest.mark.parametrize(
    "events",
    [
        {"step_begin": {0: False, 2: True}},
        {"step_begin": {1: False}},
        {"step_end": {1: False}},
        {"train_begin": {0: False}, "step_end": {3: True}},
        {"step_begin": {1: False, 3: True}},
    ],
)
def test_a_body_that_was_trained_for_a_while_is_counted_and_said_to_be(tmp_path, events):
    model = training.bert()
    optimizers = adamw((model.parameters(), 1e-2)), None

    said, card, changed, total = train(
        tmp_path, model, callbacks=[Does(model, **events)], optimizers=optimizers
    )

    assert changed == total
    assert said["parameters_trainable"] == total
    assert said["trained_in_some_steps"] == ["bert"]
    assert (
        "Trained only in some steps:** `bert`" in card
        or "Trained only in some steps: `bert`" in card
    )


def test_a_body_that_is_unfrozen_after_the_last_step_is_not_trained(tmp_path):
    model = training.bert()
    model.bert.requires_grad_(False)
    optimizers = adamw((model.parameters(), 1e-2)), None

    said, _, changed, _ = train(
        tmp_path, model, callbacks=[Does(model, step_end={5: True})], optimizers=optimizers
    )

    assert said["parameters_trainable"] == changed == HEAD


def test_an_adapter_s_weights_are_counted_as_before(tmp_path):
    model = training.lora(training.bert())
    asking = sum(one.numel() for one in model.parameters() if one.requires_grad)

    said, _, changed, _ = train(tmp_path, model)

    assert said["parameters_trainable"] == asking == changed
    assert said["trained_modules"] == said["trained_unsaved"] == said["trained_in_some_steps"] == []


def test_a_whole_model_is_said_to_be_trained_whole_with_a_warmup(tmp_path):
    said, card, changed, total = train(
        tmp_path, training.bert(), warmup_steps=2, lr_scheduler_type="linear"
    )

    assert changed == total == said["parameters_trainable"]
    assert "all trained" in card
    assert said["trained_in_some_steps"] == said["trained_modules"] == []


def test_gradients_that_are_added_up_over_batches_are_seen(tmp_path):
    said, _, changed, total = train(tmp_path, training.bert(), gradient_accumulation_steps=2)

    assert said["parameters_trainable"] == changed == total
