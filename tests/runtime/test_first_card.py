"""Real trainings, real cards: each line against a source that does not share autocard's code."""

from __future__ import annotations

import json
import re
import time

import huggingface_hub
import pytest
import torch
from transformers import TrainerCallback

from autocard import AutoCardCallback
from autocard.runtime.assemble import NOT_LOOKED_FOR
from support import training


class Watch(TrainerCallback):
    """The test's own clock, and the dtype that a forward pass really has.

    It may also make steps longer: CodeCarbon needs some two seconds to start, and measures nothing
    before.
    """

    def __init__(self, pause_s=0.0):
        self.pause_s = pause_s
        self.begin = self.end = 0.0
        self.dtypes = set()

    def on_train_begin(self, args, state, control, model=None, **_):
        self.begin = time.monotonic()
        layer = next(
            module for name, module in model.named_modules() if name.endswith("intermediate.dense")
        )
        layer.register_forward_hook(lambda _m, _i, output: self.dtypes.add(output.dtype))

    def on_step_end(self, *_, **__):
        time.sleep(self.pause_s)

    def on_train_end(self, *_, **__):
        self.end = time.monotonic()


class Clock(TrainerCallback):
    """The test's own clock, behind ours."""

    def on_train_begin(self, *_, **__):
        self.begin = time.monotonic()

    def on_train_end(self, *_, **__):
        self.end = time.monotonic()


class Trained:
    """What a finished training left: its card, record and the test's own observations."""

    def __init__(self, folder, *, evaluate=True, save=True, ours=None, pause_s=0.0, **changes):
        self.watch, self.behind = Watch(pause_s), Clock()
        self.folder = folder
        self.callback = AutoCardCallback(
            **({"country_iso_code": "FRA"} if ours is None else ours), measure_power_secs=1
        )
        self.trainer = training.trainer(
            folder, callbacks=[self.watch, self.callback, self.behind], **changes
        )
        self.trainer.train()
        if save:
            self.trainer.save_model()
        self.metrics = self.trainer.evaluate() if evaluate else {}

    @property
    def card(self):
        return (self.folder / "README.md").read_text()

    @property
    def record(self):
        return json.loads((self.folder / "autocard.json").read_text())

    def line(self, label):
        """Return what stands behind a label of the card."""
        found = re.findall(rf"^- \*\*{re.escape(label)}:\*\* (.*)$", self.card, flags=re.MULTILINE)
        assert len(found) == 1, f"{label}: {found}"
        return re.sub(r"\s*<!--.*?-->", "", found[0])

    def section(self, heading):
        """Return the text between a heading and the next one."""
        found = re.search(
            rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)",
            self.card,
            flags=re.MULTILINE | re.DOTALL,
        )
        assert found, heading
        return found[1]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    return Trained(
        tmp_path_factory.mktemp("adapter") / "topic-lora",
        pause_s=1.0,
        ours={"country_iso_code": "FRA", "base_model": "org/tiny-bert"},
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return Trained(
        tmp_path_factory.mktemp("full") / "topic-full",
        pause_s=1.5,
        model=training.bert().to(torch.bfloat16),
        train=training.dataset(20, seed=5),
        ours={},
        max_steps=4,
        learning_rate=0.01,
    )


def numbers(text):
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]


def test_the_card_loads_where_the_hub_loads_it(adapter):
    data = huggingface_hub.ModelCard.load(adapter.folder / "README.md").data

    assert data.base_model == "org/tiny-bert"
    assert data.to_dict()["base_model_relation"] == "adapter"
    assert data.library_name == "peft"
    assert data.pipeline_tag == "text-classification"
    assert "lora" in data.tags
    co2 = data.to_dict()["co2_eq_emissions"]
    assert co2["training_type"] == "fine-tuning"
    assert adapter.record["run"]["id"] in co2["source"]
    assert co2["emissions"] == pytest.approx(adapter.record["emissions"]["co2eq_g"], rel=0.05)
    assert "France" in co2["geographical_location"]


