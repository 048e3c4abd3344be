"""Evaluations whose names fall together without the "eval_" before one of them."""

from __future__ import annotations

import contextlib
import io
import json

import pytest

from autocard import AutoCardCallback
from support import training

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@pytest.mark.parametrize(
    "prefixes", [("eval_test", "test"), ("test", "eval_test"), ("eval", "eval_eval")], ids=str
)
def test_neither_of_two_evaluations_with_similar_prefixes_replaces_the_other(tmp_path, prefixes):
    with contextlib.redirect_stderr(io.StringIO()):
        trainer = training.trainer(
            tmp_path, model=training.bert(), callbacks=[AutoCardCallback(emissions=False)]
        )
        trainer.train()
        sets = dict(
            zip(prefixes, (training.dataset(10, seed=5), training.dataset(12, seed=6)), strict=True)
        )
        losses = {
            len(rows): trainer.evaluate(rows, metric_key_prefix=prefix)[f"{prefix}_loss"]
            for prefix, rows in sets.items()
        }

    record = json.loads((tmp_path / "autocard.json").read_text())
    found = {
        one["dataset"]: one["value"]
        for one in record["evaluation"]["results"]
        if one["name"] == "loss"
    }
    rows = {one["name"]: one["rows"] for one in record["data"]["eval"]}
    assert sorted(rows.values()) == [10, 12]
    assert {rows[name]: value for name, value in found.items()} == losses
    card = (tmp_path / "README.md").read_text()
    assert all(f"| {value:.4f} |" in card for value in losses.values())


def test_two_evaluations_with_other_names_have_them_without_the_prefix(tmp_path):
    with contextlib.redirect_stderr(io.StringIO()):
        trainer = training.trainer(
            tmp_path, model=training.bert(), callbacks=[AutoCardCallback(emissions=False)]
        )
        trainer.train()
        trainer.evaluate(metric_key_prefix="eval_easy")
        trainer.evaluate(metric_key_prefix="test")

    record = json.loads((tmp_path / "autocard.json").read_text())
    assert [one["name"] for one in record["data"]["eval"]] == ["easy", "test"]
    assert {one["dataset"] for one in record["evaluation"]["results"]} == {"easy", "test"}
