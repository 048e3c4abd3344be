"""Results and speeds, against what `evaluate()` returns and the test's own clock."""

import itertools
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from transformers import EarlyStoppingCallback, Trainer

from autocard.capture.evaluation import evaluation
from autocard.capture.training import flops, throughput
from autocard.errors import UnavailableError
from autocard.record import Gpu, empty_leaves
from autocard.settings import Settings
from autocard.trainers.transformers import observe
from support import models
from support.captured import value_of

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def look(seen, predictions=None):
    missing = {}
    part = value_of("evaluation", evaluation.capture, missing, seen, predictions=predictions)
    unexplained = [
        path for path in empty_leaves(part, "evaluation") if not explained(path, missing)
    ]
    assert unexplained == []
    return part, missing


def explained(path, missing):
    while path:
        if path in missing:
            return True
        path = path.rpartition(".")[0]
    return False


def accuracy(prediction):
    return {
        "accuracy": float((prediction.predictions.argmax(-1) == prediction.label_ids).mean()),
        "not a number": math.nan,
    }


def run(folder, *callbacks, **arguments):
    watch = models.Watch()
    evaluated = arguments.pop("eval_dataset", models.tokens(8))
    host = models.train(
        models.bert(),
        models.tokens(16),
        folder,
        watch,
        *callbacks,
        trainer={
            "processing_class": models.tokenizer(),
            "eval_dataset": evaluated,
            "compute_metrics": accuracy,
        },
        **arguments,
    )
    return watch, host


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    return run(tmp_path_factory.mktemp("run"), eval_strategy="steps", eval_steps=1, max_steps=3)


@pytest.fixture(scope="module")
def best(tmp_path_factory):
    """A run whose best step is its first, loaded at the end: the learning rate throws the weights away after it."""
    return run(
        tmp_path_factory.mktemp("best"),
        EarlyStoppingCallback(2),
        eval_strategy="steps",
        eval_steps=1,
        save_strategy="steps",
        save_steps=1,
        max_steps=20,
        learning_rate=0.5,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
    )


def figures(part):
    return {metric.name: metric.value for metric in part.results}


def test_results_are_those_of_the_last_evaluation_without_speeds(ordinary):
    watch, host = ordinary
    log = [entry for entry in host.state.log_history if "eval_loss" in entry][-1]

    part, _ = look(watch.seen)

    assert figures(part) == {"loss": log["eval_loss"], "accuracy": log["eval_accuracy"]}
    assert {metric.step for metric in part.results} == {3}


def test_the_mean_loss_is_the_trainer_s(ordinary):
    watch, host = ordinary
    losses = [entry["loss"] for entry in host.state.log_history if "loss" in entry]

    part, _ = look(watch.seen)

    assert part.train_loss == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_an_evaluation_after_training_replaces_the_one_during_it(ordinary):
    watch, host = ordinary
    before, log = look(watch.seen)[0], list(host.state.log_history)

    told = host.evaluate(models.tokens(5))

    part, _ = look(watch.seen)
    assert figures(part)["loss"] == told["eval_loss"] != figures(before)["loss"]
    host.state.log_history = log


def test_an_evaluation_under_a_name_of_one_s_own_stands_beside_the_other(ordinary):
    watch, host = ordinary
    log = list(host.state.log_history)

    told = host.evaluate(models.tokens(5), metric_key_prefix="holdout")

    part, _ = look(watch.seen)
    host.state.log_history = log
    found = {(metric.dataset, metric.name): metric.value for metric in part.results}
    assert found["holdout", "accuracy"] == told["holdout_accuracy"]
    assert (None, "accuracy") in found


def test_an_evaluation_of_the_training_data_has_its_figures(ordinary):
    watch, host = ordinary
    log = list(host.state.log_history)

    told = host.evaluate(models.tokens(6), metric_key_prefix="train")

    part, _ = look(watch.seen)
    host.state.log_history = log
    found = {(metric.dataset, metric.name): metric.value for metric in part.results}
    assert found["train", "loss"] == told["train_loss"]
    assert found["train", "accuracy"] == told["train_accuracy"]
    assert len([name for name in found if name[0] == "train"]) == 2


