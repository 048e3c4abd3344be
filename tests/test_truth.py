"""The oracles themselves: a true record passes, and each falsified field is found."""

from __future__ import annotations

import copy
import json
import re

import pytest
import training
import truth

from autocard import AutoCardCallback


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One training with an evaluation: its record, its card, and what is known of it without them."""
    folder = tmp_path_factory.mktemp("run")
    ours = AutoCardCallback(base_model="org/base", emissions=False)
    trainer = training.trainer(folder, callbacks=[ours], learning_rate=0.01, max_steps=4)
    trainer.train()
    trainer.save_model()
    metrics = trainer.evaluate()
    true = truth.Truth(trainer, trainer.state, metrics=metrics, given={"base_model": "org/base"})
    known = json.loads((folder / "autocard.json").read_text())
    seconds = known["legs"][0]["wall_clock_s"]
    true.at_least_s, true.at_most_s = seconds - 0.01, seconds + 0.01
    return known, (folder / "README.md").read_text(), true


def false_in(known, card, true):
    return {path.split("[")[0] for path, _, is_so in truth.judged(known, card, "README.md", true) if not is_so}


def test_a_true_record_has_no_false_field_and_many_are_judged(run):
    told = truth.judged(run[0], run[1], "README.md", run[2])

    assert [one for one in told if not one[2]] == []
    assert len(told) > 80
    assert {"card: rank", "card: loss", "card: time", "card: rows"} <= {path for path, *_ in told}


FALSE = {
    "run.global_step": 5,
    "run.max_steps": 40,
    "run.epochs": 3.5,
    "run.status": "stopped",
    "model.architecture": "BertForMaskedLM",
    "model.model_type": "roberta",
    "model.parameters_total": 22373,
    "model.parameters_trainable": 1091,
    "model.dims.layers": 3,
    "model.dims.hidden_size": 64,
    "model.labels": ["storm", "calm"],
    "model.base_model": "org/other",
    "model.base_model_relation": "finetune",
    "model.library_name": "transformers",
    "model.saved_bytes": 7,
    "training.hyperparameters.learning_rate": 0.02,
    "training.hyperparameters.seed": 4,
    "training.hyperparameters.bf16": True,
    "training.seed": 42,
    "training.effective_batch_size": 8,
    "training.optimizer": "SGD (learning rate 0.01)",
    "precision.weights_dtype": "bfloat16",
    "precision.trainable_dtype": "float16",
    "precision.regime": "bf16 non-mixed precision",
    "evaluation.train_loss": 0.1,
    "software.transformers": "4.1.0",
    "software.python": "3.1.0",
    "job.world_size": 2,
    "time.wall_clock_s": 1e4,
    "energy.total_kwh": 1.0,
}
"""Path → what is not so."""


@pytest.mark.parametrize("path", FALSE)
def test_a_false_field_of_the_record_is_found(run, path):
    known = copy.deepcopy(run[0])
    *way, leaf = path.split(".")
    part = known
    for name in way:
        part = part[name]
    part[leaf] = FALSE[path]

    assert path in false_in(known, run[1], run[2])


def test_false_list_entries_are_found(run):
    known = copy.deepcopy(run[0])
    known["adapters"][0]["config"]["r"] = 8
    known["data"]["train"][0]["rows"] = 31
    known["data"]["train"][0]["tokens"] = 1
    known["evaluation"]["results"][0]["value"] = 0.25
    known["legs"][-1]["wall_clock_s"] = 100.0
    known["legs"][-1]["step_end"] = 3
    known["hardware"]["gpus"] = [{"name": "NVIDIA", "count": 1, "memory_bytes": 1}]

    found = {path for path, _, is_so in truth.judged(known, run[1], "README.md", run[2]) if not is_so}

    assert {
        "adapters[].config.r",
        "data.train[].rows",
        "data.train[].tokens",
        "evaluation.results[loss]",
        "legs[-1].wall_clock_s",
        "legs[-1].step_end",
    } <= found


@pytest.mark.parametrize("claim", [claim for claim in truth.OF_CARD if claim not in ("regime", "library")])
def test_a_false_claim_of_the_card_is_found(run, claim):
    known = copy.deepcopy(run[0])
    slot, pattern, _ = truth.OF_CARD[claim]
    slots = known["slots"]["README.md"]
    said = re.search(pattern, slots.get(slot, ""))
    assert said is not None, slot
    other = re.sub(r"\d", lambda digit: str((int(digit[0]) + 3) % 10), said[1])
    begin, end = said.span(1)
    slots[slot] = slots[slot][:begin] + other + slots[slot][end:]
    card = run[1].replace(said[0].splitlines()[0], re.search(pattern, slots[slot])[0].splitlines()[0])

    assert f"card: {claim}" in false_in(known, card, run[2])


def test_the_suite_looks_at_each_training_by_itself(watched, tmp_path):
    before, fields = watched.runs, watched.fields

    trainer = training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)], max_steps=1)
    trainer.train()
    trainer.evaluate()

    assert watched.runs == before + 2
    assert watched.fields > fields + 100
    assert watched.false == []


@pytest.mark.expects_falsehood
def test_the_suite_fails_a_test_whose_record_is_false(watched, tmp_path, monkeypatch):
    from autocard.capture import training as capture

    monkeypatch.setattr(capture, "effective_batch_size", lambda _: 7)

    training.trainer(tmp_path, callbacks=[AutoCardCallback(emissions=False)], max_steps=1).train()

    assert watched.false == ["training.effective_batch_size: 7"]
