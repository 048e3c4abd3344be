"""Schedule, optimizer, ends, preprocessing and evaluated weights, against what hooks saw of each training."""

import json

import pytest
import torch
import transformers
from capture.test_objective import trained
from datasets import Dataset
from transformers import EarlyStoppingCallback, Trainer, TrainerCallback

from autocard import record as parts
from autocard import units
from autocard.card.fields import facts
from autocard.record import load
from support import models, training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Rates(Trainer):
    """A trainer whose optimizer tells the learning rate that each of its steps used."""

    def create_optimizer(self, *args, **kwargs):
        made = super().create_optimizer(*args, **kwargs)
        if not hasattr(self, "used"):
            self.used = []
            # Of the class: accelerate wraps the object, and the schedule replaces its `step`.
            made.register_step_pre_hook(
                lambda optimizer, *_: self.used.append(optimizer.param_groups[0]["lr"])
            )
        return made


SCHEDULES = [
    ("constant", 3, 0, {}),
    ("constant", 0, 0, {}),
    ("constant_with_warmup", 3, 3, {}),
    ("linear", 1, 1, {}),
    ("linear", 8, 8, {}),
    ("cosine", 2, 2, {}),
    ("inverse_sqrt", 2, 2, {}),
    ("polynomial", 2, 2, {}),
    ("cosine_with_min_lr", 2, 2, {"lr_scheduler_kwargs": {"min_lr_rate": 0.1}}),
    ("warmup_stable_decay", 2, 2, {"lr_scheduler_kwargs": {"num_decay_steps": 2}}),
    ("reduce_lr_on_plateau", 2, 0, {"eval_strategy": "steps", "eval_steps": 8}),
]


@pytest.mark.parametrize(("name", "asked", "warmup", "more"), SCHEDULES)
def test_a_warmup_is_told_where_the_learning_rate_rose(tmp_path, name, asked, warmup, more):
    given = {"eval_dataset": training.dataset(4)} if "eval_strategy" in more else {}
    settings = {
        "lr_scheduler_type": name,
        "warmup_steps": asked,
        "learning_rate": 1e-3,
        "max_steps": 8,
        **more,
    }

    record, _, host = trained(
        tmp_path, training.bert(), training.dataset(32), cls=Rates, trainer=given, **settings
    )

    rose = host.used[0] < max(host.used[0], 1e-3)
    assert rose is (warmup > 0)
    words = record.training.scheduler
    assert (
        (f" with {units.plural(warmup, 'warmup step')} (of 8 in total)" in words)
        if warmup
        else ("warmup" not in words)
    )
    assert ("warmup_steps" in record.training.non_default) is bool(warmup)


def test_a_warmup_longer_than_the_run_is_not_said_to_be_a_part_of_its_steps(tmp_path):
    settings = {"warmup_steps": 10, "learning_rate": 1e-3, "max_steps": 3}

    record, card, host = trained(
        tmp_path, training.bert(), training.dataset(16), cls=Rates, **settings
    )

    assert max(host.used) < 1e-3
    assert (
        record.training.scheduler
        == "linear with 10 warmup steps (more than the 3 steps of the run)"
    )
    assert "steps of 3" not in card


def test_learning_rates_are_those_that_the_optimizer_stepped_with(tmp_path):
    record, _, host = trained(
        tmp_path,
        training.bert(),
        training.dataset(32),
        cls=Rates,
        max_steps=8,
        warmup_steps=2,
        learning_rate=1e-3,
    )

    found = {int(step): rate for step, rate in record.training.learning_rates.items()}
    assert found == {step: pytest.approx(host.used[step - 1]) for step in (1, 2, 3, 4, 5, 8)}


def test_a_schedule_of_the_run_s_own_is_told_by_its_learning_rates(tmp_path):
    made = training.bert()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))

    record, _, _ = trained(
        tmp_path,
        made,
        training.dataset(32),
        trainer={"optimizers": (optimizer, schedule)},
        max_steps=3,
        warmup_steps=2,
    )

    assert record.training.scheduler == (
        "custom LambdaLR (learning rate 0.1 at step 1, 0.05 at step 2, 0.0333 at step 3)"
    )
    assert "warmup_steps" not in record.training.hyperparameters