def test_a_prediction_s_figures_are_told_apart(ordinary):
    watch, host = ordinary
    told = host.predict(models.tokens(4)).metrics

    part, _ = look(watch.seen, predictions=told)

    predicted = {
        metric.name: metric.value for metric in part.results if metric.split == "prediction"
    }
    assert predicted == {"loss": told["test_loss"], "accuracy": told["test_accuracy"]}
    assert {metric.dataset for metric in part.results if metric.split == "prediction"} == {"test"}


def test_predictions_under_names_of_one_s_own_stand_beside_each_other(ordinary):
    watch, host = ordinary
    first = host.predict(models.tokens(4), metric_key_prefix="easy").metrics
    second = host.predict(models.tokens(8), metric_key_prefix="easy_hard").metrics

    part, _ = look(watch.seen, predictions={**first, **second})

    predicted = {
        (one.dataset, one.name): one.value for one in part.results if one.split == "prediction"
    }
    assert predicted["easy", "loss"] == first["easy_loss"]
    assert predicted["easy_hard", "loss"] == second["easy_hard_loss"]
    assert ("easy", "hard_loss") not in predicted


def test_results_are_those_of_the_weights_that_were_loaded_at_the_end(best):
    watch, host = best
    assert host.state.global_step > host.state.best_global_step  # else this test says nothing

    part, _ = look(watch.seen)

    # The oracle: evaluating the weights that are in the model now.
    log = list(host.state.log_history)
    now = host.evaluate()["eval_loss"]
    host.state.log_history = log
    assert figures(part)["loss"] == pytest.approx(now, rel=1e-5)
    assert part.best.loaded is True
    assert part.best.step == host.state.best_global_step
    assert part.best.value == pytest.approx(now, rel=1e-5)


def test_speeds_of_a_run_that_stopped_early_count_the_steps_that_were_done(best):
    watch, host = best
    runtime = next(
        entry["train_runtime"] for entry in host.state.log_history if "train_loss" in entry
    )

    parts = value_of("time", throughput.time_parts, {}, watch.seen, 0)

    assert parts["steps_per_s"] == pytest.approx(host.state.global_step / runtime)
    assert parts["samples_per_s"] == pytest.approx(4 * host.state.global_step / runtime, rel=0.01)


@pytest.mark.parametrize("told_by", ["plan", "steps done"])
def test_speeds_are_right_whichever_way_the_trainer_divides(told_by):
    share = 1.0 if told_by == "plan" else 0.25
    entry = {
        "train_runtime": 10.0,
        "train_steps_per_second": 100 * share / 10,
        "train_samples_per_second": 800 * share / 10,
        "total_flos": 1.0,
        "train_loss": 1.0,
    }
    state = SimpleNamespace(log_history=[entry], global_step=100, max_steps=100, total_flos=1.0)

    parts = value_of(
        "time", throughput.time_parts, {}, observe(Settings(), SimpleNamespace(), state), 75
    )

    assert parts["steps_per_s"] == 2.5
    assert parts["samples_per_s"] == 20


def test_each_evaluation_set_has_its_own_figures(tmp_path):
    sets = {"easy": models.tokens(4), "hard_b": models.tokens(8)}

    watch, host = run(tmp_path, eval_dataset=sets, eval_strategy="steps", eval_steps=2)

    part, _ = look(watch.seen)
    found = {(metric.dataset, metric.name): metric.value for metric in part.results}
    log = {key: value for entry in host.state.log_history for key, value in entry.items()}
    assert found == {
        ("easy", "loss"): log["eval_easy_loss"],
        ("easy", "accuracy"): log["eval_easy_accuracy"],
        ("hard_b", "loss"): log["eval_hard_b_loss"],
        ("hard_b", "accuracy"): log["eval_hard_b_accuracy"],
    }


