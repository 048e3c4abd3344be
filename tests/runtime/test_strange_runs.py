"""Runs that do not go as planned: broken off, resumed, diverged, two at once. The card must not lie about them."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time

import pytest
import torch
import transformers
import yaml
from transformers import TrainerCallback

from autocard import AutoCardCallback
from support import training


class At(TrainerCallback):
    """Does something at the end of a step, once."""

    def __init__(self, step, what):
        self.step, self.what, self.done = step, what, False

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self.step and not self.done:
            self.done = True
            self.what()


class Slow(TrainerCallback):
    def __init__(self, pause_s):
        self.pause_s = pause_s

    def on_step_end(self, *_, **__):
        time.sleep(self.pause_s)


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


def boom():
    msg = "the user's own code"
    raise RuntimeError(msg)


def test_a_training_that_was_broken_off_gives_nothing_to_the_next_one(tmp_path):
    ours = AutoCardCallback(
        country_iso_code="FRA", measure_power_secs=1, ram_power_w=10, cpu_power_w=10
    )
    trainer = training.trainer(tmp_path, callbacks=[ours, Slow(1.0), At(4, boom)])
    with pytest.raises(RuntimeError, match="the user's own code"):
        trainer.train()
    time.sleep(3)

    trainer.train()

    known = record(tmp_path)
    (leg,) = known["legs"]
    (host,) = leg["hosts"]
    assert host["ram_j"] == pytest.approx(10 * known["time"]["wall_clock_s"], rel=0.1)
    assert known["time"]["wall_clock_s"] < 9


def test_a_resumed_run_says_which_steps_it_knows_nothing_of(tmp_path):
    first = training.trainer(tmp_path, save_strategy="steps", save_steps=3)
    first.train()
    ours = AutoCardCallback(emissions=False)

    training.trainer(tmp_path, callbacks=[ours], max_steps=8).train(
        resume_from_checkpoint=str(tmp_path / "checkpoint-3")
    )

    card = (tmp_path / "README.md").read_text()
    hours = next(line for line in card.splitlines() if line.startswith("- **Hours used:**"))
    assert "steps 1 to 3 not included" in hours
    assert "resumed at step 3" in record(tmp_path)["missing"]["legs.earlier"]


def test_a_model_that_diverged_is_not_shown_as_perfect(tmp_path):
    model = training.bert()
    with torch.no_grad():
        model.classifier.weight.fill_(float("nan"))
    trainer = training.trainer(tmp_path, model=model, callbacks=[AutoCardCallback(emissions=False)])
    trainer.train()
    trainer.evaluate()

    known = record(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert known["evaluation"]["not_finite"] == ["loss"]
    assert known["evaluation"]["train_loss"] is None
    assert "Not finite at the last evaluation: `loss`." in card
    assert "| loss |" not in card


@pytest.mark.parametrize("max_grad_norm", [0.0, 1.0])
def test_a_training_that_diverges_says_so_and_shows_no_loss_that_a_filter_made(
    tmp_path, max_grad_norm
):
    ours = AutoCardCallback(emissions=False)
    wild = {"learning_rate": 1e30, "max_grad_norm": max_grad_norm, "optim": "sgd"}
    how = {"logging_steps": 1, "eval_strategy": "steps", "eval_steps": 3, "warmup_steps": 0}
    trainer = training.trainer(tmp_path, model=training.bert(), callbacks=[ours], **wild, **how)
    trainer.train()

    known = record(tmp_path)["evaluation"]
    log = trainer.state.log_history
    assert any(torch.isnan(one).any() for one in trainer.model.parameters())
    assert "trained weights are not finite numbers" in known["diverged"]
    assert "Training diverged: " in (tmp_path / "README.md").read_text()
    if not any("grad_norm" in one for one in log):
        pytest.skip("transformers 4 tells no norm where it does not clip")
    first = next(one["step"] for one in log if one.get("grad_norm") != one.get("grad_norm"))
    assert f"gradient norm was not a finite number from step {first} on" in known["diverged"]
    losses = {one["step"]: one["loss"] for one in log if "loss" in one}
    assert losses[6] == 0  # what the trainer's own filter makes of it
    assert [one["loss"] for one in known["history"] if "loss" in one] == [
        losses[step] for step in range(1, first)
    ]
    assert known["train_loss"] is None
    card = (tmp_path / "README.md").read_text()
    assert f"gradient norm was not a finite number from step {first} on" in card
    assert "training loss" not in card.lower()


def test_a_norm_that_is_infinite_once_is_no_divergence(tmp_path):
    from autocard.capture.training import divergence
    from autocard.settings import Settings
    from autocard.trainers.transformers import observe

    model = training.bert()
    made = observe(Settings(), training.arguments(tmp_path), None, model=model)
    once = [{"step": 1, "grad_norm": float("inf")}, {"step": 2, "grad_norm": 1.0}]

    assert divergence.signs(made, once) == ([], None)

    with torch.no_grad():
        model.classifier.bias[0] = float("inf")
    assert divergence.signs(made, once) == ([divergence.WEIGHTS], None)


def test_an_adapter_that_was_merged_is_not_called_one(tmp_path):
    import yaml
    from transformers import AutoModelForSequenceClassification

    ours = AutoCardCallback(base_model="org/base", emissions=False)
    trainer = training.trainer(tmp_path, callbacks=[ours])
    trainer.train()
    assert "A LoRA adapter for" in (tmp_path / "README.md").read_text()

    trainer.model.merge_and_unload().save_pretrained(tmp_path)
    trainer.evaluate()
    trainer.create_model_card()

    card = (tmp_path / "README.md").read_text()
    known = record(tmp_path)
    assert AutoModelForSequenceClassification.from_pretrained(tmp_path).num_parameters() > 0
    assert known["model"]["adapters_merged"] is True
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["library_name"] == "transformers"
    assert front["base_model_relation"] == "finetune"
    assert "A LoRA adapter" not in card
    assert "with a LoRA adapter that was merged into the saved weights" in card
    assert "PeftModel" not in card


def scores_of(model):
    model.eval()
    with torch.no_grad():
        return model(input_ids=torch.tensor([[5, 6, 7, 8]])).logits


def shown(card):
    """Return the program that a card shows; None: it shows none."""
    found = re.search(r"```python\n(.*?)\n```", card.read_text(), re.DOTALL)
    return None if found is None else found[1]


@pytest.mark.skipif(
    transformers.__version__ < "5", reason="transformers 4 does not load such a folder at all"
)
def test_no_code_is_shown_where_an_earlier_runs_adapter_would_be_put_on_the_merged_weights(
    tmp_path, monkeypatch
):
    from transformers import AutoModelForSequenceClassification

    earlier = training.trainer(tmp_path, learning_rate=0.05)
    earlier.train()
    earlier.save_model()
    long_ago = time.time() - 3600
    for file in tmp_path.iterdir():
        os.utime(file, (long_ago, long_ago))
    trainer = training.trainer(
        tmp_path, callbacks=[AutoCardCallback(base_model="org/base", emissions=False)]
    )
    trainer.train()
    merged = trainer.model.merge_and_unload()
    merged.save_pretrained(tmp_path)
    trainer.evaluate()

    known = record(tmp_path)["model"]
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    # what the code would have given
    assert not torch.allclose(scores_of(plain), scores_of(merged), atol=1e-6)
    assert shown(tmp_path / "README.md") is None
    assert (known["adapters_merged"], known["base_model_relation"]) == (True, "finetune")
    assert known["saved_bytes"] == (tmp_path / "model.safetensors").stat().st_size

    (tmp_path / "adapter_config.json").unlink()
    trainer.evaluate()

    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(shown(tmp_path / "README.md"), namespace)  # noqa: S102 - as a reader of the card does
    assert torch.allclose(scores_of(namespace["model"]), scores_of(merged), atol=1e-6)


def test_a_folder_with_an_adapter_and_merged_weights_of_one_run_is_an_adapter_of_its_own_size(
    tmp_path,
):
    trainer = training.trainer(
        tmp_path, callbacks=[AutoCardCallback(base_model="org/base", emissions=False)]
    )
    trainer.train()
    trainer.save_model()
    trainer.model.merge_and_unload().save_pretrained(tmp_path)

    trainer.evaluate()

    known = record(tmp_path)["model"]
    assert (known["adapters_merged"], known["base_model_relation"], known["library_name"]) == (
        False,
        "adapter",
        "peft",
    )
    assert known["saved_bytes"] == (tmp_path / "adapter_model.safetensors").stat().st_size
    assert "PeftModel.from_pretrained(base" in shown(tmp_path / "README.md")
    assert (
        "(adapter only; `model.safetensors` beside it holds the full weights)"
        in (tmp_path / "README.md").read_text()
    )


def test_one_callback_in_two_trainers_keeps_their_runs_apart(tmp_path):
    ours = AutoCardCallback(emissions=False)
    one = training.trainer(tmp_path / "one", callbacks=[ours], learning_rate=1e-3)
    two = training.trainer(
        tmp_path / "two", callbacks=[ours], learning_rate=1e-2, train=training.dataset(8)
    )

    one.train()
    two.train()
    one.evaluate()

    rates = [
        record(tmp_path / name)["training"]["hyperparameters"]["learning_rate"]
        for name in ("one", "two")
    ]
    rows = [record(tmp_path / name)["data"]["train"][0]["rows"] for name in ("one", "two")]
    assert rates == [1e-3, 1e-2]
    assert rows == [32, 8]
    assert record(tmp_path / "one")["evaluation"]["results"]
    assert not record(tmp_path / "two")["evaluation"]["results"]


def test_the_second_training_of_one_trainer_is_a_run_of_its_own(tmp_path):
    trainer = training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)])
    trainer.train()
    first = record(tmp_path)["run"]["id"]

    trainer.train()

    known = record(tmp_path)
    assert known["run"]["id"] != first
    assert len(known["legs"]) == 1
    assert known["run"]["global_step"] == 6


def test_a_training_that_ends_early_is_not_called_finished(tmp_path):
    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            control.should_training_stop = state.global_step == 2

    training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False), Stop()]).train()

    known = record(tmp_path)
    assert known["run"]["status"] == "stopped"
    assert "2 optimizer steps of 6 planned" in (tmp_path / "README.md").read_text()


def test_data_without_a_length_has_no_epochs(tmp_path):
    import datasets

    stream = datasets.IterableDataset.from_generator(lambda: iter(training.rows(64)))

    training.trainer(tmp_path, train=stream, callbacks=[AutoCardCallback(emissions=False)]).train()

    known = record(tmp_path)
    assert known["run"]["epochs"] is None
    assert "no length" in known["missing"]["run.epochs"]
    assert (
        "epoch"
        not in (tmp_path / "README.md")
        .read_text()
        .split("#### Training Hyperparameters")[1]
        .split("<details>")[0]
    )


def test_what_autocard_did_not_write_is_named_when_it_stands_where_facts_should(tmp_path, caplog):
    first, second = tmp_path / "first", tmp_path / "second"
    training.trainer(first, callbacks=[AutoCardCallback(emissions=False)]).train()
    second.mkdir()
    (second / "README.md").write_bytes((first / "README.md").read_bytes())

    with caplog.at_level("WARNING", logger="autocard"):
        training.trainer(
            second, callbacks=[AutoCardCallback(emissions=False)], max_steps=3, learning_rate=0.01
        ).train()

    assert "--overwrite 'Training Hyperparameters'" in caplog.text


def test_a_given_intensity_is_not_called_a_grid_s_mean(tmp_path):
    ours = AutoCardCallback(
        carbon_intensity_g_per_kwh=400, cpu_power_w=10, ram_power_w=10, measure_power_secs=1
    )

    training.trainer(tmp_path, callbacks=[ours, Slow(1.0)]).train()

    card = (tmp_path / "README.md").read_text()
    known = record(tmp_path)
    assert known["emissions"]["co2eq_g"] == pytest.approx(known["energy"]["total_kwh"] * 400)
    assert "400 g CO2eq/kWh (given by the author)" in card
    assert "location-based" not in card
    assert "mean of the grid" not in card


def test_water_is_energy_at_the_devices_times_the_given_effectiveness(tmp_path):
    ours = AutoCardCallback(
        country_iso_code="FRA",
        pue=1.5,
        wue_l_per_kwh=1.8,
        cpu_power_w=10,
        ram_power_w=10,
        measure_power_secs=1,
    )

    training.trainer(tmp_path, callbacks=[ours, Slow(1.0)]).train()

    known = record(tmp_path)
    energy, emissions = known["energy"], known["emissions"]
    assert emissions["water_l"] == pytest.approx(1.8 * energy["total_kwh"])
    assert energy["facility_kwh"] == pytest.approx(1.5 * energy["total_kwh"])
    assert emissions["co2eq_g"] == pytest.approx(
        1.5 * energy["total_kwh"] * emissions["intensity_g_per_kwh"]
    )


def test_a_pipe_in_the_place_of_the_card_is_left_alone_with_one_warning(tmp_path, caplog):
    os.mkfifo(tmp_path / "README.md")

    training.trainer(tmp_path, callbacks=[AutoCardCallback()]).train()

    assert (tmp_path / "README.md").is_fifo()
    assert "# " in (tmp_path / "README.autocard.md").read_text()
    told = [
        one.getMessage()
        for one in caplog.records
        if one.name == "autocard" and one.levelno >= logging.WARNING
    ]
    (warning,) = [text for text in told if "README.md" in text]
    assert "not a regular file" in warning
    assert not [text for text in told if "Traceback" in text or "failed" in text]


@pytest.mark.parametrize("how", ["render", "render by option", "fill", "fill a copy"])
@pytest.mark.parametrize("shards", ["5GB", "20KB"])
def test_a_card_made_beside_merged_weights_is_of_a_fine_tuned_model_and_its_code_runs_there(
    tmp_path, monkeypatch, how, shards
):
    out, folder = tmp_path / "out", tmp_path / "merged"
    trainer = training.trainer(
        out, callbacks=[AutoCardCallback(base_model="org/base", emissions=False)]
    )
    trainer.train()
    trainer.save_model()
    merged = trainer.model.merge_and_unload()
    merged.save_pretrained(folder, max_shard_size=shards)
    if how == "fill a copy":
        for name in ("README.md", "autocard.json"):
            shutil.copy(out / name, folder / name)

    words = {
        "render": ["render", "out", "-o", "merged/README.md"],
        "render by option": ["render", "--record", "out", "-o", "merged/README.md"],
        "fill": ["fill", "merged", "--record", "out"],
        "fill a copy": ["fill", "merged"],
    }[how]
    subprocess.run([sys.executable, "-m", "autocard", *words], cwd=tmp_path, check=True)

    text = (folder / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert (front["library_name"], front["base_model_relation"]) == ("transformers", "finetune")
    assert "lora" not in front.get("tags", [])
    assert "a LoRA adapter that was merged into the saved weights" in text
    assert "peft" not in shown(folder / "README.md")
    monkeypatch.chdir(folder)
    namespace = {}
    exec(shown(folder / "README.md"), namespace)  # noqa: S102 - as a reader of the card does
    assert torch.allclose(scores_of(namespace["model"]), scores_of(merged), atol=1e-6)
