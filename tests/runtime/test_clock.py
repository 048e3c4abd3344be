"""A wall clock that is set during training reaches neither record nor card. Each case is a training of one process."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support import TESTS

SCRIPT = f"""
import datetime as dt, json, os, sys, time
sys.path.insert(0, {str(TESTS)!r})
from support import training
from pathlib import Path
from transformers import TrainerCallback
from autocard import AutoCardCallback
import autocard.runtime.started_leg
import autocard.runtime.session

real, shift = time.time, [0.0]
time.time = lambda: real() + shift[0]
def now():
    moment = dt.datetime.fromtimestamp(time.time(), dt.timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
autocard.runtime.started_leg.utc_now = autocard.runtime.session.utc_now = now

class Set(TrainerCallback):
    '''Sets the clock at the end of a step, or while a batch is evaluated; makes steps last.'''
    def __init__(self, by_s, where):
        self.by_s, self.where, self.done, self.window = by_s, where, False, {{}}
    def on_train_begin(self, *_, **__):
        self.window["begin"] = time.monotonic()
    def on_train_end(self, *_, **__):
        self.window["end"] = time.monotonic()
    def strike(self, where):
        if where == self.where and not self.done:
            self.done = True
            shift[0] += self.by_s
    def on_step_end(self, args, state, *_, **__):
        time.sleep(0.3)
        if state.global_step == 3:
            self.strike("step")
        if state.global_step == 5:  # and back again
            if self.where == "there and back":
                shift[0] -= self.by_s
        if state.global_step == 3 and self.where == "there and back":
            shift[0] += self.by_s
    def on_prediction_step(self, args, state, *_, **__):
        if state.global_step >= 3:
            self.strike("evaluation")
        time.sleep(0.05)

told = []
for number, (by_s, where) in enumerate(json.loads(sys.argv[2])):
    folder = Path(sys.argv[1]) / str(number)
    shift[0] = 0.0
    clock = Set(by_s, where)
    ours = AutoCardCallback(emissions=False)
    trainer = training.trainer(
        folder, callbacks=[clock, ours], max_steps=6, eval_strategy="steps", eval_steps=3, logging_steps=1
    )
    trainer.train()
    told.append(clock.window["end"] - clock.window["begin"])
print(json.dumps(told))
"""

CASES = [
    (0.0, "never"),
    (-7200.0, "step"),
    (7200.0, "step"),
    (400 * 86400.0, "step"),
    (-7200.0, "evaluation"),
    (30.0, "evaluation"),
    (7200.0, "there and back"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Case → seconds by the test's clock, record, card."""
    folder = tmp_path_factory.mktemp("clock")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), json.dumps(CASES)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seconds = json.loads(done.stdout.splitlines()[-1])
    return {
        case: (
            own_s,
            json.loads((folder / str(number) / "autocard.json").read_text()),
            (folder / str(number) / "README.md").read_text(),
        )
        for number, (case, own_s) in enumerate(zip(CASES, seconds, strict=True))
    }


@pytest.mark.parametrize("case", CASES)
def test_speeds_are_steps_by_the_time_that_passed_however_the_clock_was_set(runs, case):
    own_s, record, card = runs[case]

    time = record["time"]
    assert time["wall_clock_s"] == pytest.approx(own_s, abs=0.3)
    assert time["steps_per_s"] == pytest.approx(6 / own_s, rel=0.25)
    if time["samples_per_s"] is not None:
        assert time["samples_per_s"] == pytest.approx(24 / own_s, rel=0.25)
    assert "Throughput: -" not in card


@pytest.mark.parametrize("case", CASES)
def test_seconds_of_evaluations_are_true_or_missing_with_the_reason(runs, case):
    own_s, record, _ = runs[case]

    eval_s = record["time"]["eval_s"]
    if case[1] == "never":
        assert 0 < eval_s < own_s
    elif eval_s is None:
        assert "clock was set during training" in record["missing"]["time.eval_s"]
    else:
        assert 0 <= eval_s <= own_s


@pytest.mark.parametrize("case", CASES)
def test_no_time_of_the_trainers_clock_is_in_the_history_where_it_was_set(runs, case):
    own_s, record, _ = runs[case]

    times = [
        value
        for entry in record["evaluation"]["history"]
        for key, value in entry.items()
        if key.endswith("_runtime")
    ]

    assert all(0 < value <= own_s + 1.5 for value in times)
    assert bool(times) == (case[1] == "never")


@pytest.mark.parametrize("case", CASES)
def test_a_leg_ends_as_long_after_its_begin_as_it_took(runs, case):
    from datetime import datetime

    _, record, _ = runs[case]

    (leg,) = record["legs"]
    begin, end = (datetime.fromisoformat(leg[name][:-1]) for name in ("started_at", "ended_at"))
    assert (end - begin).total_seconds() == pytest.approx(leg["wall_clock_s"], abs=0.7)
