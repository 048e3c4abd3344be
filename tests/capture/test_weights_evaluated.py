"""Evaluations of weights or adapters that are not those that training ended with: no results of the model."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import torch
from transformers import TrainerCallback

from autocard import AutoCardCallback
from support import models, training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


def trained(folder, model, *, callbacks=(), **settings):
    """Train, save and evaluate; return (trainer, the loss that the trained model has)."""
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    settings = {"learning_rate": 0.1, "max_steps": 10, **settings}
    with contextlib.redirect_stderr(io.StringIO()):
        trainer = training.trainer(folder, model=model, callbacks=[ours, *callbacks], **settings)
        trainer.train()
        own = trainer.evaluate()["eval_loss"]
        trainer.save_model()
    return trainer, own


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


def losses(folder):
    return [
        one["value"] for one in record(folder)["evaluation"]["results"] if one["name"] == "loss"
    ]


def why(folder):
    return [
        reason
        for path, reason in record(folder)["missing"].items()
        if path.startswith("evaluation.results")
    ]


def card(folder):
    return (folder / "README.md").read_text()


def test_the_bare_base_s_result_does_not_replace_the_adapter_s(tmp_path):
    trainer, own = trained(tmp_path, None)

    with trainer.model.disable_adapter():
        base = trainer.evaluate()["eval_loss"]
        trainer.predict(training.dataset(8), metric_key_prefix="base")

    assert base != own
    assert losses(tmp_path) == [own]
    assert any("the adapter was disabled" in reason for reason in why(tmp_path))
    history = record(tmp_path)["evaluation"]["history"]
    assert base not in [entry.get("eval_loss") for entry in history]
    assert f"{base:.4g}" not in card(tmp_path)


def test_the_bare_base_s_result_alone_is_left_out_with_the_reason(tmp_path):
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    trainer = training.trainer(tmp_path, callbacks=[ours])
    trainer.train()
    with trainer.model.disable_adapter():
        trainer.evaluate()

    assert losses(tmp_path) == []
    assert "the adapter was disabled" in record(tmp_path)["missing"]["evaluation.results"]

    own = trainer.evaluate()["eval_loss"]
    assert losses(tmp_path) == [own]


def test_a_result_of_another_adapter_does_not_replace_the_trained_one_s(tmp_path):
    from peft import LoraConfig

    model = training.lora(training.bert())
    settings = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["key"], init_lora_weights=False)
    model.add_adapter("second", settings)
    model.set_adapter("second")
    trainer, own = trained(tmp_path, model)
    trainer.model.set_adapter("default")

    other = trainer.evaluate()["eval_loss"]

    assert other != own
    assert losses(tmp_path) == [own]
    assert any("`default` instead of `second`" in reason for reason in why(tmp_path))


@pytest.mark.parametrize("change", ["all", "head", "frozen part", "one adapter tensor"])
def test_a_result_of_overwritten_weights_does_not_replace_the_trained_model_s(tmp_path, change):
    if change == "one adapter tensor":
        model = training.lora(training.bert())
    else:
        model = training.bert()
        model.bert.embeddings.requires_grad_(False)
    trainer, own = trained(tmp_path, model, learning_rate=0.01)
    with torch.no_grad():
        if change == "all":
            model.load_state_dict(
                {
                    name: one + 0.3
                    for name, one in model.state_dict().items()
                    if one.is_floating_point()
                },
                strict=False,
            )
        elif change == "head":
            torch.nn.init.normal_(model.classifier.weight, std=5)
        elif change == "frozen part":
            torch.nn.init.normal_(model.bert.embeddings.word_embeddings.weight)
        else:
            next(one for name, one in model.named_parameters() if "lora_B" in name).fill_(3)

    other = trainer.evaluate()["eval_loss"]

    assert other != own
    assert losses(tmp_path) == [own]
    assert any("not those at the end of training" in reason for reason in why(tmp_path))


def test_an_adapter_that_was_scaled_for_an_evaluation_is_not_the_trained_one(tmp_path):
    trainer, own = trained(tmp_path, None)
    for layer in trainer.model.modules():
        if hasattr(layer, "scale_layer"):
            layer.scale_layer(0.1)

    trainer.evaluate()

    assert losses(tmp_path) == [own]


def test_an_adapter_that_was_taken_off_is_not_evaluated(tmp_path):
    trainer, own = trained(tmp_path, None)
    trainer.model = trainer.model_wrapped = trainer.model.unload()

    trainer.evaluate()

    assert losses(tmp_path) == [own]
    assert any("taken off" in reason for reason in why(tmp_path))


@pytest.mark.parametrize(
    "how", ["merged in place", "merged and unloaded", "rounded", "untouched", "compiled"]
)
def test_a_result_of_the_trained_weights_in_another_form_is_the_model_s(tmp_path, how):
    trainer, own = trained(tmp_path, None)
    if how == "merged in place":
        trainer.model.merge_adapter()
    elif how == "merged and unloaded":
        trainer.model = trainer.model_wrapped = trainer.model.merge_and_unload()
    elif how == "rounded":
        trainer.model.bfloat16().float()
    elif how == "compiled":
        trainer.model = trainer.model_wrapped = torch.compile(trainer.model, backend="eager")

    again = trainer.evaluate(training.dataset(12, seed=9), metric_key_prefix="eval_more")[
        "eval_more_loss"
    ]

    assert sorted(losses(tmp_path)) == sorted([own, again])


def test_prompt_tuning_that_is_disabled_is_not_the_trained_model(tmp_path):
    from peft import PromptTuningConfig, get_peft_model

    model = get_peft_model(
        models.llama(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    )
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    trainer = models.train(model, models.language(), tmp_path, ours, learning_rate=0.1, max_steps=3)
    own = trainer.evaluate(models.language())["eval_loss"]
    with trainer.model.disable_adapter():
        trainer.evaluate(models.language())

    assert losses(tmp_path) == [own]


def test_an_evaluation_in_training_with_the_adapter_disabled_is_no_result(tmp_path):
    class Baseline(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **_):
            if state.global_step == 3:
                with model.disable_adapter():
                    found["base"] = trainer.evaluate()["eval_loss"]

    found = {}
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    trainer = training.trainer(tmp_path, callbacks=[ours, Baseline()], learning_rate=0.1)
    trainer.train()

    assert found["base"] not in losses(tmp_path)
    assert "the adapter was disabled" in record(tmp_path)["missing"]["evaluation.results"]


def test_evaluations_of_best_checkpoints_are_the_model_s(tmp_path):
    settings = {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    _, own = trained(tmp_path, None, load_best_model_at_end=True, **settings)

    assert losses(tmp_path) == [own]
