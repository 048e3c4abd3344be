"""evaluate() and predict() around a training: whose figures stand in the record, and of which weights and data."""

import json

import pytest

from autocard import AutoCardCallback
from support import training


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Evaluate and predict before, during and after training; return (record, card, what predict() returned)."""
    from transformers import TrainerCallback

    folder = tmp_path_factory.mktemp("run")

    class Looks(TrainerCallback):
        """Predicts in the middle of training, as some scripts do."""

        def on_step_end(self, args, state, control, **_):
            if state.global_step == 2:
                trainer.predict(training.dataset(4, seed=5), metric_key_prefix="middle")

    trainer = training.trainer(folder, callbacks=[AutoCardCallback(emissions=False)], max_steps=3)
    trainer.add_callback(Looks())
    trainer.evaluate()
    trainer.predict(training.dataset(4, seed=6), metric_key_prefix="before")
    trainer.train()
    trainer.evaluate()
    first = trainer.predict(training.dataset(12, seed=7)).metrics
    second = trainer.predict(training.dataset(20, seed=8), metric_key_prefix="hard").metrics
    record = json.loads((folder / "autocard.json").read_text())
    return record, (folder / "README.md").read_text(), {"test": first, "hard": second}


def test_each_prediction_after_training_has_its_figures(told):
    record, _, predicted = told

    found = {
        one["dataset"]: one["value"]
        for one in record["evaluation"]["results"]
        if one["split"] == "prediction"
    }

    assert found == {name: metrics[f"{name}_loss"] for name, metrics in predicted.items()}


def test_each_data_set_says_what_looked_at_it(told):
    sets = {(one["name"], one["used_by"]): one["rows"] for one in told[0]["data"]["eval"]}

    assert sets == {(None, "evaluate"): 16, ("test", "predict"): 12, ("hard", "predict"): 20}


def test_the_card_tells_predictions_apart(told):
    card = told[1]

    assert "16 rows" in card
    assert "`test`: " in card
    assert card.count("(results from `predict()`)") == 2
    assert "| `hard` | `predict()` |" in card


def test_what_was_looked_at_before_the_end_is_of_other_weights_and_not_told(told):
    text = json.dumps(told[0]["evaluation"]["results"]) + json.dumps(told[0]["data"])

    assert "before" not in text
    assert "middle" not in text
