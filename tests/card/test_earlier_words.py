"""A card made of a record of version 0.1.0 reads in the words of today; the record stays as it is."""

from __future__ import annotations

import pytest

from autocard import record as parts
from autocard.card.fields import facts
from autocard.card.fields.earlier_words import in_words_of_today
from autocard.record import RunRecord

DATA = {
    "an in-memory data set (datasets.Dataset)": "In-memory dataset, 3 rows",
    "a stream of rows (datasets.IterableDataset)": "Streamed dataset, 3 rows",
    "rows made by a generator function (datasets.Dataset)": "Dataset made by a generator function, 3 rows",
    "a data set of a class of its own (list)": "Python list, 3 rows",
    "a data set of a class of its own (DS)": "Custom DS dataset, 3 rows",
    "a data set of a class of its own (torch.Subset)": "PyTorch Subset, 3 rows",
    "local files (csv)": "Local files (csv), 3 rows",
}


@pytest.mark.parametrize("earlier", DATA)
def test_data_of_an_earlier_record_are_described_in_the_words_of_today(earlier):
    record = RunRecord(data=parts.Data(train=[parts.Dataset(description=earlier, rows=3)]))

    assert facts(record)["training_data"].line == DATA[earlier]


@pytest.mark.parametrize(
    ("earlier", "today"),
    [
        ("none: trained from scratch", "none (trained from scratch)"),
        (
            "none: trained from scratch; an earlier training of the same process (run 4fc6) had done the first 4 steps",
            "none (trained from scratch; first 4 steps in run 4fc6)",
        ),
        (
            "a local checkpoint, itself fine-tuned from org/x",
            "a local checkpoint fine-tuned from org/x",
        ),
    ],
)
def test_a_base_of_an_earlier_record_is_described_in_the_words_of_today(earlier, today):
    record = RunRecord(model=parts.Model(base_model_description=earlier))

    assert facts(record)["base_model"].line == today


def test_tasks_schedules_and_rates_of_an_earlier_record_are_american():
    record = RunRecord(
        model=parts.Model(task="causal language modelling", model_type="llama"),
        training=parts.Training(
            optimizer="AdamW (learning rate 5e-05, betas (0.9, 0.999), epsilon 1e-08)",
            scheduler="linear, 1 warm-up steps of 4",
            objective="causal language modelling (next-token cross-entropy)",
        ),
        adapters=[parts.Adapter(name="default", method="DoRA (rank-stabilised)")],
    )

    found = facts(record)

    assert found["model_type"].line == "`llama`, causal language modeling"
    settings = found["training_hyperparameters"].body()
    assert "AdamW (learning rate 5e-5, betas (0.9, 0.999), epsilon 1e-8)" in settings
    assert "linear with 1 warmup step (of 4 in total)" in settings
    assert "DoRA (rank-stabilized)" in found["model_specs"].body()


def test_the_words_of_a_person_and_names_stay_as_they_are():
    record = RunRecord(
        model=parts.Model(name="org/modelling", labels=["colour", "modelling"]),
        data=parts.Data(train=[parts.Dataset(dataset_id="org/modelled", title="Our modelling")]),
        facts={"developers": "The Modelling Centre"},
    )

    found = facts(record)

    assert found["developers"].line == "The Modelling Centre"
    assert found["training_data"].line.startswith("[org/modelled]")
    assert "(Our modelling)" in found["training_data"].line
    assert "colour, modelling (2 labels)" in found["model_specs"].body()


def test_the_record_itself_is_not_changed():
    record = RunRecord(
        model=parts.Model(task="causal language modelling"),
        missing={"energy.total_kwh": "not measured: training was broken off, so it is missing"},
    )
    before = record.model_dump_json()

    today = in_words_of_today(record)

    assert record.model_dump_json() == before
    assert today.missing["energy.total_kwh"].startswith("not measured: training was interrupted")
