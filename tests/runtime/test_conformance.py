"""The run is safe: each piece of work raises, exits or hangs in real trainings, and training goes on.

The pieces are those of the table that the session itself goes through.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import pytest
import torch
from transformers import Trainer, TrainerCallback

from autocard import AutoCardCallback
from autocard.energy import meter as meters
from autocard.runtime import deadlines
from autocard.runtime.pieces import table
from autocard.runtime.pieces.failure_words import FAILURE_WORDS
from autocard.runtime.pieces.piece import Piece
from autocard.runtime.run_state import Event, Facts, RunState
from support import training

WITHOUT_CARD = {"legs", "record", "card"}
"""Where these fail there is nothing to write, or nothing writes it."""

OF_SEVERAL_PROCESSES = {
    "other processes once more": "tests/distributed/test_late_meeting.py",
    "other processes at the end": "tests/distributed/test_late_meeting.py",
    "readings of other hosts": "tests/distributed/test_late_meeting.py",
    "reading for checkpoints": "tests/distributed/test_late_meeting.py",
    "worker of a part": "tests/test_cluster.py",
    "figures left by other processes": "tests/runtime/test_signals.py",
    "late figures of other processes": "tests/test_cluster_again.py",
    "line with late figures": "tests/runtime/test_lines.py",
}
"""Pieces that a training of one process does not have before it exits → where they are tested."""

INSIDE = [
    "autocard.capture.training.consumed_samples:resumed_with_other_batches",
    "autocard.runtime.pieces.writing:build_record",
    "autocard.totals.totals:sums",
    "autocard.card_guard.writer:update",
    "autocard.files:_replace",
]
"""What pieces call further inside, and what others rely on most."""
HANGS_INSIDE = [one for one in INSIDE if "build_record" not in one and "totals" not in one]
"""The others compute only, in a piece without a deadline."""


def test_a_failure_of_each_piece_has_words_for_the_log():
    """What a user reads is never the name of a piece."""
    silent = {piece.label for piece in table.PIECES} - FAILURE_WORDS.keys()
    of_none = FAILURE_WORDS.keys() - {piece.label for piece in table.PIECES}

    assert (silent, of_none) == (set(), set())


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


class BreaksOff(TrainerCallback):
    """Lets the first training raise at its second step."""

    def __init__(self):
        self.raised = False

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 2 and not self.raised:
            self.raised = True
            msg = "the training broke off"
            raise RuntimeError(msg)


class BeginsUpload(TrainerCallback):
    """Reports an upload at the first step, as transformers does after a checkpoint."""

    def __init__(self, ours):
        self.ours = ours

    def on_step_end(self, args, state, control, **objects):
        if state.global_step == 1:
            for callback in self.ours:
                callback.on_push_begin(args, state, control, **objects)


@dataclass
class Outcome:
    weights: dict[str, Any]
    events: list[str]


def outcome(trainer, spy):
    weights = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    return Outcome(weights, spy.events)


def made(folder, callbacks):
    return training.trainer(
        folder, callbacks=callbacks, max_steps=3, eval_strategy="steps", eval_steps=2
    )


def plain(folder, *ours):
    """Train, evaluate and predict."""
    spy = Spy()
    trainer = made(folder, [*ours, spy])
    trainer.train()
    trainer.evaluate()
    trainer.predict(training.dataset(4, seed=2))
    return outcome(trainer, spy)


def uploading(folder, *ours):
    """Train; an upload begins meanwhile."""
    spy = Spy()
    trainer = made(folder, [*ours, spy, BeginsUpload(ours)])
    trainer.train()
    return outcome(trainer, spy)


def broken_off(folder, *ours):
    """Begin to train, break off, and train again."""
    spy = Spy()
    trainer = made(folder, [*ours, spy, BreaksOff()])
    with pytest.raises(RuntimeError, match="the training broke off"):
        trainer.train()
    trainer.train()
    return outcome(trainer, spy)


def saved_elsewhere(folder, *ours):
    """Train and save the model in another folder, with its card."""
    spy = Spy()
    trainer = made(folder, [*ours, spy])
    trainer.train()
    trainer.model.save_pretrained(folder / "elsewhere")
    return outcome(trainer, spy)


def checkpoints(folder, *ours):
    """Train, and save at each step."""
    spy = Spy()
    saves = {"save_strategy": "steps", "save_steps": 1}
    trainer = training.trainer(folder, callbacks=[*ours, spy], max_steps=3, **saves)
    trainer.train()
    return outcome(trainer, spy)


def searching(folder, *ours):
    """Search with one trial, then train."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    spy = Spy()
    trainer = Trainer(
        model_init=lambda *_: training.bert(),
        args=training.arguments(folder, max_steps=3, eval_strategy="steps", eval_steps=3),
        train_dataset=training.dataset(32),
        eval_dataset=training.dataset(16, seed=1),
        callbacks=[*ours, spy],
    )
    trainer.hyperparameter_search(hp_space=lambda _: {}, n_trials=1, backend="optuna")
    trainer.train()
    return outcome(trainer, spy)