def test_emissions_are_a_plain_decimal_in_the_front_matter(adapter):
    line = re.search(r"^ +emissions: (.*)$", adapter.card, flags=re.MULTILINE)

    assert re.fullmatch(r"\d+(\.\d+)?", line[1])
    assert float(line[1]) > 0


def test_the_regime_is_what_a_forward_hook_saw(adapter, full):
    assert adapter.watch.dtypes == {torch.float32}
    assert adapter.line("Training regime").split(" (")[0] == "fp32"
    assert full.watch.dtypes == {torch.bfloat16}
    assert full.line("Training regime").split(" (")[0] == "bf16 non-mixed precision"


def test_parameters_are_those_of_the_state_dict(adapter, full):
    for run in (adapter, full):
        model = run.trainer.model
        total = sum(
            tensor.numel()
            for name, tensor in model.state_dict().items()
            if not name.endswith("position_ids")
        )
        trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)

        assert run.record["model"]["parameters_total"] == total
        assert run.record["model"]["parameters_trainable"] == trainable


def test_adapter_settings_are_those_on_disk(adapter):
    saved = json.loads((adapter.folder / "adapter_config.json").read_text())
    (ours,) = adapter.record["adapters"]

    assert ours["method"] == "LoRA"
    assert ours["config"]["r"] == saved["r"] == 4
    assert ours["config"]["target_modules"] == sorted(saved["target_modules"])
    in_full = {
        name.split(".modules_to_save")[0]
        for name in adapter.trainer.model.state_dict()
        if "modules_to_save" in name
    }
    assert ours["config"]["modules_to_save"] == sorted(name.rpartition(".")[2] for name in in_full)
    assert ours["peft_version_runtime"] == saved["peft_version"]
    assert f"\n- PEFT {saved['peft_version']}\n" in adapter.section("Software")


def test_wall_clock_is_that_of_the_tests_own_clock(adapter, full):
    for run in (adapter, full):
        # One clock stands before ours, one behind: between the two there is no doubt, on a busy
        # machine either.
        at_least_s, at_most_s = run.watch.end - run.behind.begin, run.behind.end - run.watch.begin

        assert at_least_s <= run.record["time"]["wall_clock_s"] <= at_most_s


def test_results_are_those_that_evaluate_returned(adapter):
    losses = [entry for entry in adapter.record["evaluation"]["results"] if entry["name"] == "loss"]

    assert [entry["value"] for entry in losses] == [pytest.approx(adapter.metrics["eval_loss"])]
    assert any(
        number == pytest.approx(adapter.metrics["eval_loss"], rel=0.01)
        for number in numbers(adapter.section("Results"))
    )


def test_rows_are_those_of_the_data_sets(adapter, full):
    assert 32 in numbers(adapter.section("Training Data"))
    assert 20 in numbers(full.section("Training Data"))
    assert 16 in numbers(adapter.section("Testing Data"))


def test_energy_is_the_sum_of_its_parts_and_co2_is_energy_times_intensity(adapter):
    energy, emissions = adapter.record["energy"], adapter.record["emissions"]
    parts = energy["gpu_kwh"] + energy["cpu_kwh"] + energy["ram_kwh"]

    assert energy["gpu_kwh"] == 0
    assert energy["cpu_kwh"] > 0
    assert energy["ram_kwh"] > 0
    assert energy["total_kwh"] == pytest.approx(parts)
    assert emissions["co2eq_g"] == pytest.approx(parts * emissions["intensity_g_per_kwh"])
    assert emissions["intensity_g_per_kwh"] == pytest.approx(56, abs=0.1)
    assert emissions["intensity_year"] == 2023


