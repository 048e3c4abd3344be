"""The run is safe: each piece of autocard raises, exits or hangs in each event that uses it, and training goes on."""

from __future__ import annotations

import importlib
import json
import re
import threading
from pathlib import Path

import pytest
import torch
from transformers import TrainerCallback

from autocard import AutoCardCallback
from autocard.runtime import session
from support import training

PIECES = [
    "autocard.capture.model.model:count",
    "autocard.capture.model.model:capture",
    "autocard.capture.model.adapter:capture",
    "autocard.capture.model.model:as_trained",
    "autocard.capture.model.base_weights:remember",
    "autocard.capture.model.base_weights:UnderAdapters",
    "autocard.capture.model.initial_weights:is_fresh",
    "autocard.capture.model.base_model:withheld",
    "autocard.capture.training.precision:capture",
    "autocard.trainers.own_code:own_loss",
    "autocard.capture.training.training:capture",
    "autocard.capture.training.training:at_end",
    "autocard.trainers.stop_reason:stop_reason",
    "autocard.trainers.reward_functions:renamed",
    "autocard.capture.training.consumed_samples:plan",
    "autocard.capture.training.consumed_samples:resumed_with_other_batches",
    "autocard.capture.data.data:capture",
    "autocard.capture.data.data:evaluation_set",
    "autocard.capture.environment.hardware:capture",
    "autocard.capture.environment.hardware:peaks",
    "autocard.capture.environment.software:capture",
    "autocard.capture.environment.code:capture",
    "autocard.capture.environment.launcher:capture",
    "autocard.capture.environment.launcher:identity",
    "autocard.capture.environment.launcher:nodes",
    "autocard.distributed.coordinator:Coordinator.arrive",
    "autocard.distributed.coordinator:Coordinator.open",
    "autocard.distributed.coordinator:Coordinator.named_late",
    "autocard.distributed.coordinator:Coordinator.share_out",
    "autocard.distributed.coordinator:Coordinator.tell",
    "autocard.distributed.coordinator:Coordinator.hear",
    "autocard.distributed.coordinator:Coordinator.of_all",
    "autocard.distributed.coordinator:Coordinator.evaluated",
    "autocard.distributed.coordinator:Coordinator.again",
    "autocard.capture.evaluation.evaluation:capture",
    "autocard.capture.training.throughput:time_parts",
    "autocard.capture.model.artifacts:saved_bytes",
    "autocard.capture.model.artifacts:saved_files",
    "autocard.capture.model.artifacts:saved_dtype",
    "autocard.capture.model.artifacts:checkpoint_bytes",
    "autocard.capture.model.artifacts:checkpoint_has_optimizer",
    "autocard.energy.meter:Meter.start",
    "autocard.energy.meter:Meter.use",
    "autocard.energy.meter:Meter.begin",
    "autocard.energy.meter:Meter.progress",
    "autocard.energy.meter:Meter.stop",
    "autocard.energy.meter:Meter.end",
    "autocard.energy.meter:Meter.late",
    "autocard.energy.meter:Meter.after",
    "autocard.energy.ledger.earlier_legs:find",
    "autocard.energy.ledger.ledger_files:keep",
    "autocard.runtime.assemble:build_record",
    "autocard.totals.totals:sums",
    "autocard.card.update:update",
    "autocard.files:_replace",
]
"""Everything that a session calls. A test below holds the list to the session's own code."""

WITHOUT_CARD = {
    "autocard.runtime.assemble:build_record",
    "autocard.totals.totals:sums",
    "autocard.card.update:update",
    "autocard.files:_replace",
}
"""Where these fail there is nothing to write, or nobody to write it."""


class Spy(TrainerCallback):
    """Another callback, behind ours: it must get all its events."""

    def __init__(self):
        self.events = []

    def on_init_end(self, *_, **__):
        self.events.append("init")

    def on_train_begin(self, *_, **__):
        self.events.append("begin")

    def on_step_end(self, *_, **__):
        self.events.append("step")

    def on_log(self, *_, **__):
        self.events.append("log")

    def on_evaluate(self, *_, **__):
        self.events.append("evaluate")

    def on_predict(self, *_, **__):
        self.events.append("predict")

    def on_train_end(self, *_, **__):
        self.events.append("end")


def run(folder, *ours):
    """Train, evaluate and predict for real; return (weights, the other callback's events)."""
    spy = Spy()
    trainer = training.trainer(
        folder, callbacks=[*ours, spy], max_steps=3, eval_strategy="steps", eval_steps=2
    )
    trainer.train()
    trainer.evaluate()
    trainer.predict(training.dataset(4, seed=2))
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}, spy.events


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    return run(tmp_path_factory.mktemp("without"))


