"""What lies around the training window, and trainings that begin or end in other ways than once."""

from __future__ import annotations

import json
import time

import psutil
import pytest
from transformers import TrainerCallback

from autocard import AutoCardCallback
from support import training

RAM_W = 10.0
CPU_W = 20.0
OURS = {
    "country_iso_code": "FRA",
    "ram_power_w": RAM_W,
    "cpu_power_w": CPU_W,
    "measure_power_secs": 1,
}
J_PER_KWH = 3.6e6


class Pace(TrainerCallback):
    """Makes steps and batches of evaluations last, and notes when training began and ended."""

    def __init__(self, step_s, batch_s=0.0):
        self.step_s, self.batch_s = step_s, batch_s
        self.moments = {}

    def on_train_begin(self, *_, **__):
        self.moments["begin"] = time.monotonic()

    def on_step_end(self, *_, **__):
        time.sleep(self.step_s)

    def on_prediction_step(self, *_, **__):
        time.sleep(self.batch_s)

    def on_train_end(self, *_, **__):
        self.moments["end"] = time.monotonic()


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


def children():
    return [
        process.pid
        for process in psutil.Process().children()
        if process.status() != psutil.STATUS_ZOMBIE
    ]


def between(joules, seconds, share, *, rel=0.15):
    """Return whether *joules* can be what CPU and RAM used: the memory all the time, the CPU between idle and full."""
    return (
        seconds * RAM_W * share * (1 - rel)
        <= joules
        <= seconds * (RAM_W + CPU_W) * share * (1 + rel)
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One training with a set-up that takes its time, an evaluation and a prediction after it, then another."""
    folder, took = tmp_path_factory.mktemp("boundary"), {}
    began = children()
    made_s = time.monotonic()
    ours, pace = AutoCardCallback(**OURS), Pace(0.2, 0.3)
    time.sleep(0.7)
    trainer = training.trainer(
        folder,
        callbacks=[training.until_ready(ours), ours, pace],
        max_steps=10,
        per_device_eval_batch_size=4,
    )
    time.sleep(0.7)
    trainer.train()
    took["setup"] = pace.moments["begin"] - made_s
    took["training"] = pace.moments["end"] - pace.moments["begin"]
    trained = record(folder)
    time.sleep(0.6)
    took["evaluation"] = trainer.evaluate()["eval_runtime"]
    time.sleep(0.4)
    took["prediction"] = trainer.predict(training.dataset(8, seed=2)).metrics["test_runtime"]
    evaluated = record(folder)
    card = (folder / "README.md").read_text()
    waiting = [pid for pid in children() if pid not in began]
    pace.step_s = 0.0
    trainer.train()
    again = [pid for pid in children() if pid not in began]
    return took, trained, evaluated, record(folder), (waiting, again), card


def test_training_alone_is_in_the_total_whatever_comes_before_and_after(run):
    took, trained, evaluated, _, _, _ = run

    # Ours begins before the test's clock and ends before it; between its end and that of the clock
    # it writes the card.
    assert trained["time"]["wall_clock_s"] == pytest.approx(took["training"], abs=1.5)
    share = trained["legs"][0]["hosts"][0]["cpu_share"]
    assert between(trained["energy"]["total_kwh"] * J_PER_KWH, took["training"], share)
    assert trained["energy"]["total_kwh"] == evaluated["energy"]["total_kwh"]
    assert trained["energy"]["evaluation_kwh"] == 0


def test_set_up_is_measured_from_the_making_of_the_callback_and_kept_apart(run):
    took, trained, _, _, _, _ = run

    (leg,) = trained["legs"]

    assert took["setup"] > 1.4
    assert between(leg["setup_j"], took["setup"], leg["hosts"][0]["cpu_share"])
    assert trained["energy"]["setup_kwh"] == pytest.approx(leg["setup_j"] / J_PER_KWH)
    assert trained["energy"]["sources"]["setup"].startswith("measured like the training")


def test_evaluation_after_training_is_measured_and_kept_apart_and_idling_between_is_not_in_it(run):
    took, _, evaluated, _, _, _ = run

    (leg,) = evaluated["legs"]
    seconds = took["evaluation"] + took["prediction"]

    assert seconds > 1.7
    assert between(leg["evaluation_j"], seconds, leg["hosts"][0]["cpu_share"])
    assert evaluated["energy"]["evaluation_kwh"] == pytest.approx(leg["evaluation_j"] / J_PER_KWH)


def test_the_card_tells_what_is_not_in_the_total(run):
    card = run[-1]

    assert "Measured, but not in the total: set-up 0.0" in card
    assert " and evaluation after training 0.0" in card


def test_a_second_training_is_another_run_by_the_same_process_that_has_no_set_up(run):
    _, _, evaluated, second, (waiting, again), _ = run

    assert second["run"]["id"] != evaluated["run"]["id"]
    assert len(second["legs"]) == 1
    assert second["energy"]["setup_kwh"] is None
    assert "trained before" in second["missing"]["energy.setup_kwh"]
    assert len(waiting) == 1
    assert again == waiting


def test_smaller_batches_after_running_out_of_memory_are_one_run_with_all_its_time(
    tmp_path, monkeypatch
):
    model = training.bert()
    forward, tried = model.forward, []

    def small_only(input_ids=None, **others):
        if model.training and len(input_ids) > 4:
            tried.append(len(input_ids))
            time.sleep(0.5)
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")  # noqa: EM101, TRY003
        return forward(input_ids=input_ids, **others)

    monkeypatch.setattr(model, "forward", small_only)
    ours = AutoCardCallback(emissions=False)
    trainer = training.trainer(
        tmp_path,
        model=model,
        callbacks=[ours],
        auto_find_batch_size=True,
        per_device_train_batch_size=8,
        max_steps=3,
    )
    begun_s = time.monotonic()

    trainer.train()

    known = record(tmp_path)
    assert tried
    assert len(known["legs"]) == 1
    assert 0.5 * len(tried) <= known["time"]["wall_clock_s"] <= time.monotonic() - begun_s
    assert known["time"]["repeated_steps"] is None
    assert "smaller batches" in known["missing"]["time.repeated_steps"]


def test_a_search_writes_no_card_for_a_trial_and_the_training_after_it_has_one(tmp_path):
    pytest.importorskip("optuna").logging.set_verbosity(40)
    from transformers import Trainer

    trainer = Trainer(
        model_init=lambda: training.bert(),  # noqa: PLW0108 - called with what it takes
        args=training.arguments(tmp_path, max_steps=2),
        train_dataset=training.dataset(16),
        eval_dataset=training.dataset(8),
        callbacks=[AutoCardCallback(emissions=False)],
    )
    trainer.hyperparameter_search(
        n_trials=2, backend="optuna", hp_space=lambda trial: {"seed": trial.number}
    )
    before = (tmp_path / "README.md").exists()

    trainer.train()

    assert not before
    assert record(tmp_path)["run"]["global_step"] == 2
    assert len(record(tmp_path)["legs"]) == 1


def test_other_trackers_and_transformers_own_callback_beside_ours_change_nothing(
    tmp_path, monkeypatch
):
    from codecarbon import OfflineEmissionsTracker

    for name in ("http_proxy", "https_proxy"):
        # theirs asks the network where it is; here that fails at once
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    powers = {"log_level": "critical", "force_ram_power": 900, "force_cpu_power": 900}
    other = OfflineEmissionsTracker(country_iso_code="CAN", save_to_file=False, **powers)
    other.start()
    ours, folder = AutoCardCallback(**OURS), tmp_path / "run"
    folder.mkdir()
    callbacks = [training.until_ready(ours), ours, Pace(0.3)]
    trainer = training.trainer(folder, callbacks=callbacks, max_steps=6, report_to="codecarbon")

    trainer.train()
    other.stop()

    known = record(folder)
    share = known["legs"][0]["hosts"][0]["cpu_share"]
    ram_j = RAM_W * share * known["time"]["wall_clock_s"]
    assert (folder / "emissions.csv").exists()
    assert known["energy"]["ram_kwh"] * J_PER_KWH == pytest.approx(ram_j, rel=0.2)
    assert known["emissions"]["country_iso_code"] == "FRA"


def test_two_trainers_that_train_in_turn_measure_each_their_own(tmp_path):
    ours = AutoCardCallback(**OURS)
    trainers = [
        training.trainer(
            tmp_path / name,
            callbacks=[training.until_ready(ours), ours, Pace(0.3)],
            max_steps=steps,
        )
        for name, steps in (("one", 12), ("two", 4))
    ]

    for trainer in trainers:
        trainer.train()

    one, two = (record(tmp_path / name) for name in ("one", "two"))
    assert one["run"]["id"] != two["run"]["id"]
    for known in (one, two):
        share = known["legs"][0]["hosts"][0]["cpu_share"]
        assert known["energy"]["ram_kwh"] * J_PER_KWH == pytest.approx(
            RAM_W * share * known["time"]["wall_clock_s"], rel=0.2
        )
    assert (one["run"]["global_step"], two["run"]["global_step"]) == (12, 4)


def test_a_run_that_is_resumed_by_the_same_trainer_is_one_run_with_both_legs(tmp_path):
    trainer = training.trainer(
        tmp_path, callbacks=[AutoCardCallback(emissions=False)], save_strategy="steps", save_steps=3
    )
    trainer.train()
    first = record(tmp_path)

    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))

    known = record(tmp_path)
    assert known["run"]["id"] == first["run"]["id"]
    assert known["run"]["started_at"] == first["run"]["started_at"]
    assert [(leg["step_begin"], leg["step_end"]) for leg in known["legs"]] == [(0, 6), (3, 6)]
    assert [leg["repeated_steps"] for leg in known["legs"]] == [3, 0]
    assert known["time"]["wall_clock_s"] == pytest.approx(
        sum(leg["wall_clock_s"] for leg in known["legs"])
    )


def test_a_training_that_failed_and_was_resumed_in_the_same_process_keeps_what_the_clock_told(
    tmp_path,
):
    class Fails(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            time.sleep(0.3)
            if state.global_step == 5 and not getattr(self, "done", False):
                self.done = True
                raise RuntimeError("the user's own code")  # noqa: EM101, TRY003

    callbacks = [Fails(), AutoCardCallback(emissions=False)]
    trainer = training.trainer(
        tmp_path, callbacks=callbacks, save_strategy="steps", save_steps=2, max_steps=6
    )
    with pytest.raises(RuntimeError, match="the user's own code"):
        trainer.train()
    time.sleep(1)

    trainer.train(resume_from_checkpoint=True)

    failed, last = record(tmp_path)["legs"]
    assert (failed["status"], failed["step_begin"], last["step_begin"], last["step_end"]) == (
        "interrupted",
        0,
        4,
        6,
    )
    assert 1.0 < failed["wall_clock_s"] < 2.2
