"""A hyperparameter search is told beside the run that follows it, and is in none of the run's own figures.

Real searches with optuna, in a process of its own; truth: the test's clock around each trial, and
the powers given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from support import TESTS

pytestmark = pytest.mark.slow

pytest.importorskip("optuna")

CPU_W, RAM_W = 100.0, 40.0
J_PER_KWH = 3.6e6

SCRIPT = f"""
import json, os, sys, time
sys.path.insert(0, {str(TESTS)!r})
import optuna
from support import training
from pathlib import Path
from transformers import Trainer, TrainerCallback
import autocard.runtime.completion
autocard.runtime.completion.EXIT_S = 60.0  # a busy machine starts CodeCarbon late
from autocard import AutoCardCallback

optuna.logging.set_verbosity(optuna.logging.ERROR)
folder = Path(sys.argv[1])
OURS = dict(country_iso_code="FRA", cpu_power_w={CPU_W}, ram_power_w={RAM_W})

class Clock(TrainerCallback):
    '''Times each trial; makes its steps last; prunes or fails where it is told to.'''
    def __init__(self, end_of=()):
        self.end_of, self.windows = dict(end_of), []
    def on_train_begin(self, args, state, *_, **__):
        self.windows.append([time.monotonic(), None, bool(state.is_hyper_param_search)])
    def on_step_end(self, args, state, *_, **__):
        time.sleep(0.2)
        self.windows[-1][1] = time.monotonic()
    def on_evaluate(self, args, state, *_, **__):
        self.windows[-1][1] = self.windows[-1][1] if len(self.windows) == 0 else time.monotonic()
        how = self.end_of.get(len(self.windows) - 1) if state.is_hyper_param_search else None
        if how == "prune":
            raise optuna.TrialPruned()
        if how == "fail":
            raise RuntimeError("the user's own code")
    def on_train_end(self, *_, **__):
        self.windows[-1][1] = time.monotonic()

def model_init(*_):
    return training.bert()

def trainer(where, clock, **more):
    # The clock last: what it raises ends a trial after ours has heard of the evaluation.
    return Trainer(
        model_init=model_init,
        args=training.arguments(where, **{{"max_steps": 3, "eval_strategy": "steps", "eval_steps": 2, **more}}),
        train_dataset=training.dataset(32),
        eval_dataset=training.dataset(8, seed=1),
        callbacks=[AutoCardCallback(**OURS), clock],
    )

