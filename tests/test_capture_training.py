"""How it was trained, against what the optimizer and the trainer's own state show."""

import dataclasses
from types import SimpleNamespace

import models
import pytest
import torch
import transformers
from transformers import Trainer, TrainingArguments

from autocard.capture import Seen, training
from autocard.record import empty_leaves
from autocard.settings import Settings

SECRET = {"hub_token": "hf_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def look(seen):
    missing = {}
    part = training.capture(seen, missing)
    assert [path for path in empty_leaves(part, "training") if path not in missing] == []
    return part


def run(folder, made=None, data=None, trainer=None, cls=Trainer, **arguments):
    watch = models.Watch(look)
    host = models.train(
        made or models.bert(),
        data or models.tokens(),
        folder,
        watch,
        cls=cls,
        trainer={"processing_class": models.tokenizer(), **(trainer or {})},
        **arguments,
    )
    return watch.result, host


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    """A run in which much is not at its default."""
    return run(
        tmp_path_factory.mktemp("run"),
        learning_rate=3e-3,
        weight_decay=0.01,
        adam_beta2=0.95,
        gradient_accumulation_steps=2,
        per_device_train_batch_size=2,
        warmup_steps=1,
        lr_scheduler_type="cosine",
        label_smoothing_factor=0.1,
        seed=7,
        run_name="secret-run",
        **SECRET,
    )


def test_what_differs_from_the_library_s_defaults_is_named(ordinary, tmp_path):
    found, _ = ordinary
    plain = TrainingArguments(output_dir=str(tmp_path))

    for name, value in found.hyperparameters.items():
        default = getattr(plain, name)
        default = getattr(default, "value", default)
        assert (name in found.non_default) == (value != default), name


def test_values_are_plain_and_the_ones_given(ordinary):
    found, _ = ordinary

    assert found.hyperparameters["lr_scheduler_type"] == "cosine"
    assert found.hyperparameters["learning_rate"] == 3e-3
    assert found.hyperparameters["max_steps"] == 2
    assert "num_train_epochs" not in found.hyperparameters  # max_steps overrules it
    assert all(type(value) in {str, int, float, bool} for value in found.hyperparameters.values())


def test_no_path_name_or_token_is_among_the_arguments(ordinary):
    found, host = ordinary
    text = found.model_dump_json()

    assert "hf_aaaa" not in text
    assert "secret-run" not in text
    assert host.args.output_dir not in text


def test_the_optimizer_is_told_as_it_is(ordinary):
    found, host = ordinary
    groups = host.optimizer.param_groups

    assert found.optimizer.startswith("AdamW (learning rate 0.003, betas (0.9, 0.95), epsilon 1e-08")
    assert {group["weight_decay"] for group in groups} == {0.01, 0.0}
    assert "weight decay 0.01 / 0" in found.optimizer


def test_the_schedule_is_told_with_its_warm_up(ordinary):
    assert ordinary[0].scheduler == "cosine, 1 warm-up steps of 2"


def test_the_effective_batch_is_what_one_step_consumes(tmp_path):
    seen_rows = []

    class Counting(Trainer):
        def training_step(self, model, inputs, *args, **kwargs):
            seen_rows.append(len(inputs["input_ids"]))
            return super().training_step(model, inputs, *args, **kwargs)

    found, host = run(tmp_path, cls=Counting, gradient_accumulation_steps=2, per_device_train_batch_size=2)

    assert found.effective_batch_size == sum(seen_rows) / host.state.global_step == 4


def test_the_batch_that_was_found_automatically_is_told(tmp_path):
    sizes = []

    class Small(Trainer):
        def training_step(self, model, inputs, *args, **kwargs):
            sizes.append(len(inputs["input_ids"]))
            if sizes[-1] > 6:
                msg = "CUDA out of memory."
                raise RuntimeError(msg)
            return super().training_step(model, inputs, *args, **kwargs)

    found, _ = run(tmp_path, cls=Small, per_device_train_batch_size=8, auto_find_batch_size=True, max_steps=1)

    assert found.effective_batch_size == sizes[-1] < 8
    assert found.hyperparameters["per_device_train_batch_size"] == sizes[-1]


def test_processes_and_accumulation_multiply_the_batch_and_tensor_parallel_ones_do_not():
    state = SimpleNamespace(train_batch_size=3)
    args = SimpleNamespace(world_size=8, gradient_accumulation_steps=5, parallelism_config=None)
    seen = Seen(Settings(), args, state)
    assert training.effective_batch_size(seen) == 3 * 8 * 5

    args.parallelism_config = SimpleNamespace(tp_size=4, cp_size=1)

    assert training.effective_batch_size(seen) == 3 * 2 * 5


@pytest.mark.parametrize(
    ("labels", "dtype", "loss"),
    [(2, int, "cross-entropy"), (1, float, "mean squared error"), (2, None, None)],
)
def test_the_classifier_s_loss_is_told_as_its_head_decides(tmp_path, labels, dtype, loss):
    data = models.tokens(8)
    if dtype is None:
        data = data.remove_columns("label").add_column("labels", [[0.0, 1.0]] * 8)
        loss = "binary cross-entropy, several labels"
    elif dtype is float:
        data = data.remove_columns("label").add_column("labels", [0.5] * 8)
    made = models.bert(num_labels=labels)

    found, _ = run(tmp_path, made, data, max_steps=1)

    # The oracle: what the head decided when the first batch came.
    decided = {
        "single_label_classification": "cross-entropy",
        "regression": "mean squared error",
        "multi_label_classification": "binary cross-entropy, several labels",
    }[made.config.problem_type]
    assert decided == loss
    assert found.objective.endswith(f"({loss})") or found.objective == "sequence classification"


def test_objectives_are_told_in_words(tmp_path):
    found, _ = run(tmp_path, models.llama(), models.language(), max_steps=1, trainer={"processing_class": None})

    assert found.objective == "causal language modelling (next-token cross-entropy)"


@pytest.mark.parametrize(
    ("name", "words"), [("SFTConfig", "supervised fine-tuning"), ("DPOConfig", "preference"), ("GRPOConfig", "GRPO")]
)
def test_trl_s_arguments_tell_the_objective_subclasses_included(name, words):
    parent = dataclasses.make_dataclass(name, [])
    child = dataclasses.make_dataclass("MyConfig", [], bases=(parent,))

    found = training._objective(Seen(Settings(), child(), None, model=models.llama()))

    assert words in found


def test_an_optimizer_and_a_schedule_of_one_s_own_are_told_by_class(tmp_path):
    made = models.bert()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.5, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)

    found, _ = run(tmp_path, made, max_steps=1, trainer={"optimizers": (optimizer, schedule)})

    assert found.optimizer == "SGD (learning rate 0.5, weight decay 0, momentum 0.9)"
    assert found.scheduler == "StepLR"


@pytest.mark.expects_failure
def test_one_fact_that_fails_does_not_cost_the_others():
    missing = {}
    args = SimpleNamespace(seed=3)  # no world size, no accumulation

    found = training.capture(Seen(Settings(), args, SimpleNamespace(train_batch_size=2), model=None), missing)

    assert found.seed == 3
    assert "AttributeError" in missing["training.effective_batch_size"]


def test_every_argument_on_the_list_belongs_to_some_trainer():
    known = {entry.name for entry in dataclasses.fields(transformers.Seq2SeqTrainingArguments)}
    from sentence_transformers import SentenceTransformerTrainingArguments

    known |= {entry.name for entry in dataclasses.fields(SentenceTransformerTrainingArguments)}
    private = {"output_dir", "run_name", "hub_token", "hub_model_id", "deepspeed", "resume_from_checkpoint", "project"}

    assert private & set(training.ALLOWED) == set()
    assert len(set(training.ALLOWED) & known) > 45
