"""Settings that differ between an optimizer's parameter groups, as real trainings have them."""

from __future__ import annotations

import torch
from transformers import Trainer

from autocard import AutoCardCallback
from autocard.record import load
from support import training


def optimizer_of(out, groups_of=None, **changes):
    model = training.bert()
    made = None if groups_of is None else torch.optim.AdamW(groups_of(model))
    trainer = Trainer(
        model=model,
        args=training.arguments(out, max_steps=2, **changes),
        train_dataset=training.dataset(16),
        optimizers=(made, None),
        callbacks=[AutoCardCallback(emissions=False)],
    )
    trainer.train()
    return load(out).training.optimizer


def test_the_trainers_own_groups_say_that_biases_and_norms_have_no_weight_decay(tmp_path):
    said = optimizer_of(tmp_path, weight_decay=0.01, learning_rate=1e-4)

    assert "learning rate 1e-4" in said
    assert "weight decay 0.01 (0 for biases and norms)" in said


def test_groups_that_spare_other_weights_do_not_say_so(tmp_path):
    def groups(model):
        head = list(model.classifier.parameters())
        ids = {id(one) for one in head}
        rest = [one for one in model.parameters() if id(one) not in ids]
        return [
            {"params": rest, "lr": 1e-4, "weight_decay": 0.01},
            {"params": head, "lr": 1e-2, "weight_decay": 0.0},
        ]

    said = optimizer_of(tmp_path, groups)

    assert "learning rates 1e-4, 0.01 (2 parameter groups)" in said
    assert "weight decay 0.01, 0 (2 parameter groups)" in said
    assert "biases" not in said