def test_a_resumed_constant_schedule_has_no_warmup_either(tmp_path):
    settings = {
        "lr_scheduler_type": "constant",
        "warmup_steps": 3,
        "save_strategy": "steps",
        "save_steps": 2,
    }
    trained(tmp_path, training.bert(), training.dataset(32), **settings, max_steps=2)

    record, _, _ = trained(
        tmp_path,
        training.bert(),
        training.dataset(32),
        **settings,
        max_steps=4,
        resume=str(tmp_path / "checkpoint-2"),
    )

    assert record.training.scheduler == "constant"
    assert set(record.training.learning_rates) == {"3", "4"}


@pytest.mark.parametrize(
    ("settings", "without"),
    [
        (
            {"optim": "adafactor", "adam_beta1": 0.5, "adam_epsilon": 1e-4},
            {"adam_beta1", "adam_epsilon"},
        ),
        ({"optim": "sgd", "adam_beta2": 0.5, "adam_epsilon": 1e-4}, {"adam_beta2", "adam_epsilon"}),
        (
            {"lr_scheduler_type": "constant", "lr_scheduler_kwargs": {"num_cycles": 2}},
            {"lr_scheduler_kwargs"},
        ),
    ],
)
def test_arguments_without_effect_are_not_among_the_settings(tmp_path, settings, without):
    record, _, host = trained(tmp_path, training.bert(), training.dataset(8), **settings)

    groups = host.optimizer.param_groups
    assert not any(
        "betas" in group and "adafactor" not in settings.values()
        for group in groups
        if "optim" in settings
    )
    assert without.isdisjoint(record.training.hyperparameters)


def test_low_rank_optimizers_are_named_with_rank_and_targets(tmp_path):
    pytest.importorskip("galore_torch")
    pytest.importorskip("apollo_torch")
    targets = {"optim_target_modules": ["query", "value"]}
    for name, method in (
        ("galore_adamw", "GaLore"),
        ("apollo_adamw", "APOLLO"),
        ("galore_adamw_layerwise", "GaLore"),
    ):
        record, _, host = trained(
            tmp_path / name,
            training.bert(),
            training.dataset(8),
            optim=name,
            optim_args="rank=4",
            **targets,
        )

        made = host.optimizer.optimizer
        groups = [
            g
            for one in getattr(made, "optimizer_dict", {0: made}).values()
            for g in one.param_groups
        ]
        assert {group["rank"] for group in groups if "rank" in group} == {4}
        assert record.training.optimizer.startswith(f"{method} AdamW")
        assert "rank 4" in record.training.optimizer
        assert "on query, value" in record.training.optimizer
        assert record.training.hyperparameters["optim_target_modules"] == "query value"


def test_paged_and_8_bit_optimizers_are_named():
    bitsandbytes = pytest.importorskip("bitsandbytes")
    from autocard.capture.training.optimizer import name_of

    weights = [torch.nn.Parameter(torch.zeros(2))]
    made = {
        "8-bit AdamW": bitsandbytes.optim.AdamW(weights, optim_bits=8),
        "paged 8-bit AdamW": bitsandbytes.optim.AdamW(weights, optim_bits=8, is_paged=True),
        "AdamW": bitsandbytes.optim.AdamW(weights),
        "PagedAdamW8bit": bitsandbytes.optim.PagedAdamW8bit(weights),
        "8-bit Lion": bitsandbytes.optim.Lion(weights, optim_bits=8),
    }

    assert {name_of(one): one for one in made.values()} == made


class Budget(TrainerCallback):
    """Stops after the first step."""

    def on_step_end(self, args, state, control, **_):
        control.should_training_stop = True


def accuracy(prediction):
    return {"accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean())}


def test_an_early_stop_names_its_patience_or_its_callback(tmp_path):
    evaluated = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "metric_for_best_model": "loss",
        "max_steps": 20,
    }
    given = {"eval_dataset": training.dataset(4), "compute_metrics": accuracy}
    cases = [
        (
            EarlyStoppingCallback(2),
            {"learning_rate": 0.5},
            "early stopping (patience 2 evaluations)",
        ),
        (EarlyStoppingCallback(1, 5.0), {}, "early stopping (patience 1 evaluation, threshold 5)"),
        (Budget(), {}, "stopped by Budget"),
    ]
    for number, (callback, settings, expected) in enumerate(cases):
        folder = tmp_path / str(number)
        ours = {**given}
        record, card, host = run_with(callback, folder, ours, **evaluated, **settings)

        assert host.state.global_step < 20
        assert record.run.stop_reason == expected
        assert f"- End of training: {expected}" in card


