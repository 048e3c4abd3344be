"""Settings that a callback changes in the middle of a training, and the number format of the weights that are saved."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
from transformers import TrainerCallback

from autocard import AutoCardCallback
from support import training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


class Reads(TrainerCallback):
    """Reads the learning rate that each step uses."""

    def __init__(self):
        self.rates = {}

    def on_pre_optimizer_step(self, args, state, control, optimizer=None, **_):
        self.rates[str(state.global_step + 1)] = optimizer.param_groups[0]["lr"]


class Changes(TrainerCallback):
    """Changes settings of the optimizer and of the arguments after a step."""

    def __init__(self, step, arguments=None, **group):
        self.step, self.arguments, self.group = step, arguments or {}, group

    def on_step_end(self, args, state, control, optimizer=None, **_):
        if state.global_step == self.step:
            for group in optimizer.param_groups:
                group.update(self.group)
            for name, value in self.arguments.items():
                setattr(args, name, value)


def train(folder, *callbacks, model=None, **settings):
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        plain = {"learning_rate": 1e-3, "lr_scheduler_type": "constant", "max_steps": 4}
        trainer = training.trainer(
            folder, model=model, callbacks=[ours, *callbacks], **{**plain, **settings}
        )
        trainer.train()
    return (
        trainer,
        json.loads((folder / "autocard.json").read_text())["training"],
        (folder / "README.md").read_text(),
    )


def test_a_learning_rate_that_a_callback_sets_is_told_with_its_step(tmp_path):
    reads = Reads()
    _, said, card = train(tmp_path, reads, Changes(2, lr=0.5))

    assert reads.rates["3"] == 0.5
    assert said["learning_rates"] == reads.rates
    assert said["changed"] == ["learning rate 0.001 → 0.5 at step 3"]
    assert "Changed during training: learning rate 0.001 → 0.5 at step 3" in card


def test_no_learning_rate_is_told_of_a_step_that_was_not_made(tmp_path):
    class Stops(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 2

    reads = Reads()
    _, said, _ = train(tmp_path, reads, Stops())

    assert said["learning_rates"] == reads.rates
    assert list(reads.rates) == ["1", "2"]


def test_weight_decay_and_accumulation_that_a_callback_sets_are_told(tmp_path):
    _, said, card = train(
        tmp_path, Changes(1, {"gradient_accumulation_steps": 2}, weight_decay=0.3)
    )

    assert said["changed"] == [
        "gradient accumulation steps 1 → 2 at step 2",
        "weight decay 0 → 0.3 at step 2",
    ]
    assert said["effective_batch_size"] is None
    assert said["losses_summed"] is None
    assert "Total train batch size" not in card


@pytest.mark.parametrize(
    "schedule", ["constant", "linear", "cosine", "inverse_sqrt", "reduce_lr_on_plateau"]
)
def test_a_schedule_alone_is_no_change(tmp_path, schedule):
    reads = Reads()
    evaluates = (
        {"eval_strategy": "steps", "eval_steps": 2} if schedule == "reduce_lr_on_plateau" else {}
    )
    _, said, card = train(tmp_path, reads, lr_scheduler_type=schedule, warmup_steps=1, **evaluates)

    assert said["learning_rates"] == reads.rates
    assert said["changed"] == []
    assert "Changed during training" not in card


# -- the format of the weights that are saved ------------------------------------------------------


def formats(file):
    from safetensors.torch import load_file

    return {str(one.dtype).removeprefix("torch.") for one in load_file(file).values()}


@pytest.mark.parametrize("how", ["evaluation in bf16", "half", "as trained", "adapter in half"])
def test_weights_that_are_saved_in_another_format_than_the_trained_one_are_said_to_be(
    tmp_path, how
):
    model = training.lora(training.bert()) if how == "adapter in half" else training.bert()
    trainer, _, _ = train(tmp_path, model=model, bf16_full_eval=how == "evaluation in bf16")
    with contextlib.redirect_stdout(io.StringIO()):
        if how == "evaluation in bf16":
            trainer.evaluate()
        elif how != "as trained":
            trainer.model.half()
        trainer.save_model()

    record, card = (
        json.loads((tmp_path / "autocard.json").read_text()),
        (tmp_path / "README.md").read_text(),
    )
    name = "adapter_model" if how == "adapter in half" else "model"
    (saved,) = formats(tmp_path / f"{name}.safetensors")
    assert record["model"]["saved_dtype"] == saved
    assert record["precision"]["trainable_dtype"] in ("float32", None)
    assert (f"saved weights `{saved}`" in card) is (how != "as trained")