def replaced(monkeypatch, piece, stand_in):
    module, _, name = piece.partition(":")
    target = importlib.import_module(module)
    *path, leaf = name.split(".")
    for part in path:
        target = getattr(target, part)
    monkeypatch.setattr(target, leaf, stand_in)


def ours(piece):
    """Our callback; energy is measured only where that is the piece: starting CodeCarbon takes seconds each time."""
    return AutoCardCallback(measure_power_secs=1, emissions="energy" in piece)


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_training_with_autocard_is_bit_for_bit_the_training_without(tmp_path, without):
    weights, events = run(tmp_path, AutoCardCallback(measure_power_secs=1))

    assert same(weights, without[0])
    assert events == without[1]
    assert (tmp_path / "README.md").is_file()


@pytest.mark.expects_failure
@pytest.mark.parametrize(
    "failure", [RuntimeError("broken"), SystemExit(7)], ids=["raises", "exits"]
)
@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_that_fails_costs_its_own_facts_and_nothing_else(
    monkeypatch, tmp_path, without, piece, failure, no_hidden_failures
):
    def fail(*_, **__):
        raise failure

    replaced(monkeypatch, piece, fail)

    weights, events = run(tmp_path, ours(piece))

    assert same(weights, without[0])
    assert events == without[1]
    assert no_hidden_failures, "a failure stayed invisible"
    if piece not in WITHOUT_CARD:
        record = json.loads((tmp_path / "autocard.json").read_text())
        assert record["run"]["global_step"] == 3
        assert record["time"]["wall_clock_s"] > 0
        assert "**Training regime:**" in (tmp_path / "README.md").read_text()


@pytest.mark.slow
@pytest.mark.expects_failure
@pytest.mark.parametrize("piece", PIECES)
def test_a_piece_that_hangs_is_cut_off_at_its_deadline(
    monkeypatch, tmp_path, without, piece, no_hidden_failures
):
    never = threading.Event()
    for name in ("BEGIN_S", "END_S", "EVENT_S", "ASK_S", "HEAR_S"):
        monkeypatch.setattr(session, name, 1.5)
    replaced(monkeypatch, piece, lambda *_, **__: never.wait())

    try:
        weights, events = run(tmp_path, ours(piece))
    finally:
        never.set()

    assert same(weights, without[0])
    assert events == without[1]
    assert any("took longer than" in str(exc) for _, exc in no_hidden_failures)
    if piece not in WITHOUT_CARD:
        assert json.loads((tmp_path / "autocard.json").read_text())["run"]["global_step"] == 3


def test_the_list_of_pieces_names_all_that_a_session_calls():
    source = Path(session.__file__).read_text()
    captures = set(re.findall(r'_module\(\s*"([\w.]+)"\s*\)\s*\.(\w+)\(', source)) | {
        (name, "capture") for name in session.AT_BEGIN
    }
    meter = set(re.findall(r"meter\.(\w+)\(", source))

    listed = {piece.removeprefix("autocard.capture.") for piece in PIECES}

    # Inside other pieces, or values that are made without a look at the trainer.
    looks = {
        "environment.hardware:accelerators",
        "environment.hardware:own_accelerators",
        "training.schedule:LearningRates",
        "training.throughput:without_times",
    }
    looks |= {"training.changed_settings:Changes", "training.training:Shown"}
    assert {f"{module}:{name}" for module, name in captures} - listed == looks
    crew = set(re.findall(r"self\.crew\.(\w+)\(", source))
    assert crew - {piece.rpartition(".")[2] for piece in PIECES if "Coordinator" in piece} == {
        "writes",
        "give_up",
    }
    # At each step there is no thread and no deadline: it stores a number into memory.
    # A leg that is named late has several processes: tests/distributed/test_cluster_again.py.
    assert meter - {piece.rpartition(".")[2] for piece in PIECES if "Meter" in piece} == {
        "reached",
        "rename",
    }


@pytest.mark.expects_failure
def test_a_step_that_cannot_be_counted_costs_nothing_else(
    monkeypatch, tmp_path, without, no_hidden_failures
):
    def fail(*_):
        raise RuntimeError("broken")  # noqa: EM101

    replaced(monkeypatch, "autocard.energy.meter:Meter.reached", fail)

    weights, events = run(tmp_path, AutoCardCallback(measure_power_secs=1))

    assert same(weights, without[0])
    assert events == without[1]
    assert no_hidden_failures
    assert json.loads((tmp_path / "autocard.json").read_text())["run"]["global_step"] == 3