def run_with(callback, folder, given, **settings):
    from autocard import AutoCardCallback

    ours = AutoCardCallback(emissions=False)
    host = models.train(
        training.bert(), training.dataset(64), folder, callback, ours, trainer=given, **settings
    )
    return load(folder), (folder / "README.md").read_text(encoding="utf-8"), host


def test_a_finished_training_has_no_reason_to_have_stopped(tmp_path):
    evaluated = {
        "eval_strategy": "steps",
        "eval_steps": 1,
        "metric_for_best_model": "loss",
        "max_steps": 2,
    }

    record, card, _ = run_with(
        EarlyStoppingCallback(5), tmp_path, {"eval_dataset": training.dataset(4)}, **evaluated
    )

    assert record.run.stop_reason == ""
    assert "- Ended:" not in card


# -- preprocessing ---------------------------------------------------------------------------------


def test_masking_is_told_with_its_probability(tmp_path):
    words = models.tokenizer()
    data = models.tokens(8).remove_columns(["text", "label"])
    made = transformers.BertForMaskedLM(models.bert().config)
    for number, (settings, expected) in enumerate(
        [
            ({"mlm_probability": 0.3}, "30 % of tokens"),
            ({"mlm_probability": 0.15}, "15 % of tokens"),
        ]
    ):
        collator = transformers.DataCollatorForLanguageModeling(words, **settings)
        given = {"data_collator": collator, "processing_class": words}

        record, card, _ = trained(tmp_path / str(number), made, data, trainer=given)

        assert record.data.preprocessing.masking == {
            "probability": settings["mlm_probability"],
            "whole_words": False,
        }
        assert f"- Masking: {expected}" in card


@pytest.mark.parametrize(
    ("cut_at", "later", "label"),
    [
        (6, False, "Maximum sequence length: 6 tokens"),
        (20, False, "Tokenizer limit: 20 tokens"),
        (6, True, "Tokenizer limit: 32 tokens"),
    ],
)
def test_a_maximum_length_is_told_where_it_cut_the_rows(tmp_path, cut_at, later, label):
    words = models.tokenizer()

    def cut(rows):
        return words(rows["text"], truncation=True, max_length=cut_at)

    data = (
        models.texts(8)
        .map(cut, batched=True)
        .rename_column("label", "labels")
        .remove_columns("text")
    )
    if later:
        words("the cat sat on a mat")  # its state is that of the last call

    record, card, _ = trained(tmp_path, models.bert(), data, trainer={"processing_class": words})

    assert record.data.preprocessing.max_length_applied is (
        max(map(len, data["input_ids"])) == cut_at and not later
    )
    assert f"- {label}" in card


def test_normalization_of_images_is_told(tmp_path):
    small = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = transformers.ViTConfig(**small, image_size=8, patch_size=4, num_labels=2)
    data = Dataset.from_dict({"pixel_values": [[[[0.5] * 8] * 8] * 3] * 8, "labels": [0, 1] * 4})
    sizes = {
        "size": {"height": 8, "width": 8},
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.2, 0.2, 0.2],
    }
    cases = {
        True: ", normalized with mean (0.5, 0.4, 0.3) and standard deviation (0.2, 0.2, 0.2)",
        False: "",
    }
    for normalizes, words in cases.items():
        processor = transformers.ViTImageProcessor(**sizes, do_normalize=normalizes)
        made, given = (
            transformers.ViTForImageClassification(config),
            {"processing_class": processor},
        )

        _, card, _ = trained(tmp_path / str(normalizes), made, data, trainer=given)

        assert f"- Images: 8 × 8 pixels (height × width){words}\n" in card


# -- evaluated weights -----------------------------------------------------------------------------


