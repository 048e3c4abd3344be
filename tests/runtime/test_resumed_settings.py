"""Trainings that are resumed with other settings, or from another output folder; models that are merged."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from autocard import AutoCardCallback
from autocard import record as records
from support import TESTS, training


def _stops_at(step: int) -> Any:
    from transformers import TrainerCallback

    class Stops(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step == step

    return Stops()


def _trainer(folder: Path, *more: Any, **changes: Any) -> Any:
    callbacks = [AutoCardCallback(country_iso_code=changes.pop("country", None)), *more]
    saves = {"save_strategy": "steps", "save_steps": 2, "max_steps": 6}
    return training.trainer(
        folder, model=training.bert(), callbacks=callbacks, **{**saves, **changes}
    )


def test_settings_of_the_steps_before_a_resume_stand_beside_those_after_it(tmp_path: Path) -> None:
    _trainer(tmp_path, _stops_at(4), seed=1, learning_rate=1e-3, weight_decay=0.1).train()
    resumed = _trainer(tmp_path, seed=9, learning_rate=5e-4)
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))

    first, last = records.load(tmp_path / "autocard.json").legs
    card = (tmp_path / "README.md").read_text()
    assert first.other_hyperparameters["seed"] == 1
    assert first.other_hyperparameters["learning_rate"] == 1e-3
    assert first.other_hyperparameters["weight_decay"] == 0.1
    assert last.other_hyperparameters == {}
    line = next(line for line in card.splitlines() if "Resumed with different arguments" in line)
    assert "steps 1 to 2 with" in line
    assert "`seed` 1" in line
    assert "those of steps 3 to 6" in line


def test_a_resume_with_the_same_settings_says_nothing_of_settings(tmp_path: Path) -> None:
    _trainer(tmp_path, _stops_at(4)).train()
    _trainer(tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))

    assert "Resumed with different arguments" not in (tmp_path / "README.md").read_text()
    assert all(
        leg.other_hyperparameters == {} for leg in records.load(tmp_path / "autocard.json").legs
    )


def test_a_run_that_goes_on_from_another_folders_checkpoint_knows_how_its_first_leg_ended(
    tmp_path: Path,
) -> None:
    _trainer(tmp_path / "a", _stops_at(5), country="FRA").train()
    resumed = _trainer(tmp_path / "b", country="POL")
    resumed.train(resume_from_checkpoint=str(tmp_path / "a" / "checkpoint-4"))

    first, last = records.load(tmp_path / "b" / "autocard.json").legs
    assert (first.status, first.step_end, last.step_begin) == ("stopped", 5, 4)
    assert first.id == records.load(tmp_path / "a" / "autocard.json").legs[0].id
    assert "this one was killed" not in (tmp_path / "b" / "README.md").read_text()


PROMISE = """
import sys
from pathlib import Path
from runtime import test_resumed_settings as here
folder = Path(sys.argv[1])
here._trainer(folder / "a", here._stops_at(5), country="FRA").train()
here._trainer(folder / "b", country="POL").train(resume_from_checkpoint=str(folder / "a" / "checkpoint-4"))
"""


def test_no_promise_of_figures_stands_in_a_record_after_the_process_has_exited(
    tmp_path: Path,
) -> None:
    subprocess.run(
        [sys.executable, "-c", PROMISE, str(tmp_path)],
        check=True,
        cwd=TESTS,
        timeout=300,
    )

    for name in ("a", "b"):
        record = records.load(tmp_path / name / "autocard.json")
        assert not [why for why in record.missing.values() if "when the process exits" in why]
    assert [leg.place.country_iso_code for leg in record.legs] == ["FRA", "POL"]


@pytest.mark.parametrize("before", [False, True], ids=["nothing saved before", "adapter elsewhere"])
def test_a_merged_model_saved_after_training_makes_the_card_a_whole_models(
    tmp_path: Path, before: bool
) -> None:
    trainer = training.trainer(
        tmp_path, callbacks=[AutoCardCallback(base_model="org/base", emissions=False)]
    )
    trainer.train()
    if before:
        trainer.save_model(str(tmp_path / "adapter"))

    trainer.model.merge_and_unload().save_pretrained(tmp_path)

    front = yaml.safe_load((tmp_path / "README.md").read_text().split("---\n")[1])
    assert records.load(tmp_path / "autocard.json").model.adapters_merged
    assert front["library_name"] == "transformers"
    assert "lora" not in front.get("tags", [])


def test_a_base_that_is_saved_after_its_adapter_was_taken_off_is_no_merged_model(
    tmp_path: Path,
) -> None:
    trainer = training.trainer(
        tmp_path, callbacks=[AutoCardCallback(base_model="org/base", emissions=False)]
    )
    trainer.train()

    trainer.model.unload().save_pretrained(tmp_path)
    trainer.create_model_card()

    told = records.load(tmp_path / "autocard.json")
    assert not told.model.adapters_merged
    assert "without the adapter" in told.missing["model.saved_bytes"]
    assert "merged" not in (tmp_path / "README.md").read_text()