def test_nothing_evaluated_is_a_reason(tmp_path):
    watch, _ = run(tmp_path, max_steps=1)

    part, missing = look(watch.seen)

    assert part.results == []
    assert missing["evaluation.results"] == "nothing was evaluated"
    assert "no metric" in missing["evaluation.best"]


def test_evaluation_time_is_what_evaluating_took(tmp_path):
    took, told = [], []

    class Timed(Trainer):
        def evaluate(self, *args, **kwargs):
            begin = time.perf_counter()
            told.append(super().evaluate(*args, **kwargs)["eval_runtime"])
            took.append(time.perf_counter() - begin)
            return {"eval_runtime": told[-1]}

    watch = models.Watch()
    host = models.train(
        models.bert(),
        models.tokens(),
        tmp_path,
        watch,
        cls=Timed,
        trainer={"processing_class": models.tokenizer(), "eval_dataset": models.tokens(16)},
        eval_strategy="steps",
        eval_steps=1,
    )
    host.evaluate()  # after training: not in the window

    parts = value_of("time", throughput.time_parts, {}, watch.seen, 0)

    # The trainer's clock stops before its callbacks do, and rounds to a tenth of a millisecond.
    assert len(told) == 3
    assert parts["eval_s"] == pytest.approx(sum(told[:-1]))
    assert all(one < whole + 0.001 for one, whole in zip(told, took, strict=True))


def test_a_resumed_leg_tells_its_own_speeds_and_evaluations_only(tmp_path):
    common = {"eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps", "save_steps": 2}
    run(tmp_path, max_steps=2, **common)

    watch, host = run(tmp_path, max_steps=4, resume=str(tmp_path / "checkpoint-2"), **common)

    parts = value_of("time", throughput.time_parts, {}, watch.seen, 2)
    log = [entry for entry in host.state.log_history if entry.get("step", 0) > 2]
    runtime = next(entry["train_runtime"] for entry in log if "train_loss" in entry)
    assert parts["steps_per_s"] == pytest.approx(2 / runtime)
    assert parts["eval_s"] == pytest.approx(sum(entry.get("eval_runtime", 0) for entry in log))


def test_tokens_are_told_where_they_were_counted(tmp_path):
    watch, _ = run(tmp_path, include_num_input_tokens_seen="all", max_steps=1)
    batch = models.tokenizer().pad({"input_ids": models.tokens(16)["input_ids"]})
    longest = max(len(row) for row in batch["input_ids"])

    tokens = value_of("time", throughput.time_parts, {}, watch.seen, 0)["tokens"]

    assert 4 * min(len(row) for row in models.tokens(16)["input_ids"]) <= tokens <= 4 * longest


def test_tokens_that_nobody_counted_are_a_reason(ordinary):
    missing = {}

    parts = value_of("time", throughput.time_parts, missing, ordinary[0].seen, 0)

    assert "tokens" not in parts
    assert "include_num_input_tokens_seen" in missing["time.tokens"]


def test_operations_count_what_the_method_says(tmp_path):
    made = models.llama()
    watch = models.Watch()

    models.train(made, models.language(length=8), tmp_path, watch, max_steps=3)

    without_embeddings = sum(
        tensor.numel() for name, tensor in made.state_dict().items() if "embed_tokens" not in name
    )
    parts = value_of("time", throughput.time_parts, {}, watch.seen, 0)
    assert parts["flops"] == 6 * without_embeddings * (4 * 8) * 3
    assert parts["flops_method"] == throughput.FLOPS_METHOD


def test_an_adapter_is_counted_like_full_training(tmp_path):
    made = models.lora(models.llama(), target_modules=["q_proj"])
    watch = models.Watch()

    models.train(made, models.language(length=8), tmp_path, watch, max_steps=1)

    without_embeddings = sum(
        tensor.numel() for name, tensor in made.state_dict().items() if "embed_tokens" not in name
    )
    assert value_of("time", throughput.time_parts, {}, watch.seen, 0)[
        "flops"
    ] == 6 * without_embeddings * (4 * 8)


