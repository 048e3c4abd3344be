"""The total train batch size names its factors where they are known to make it."""

from __future__ import annotations

import pytest

from autocard import record as parts
from autocard.card.fields import facts
from autocard.record import RunRecord


def line(size, *, per_device, accumulated=1, processes=1, gpus=0, **training):
    record = RunRecord(
        training=parts.Training(
            effective_batch_size=size,
            hyperparameters={
                "per_device_train_batch_size": per_device,
                "gradient_accumulation_steps": accumulated,
            },
            **training,
        ),
        job=parts.Job(world_size=processes),
        hardware=parts.Hardware(gpus=[parts.Gpu(name="L4", count=gpus)] if gpus else []),
    )
    body = facts(record)["training_hyperparameters"].body()
    return next(row for row in body.splitlines() if "batch size:" in row)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (
            {"size": 12, "per_device": 4, "accumulated": 3},
            "12 (4 per device × 3 accumulation steps)",
        ),
        ({"size": 32, "per_device": 4, "processes": 8}, "32 (4 per device × 8 devices)"),
        ({"size": 8, "per_device": 4, "gpus": 2}, "8 (4 per device × 2 devices)"),
        (
            {"size": 16, "per_device": 2, "accumulated": 2, "processes": 4},
            "16 (2 per device × 4 devices × 2 accumulation steps)",
        ),
        ({"size": 4, "per_device": 4}, "4"),
        # an epoch with fewer rows, a batch size that was found, tensor parallelism: another product
        ({"size": 7, "per_device": 4, "accumulated": 3}, "7"),
        ({"size": 8, "per_device": 4, "processes": 8}, "8"),
    ],
)
def test_the_size_names_only_factors_that_make_it(sizes, words):
    assert line(**sizes) == f"- Total train batch size: {words}"


def test_packed_sequences_keep_their_unit():
    assert line(4, per_device=4, batch_unit="packed sequences").endswith(": 4 packed sequences")
