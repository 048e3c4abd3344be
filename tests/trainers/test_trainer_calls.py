"""The callback knows its trainer and that trainer's calls without the call stack, however it was given to it."""

from __future__ import annotations

import ast
import copy
import inspect
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from transformers import Trainer, TrainerCallback

import autocard
from autocard import AutoCardCallback
from autocard.card_guard.method_wrapper import held_method
from autocard.trainers import trainer_calls
from support import TESTS, training
from support.card_writers import quiet

OURS = "wall-clock"
STACK = {
    "_getframe",
    "_current_frames",
    "currentframe",
    "stack",
    "trace",
    "getouterframes",
    "walk_stack",
    "f_back",
}


def made(folder, callbacks=(), *, cls=Trainer, args=None, **changes):
    with quiet():
        return cls(
            training.bert(),
            args or training.arguments(folder, **{"max_steps": 1, **changes}),
            train_dataset=training.dataset(16),
            eval_dataset=training.dataset(4),
            callbacks=list(callbacks),
        )


def ours(**settings):
    return AutoCardCallback(emissions=False, **settings)


def guarded(trainer):
    return held_method(trainer, "create_model_card") is not None


def test_nothing_in_the_package_looks_at_the_call_stack():
    found = [
        (path.name, node.attr)
        for path in Path(autocard.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in STACK
    ]

    assert found == []


# -- ways in which a trainer gets a callback -------------------------------------------------------


class Copies(Trainer):
    """Hands a copy of the list on, and adds callbacks of its own, as TRL's trainers do."""

    def __init__(self, *args, callbacks=None, **kwargs):
        super().__init__(*args, callbacks=[*callbacks], **kwargs)
        self.add_callback(TrainerCallback())


def given_at_once(folder):
    return made(folder, [ours()])


def given_as_a_class(folder):
    return made(folder, [AutoCardCallback], max_steps=1)


def given_to_a_subclass(folder):
    return made(folder, [ours()], cls=Copies)


def added(folder):
    trainer = made(folder)
    trainer.add_callback(ours())
    return trainer


def added_behind_the_trainers_back(folder):
    trainer = made(folder)
    trainer.callback_handler.add_callback(ours())
    return trainer


def deepcopied(folder):
    return copy.deepcopy(made(folder, [ours()]))


@pytest.mark.parametrize(
    "give",
    [
        given_at_once,
        given_as_a_class,
        given_to_a_subclass,
        added,
        added_behind_the_trainers_back,
        deepcopied,
    ],
)
def test_the_trainer_that_trains_is_known(give, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("AUTOCARD_EMISSIONS", "false")
    trainer = give(tmp_path)

    with quiet():
        trainer.train()
        trainer.create_model_card()

    assert guarded(trainer)
    assert OURS in (tmp_path / "README.md").read_text()
    assert not any("was not found" in message for message in caplog.messages)


def test_before_training_the_trainer_that_was_given_the_callback_is_known_already(tmp_path):
    assert guarded(given_at_once(tmp_path / "1"))
    assert guarded(given_as_a_class(tmp_path / "2"))
    assert guarded(given_to_a_subclass(tmp_path / "3"))


def test_of_two_trainers_with_the_same_arguments_the_one_that_trains_is_known(tmp_path):
    args = training.arguments(tmp_path, max_steps=1)
    first, second, neither = (
        made(tmp_path, [ours()], args=args),
        made(tmp_path, [ours()], args=args),
        None,
    )
    neither = made(tmp_path, args=args)

    for trainer in (second, first):
        with quiet():
            trainer.train()
        state = trainer.state
        assert trainer_calls.find(args, state) is trainer

    assert not guarded(neither)


def test_a_trainer_without_our_callback_is_never_guarded(tmp_path):
    trainer, callback = made(tmp_path), ours()

    callback.on_init_end(trainer.args, trainer.state, trainer.control, model=trainer.model)

    assert not guarded(trainer)


def test_a_trainer_that_was_unpickled_in_another_process_is_known_when_it_trains(tmp_path):
    program = """
        import pickle, subprocess, sys
        from support import training
        if len(sys.argv) == 2:
            from autocard import AutoCardCallback
            trainer = training.trainer(sys.argv[1], max_steps=1, callbacks=[AutoCardCallback(emissions=False)])
            subprocess.run([sys.executable, __file__, sys.argv[1], "2"], input=pickle.dumps(trainer), check=True)
        else:
            import accelerate
            accelerate.Accelerator(cpu=True)
            trainer = pickle.loads(sys.stdin.buffer.read())
            trainer.train()
            trainer.create_model_card()
    """
    path = tmp_path / "program.py"
    path.write_text(inspect.cleandoc(program))
    environ = {**os.environ, "PYTHONPATH": str(TESTS)}
    environ.pop("TRUTH_FINDINGS", None)  # the oracles cannot be pickled

    subprocess.run([sys.executable, str(path), str(tmp_path)], env=environ, check=True, timeout=240)

    assert OURS in (tmp_path / "README.md").read_text()


def test_a_trainer_that_was_made_before_us_is_known_when_it_trains(tmp_path):
    program = """
        import sys, warnings
        from support import training
        trainer = training.trainer(sys.argv[1], max_steps=1)
        assert "autocard" not in sys.modules
        from autocard import AutoCardCallback
        trainer.callback_handler.add_callback(AutoCardCallback(emissions=False))
        trainer.train()
        trainer.create_model_card()
    """
    run = [sys.executable, "-c", inspect.cleandoc(program), str(tmp_path)]

    subprocess.run(run, cwd=TESTS, check=True, timeout=240, capture_output=True)

    assert OURS in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    "first", ["from autocard import AutoCardCallback", "from transformers import Trainer"]
)
def test_signatures_of_the_trainer_are_those_without_us(first):
    program = f"""
        import inspect
        {first}
        from autocard import AutoCardCallback
        from transformers import Trainer
        names = ("__init__", "train", "push_to_hub", "add_callback")
        def look():
            return [str(inspect.signature(Trainer)), *(
                (str(inspect.signature(method)), method.__qualname__, method.__module__, inspect.getsource(method))
                for method in (getattr(Trainer, name) for name in names)
            )]
        AutoCardCallback()
        AutoCardCallback()
        seen = look()
        for name in names:
            setattr(Trainer, name, getattr(Trainer, name).__wrapped__)
        assert look() == seen
    """

    subprocess.run([sys.executable, "-c", inspect.cleandoc(program)], check=True, timeout=120)


# -- calls -----------------------------------------------------------------------------------------


class Looks(TrainerCallback):
    """Notes whether training is running, as other threads see it."""

    def __init__(self, seen, *, fails=False):
        self.seen, self.fails = seen, fails

    def on_step_end(self, args, state, control, **objects):
        thread = threading.Thread(target=self.look, args=(args, state))
        thread.start()
        thread.join()
        if self.fails:
            raise KeyboardInterrupt

    def look(self, args, state):
        trainer = trainer_calls.find(args, state)
        self.seen.append((trainer_calls.trains(trainer), trainer_calls.resumed_from(trainer)))


class OwnLoop(Trainer):
    """Trains in a loop of its own, which calls nothing of the Trainer's `train`."""

    def train(self, resume_from_checkpoint=None):
        self.state.max_steps = 1
        self.callback_handler.on_train_begin(self.args, self.state, self.control)
        self.callback_handler.on_step_end(self.args, self.state, self.control)
        self.save_model()
        self.state.global_step = 1
        return self.callback_handler.on_train_end(self.args, self.state, self.control)


@pytest.mark.parametrize("cls", [Trainer, Copies, OwnLoop])
@pytest.mark.parametrize("fails", [False, True])
def test_training_is_running_until_train_returns_or_raises(cls, fails, tmp_path):
    seen = []
    trainer = made(tmp_path, [ours(), Looks(seen, fails=fails)], cls=cls)
    assert not trainer_calls.trains(trainer)

    with quiet():
        try:
            trainer.train()
        except KeyboardInterrupt:
            assert fails

    assert seen == [(True, None)]
    assert not trainer_calls.trains(trainer)


def test_a_training_loop_of_ones_own_is_not_told_as_interrupted_when_it_saves(tmp_path):
    trainer = made(tmp_path, [ours()], cls=OwnLoop)

    with quiet():
        trainer.train()

    assert json.loads((tmp_path / "autocard.json").read_text())["run"]["status"] == "finished"


def test_what_is_passed_to_train_and_push_is_known_by_name_or_position(tmp_path):
    calls = []

    class Own(Trainer):
        def train(self, checkpoint_of_mine=None):
            return super().train(checkpoint_of_mine)

        def push_to_hub(self, commit_message=None, *, token=None, revision=None):
            calls.append(trainer_calls.push(self))

    seen = []
    with quiet():
        made(tmp_path, [ours()], max_steps=1, save_strategy="steps", save_steps=1).train()
        checkpoint = str(tmp_path / "checkpoint-1")
        trainer = made(tmp_path, [ours(), Looks(seen)], cls=Own, max_steps=2)
        trainer.train(checkpoint)
    trainer.push_to_hub("all of it", token="t", revision="r")  # noqa: S106 - none

    assert seen == [(True, checkpoint)]
    assert calls == [{"token": "t", "revision": "r"}]
    assert trainer_calls.push(trainer) is None


def test_a_push_in_another_thread_is_not_this_ones(tmp_path):
    trainer, seen = made(tmp_path), []
    with trainer_calls.running(trainer, "push_to_hub", {"token": "t"}):
        thread = threading.Thread(target=lambda: seen.append(trainer_calls.push(trainer)))
        thread.start()
        thread.join()
        assert trainer_calls.push(trainer) == {"token": "t"}

    assert seen == [None]


# -- two callbacks ---------------------------------------------------------------------------------


def test_of_two_callbacks_the_one_that_stays_guards_the_card(tmp_path):
    first, second = ours(), ours()
    trainer = made(tmp_path, [first, second])
    with quiet():
        trainer.train()
    path = tmp_path / "README.md"
    path.write_text(path.read_text() + "\nMy own words.\n")

    trainer.remove_callback(second)
    with quiet():
        trainer.create_model_card()

    assert OURS in path.read_text()
    assert "My own words." in path.read_text()
