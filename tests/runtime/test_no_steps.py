"""Runs that end without an optimizer step: nothing was trained, and the card says so."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import torch
from transformers import TrainerCallback

from autocard import AutoCardCallback
from support import training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

MODELS = {
    "fresh": (training.bert, {}),
    "base": (training.bert, {"base_model": "org/base"}),
    "adapter": (lambda: training.lora(training.bert()), {"base_model": "org/base"}),
}


class Breaks(TrainerCallback):
    def on_step_begin(self, *_, **__):
        msg = "broken off"
        raise RuntimeError(msg)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("how", ["no epochs", "error in the first step"])
def test_a_run_without_a_step_has_trained_nothing(tmp_path, kind, how):
    make, facts = MODELS[kind]
    model = make()
    before = {name: one.detach().clone() for name, one in model.named_parameters()}
    settings = {"max_steps": -1, "num_train_epochs": 0} if how == "no epochs" else {}
    callbacks = [
        AutoCardCallback(emissions=False, **facts),
        *([] if how == "no epochs" else [Breaks()]),
    ]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(RuntimeError):
        trainer = training.trainer(tmp_path, model=model, callbacks=callbacks, **settings)
        trainer.train()
    with contextlib.redirect_stderr(io.StringIO()):
        trainer.save_model()

    assert all(torch.equal(one, before[name]) for name, one in model.named_parameters())
    assert json.loads((tmp_path / "autocard.json").read_text())["run"]["global_step"] == 0
    card = (tmp_path / "README.md").read_text()
    assert "0 optimizer steps" in card
    assert "none trained" in card
    for untrue in (
        "all trained",
        "trained from scratch",
        "A fine-tuned version",
        "Trained modules",
    ):
        assert untrue not in card
    assert "not trained in this run" in card


def test_a_run_with_one_step_has_trained_its_model(tmp_path):
    with contextlib.redirect_stderr(io.StringIO()):
        ours = AutoCardCallback(emissions=False)
        training.trainer(tmp_path, model=training.bert(), callbacks=[ours], max_steps=1).train()

    card = (tmp_path / "README.md").read_text()
    assert "all trained" in card
    assert "trained from scratch" in card
    assert "not trained" not in card