def late(folder, *ours):
    """Train before the worker is ready, wait for its figures, and upload the model."""
    spy = Spy()
    trainer = made(folder, [*ours, spy])
    trainer.train()
    for callback in ours:
        await_figures(callback)
        callback.on_push_begin(trainer.args, trainer.state, trainer.control, model=trainer.model)
    return outcome(trainer, spy)


def await_figures(callback):
    """Wait until the worker has reported the leg that has ended; nothing takes the figures yet."""
    (_, session), *_ = callback._sessions._all.values()
    meter, until_s = session.run.meter, time.monotonic() + 60.0
    while meter is not None and meter.unfinished and time.monotonic() < until_s:
        if not meter._unfinished[0].is_awaited:
            return
        meter._take(0.1)


SCENARIOS: dict[str, Callable[..., Outcome]] = {
    "broken off": broken_off,
    "record so far": uploading,
    "card before an upload": uploading,
    "model saved elsewhere": saved_elsewhere,
    "card of a checkpoint": checkpoints,
    "mark of a trial": searching,
    "late figures": late,
    "ledger of a late leg": late,
    "newest record": late,
}
"""Piece → training that has it; the others are in the plain one."""

MEASURED = re.compile(r"worker|counters|leg\b|devices|energy|progress|figures|ledger|newest")
"""Pieces that do something only where energy is measured: to start CodeCarbon takes seconds."""


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """Return what each scenario does without autocard."""
    made_before: dict[Any, Outcome] = {}

    def of(scenario):
        if scenario not in made_before:
            made_before[scenario] = scenario(tmp_path_factory.mktemp("without"))
        return made_before[scenario]

    return of


@pytest.fixture
def fresh_worker():
    """End the workers of earlier trainings: one that is running already has all figures at once."""
    for meter in list(meters._METERS):
        with contextlib.suppress(Exception):
            meter.close()


def with_work(monkeypatch, name, work, **more):
    """Replace what the piece *name* does."""
    pieces = tuple(
        replace(piece, work=work, **more) if piece.name == name else piece for piece in table.PIECES
    )
    monkeypatch.setattr(table, "PIECES", pieces)


def ours(name):
    measured = bool(MEASURED.search(name))
    return AutoCardCallback(measure_power_secs=1, emissions=measured, plots=name == "pictures")


def prepare(monkeypatch, name):
    """Let the pieces fail without which *name* has nothing to do."""
    if name == "record kept elsewhere":
        with_work(monkeypatch, "card", lambda *_: False)


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def assert_undisturbed(found, expected):
    assert same(found.weights, expected.weights)
    assert found.events == expected.events


def record_of(folder):
    return json.loads((folder / "autocard.json").read_text())


def test_training_with_autocard_is_bit_for_bit_the_training_without(tmp_path, without):
    found = plain(tmp_path, AutoCardCallback(measure_power_secs=1))

    assert_undisturbed(found, without(plain))
    assert (tmp_path / "README.md").is_file()


OWN = [piece for piece in table.PIECES if piece.name not in OF_SEVERAL_PROCESSES]
HANGING = [piece for piece in OWN if piece.may_hang]


@pytest.mark.expects_failure
@pytest.mark.usefixtures("fresh_worker")
@pytest.mark.parametrize(
    "failure", [RuntimeError("broken"), SystemExit(7)], ids=["raises", "exits"]
)
@pytest.mark.parametrize("piece", OWN, ids=lambda piece: piece.name)
def test_a_piece_that_fails_costs_its_own_facts_and_nothing_else(
    monkeypatch, tmp_path, without, piece, failure, no_hidden_failures
):
    called = []

    def fail(*_):
        called.append(piece.name)
        raise failure

    scenario = SCENARIOS.get(piece.name, plain)
    expected = without(scenario)
    prepare(monkeypatch, piece.name)
    with_work(monkeypatch, piece.name, fail)

    found = scenario(tmp_path, ours(piece.name))

    assert called, "no event of this training has the piece"
    assert_undisturbed(found, expected)
    assert piece.label in {fact for fact, _ in no_hidden_failures}
    assert_card(tmp_path, piece)


