"""With an id that a person gave, evaluation data claim that source only where they are a part of it."""

from __future__ import annotations

import pytest

from autocard import AutoCardCallback
from autocard.record import load
from support import training


def evaluated(out, train, test):
    trainer = training.trainer(
        out,
        train=train,
        callbacks=[AutoCardCallback(emissions=False, datasets="org/contracts")],
        max_steps=2,
    )
    trainer.train()
    trainer.evaluate(test)
    return load(out).data.eval[0], (out / "README.md").read_text(encoding="utf-8")


def split(rows):
    parts = rows.train_test_split(test_size=8, seed=0)
    return parts["train"], parts["test"]


def selected(rows):
    return rows.select(range(24)), rows.select(range(24, 32))


@pytest.mark.parametrize("parts", [split, selected])
def test_a_part_of_the_training_data_has_its_id(tmp_path, parts):
    data, card = evaluated(tmp_path, *parts(training.dataset(32)))

    assert data.dataset_id == "org/contracts"
    assert card.count("[org/contracts](https://huggingface.co/datasets/org/contracts)") >= 2
    assert "n-memory" not in card


def test_other_data_in_memory_claim_no_source(tmp_path):
    data, card = evaluated(tmp_path, training.dataset(32), training.dataset(8, seed=5))

    assert data.dataset_id is None
    assert data.description is None
    assert "n-memory" not in card
    assert "\n8 rows, 96 tokens, columns" in card