@pytest.mark.parametrize("adapter", [False, True], ids=["full", "LoRA"])
def test_the_estimate_of_operations_is_what_torch_counts_in_a_real_step(tmp_path, adapter):
    from torch.utils.flop_counter import FlopCounterMode

    sizes = {"hidden_size": 64, "intermediate_size": 256, "vocab_size": 300, "num_hidden_layers": 4}
    made = models.llama(num_attention_heads=2, **sizes)
    if adapter:
        made = models.lora(made, target_modules=["q_proj", "down_proj"])
    watch = models.Watch()
    models.train(made, models.language(length=8), tmp_path, watch, max_steps=3)
    ids = torch.tensor(models.language(4, length=8)["input_ids"])

    with FlopCounterMode(display=False) as counter:
        made(input_ids=ids, labels=ids).loss.backward()

    parts = value_of("time", throughput.time_parts, {}, watch.seen, 0)
    # Attention's own products are few at eight tokens; the Trainer's figure is half as much again
    # for an adapter.
    assert parts["flops_estimate"] / 3 == pytest.approx(counter.get_total_flops(), rel=0.05)
    assert (parts["flops"] > 1.4 * parts["flops_estimate"]) == adapter


def test_of_experts_those_that_a_token_is_sent_to_are_counted():
    sizes = {"hidden_size": 32, "intermediate_size": 64, "vocab_size": 50, "num_hidden_layers": 2}
    config = transformers.MixtralConfig(
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=8,
        num_experts_per_tok=2,
        **sizes,
    )
    made = transformers.MixtralForCausalLM(config)
    experts = sum(one.numel() for name, one in made.named_parameters() if ".experts." in name)
    others = (
        sum(one.numel() for name, one in made.named_parameters() if ".experts." not in name)
        - 50 * 32
    )
    assert experts == 2 * 8 * 3 * 32 * 64

    assert flops.estimate(made, 6.0 * (experts + others)) == pytest.approx(
        6.0 * (experts / 4 + others)
    )
    assert "of experts, those that a token is sent to" in flops.estimate_method(made)
    assert "experts" not in flops.estimate_method(models.bert())