def assert_card(folder, piece):
    if piece.name in {*WITHOUT_CARD, "record kept elsewhere"}:
        return
    record = record_of(folder)
    assert record["run"]["global_step"] == 3
    assert record["time"]["wall_clock_s"] > 0
    assert "**Training regime:**" in (folder / "README.md").read_text()


@pytest.mark.expects_failure
@pytest.mark.usefixtures("fresh_worker")
@pytest.mark.parametrize("piece", HANGING, ids=lambda piece: piece.name)
def test_a_piece_that_hangs_is_cut_off_at_its_deadline(
    monkeypatch, tmp_path, without, piece, no_hidden_failures
):
    never, called = threading.Event(), []

    def hang(*_):
        called.append(piece.name)
        never.wait()

    scenario = SCENARIOS.get(piece.name, plain)
    expected = without(scenario)
    for name in ("BEGIN_S", "END_S", "EVENT_S"):
        monkeypatch.setattr(deadlines, name, 1.5)
    prepare(monkeypatch, piece.name)
    with_work(monkeypatch, piece.name, hang, asks_s=None if piece.asks_s is None else 1.5)

    try:
        found = scenario(tmp_path, ours(piece.name))
    finally:
        never.set()

    assert called, "no event of this training has the piece"
    assert_undisturbed(found, expected)
    assert any(
        fact == piece.label and "took longer than" in str(exc) for fact, exc in no_hidden_failures
    )
    if piece.name not in {*WITHOUT_CARD, "record kept elsewhere"}:
        assert record_of(tmp_path)["run"]["status"] is not None


def replaced(monkeypatch, target, stand_in):
    module, _, name = target.partition(":")
    monkeypatch.setattr(import_module(module), name, stand_in)


@pytest.mark.expects_failure
@pytest.mark.parametrize(
    "failure",
    [RuntimeError("broken"), pytest.param(SystemExit(7), marks=pytest.mark.slow)],
    ids=["raises", "exits"],
)
@pytest.mark.parametrize("target", INSIDE)
def test_what_a_piece_calls_may_fail_too(
    monkeypatch, tmp_path, without, target, failure, no_hidden_failures
):
    def fail(*_, **__):
        raise failure

    expected = without(plain)
    replaced(monkeypatch, target, fail)

    found = plain(tmp_path, AutoCardCallback(emissions=False))

    assert_undisturbed(found, expected)
    assert no_hidden_failures, "a failure stayed invisible"


@pytest.mark.slow
@pytest.mark.expects_failure
@pytest.mark.parametrize("target", HANGS_INSIDE)
def test_what_a_piece_calls_may_hang_too(
    monkeypatch, tmp_path, without, target, no_hidden_failures
):
    never = threading.Event()
    expected = without(plain)
    for name in ("BEGIN_S", "END_S", "EVENT_S"):
        monkeypatch.setattr(deadlines, name, 1.5)
    replaced(monkeypatch, target, lambda *_, **__: never.wait())

    try:
        found = plain(tmp_path, AutoCardCallback(emissions=False))
    finally:
        never.set()

    assert_undisturbed(found, expected)
    assert any("took longer than" in str(exc) for _, exc in no_hidden_failures)


def test_each_piece_has_a_name_of_its_own():
    names = [piece.name for piece in table.PIECES]

    assert len(names) == len(set(names))
    assert set(OF_SEVERAL_PROCESSES) <= set(names)


@pytest.mark.parametrize("piece", table.PIECES, ids=lambda piece: piece.name)
def test_what_a_piece_returns_has_a_place(piece: Piece):
    place, _, name = piece.fills.partition(".")

    holders = {"run": RunState, "facts": Facts, "event": Event}

    assert place in {"", "parts", *holders}
    if place in holders:
        assert name in holders[place].__dataclass_fields__


def test_a_piece_that_waits_for_other_processes_has_a_deadline():
    asking = [piece for piece in table.PIECES if piece.asks_s is not None]

    assert all(piece.may_hang for piece in asking)


@pytest.mark.expects_failure
def test_a_step_that_cannot_be_counted_costs_nothing_else(
    monkeypatch, tmp_path, without, no_hidden_failures
):
    def fail(*_):
        raise RuntimeError("broken")  # noqa: EM101

    monkeypatch.setattr(meters.Meter, "reached", fail)

    found = plain(tmp_path, AutoCardCallback(measure_power_secs=1))

    assert_undisturbed(found, without(plain))
    assert no_hidden_failures
    assert record_of(tmp_path)["run"]["global_step"] == 3
