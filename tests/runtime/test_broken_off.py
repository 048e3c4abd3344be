"""A training that raises, and what the script does with its trainer afterwards."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from autocard import AutoCardCallback
from autocard import record as records
from support import training


def _broken(folder: Path, raises: type[BaseException], **changes: Any) -> tuple[Any, Any]:
    """Return a trainer whose `train` has raised in its third step, and its callback."""
    from transformers import TrainerCallback

    class Breaks(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                raise raises

    ours = AutoCardCallback()
    trainer = training.trainer(folder, callbacks=[ours, Breaks()], **changes)
    with pytest.raises(raises):
        trainer.train()
    return trainer, ours


@pytest.mark.parametrize("raises", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("first", ["save", "evaluate", "predict"])
def test_evaluating_after_training_broke_off_is_not_evaluation_during_training(
    tmp_path: Path, raises: type[BaseException], first: str
) -> None:
    trainer, _ = _broken(tmp_path, raises)

    time.sleep(1.2)  # so that an event of the evaluation is due to be reported
    if first == "save":
        trainer.save_model()
    if first == "predict":
        trainer.predict(training.dataset(8))
    trainer.evaluate()
    trainer.save_model()

    record = records.load(tmp_path / "autocard.json")
    assert record.time.eval_s == 0
    assert record.time.wall_clock_s < 1.2
    assert (record.run.status, record.run.global_step) == ("interrupted", 3)
    assert "Evaluation time" not in (tmp_path / "README.md").read_text()


def test_an_evaluation_before_training_broke_off_is_counted_alone(tmp_path: Path) -> None:
    trainer, _ = _broken(tmp_path, RuntimeError, eval_strategy="steps", eval_steps=2)
    during_s = sum(entry.get("eval_runtime", 0) for entry in trainer.state.log_history)

    trainer.evaluate()
    trainer.evaluate(metric_key_prefix="test")

    record = records.load(tmp_path / "autocard.json")
    assert during_s > 0
    assert record.time.eval_s == pytest.approx(during_s)


def test_a_training_that_broke_off_has_a_card_with_its_energy_at_once(tmp_path: Path) -> None:
    _broken(tmp_path, RuntimeError)

    record = records.load(tmp_path / "autocard.json")
    assert (record.run.status, record.run.global_step) == ("interrupted", 3)
    assert record.energy.total_kwh > 0
    assert not [
        why for why in record.missing.values() if "before the checkpoint was written" in why
    ]
    assert "interrupted before the planned end" in (tmp_path / "README.md").read_text()


def test_a_training_that_broke_off_ended_when_it_broke_off(tmp_path: Path) -> None:
    from datetime import datetime, timezone

    trainer, _ = _broken(tmp_path, RuntimeError)
    broke_off_at = datetime.now(timezone.utc)

    time.sleep(2)
    trainer.save_model()

    ended_at = datetime.fromisoformat(
        records.load(tmp_path / "autocard.json").run.ended_at.replace("Z", "+00:00")
    )
    assert abs((ended_at - broke_off_at).total_seconds()) < 1
