"""Which settings a record lists as the run's: what a person gave, and what had an effect."""

from __future__ import annotations

import contextlib
import io
import json

import pytest
import torch
import transformers
from transformers import Trainer

from autocard import AutoCardCallback
from support import training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

NUMBERS = {"eval_wer": 0.5, "eval_f1": 0.5}


def train(folder, *, cls=Trainer, model=None, optimizers=(None, None), **settings):
    """Train a classifier; return what the record says of the training."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        trainer = cls(
            model=training.bert() if model is None else model,
            args=training.arguments(folder, **{"max_steps": 2, **settings}),
            train_dataset=training.dataset(24),
            eval_dataset=training.dataset(8),
            callbacks=[AutoCardCallback(base_model="org/base", emissions=False)],
            compute_metrics=lambda _: {"wer": 0.5, "f1": 0.5},
            optimizers=optimizers,
        )
        trainer.train()
    return json.loads((folder / "autocard.json").read_text())["training"]


# -- what the library set --------------------------------------------------------------------------

SAVING = {"eval_strategy": "steps", "save_strategy": "steps", "save_steps": 2, "logging_steps": 2}
GIVEN = [
    (
        {"metric_for_best_model": "wer", "greater_is_better": False, **SAVING},
        {"greater_is_better"},
        set(),
    ),
    ({"metric_for_best_model": "eval_f1", **SAVING}, set(), {"greater_is_better", "eval_steps"}),
    ({"metric_for_best_model": "eval_loss", **SAVING}, set(), {"greater_is_better"}),
    (
        {"metric_for_best_model": "eval_loss", "greater_is_better": True, **SAVING},
        {"greater_is_better"},
        set(),
    ),
    (
        {"load_best_model_at_end": True, **SAVING},
        {"load_best_model_at_end"},
        {"metric_for_best_model", "greater_is_better"},
    ),
    ({**SAVING, "eval_steps": 1}, {"eval_steps"}, set()),
    (
        {"torch_compile_backend": "eager", "torch_compile": True},
        {"torch_compile", "torch_compile_backend"},
        set(),
    ),
]


@pytest.mark.parametrize(("given", "differs", "is_default"), GIVEN)
def test_a_setting_that_the_library_chose_is_at_its_default_and_another_is_not(
    tmp_path, given, differs, is_default
):
    said = train(tmp_path, **given)

    assert differs <= set(said["non_default"])
    assert is_default.isdisjoint(said["non_default"])
    assert is_default <= set(said["hyperparameters"])


def test_trl_s_own_choice_of_bf16_is_its_default(tmp_path):
    from trl import SFTConfig

    from autocard.trainers import argument_defaults

    chosen = SFTConfig(str(tmp_path), report_to="none", use_cpu=True)
    other = SFTConfig(str(tmp_path), report_to="none", use_cpu=True, bf16=False)

    assert argument_defaults.derived("bf16", chosen) is True
    assert chosen.bf16 is True
    assert argument_defaults.derived("bf16", other) is True
    assert other.bf16 is False


# -- what had no effect ----------------------------------------------------------------------------


class OwnLoader(Trainer):
    def get_train_dataloader(self):
        from torch.utils.data import DataLoader, WeightedRandomSampler

        data = self._remove_unused_columns(self.train_dataset, "training")
        sampler = WeightedRandomSampler([1.0] * 24, num_samples=20)
        return DataLoader(data, batch_size=5, sampler=sampler, collate_fn=self.data_collator)


class SameSize(Trainer):
    def get_train_dataloader(self):
        return super().get_train_dataloader()


class OwnSampler(Trainer):
    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


class OwnEvalLoader(Trainer):
    def get_eval_dataloader(self, eval_dataset=None):
        from torch.utils.data import DataLoader

        data = self._remove_unused_columns(eval_dataset or self.eval_dataset, "evaluation")
        return DataLoader(data, batch_size=2, collate_fn=self.data_collator)


def test_the_batch_size_of_arguments_is_not_told_where_a_loader_of_the_run_s_own_has_another(
    tmp_path,
):
    said = train(tmp_path, cls=OwnLoader, dataloader_drop_last=True)

    gone = {
        "per_device_train_batch_size",
        "dataloader_drop_last",
        "train_sampling_strategy",
        "group_by_length",
    }
    assert gone.isdisjoint(said["hyperparameters"])
    assert said["effective_batch_size"] == 5
    assert said["hyperparameters"]["dataloader_num_workers"] == 0


def test_the_batch_size_of_arguments_is_told_where_a_loader_of_the_run_s_own_has_the_same(tmp_path):
    said = train(tmp_path, cls=SameSize)

    assert said["hyperparameters"]["per_device_train_batch_size"] == 4


def test_the_sampling_of_arguments_is_not_told_beside_a_sampler_of_the_run_s_own(tmp_path):
    said = train(tmp_path, cls=OwnSampler, data_seed=7)

    assert {"data_seed", "train_sampling_strategy", "group_by_length"}.isdisjoint(
        said["hyperparameters"]
    )
    assert said["hyperparameters"]["per_device_train_batch_size"] == 4


def test_the_batch_size_of_evaluation_is_not_told_beside_a_loader_of_the_run_s_own(tmp_path):
    said = train(tmp_path, cls=OwnEvalLoader, per_device_eval_batch_size=3)

    assert "per_device_eval_batch_size" not in said["hyperparameters"]


OWN_SCHEDULES = {
    "cosine": lambda optimizer: transformers.get_cosine_schedule_with_warmup(optimizer, 2, 6),
    "same kind, other warmup": lambda optimizer: transformers.get_linear_schedule_with_warmup(
        optimizer, 3, 6
    ),
    "constant": transformers.get_constant_schedule,
}


@pytest.mark.parametrize("name", OWN_SCHEDULES)
def test_a_schedule_of_transformers_that_the_run_made_itself_is_not_taken_for_that_of_the_arguments(
    tmp_path, name
):
    model = training.bert()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    made = OWN_SCHEDULES[name](optimizer)

    said = train(tmp_path, model=model, optimizers=(optimizer, made), max_steps=6)

    assert not said["scheduler"].startswith("linear")
    assert {"lr_scheduler_type", "warmup_steps"}.isdisjoint(said["hyperparameters"])


def test_a_schedule_of_the_run_s_own_that_is_the_one_of_the_arguments_is_told_by_its_name(tmp_path):
    model = training.bert()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    made = transformers.get_linear_schedule_with_warmup(optimizer, 2, 6)

    said = train(tmp_path, model=model, optimizers=(optimizer, made), max_steps=6, warmup_steps=2)

    assert said["scheduler"] == "linear with 2 warmup steps (of 6 in total)"


# -- what compiles ---------------------------------------------------------------------------------


def _layer(model):
    layer = model.bert.encoder.layer[0]
    layer.forward = torch.compile(layer.forward, backend="eager")


def _part(model):
    model.bert.pooler = torch.compile(model.bert.pooler, backend="eager")


def _forward(model):
    model.forward = torch.compile(model.forward, backend="eager")


def _disabled(model):
    model.forward = torch.compiler.disable(model.forward)


@pytest.mark.parametrize(
    ("change", "compiled"),
    [(_forward, True), (_layer, True), (_part, True), (_disabled, False), (None, False)],
)
def test_a_model_is_said_to_be_compiled_where_torch_compile_wraps_it_or_a_part_of_it(
    tmp_path, change, compiled
):
    model = training.bert()
    if change is not None:
        change(model)

    assert train(tmp_path, model=model)["compiled"] is compiled
