"""Weights that a callback replaces after the last step (EMA, SWA): they are those of no step."""

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


class Average(TrainerCallback):
    """Keeps a copy of the last step's weights, and loads the mean over all steps when training ends, as EMA does."""

    def __init__(self, *, swaps):
        self.swaps, self.steps, self.last, self.sums = swaps, 0, {}, {}

    def on_step_end(self, args, state, control, model=None, **_):
        self.steps += 1
        self.last = {name: one.detach().clone() for name, one in model.named_parameters()}
        self.sums = {name: self.sums.get(name, 0) + one for name, one in self.last.items()}

    def on_train_end(self, args, state, control, model=None, **_):
        with torch.no_grad():
            for name, one in model.named_parameters() if self.swaps else ():
                one.copy_(self.sums[name] / self.steps)


def run(folder, *, swaps, first=False, **settings):
    """Train and save; return (card, evaluation of the record, whether the saved weights are the last step's)."""
    from safetensors.torch import load_file

    average, ours = Average(swaps=swaps), AutoCardCallback(emissions=False)
    settings = {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "metric_for_best_model": "loss",
        **settings,
    }
    with contextlib.redirect_stderr(io.StringIO()):
        trainer = training.trainer(
            folder,
            model=training.bert(),
            callbacks=[average, ours] if first else [ours, average],
            learning_rate=0.05,
            **settings,
        )
        trainer.train()
        trainer.save_model()
    saved = load_file(folder / "model.safetensors")
    same = all(torch.equal(saved[name], one) for name, one in average.last.items())
    record = json.loads((folder / "autocard.json").read_text())
    return (folder / "README.md").read_text(), record, same


@pytest.mark.parametrize("first", [False, True], ids=["after ours", "before ours"])
def test_weights_that_a_callback_replaces_at_the_end_are_not_those_of_the_last_step(
    tmp_path, first
):
    card, record, same = run(tmp_path, swaps=True, first=first)

    assert not same
    assert "Best loss during training" in card
    assert "of the last step" not in card
    assert "weights were changed after that evaluation" in card
    assert record["evaluation"]["best"]["loaded"] is None
    assert "changed" in record["missing"]["evaluation.best.loaded"]


def test_weights_that_a_callback_replaces_are_not_those_of_the_best_checkpoint_either(tmp_path):
    best = {"load_best_model_at_end": True, "save_strategy": "steps", "save_steps": 2}
    card, record, _ = run(tmp_path, swaps=True, **best)

    assert "These are the weights of this model" not in card
    assert record["evaluation"]["best"]["loaded"] is None


def test_weights_that_nothing_replaces_are_those_of_the_last_step(tmp_path):
    card, record, same = run(tmp_path, swaps=False)

    assert same
    assert "This model has the weights of the last step." in card
    assert record["evaluation"]["best"]["loaded"] is False


def test_best_weights_that_nothing_replaces_are_those_of_this_model(tmp_path):
    best = {"load_best_model_at_end": True, "save_strategy": "steps", "save_steps": 2}
    card, _, _ = run(tmp_path, swaps=False, **best)

    assert "These are the weights of this model." in card