def weights_of(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    """A run that loads its best step, the first, at the end; then it evaluates and predicts."""
    folder = tmp_path_factory.mktemp("best")
    given = {"eval_dataset": training.dataset(8, seed=1), "compute_metrics": accuracy}
    _, _, host = trained(
        folder,
        training.bert(),
        training.dataset(64),
        trainer=given,
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        max_steps=4,
        learning_rate=0.5,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
    )
    host.evaluate(training.dataset(6, seed=2), metric_key_prefix="held")
    host.predict(training.dataset(5, seed=3))
    return folder, host


def test_later_evaluations_have_the_step_of_the_weights_that_were_loaded(best):
    folder, host = best
    saved = transformers.AutoModelForSequenceClassification.from_pretrained(
        host.state.best_model_checkpoint
    )
    assert all(
        torch.equal(one, weights_of(host.model)[name]) for name, one in weights_of(saved).items()
    )
    step = int(host.state.best_model_checkpoint.rpartition("-")[2])

    results = load(folder).evaluation.results

    assert step < host.state.global_step
    assert {one.dataset for one in results} == {None, "held", "test"}
    assert {one.step for one in results} == {step}


def test_the_table_names_the_unnamed_set_and_the_step_of_older_weights(best):
    folder, host = best
    card = (folder / "README.md").read_text(encoding="utf-8")

    step = host.state.best_global_step
    assert f"| `eval` | `evaluate()` | {step} | loss |" in card
    assert f"| `held` | `evaluate()` | {step} | loss |" in card
    assert f"| `test` | `predict()` | {step} | loss |" in card


def test_an_evaluation_after_training_is_none_of_those_during_it(best):
    folder, host = best
    host.evaluate(training.dataset(3, seed=4))

    card = (folder / "README.md").read_text(encoding="utf-8")

    during = [
        line.replace("*", "").split("|")
        for line in card.split("\n")
        if line.startswith(("| 0.", "| **0."))
    ]
    logged = [entry["eval_loss"] for entry in host.state.log_history if "eval_loss" in entry][:-1]
    assert [float(cells[4]) for cells in during] == [
        pytest.approx(loss, rel=1e-3) for loss in logged
    ]


def test_the_step_stands_beside_a_result_of_older_weights():
    results = [parts.Metric(name="loss", value=0.5, step=3)]
    for last, shown in ((5, True), (3, False)):
        record = parts.RunRecord(
            run=parts.Run(global_step=last, max_steps=last),
            evaluation=parts.Evaluation(results=results),
        )

        assert ("| 3 | loss | 0.5000 |" in facts(record)["results"].body()) is shown


def test_nested_metrics_are_flattened_and_others_have_a_reason(tmp_path):
    def nested(_):
        return {
            "PER": {"f1": 0.5, "number": 3},
            "curve": [0.1, 0.2],
            "passed": True,
            "f1": 0.25,
            "own_score": 0.75,
        }

    given = {"eval_dataset": training.dataset(8), "compute_metrics": nested}
    record, card, _ = trained(
        tmp_path,
        training.bert(),
        training.dataset(8),
        trainer=given,
        eval_strategy="steps",
        eval_steps=2,
    )

    found = {one.name: one.value for one in record.evaluation.results}
    assert found == {
        "loss": found["loss"],
        "PER f1": 0.5,
        "PER number": 3,
        "f1": 0.25,
        "own_score": 0.75,
    }
    assert record.missing["evaluation.results.curve"] == "a list, and no figure"
    assert record.missing["evaluation.results.passed"] == "true or false, and no figure"
    front = card.split("---")[1]
    assert "metrics:\n- f1\n" in front
    assert "own_score" not in front
    assert json.loads((tmp_path / "autocard.json").read_text(encoding="utf-8"))["evaluation"][
        "results"
    ]


def test_epochs_in_tables_have_at_most_two_decimals(tmp_path):
    given = {"eval_dataset": training.dataset(8)}

    _, card, host = trained(
        tmp_path,
        training.bert(),
        training.dataset(12),
        trainer=given,
        eval_strategy="steps",
        eval_steps=1,
        max_steps=3,
    )

    assert [
        round(entry["epoch"], 4) for entry in host.state.log_history if "eval_loss" in entry
    ] == [0.3333, 0.6667, 1]
    assert "| 0.33 | 1 |" in card
    assert "| 0.67 | 2 |" in card