def test_without_a_place_there_is_energy_and_a_reason_but_no_co2(full):
    record = full.record

    assert record["energy"]["total_kwh"]
    assert record["emissions"]["co2eq_g"] is None
    assert "no place is known" in record["missing"]["emissions.co2eq_g"]
    assert "country_iso_code" in record["missing"]["emissions.country_iso_code"]
    assert "co2_eq_emissions" not in full.card
    assert not re.search(r"^- \*\*Carbon Emitted:\*\* \S*\d", full.card, flags=re.MULTILINE)
    assert "CO2: not known (no place is known" in full.section("Environmental Impact")


def test_a_full_fine_tune_of_a_new_model_is_not_called_a_fine_tune_of_something(full):
    front = huggingface_hub.ModelCard.load(full.folder / "README.md").data.to_dict()

    assert "base_model" not in front
    assert front["library_name"] == "transformers"
    assert full.record["adapters"] == []


def test_no_fact_is_missing_without_a_reason(adapter, full):
    for run in (adapter, full):
        assert NOT_LOOKED_FOR not in run.record["missing"].values()
        assert all(reason.strip() for reason in run.record["missing"].values())


def test_no_fact_failed(adapter, full):
    for run in (adapter, full):
        assert [
            reason for reason in run.record["missing"].values() if "autocard failed" in reason
        ] == []


def test_two_runs_that_differ_in_r_dtype_and_data_differ_in_just_those_slots(tmp_path):
    def slots(name, r, dtype, rows):
        base = training.bert().to(dtype)
        run = Trained(
            tmp_path / name / "topic-lora",
            model=training.lora(base, r=r, autocast_adapter_dtype=False),
            train=training.dataset(rows),
            evaluate=False,
            # of a short run energy and CO2 come late, in one run perhaps later than in the other
            ours={"base_model": "org/tiny-bert", "emissions": False},
        )
        return run.record["slots"]["README.md"]

    one = slots("one", 4, torch.float32, 32)
    two = slots("two", 8, torch.bfloat16, 28)
    differing = {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}
    clocks = {"speeds_sizes_times", "hours_used", "energy", "results", "hardware_requirements"}

    assert differing - clocks == {
        "training_data",
        "training_regime",
        "training_hyperparameters",
        "model_specs",
        "run_summary",
    }


def test_a_second_training_refreshes_ours_and_keeps_a_person_s(tmp_path):
    first = Trained(tmp_path / "out", ours={"base_model": "org/tiny-bert"})
    card = tmp_path / "out" / "README.md"
    edited = card.read_text().replace("- **Developed by:** ", "- **Developed by:** Ada Lovelace", 1)
    edited = re.sub(r"(### Direct Use\n)", r"\1\nFor weather reports.\n", edited, count=1)
    card.write_text(edited)

    second = Trained(
        tmp_path / "out",
        model=training.lora(training.bert(), r=2),
        ours={"base_model": "org/tiny-bert"},
    )

    assert "Ada Lovelace" in second.card
    assert "For weather reports." in second.card
    assert first.record["run"]["id"]
    assert second.record["adapters"][0]["config"]["r"] == 2
    assert second.card.count("## Environmental Impact") == 1
    assert second.card.count("\n- PEFT ") == 1
    assert second.card.count("### Direct Use") == 1


def test_a_folder_that_cannot_be_written_costs_the_place_of_the_card_and_not_the_training(
    tmp_path, caplog
):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    trainer = training.trainer(
        tmp_path / "out",
        callbacks=[AutoCardCallback(card=str(blocked / "README.md"), emissions=False)],
    )

    result = trainer.train()

    assert result.global_step == 6
    assert "this place cannot be used" in caplog.text
    known = json.loads((tmp_path / "out" / "autocard.json").read_text())
    assert known["run"]["global_step"] == 6


def test_disabled_means_no_trace(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOCARD_DISABLED", "1")

    training.trainer(tmp_path / "out", callbacks=[AutoCardCallback(template="no such")]).train()

    assert not (tmp_path / "out" / "README.md").exists()
    assert not (tmp_path / "out" / "_autocard").exists()
