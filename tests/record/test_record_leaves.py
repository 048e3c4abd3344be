"""Fields of the record that no other test holds against a source of its own: real trainings, the test's own figures."""

from __future__ import annotations

import datetime as dt
import json
import os
import resource
import time
from importlib.metadata import version
from pathlib import Path

import datasets
import pytest
import torch
import transformers
from transformers import TrainerCallback

from autocard import AutoCardCallback
from autocard.record import load
from support import hub_data, models, training

RAM_W, CPU_W = 10.0, 20.0
GIVEN = {
    "country_iso_code": "USA",
    "region": "california",
    "pue": 1.25,
    "wue_l_per_kwh": 1.8,
    "market_based_co2eq_g": 3.5,
}
OURS = {**GIVEN, "ram_power_w": RAM_W, "cpu_power_w": CPU_W, "measure_power_secs": 1}
STEPS, SAVED_AT, BATCH, ROWS = 8, 4, 4, 30


class Clock(TrainerCallback):
    """The test's own clock around training, the moment of the checkpoint, and the dtype of a forward pass."""

    def __init__(self):
        self.begin = self.end = self.begin_s = self.end_s = self.saved_s = 0.0
        self.dtypes, self.peak = set(), 0

    def on_train_begin(self, args, state, control, model=None, **_):
        self.begin, self.begin_s = time.time(), time.monotonic()
        layer = next(
            module for name, module in model.named_modules() if name.endswith("intermediate.dense")
        )
        layer.register_forward_hook(lambda _m, _i, output: self.dtypes.add(output.dtype))

    def on_step_end(self, *_, **__):
        time.sleep(0.4)

    def on_save(self, args, state, control, **_):
        self.saved_s = time.monotonic()

    def on_train_end(self, *_, **__):
        self.end, self.end_s = time.time(), time.monotonic()
        self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def train(folder, **changes):
    clock, ours = Clock(), AutoCardCallback(**OURS)
    resume = changes.pop("resume", None)
    trainer = training.trainer(
        folder,
        model=training.bert(),
        callbacks=[clock, ours, training.until_ready(ours)],
        train=training.dataset(ROWS),
        per_device_train_batch_size=BATCH,
        max_steps=STEPS,
        save_strategy="steps",
        save_steps=SAVED_AT,
        save_total_limit=2,
        eval_strategy="steps",
        eval_steps=SAVED_AT,
        metric_for_best_model="eval_loss",
        **changes,
    )
    trainer.train(resume_from_checkpoint=resume)
    return json.loads((folder / "autocard.json").read_text()), clock, trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A training, and the same one again from its first checkpoint: the steps after it are done twice."""
    folder = tmp_path_factory.mktemp("leaves") / "out"
    record, clock, trainer = train(folder)
    twice, _, _ = train(folder, resume=str(folder / f"checkpoint-{SAVED_AT}"))
    return record, clock, trainer, twice


def seconds(moment):
    return dt.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp()


def test_a_record_names_the_version_that_wrote_it(run):
    assert run[0]["autocard_version"] == version("autocard")


def test_begin_and_end_are_those_of_the_tests_own_clock(run):
    record, clock, _, twice = run

    (leg,) = record["legs"]
    for told in (record["run"], leg):
        assert seconds(told["started_at"]) == pytest.approx(clock.begin, abs=1.5)
        assert seconds(told["ended_at"]) == pytest.approx(clock.end, abs=1.5)
    assert twice["run"]["started_at"] == record["run"]["started_at"]
    assert twice["run"]["ended_at"] == twice["legs"][-1]["ended_at"]


def test_what_steps_and_epochs_consume_is_what_the_data_loader_gives(run):
    record, _, trainer, _ = run

    sizes = [len(batch["labels"]) for batch in trainer.get_train_dataloader()]
    assert record["legs"][0]["batch"] == {
        "step_samples": max(sizes),
        "epoch_samples": sum(sizes),
        "epoch_steps": len(sizes),
    }


def test_at_a_checkpoint_step_time_and_energy_are_those_of_that_moment(run):
    record, clock, _, _ = run

    leg = record["legs"][0]
    points = {point["step"]: point for point in leg["checkpoints"]}
    assert max(points) == STEPS
    wall_clock_s = points[STEPS]["wall_clock_s"]
    assert wall_clock_s == pytest.approx(clock.saved_s - clock.begin_s, abs=1.5)
    (host,) = leg["hosts"]
    # In a run of seconds the point's CPU rests on fewer readings than the leg's, so it may lie
    # above it.
    assert 0 < points[STEPS]["energy_j"] <= (host["cpu_j"] + host["ram_j"]) * 1.3
    assert points[STEPS]["energy_j"] >= wall_clock_s * RAM_W * host["cpu_share"] * 0.8
    assert points[SAVED_AT]["energy_j"] < points[STEPS]["energy_j"]


def test_a_host_s_share_is_that_of_the_cpus_that_the_process_may_use(run):
    (host,) = run[0]["legs"][0]["hosts"]

    assert host["cpu_share"] == pytest.approx(
        len(os.sched_getaffinity(0)) / os.cpu_count(), rel=0.01
    )


def test_what_was_repeated_used_what_the_given_powers_use_in_its_seconds(run):
    twice = run[3]

    first, _ = twice["legs"]
    share = first["hosts"][0]["cpu_share"]
    assert first["repeated_steps"] == STEPS - SAVED_AT
    least, most = (first["repeated_s"] * watts * share for watts in (RAM_W, RAM_W + CPU_W))
    assert 0.8 * least <= first["repeated_j"] <= 1.2 * most
    assert twice["energy"]["repeated_kwh"] == pytest.approx(first["repeated_j"] / 3.6e6)


def test_trainable_parameters_are_those_that_require_gradients(tmp_path):
    model = training.bert()
    for parameter in model.bert.parameters():
        parameter.requires_grad_(False)
    ours = AutoCardCallback(emissions=False)

    training.trainer(tmp_path, model=model, callbacks=[ours], max_steps=1).train()

    head = model.classifier
    assert load(tmp_path).model.parameters_trainable == head.weight.numel() + head.bias.numel()


def test_the_compute_dtype_is_the_one_of_the_forward_pass(run, tmp_path):
    record, clock, _, _ = run
    mixed = Clock()

    ours = AutoCardCallback(emissions=False)
    training.trainer(
        tmp_path, model=training.bert(), callbacks=[mixed, ours], max_steps=1, bf16=True
    ).train()

    assert {str(dtype) for dtype in clock.dtypes} == {
        f"torch.{record['precision']['compute_dtype']}"
    }
    assert mixed.dtypes == {torch.bfloat16}
    assert load(tmp_path).precision.compute_dtype == "bfloat16"


def test_the_best_evaluation_names_the_metric_that_was_asked_for(run):
    record, _, trainer, _ = run

    losses = {
        entry["step"]: entry["eval_loss"]
        for entry in trainer.state.log_history
        if "eval_loss" in entry
    }
    best = record["evaluation"]["best"]
    assert f"eval_{best['metric'].removeprefix('eval_')}" == trainer.args.metric_for_best_model
    assert best["value"] == pytest.approx(min(losses.values()))
    assert best["step"] == min(losses, key=losses.get)


def test_the_peak_of_memory_is_that_of_the_operating_system(run):
    record, clock, _, _ = run

    assert 0.9 * clock.peak <= record["hardware"]["peak_ram_bytes"]
    assert (
        record["hardware"]["peak_ram_bytes"]
        <= resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )


def test_a_training_on_the_cpu_has_no_peak_of_a_gpu_and_says_why(run):
    hardware = run[0]["hardware"]

    assert hardware["peak_memory_bytes"] == {}
    assert "no GPU" in run[0]["missing"]["hardware.peak_memory_bytes"]


def test_methods_stand_beside_the_figures_that_they_explain(run):
    told, missing = run[0]["time"], run[0]["missing"]

    assert told["flops_estimate"] > 0
    assert "2 × parameters" in told["flops_estimate_method"]
    assert (told["peak_share"], told["peak_share_method"]) == (None, None)
    assert missing["time.peak_share_method"] == missing["time.peak_share"]


def test_what_a_person_gave_is_told_as_it_was_given(run):
    record = run[0]

    told = record["emissions"]
    assert told["region"].lower() == GIVEN["region"]
    assert {
        name: told[name]
        for name in ("pue", "wue_l_per_kwh", "market_based_co2eq_g", "country_iso_code")
    } == {
        name: GIVEN[name]
        for name in ("pue", "wue_l_per_kwh", "market_based_co2eq_g", "country_iso_code")
    }
    assert told["place_source"] == "argument"
    assert {record["settings"][name] for name in GIVEN} == {"argument"}


def test_the_boundary_of_the_energy_is_the_one_that_was_measured(run):
    record, clock, _, _ = run

    boundary = record["energy"]["boundary"]
    (host,) = record["legs"][0]["hosts"]
    # Its words name what was added up, and what stands apart is in no sum.
    for part in ("GPU", "CPU", "memory"):
        assert part in boundary.partition("Not included")[0]
    assert record["energy"]["total_kwh"] == pytest.approx((host["cpu_j"] + host["ram_j"]) / 3.6e6)
    assert "Not included: set-up before training and evaluation after it" in boundary
    assert record["energy"]["setup_kwh"] > 0
    assert record["legs"][0]["wall_clock_s"] == pytest.approx(clock.end_s - clock.begin_s, abs=1.0)


def test_slots_remember_the_text_that_stands_in_the_card(run):
    _, _, trainer, twice = run

    card = (Path(trainer.args.output_dir) / "README.md").read_text()
    slots = twice["slots"]["README.md"]
    told = [slots[name] for name in ("hours_used", "co2_emitted", "hardware_type")]
    assert all(told)
    assert [text for text in told if text not in card] == []


# -- data sets -------------------------------------------------------------------------------------


def quiet():
    return AutoCardCallback(emissions=False)


def test_data_sets_are_told_as_datasets_itself_tells_them(tmp_path, monkeypatch):
    hub_data.lay(tmp_path, "org/Cats", {"train": models.tokens(16), "test": models.tokens(8)})
    train_set, test_set = (
        hub_data.load(tmp_path, "org/Cats", monkeypatch, split) for split in ("train", "test")
    )
    rows = models.tokens(4)
    arguments = models.arguments(tmp_path / "out", eval_strategy="steps", eval_steps=2)
    trainer = transformers.Trainer(
        model=models.bert(),
        args=arguments,
        train_dataset=train_set,
        eval_dataset={"hub": test_set, "memory": rows},
        processing_class=models.tokenizer(),
        callbacks=[quiet()],
    )

    trainer.train()

    data = load(tmp_path / "out").data
    (trained,), evaluated = data.train, {one.name: one for one in data.eval}
    assert (trained.used_by, trained.name, trained.title) == ("train", None, "")
    assert set(evaluated) == {"hub", "memory"}
    hub, memory = evaluated["hub"], evaluated["memory"]
    assert (hub.dataset_id, hub.revision, hub.inferred) == ("org/Cats", hub_data.SHA, True)
    assert (hub.config, hub.split, hub.rows) == (
        test_set.info.config_name,
        str(test_set.split),
        len(test_set),
    )
    assert (hub.title, hub.streaming, hub.description) == ("", False, None)
    assert set(hub.columns) == set(test_set.column_names) - {
        "text"
    }  # the Trainer takes away what the model cannot take
    assert hub.tokens == sum(map(len, test_set["input_ids"]))
    assert hub.tokens_without_padding == sum(map(sum, test_set["attention_mask"]))
    assert (memory.dataset_id, memory.rows) == (None, 4)
    assert "in-memory" in memory.description


def test_evaluation_sets_of_an_encoder_and_streams_are_told_like_those_of_training(tmp_path):
    config = transformers.T5Config(
        vocab_size=50,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    rows = datasets.Dataset.from_dict({"input_ids": [[5, 6, 7]] * 8, "labels": [[8, 9]] * 8})
    model = transformers.T5ForConditionalGeneration(config)
    models.train(
        model,
        rows,
        tmp_path / "t5",
        quiet(),
        trainer={"eval_dataset": rows},
        eval_strategy="steps",
        eval_steps=2,
    )
    stream = models.language().to_iterable_dataset()
    models.train(
        models.llama(),
        models.language(),
        tmp_path / "llama",
        quiet(),
        trainer={"eval_dataset": stream},
        eval_strategy="steps",
        eval_steps=2,
    )

    encoder, streamed = (load(tmp_path / name).data for name in ("t5", "llama"))
    assert [one.encoder_inputs for one in (*encoder.train, *encoder.eval)] == [True, True]
    assert [one.encoder_inputs for one in streamed.train] == [False]
    assert [one.streaming for one in (*encoder.eval, *streamed.eval)] == [False, True]
    assert [one.probability for one in (*encoder.eval, *streamed.eval)] == [None, None]
    assert [(one.packed, one.packed_texts) for one in (*encoder.eval, *streamed.eval)] == [
        (False, None)
    ] * 2


def test_the_name_that_a_card_is_made_with_is_the_data_set_s_title(tmp_path):
    trainer = training.trainer(
        tmp_path, model=training.bert(), callbacks=[quiet()], eval_strategy="steps"
    )
    trainer.train()

    trainer.create_model_card(dataset="The cats of our street")

    data = load(tmp_path).data
    assert {one.title for one in data.train} == {"The cats of our street"}
