"""The record of a run that goes on: what it has used and reached up to now, and that it goes on.

Real trainings; truth: the test's clock around them, and the power that was given for the memory.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainerCallback

from autocard import AutoCardCallback
from autocard.card.update import update
from autocard.record import RunRecord, unexplained
from support import training

RAM_W = 40.0
J_PER_KWH = 3.6e6
OURS = {
    "country_iso_code": "FRA",
    "cpu_power_w": 100.0,
    "ram_power_w": RAM_W,
    "measure_power_secs": 1,
}


class Look(TrainerCallback):  # type: ignore[misc]
    """Makes steps last, and takes the record at one of them, with the seconds since the begin."""

    def __init__(self, ours: AutoCardCallback, at: int) -> None:
        self.ours, self.at = ours, at
        self.records: list[RunRecord] = []
        self.seconds: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.begun = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        time.sleep(0.2)
        if state.global_step == self.at:
            _, session = next(reversed(self.ours._sessions._all.values()))
            self.seconds.append(time.monotonic() - self.begun)
            self.records.append(session.record_now().record)


def looked(folder: Path, at: int, *, resume: bool = False, **changes: Any) -> Look:
    ours = AutoCardCallback(**OURS)
    look = Look(ours, at)
    callbacks = [ours, training.until_ready(ours), look]
    plain = {"max_steps": 20, "eval_strategy": "steps", "eval_steps": 3, "save_strategy": "steps"}
    trainer = training.trainer(folder, callbacks=callbacks, **{**plain, "save_steps": 4, **changes})
    trainer.train(resume_from_checkpoint=resume)
    return look


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Look, Look]:
    """A training of 20 steps that was stopped at its 8th, and its second start."""
    folder = tmp_path_factory.mktemp("run")

    class Stops(TrainerCallback):  # type: ignore[misc]
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step == 8

    ours = AutoCardCallback(**OURS)
    look = Look(ours, 7)
    training.trainer(
        folder,
        callbacks=[ours, training.until_ready(ours), look, Stops()],
        max_steps=20,
        eval_strategy="steps",
        eval_steps=3,
        save_strategy="steps",
        save_steps=4,
    ).train()
    return look, looked(folder, 17, resume=True)


def test_the_record_so_far_has_the_time_and_energy_up_to_now(looks: tuple[Look, Look]) -> None:
    look, _ = looks
    record, seconds = look.records[0], look.seconds[0]

    share = record.legs[0].hosts[0].cpu_share
    assert record.time.wall_clock_s == pytest.approx(seconds, abs=0.3)
    assert record.energy.ram_kwh * J_PER_KWH == pytest.approx(RAM_W * share * seconds, rel=0.15)
    assert record.energy.total_kwh > record.energy.ram_kwh
    assert record.emissions.co2eq_g > 0
    assert (record.run.global_step, record.run.max_steps) == (7, 20)
    assert [leg.step_end for leg in record.legs] == [7]
    assert record.evaluation.results[0].step == 6


def test_a_run_that_goes_on_has_no_status(looks: tuple[Look, Look]) -> None:
    for look in looks:
        record = look.records[0]
        assert record.run.status is None
        assert record.legs[-1].status is None
        assert record.run.ended_at is None
        assert f"at step {look.at} of 20" in record.missing["run.status"]


def test_the_record_so_far_has_a_reason_for_each_gap(looks: tuple[Look, Look]) -> None:
    for look in looks:
        record = look.records[0]
        assert unexplained(record) == []
        assert "not captured" not in record.missing.values()
        assert not [why for why in record.missing.values() if "training ended" in why]


def test_the_record_so_far_of_a_second_start_has_both(looks: tuple[Look, Look]) -> None:
    first, second = (look.records[0] for look in looks)

    assert second.run.id == first.run.id
    assert [leg.status for leg in second.legs] == ["stopped", None]
    assert [leg.step_end for leg in second.legs] == [8, 17]
    assert second.time.wall_clock_s == pytest.approx(
        second.legs[0].wall_clock_s + looks[1].seconds[0], abs=0.3
    )
    assert second.energy.total_kwh > first.energy.total_kwh


def test_the_card_says_that_hours_and_energy_are_those_so_far(
    looks: tuple[Look, Look], tmp_path: Path
) -> None:
    record = looks[0].records[0]

    update(tmp_path / "README.md", record)

    card = (tmp_path / "README.md").read_text()
    lines = {
        words: next(line for line in card.splitlines() if words in line)
        for words in ("Hours used", "Carbon Emitted", "  source: ", "Wall-clock time:")
    }
    for line in lines.values():
        assert "so far, at step 7 of 20" in line.lower()
    assert "Training went on when this was written" in card
    assert "to its end" not in card
    assert "to the step at which this was written" in card


def test_a_record_so_far_does_not_change_the_record_at_the_end(tmp_path: Path) -> None:
    look = looked(tmp_path, 5, max_steps=6)

    assert look.records[0].run.status is None
    record = look.ours.record
    assert record.run.status == "finished"
    assert "not known yet" not in " ".join(record.missing.values())


def test_the_record_so_far_says_that_measuring_was_turned_off(tmp_path: Path) -> None:
    ours = AutoCardCallback(emissions=False)
    look = Look(ours, 2)
    training.trainer(tmp_path, callbacks=[ours, look], max_steps=3).train()

    record = look.records[0]
    assert "emissions=False" in record.missing["energy.total_kwh"]
    assert record.time.wall_clock_s > 0