def search(made, trials=3, **more):
    space = lambda trial: {{"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-3)}}
    made.hyperparameter_search(hp_space=space, n_trials=trials, direction="minimize", backend="optuna", **more)

def plain(name):
    clock = Clock()
    one = trainer(folder / name, clock)
    search(one)
    one.train()
    return clock.windows

def other_trainer(name):
    clock = Clock()
    search(trainer(folder / (name + "-search"), clock))
    last = Clock()
    trainer(folder / name, last).train()
    return clock.windows + last.windows

def pruned(name):
    clock = Clock({{1: "prune", 2: "fail"}})
    one = trainer(folder / name, clock)
    search(one, 4, catch=(RuntimeError,))
    one.train()
    return clock.windows

def last_pruned(name):
    clock = Clock({{2: "prune"}})
    search(trainer(folder / (name + "-search"), clock))
    last = Clock()
    trainer(folder / name, last).train()
    return clock.windows + last.windows

def none(name):
    clock = Clock()
    training.trainer(folder / name, callbacks=[AutoCardCallback(**OURS), clock], max_steps=2).train()
    return clock.windows

def early(name):
    '''The callback of the last training is made before the search.'''
    ours, clock = AutoCardCallback(**OURS), Clock()
    one = trainer(folder / (name + "-search"), clock)
    search(one)
    last = Clock()
    two = trainer(folder / name, last)
    two.callback_handler.callbacks = [ours, *two.callback_handler.callbacks]
    two.callback_handler.callbacks = [c for c in two.callback_handler.callbacks
                                      if not isinstance(c, AutoCardCallback) or c is ours]
    two.train()
    return clock.windows + last.windows

print(json.dumps({{name: globals()[name](name) for name in sys.argv[2].split()}}))
"""

CASES = ("none", "plain", "other_trainer", "pruned", "last_pruned", "early")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Case → windows by the test's clock, record, card."""
    folder = tmp_path_factory.mktemp("search")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), " ".join(CASES)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    windows = json.loads(done.stdout.splitlines()[-1])
    return {
        case: (
            windows[case],
            json.loads((folder / case / "autocard.json").read_text()),
            (folder / case / "README.md").read_text(),
        )
        for case in CASES
    }


def trials_of(windows):
    return [(begin_s, end_s) for begin_s, end_s, trial in windows if trial]


def test_without_a_search_none_is_told(runs):
    _, record, card = runs["none"]

    assert record["search"]["trials"] == 0
    assert "Hyperparameter search" not in card


@pytest.mark.parametrize("case", ["plain", "other_trainer", "pruned", "last_pruned", "early"])
def test_the_card_says_how_many_trials_there_were_and_how_long_they_took(runs, case):
    windows, record, card = runs[case]
    trials = trials_of(windows)

    found = record["search"]
    assert found["trials"] == len(trials)
    assert found["backend"] == "optuna"
    assert found["wall_clock_s"] == pytest.approx(
        sum(end_s - begin_s for begin_s, end_s in trials), abs=0.3 * len(trials)
    )
    assert f"Hyperparameter search: {len(trials)} trials (Optuna" in card
    assert "not included in the total" in card


@pytest.mark.parametrize("case", ["plain", "other_trainer", "pruned", "early"])
def test_the_energy_of_the_trials_is_that_of_their_seconds(runs, case):
    windows, record, _ = runs[case]
    seconds = sum(end_s - begin_s for begin_s, end_s in trials_of(windows))

    share = record["legs"][0]["hosts"][0]["cpu_share"]
    found = record["search"]
    joules = (
        (found["total_kwh"] if found["total_kwh"] is not None else found["reported_kwh"])
        * J_PER_KWH
        / share
    )
    assert (RAM_W + 0.1 * CPU_W) * seconds * 0.6 <= joules <= (RAM_W + CPU_W) * seconds * 1.3


@pytest.mark.parametrize("case", CASES)
def test_the_runs_own_figures_hold_nothing_of_the_search(runs, case):
    windows, record, _ = runs[case]
    ((begin_s, end_s, _),) = [window for window in windows if not window[2]]

    assert len(record["legs"]) == 1
    assert record["time"]["wall_clock_s"] == pytest.approx(end_s - begin_s, abs=1.5)
    share = record["legs"][0]["hosts"][0]["cpu_share"]
    joules = record["energy"]["total_kwh"] * J_PER_KWH / share
    assert joules <= (RAM_W + CPU_W) * record["time"]["wall_clock_s"] * 1.05


@pytest.mark.parametrize("case", CASES)
def test_set_up_never_holds_a_search(runs, case):
    windows, record, _ = runs[case]
    (begin_s,) = [begin for begin, _, trial in windows if not trial]
    trials = trials_of(windows)
    since_s = begin_s - trials[-1][1] if trials else 120.0

    setup_kwh = record["energy"]["setup_kwh"]
    if setup_kwh is not None:
        assert setup_kwh * J_PER_KWH <= (RAM_W + CPU_W) * (since_s + 1.0)
    else:
        assert "trained before" in record["missing"]["energy.setup_kwh"]


def test_trials_that_were_pruned_or_that_failed_are_counted_and_said(runs):
    _, record, card = runs["pruned"]

    assert record["search"]["trials_unfinished"] == 2
    assert "4 trials (Optuna, 2 of them pruned or failed)" in card


def test_the_energy_of_a_trial_that_was_pruned_last_is_known(runs):
    _, record, _ = runs["last_pruned"]

    assert record["search"]["total_kwh"] > 0
    assert "search.total_kwh" not in record["missing"]