@pytest.mark.parametrize(
    ("name", "kind", "tf32", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", "bfloat16", False, 312),
        ("NVIDIA A100-PCIE-40GB", "float32", True, 156),
        ("NVIDIA H100 80GB HBM3", "float16", False, 989),
        ("NVIDIA H100 PCIe", "bfloat16", False, 756),
        ("Tesla V100-SXM2-32GB", "float32", False, 15.7),
        ("NVIDIA L4", "bfloat16", False, 121),
        ("NVIDIA A10", "bfloat16", False, 125),
        ("NVIDIA A10G", "bfloat16", False, None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", "bfloat16", False, None),
        ("Tesla V100-SXM2-16GB", "bfloat16", False, None),
        ("NVIDIA GeForce RTX 4090", "float16", False, None),
    ],
)
def test_the_share_of_the_peak_is_told_of_boards_whose_peak_is_known_and_of_no_other(
    name, kind, tf32, tera
):
    gpus = [Gpu(name=name, count=2)]

    if tera is None:
        with pytest.raises(UnavailableError, match="no figure"):
            flops.peak_share(1e18, 3600.0, gpus, kind, tf32=tf32)
        return
    share, method = flops.peak_share(1e18, 3600.0, gpus, kind, tf32=tf32)

    assert share == pytest.approx(1e18 / 3600 / (tera * 1e12))
    assert f"{tera:g} TFLOPS" in method


def test_tokens_per_second_are_those_of_a_run_in_one_leg(tmp_path):
    watch, host = run(tmp_path, include_num_input_tokens_seen="all", max_steps=2)
    runtime = next(
        entry["train_runtime"] for entry in host.state.log_history if "train_loss" in entry
    )

    whole, missing = value_of("time", throughput.time_parts, {}, watch.seen, 0), {}

    assert whole["tokens_per_s"] == pytest.approx(host.state.num_input_tokens_seen / runtime)
    assert "tokens_per_s" not in value_of("time", throughput.time_parts, missing, watch.seen, 1)
    assert "time.tokens_per_s" in missing


def test_no_operations_counted_is_none_and_not_zero():
    state = SimpleNamespace(
        log_history=[], global_step=1, max_steps=1, total_flos=0, num_input_tokens_seen=0
    )
    missing = {}

    parts = value_of(
        "time", throughput.time_parts, missing, observe(Settings(), SimpleNamespace(), state), 0
    )

    assert "flops" not in parts
    assert {"time.flops", "time.flops_method", "time.steps_per_s", "time.samples_per_s"} <= set(
        missing
    )


def test_a_metric_that_is_not_a_finite_number_is_not_told():
    entry = {
        "eval_runtime": 1.0,
        "eval_samples_per_second": 1.0,
        "eval_loss": math.inf,
        "eval_f1": np.float32(0.5),
        "eval_matrix": [[1]],
        "eval_name": "x",
        "step": 1,
    }
    state = SimpleNamespace(log_history=[entry], best_metric=None, best_model_checkpoint=None)

    part, _ = look(observe(Settings(), SimpleNamespace(), state))

    assert figures(part) == {"f1": 0.5}
    assert type(part.results[0].value) is float


def test_a_long_log_is_thinned_and_keeps_evaluations_and_both_ends():
    log = [{"loss": 1.0, "step": step} for step in range(1, 5001)]
    speeds = {"eval_runtime": 1.0, "eval_samples_per_second": 1.0}
    log += [{"eval_loss": 1.0, "step": step, **speeds} for step in range(500, 5001, 500)]
    log.sort(key=lambda entry: entry["step"])
    log.append({"train_loss": 1.0, "total_flos": 1.0, "train_runtime": 1.0, "step": 5000})

    kept = evaluation.history(log)

    assert len(kept) == 1000
    assert kept[0]["step"] == 1
    assert "train_loss" in kept[-1]
    assert sum("eval_loss" in entry for entry in kept) == 10
    steps = [entry["step"] for entry in kept]
    assert steps == sorted(steps)
    assert max(after - before for before, after in itertools.pairwise(steps)) <= 12


def test_a_short_log_is_kept_whole(ordinary):
    watch, host = ordinary

    assert len(look(watch.seen)[0].history) == len(host.state.log_history)


@pytest.mark.parametrize("points", [0, 1, 2, 3, 10])
def test_thinning_never_keeps_more_than_it_may(points):
    log = [{"loss": 1.0, "step": step} for step in range(50)]

    assert len(evaluation.history(log, points)) <= points


def test_a_long_log_is_thinned_and_keeps_evaluations_summaries_and_its_last_step():
    from autocard.capture.evaluation.training_log import thinned

    steps = [{"loss": 1.0, "learning_rate": 1e-4, "step": step} for step in range(50_000)]
    evaluation = {
        "eval_loss": 2.0,
        "eval_runtime": 1.0,
        "eval_samples_per_second": 3.0,
        "step": 777,
    }
    summary = {"train_loss": 1.0, "total_flos": 5.0, "train_runtime": 9.0, "step": 49_999}

    kept = thinned([*steps[:777], evaluation, *steps[777:], summary], most=1_000)

    assert sum("learning_rate" in entry for entry in kept) <= 1_000
    assert evaluation in kept
    assert kept[-2:] == [steps[-1], summary]
    assert [entry["step"] for entry in kept] == sorted(entry["step"] for entry in kept)
    assert thinned(steps[:1_000], most=1_000) == steps[:1_000]
