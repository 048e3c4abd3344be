"""Holding the last word changes nothing for anybody else: copies, pickles, other callbacks, errors of the host."""

from __future__ import annotations

import copy
import json
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from transformers import TrainerCallback

import autocard
from autocard import AutoCardCallback
from autocard.card_guard import card_guard as keeping
from autocard.card_guard.method_wrapper import held_method
from autocard.errors import SettingsError
from support import TESTS, training
from support.card_writers import quiet

OURS = "wall-clock"


def card(folder) -> str:
    return (Path(folder) / "README.md").read_text()


def made(folder, *callbacks, **changes):
    with quiet():
        return training.trainer(folder, callbacks=callbacks, **changes)


def trained(folder, *callbacks, **changes):
    trainer = made(folder, *callbacks, **changes)
    with quiet():
        trainer.train()
    return trainer


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("done"), AutoCardCallback(country_iso_code="FRA"))


# -- what is held, and what is not -----------------------------------------------------------------


def test_the_methods_of_the_instances_are_wrapped_and_nothing_is_put_into_them(done):
    assert held_method(done, "create_model_card")
    assert held_method(done.model, "create_or_update_model_card")
    assert not {"create_model_card", "save_model"} & set(vars(done))
    assert not {"create_or_update_model_card", "save_pretrained"} & set(vars(done.model))


def test_a_held_method_still_tells_its_name_and_its_parameters(done):
    import inspect

    assert done.create_model_card.__name__ == "create_model_card"
    assert inspect.signature(done.create_model_card) == inspect.signature(
        type(done).create_model_card.__get__(done, type(done))
    )


def test_with_last_word_false_nothing_is_held_and_the_trainers_card_stands(tmp_path):
    trainer = trained(tmp_path, AutoCardCallback(last_word=False))

    assert OURS in card(tmp_path)
    assert held_method(trainer, "create_model_card") is None
    assert held_method(trainer.model, "create_or_update_model_card") is None
    with quiet():
        trainer.create_model_card()
    assert OURS not in card(tmp_path)


def test_a_copy_of_the_model_has_the_plain_method_and_writes_as_if_we_were_not_there(
    done, tmp_path
):
    twin = copy.deepcopy(done.model)
    thawed = pickle.loads(pickle.dumps(done.model))  # noqa: S301 - our own

    for number, model in enumerate((twin, thawed)):
        assert held_method(model, "create_or_update_model_card") is None
        with quiet():
            model.save_pretrained(tmp_path / str(number))
        assert OURS not in card(tmp_path / str(number))
        assert "library_name: peft" in card(tmp_path / str(number))
    assert held_method(done.model, "create_or_update_model_card")


def test_a_pickle_of_the_model_loads_where_autocard_is_not_installed(done, tmp_path):
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(done.model))
    program = """
        import pickle, sys
        sys.modules["autocard"] = None
        model = pickle.load(open(sys.argv[1], "rb"))
        assert callable(model.create_or_update_model_card)
    """

    run = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "model.pkl")]

    subprocess.run(run, check=True, timeout=120)


def test_a_callback_that_was_removed_has_no_word(tmp_path):
    callback = AutoCardCallback()
    trainer = trained(tmp_path, callback)

    trainer.remove_callback(callback)

    with quiet():
        trainer.create_model_card()
    assert OURS not in card(tmp_path)


def test_somebody_elses_override_is_called_and_ours_stands_around_it(tmp_path):
    trainer, calls = made(tmp_path), []
    trainer.create_model_card = lambda *args, **kwargs: calls.append((args, kwargs))
    autocard.attach(trainer)
    with quiet():
        trainer.train()

    trainer.create_model_card("en", license="mit")

    assert calls == [(("en",), {"license": "mit"})]
    assert "license: mit" in card(tmp_path)
    assert OURS in card(tmp_path)


def test_what_the_host_raises_reaches_its_caller_and_the_card_is_put_back(tmp_path):
    trainer = made(tmp_path)

    def writes_and_fails():
        (tmp_path / "README.md").write_text("half a card")
        raise RuntimeError("the disk is full")  # noqa: EM101, TRY003

    trainer.create_model_card = writes_and_fails
    autocard.attach(trainer)
    with quiet():
        trainer.train()
    before = card(tmp_path)

    with pytest.raises(RuntimeError, match="the disk is full"):
        trainer.create_model_card()

    assert card(tmp_path) == before


# -- attach ----------------------------------------------------------------------------------------


def test_attach_gives_a_trainer_a_callback_and_the_last_word(tmp_path):
    trainer = made(tmp_path)

    callback = autocard.attach(trainer, country_iso_code="FRA")

    assert callback in trainer.callback_handler.callbacks
    with quiet():
        trainer.train()
        trainer.create_model_card()
    assert OURS in card(tmp_path)


def test_attach_takes_the_callback_that_is_there(tmp_path):
    callback = AutoCardCallback()
    trainer = made(tmp_path, callback)

    assert autocard.attach(trainer) is callback
    with pytest.raises(SettingsError, match="has an AutoCardCallback already"):
        autocard.attach(trainer, pue=1.2)


def test_attach_refuses_what_is_no_trainer():
    with pytest.raises(SettingsError, match=r"str of builtins is no transformers\.Trainer"):
        autocard.attach("trainer")


def test_a_callback_that_finds_no_trainer_says_so_and_how_to_go_on(tmp_path, caplog):
    trainer, callback = made(tmp_path), AutoCardCallback()

    with caplog.at_level(logging.WARNING, "autocard"):
        callback.on_train_begin(trainer.args, trainer.state, trainer.control, model=trainer.model)
        callback.on_train_end(trainer.args, trainer.state, trainer.control, model=trainer.model)

    assert any("autocard.attach(trainer)" in message for message in caplog.messages)


# -- which card is whose ---------------------------------------------------------------------------


def test_an_adapter_saved_elsewhere_after_training_takes_its_card_along(done, tmp_path):
    with quiet():
        done.model.save_pretrained(tmp_path)

    assert OURS in card(tmp_path)
    assert (tmp_path / "autocard.json").exists()
    assert "[More Information Needed]" not in card(tmp_path)


def test_a_model_that_was_trained_on_without_us_does_not_get_our_facts(tmp_path, caplog):
    trainer = trained(tmp_path / "ours", AutoCardCallback())
    trained(tmp_path / "theirs", model=trainer.model)

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.model.save_pretrained(tmp_path / "saved")

    assert OURS not in card(tmp_path / "saved")
    assert any("was trained on after the run" in message for message in caplog.messages)


def test_what_a_person_passes_to_create_model_card_is_on_the_card(tmp_path):
    trainer = trained(tmp_path, AutoCardCallback())

    with quiet():
        trainer.create_model_card(language="de", license="apache-2.0", tags=["my-tag"])
        trainer.evaluate()

    text = card(tmp_path)
    assert "license: apache-2.0" in text
    assert "- de\n" in text
    assert "- my-tag\n" in text


def test_a_process_killed_while_the_trainer_writes_does_not_cost_a_person_their_card(tmp_path):
    program = """
        import os, signal, sys
        from support import training
        from autocard import AutoCardCallback
        from transformers import Trainer
        class Killed(Trainer):
            def create_model_card(self, *args, **kwargs):
                super().create_model_card(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)
        trainer = training.trainer(sys.argv[1], callbacks=[AutoCardCallback(emissions=False)])
        trainer.__class__ = Killed
        trainer.train()
        with open(sys.argv[1] + "/README.md", "a") as file:
            file.write("\\nMy own words.\\n")
        trainer.create_model_card()
    """
    run = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]

    killed = subprocess.run(run, cwd=TESTS, check=False, timeout=240, capture_output=True)
    assert killed.returncode == -9
    assert "My own words." not in card(tmp_path)  # the trainer's card stands where the person's was

    trained(tmp_path, AutoCardCallback())

    assert "My own words." in card(tmp_path)
    assert OURS in card(tmp_path)


# -- failures of ours ------------------------------------------------------------------------------


def hangs(*_, **__):
    time.sleep(30)


def raises(*_, **__):
    raise ValueError("ours")  # noqa: EM101


def exits(*_, **__):
    sys.exit(3)


@pytest.mark.expects_failure
@pytest.mark.parametrize("piece", ["_prepare_form", "_copy", "put_back", "_after", "hold", "look"])
@pytest.mark.parametrize("fails", [raises, exits, hangs])
def test_whatever_fails_in_us_the_host_writes_its_card_and_goes_on(
    piece, fails, tmp_path, monkeypatch
):
    monkeypatch.setattr(keeping, "LOOK_S", 0.2)
    monkeypatch.setattr(keeping, "WRITE_S", 0.2)
    monkeypatch.setattr(keeping, "LEAST_S", 0.2)
    monkeypatch.setattr("autocard.runtime.deadlines.EVENT_S", 0.2)
    monkeypatch.setattr("autocard.runtime.deadlines.BEGIN_S", 1.0)
    owner = keeping.CardPlacer if piece == "put_back" else keeping.CardGuard
    monkeypatch.setattr(owner, piece, fails)

    trainer = trained(tmp_path, AutoCardCallback(emissions=False), max_steps=1)
    with quiet():
        trainer.create_model_card()

    assert (tmp_path / "README.md").exists()
    assert trainer.state.global_step == 1


# -- runs that were broken off, and models that are not the run's ----------------------------------


class Stops(TrainerCallback):
    """Breaks training off at a step, as Ctrl-C does."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **objects):
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    "before", [False, True], ids=["first run", "a run before it in the folder"]
)
def test_a_run_that_was_broken_off_is_told_as_that_when_its_model_is_saved(tmp_path, before):
    if before:
        trained(
            tmp_path,
            AutoCardCallback(emissions=False),
            model=training.lora(training.bert(hidden_size=16)),
        )
        assert "hidden size 16" in card(tmp_path)
    trainer = made(tmp_path, AutoCardCallback(emissions=False), Stops(3))
    with quiet(), pytest.raises(KeyboardInterrupt):
        trainer.train()

    with quiet():
        trainer.save_model()
        trainer.create_model_card()

    text = card(tmp_path)
    record = json.loads((tmp_path / "autocard.json").read_text())
    assert record["run"]["status"] == "interrupted"
    assert record["run"]["global_step"] in (2, 3)
    assert "hidden size 32" in text
    assert "hidden size 16" not in text
    assert OURS in text


def test_a_run_after_a_broken_off_one_counts_its_own_time_only(tmp_path):
    stops = Stops(3)
    trainer = made(tmp_path, AutoCardCallback(emissions=False), stops)
    with quiet(), pytest.raises(KeyboardInterrupt):
        trainer.train()
    with quiet():
        trainer.create_model_card()
        stops.step = None
        trainer.train()

    record = json.loads((tmp_path / "autocard.json").read_text())
    assert record["run"]["status"] == "finished"
    assert len(record["legs"]) == 1


def test_a_model_trained_on_in_a_loop_of_ones_own_keeps_the_card_that_was_there_and_it_is_said(
    tmp_path, caplog
):
    import torch

    trainer = trained(tmp_path, AutoCardCallback(emissions=False))
    before = card(tmp_path)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight.add_(0.5)

    with quiet(), caplog.at_level(logging.WARNING, "autocard"):
        trainer.create_model_card()

    assert card(tmp_path) == before
    assert any("was trained on after the run" in message for message in caplog.messages)


def test_what_a_trainer_of_the_authors_own_writes_is_in_the_card(tmp_path):
    import transformers

    class Careful(transformers.Trainer):
        def create_model_card(self, *args, **kwargs):
            super().create_model_card(*args, **kwargs)
            with (Path(self.args.output_dir) / "README.md").open("a") as file:
                file.write("\n## Safety notes\n\nNot for children.\n")

    with quiet():
        trainer = Careful(
            training.bert(),
            training.arguments(tmp_path),
            train_dataset=training.dataset(32),
            callbacks=[AutoCardCallback(emissions=False)],
        )
        trainer.train()
        trainer.create_model_card()
    text = card(tmp_path)
    assert "Not for children." in text
    assert OURS in text
    assert "None dataset" not in text

    (tmp_path / "README.md").write_text(
        text.replace("Not for children.", "Not for children, nor for me.")
    )
    with quiet():
        trainer.create_model_card()

    assert "Not for children, nor for me." in card(tmp_path)
    assert OURS in card(tmp_path)


def test_a_callback_that_comes_after_training_costs_nobody_their_card(tmp_path):
    trainer = trained(tmp_path)
    (tmp_path / "README.md").write_text("# Mine\n\nMy own words.\n")

    trainer.add_callback(AutoCardCallback())
    with quiet():
        trainer.evaluate()
        trainer.create_model_card()

    assert card(tmp_path) == "# Mine\n\nMy own words.\n"


def test_what_a_person_wrote_goes_along_when_the_adapter_is_saved_elsewhere(tmp_path):
    trainer = trained(tmp_path / "out", AutoCardCallback(emissions=False))
    path = tmp_path / "out" / "README.md"
    path.write_text(
        path.read_text().replace(
            "## Environmental Impact", "My own words.\n\n## Environmental Impact"
        )
    )

    with quiet():
        trainer.model.save_pretrained(tmp_path / "final")

    assert "My own words." in card(tmp_path / "final")
    assert OURS in card(tmp_path / "final")


NAMELESS = """
import gc, sys, weakref
from support import training
from autocard import AutoCardCallback

made, callback = [], AutoCardCallback(emissions=False)

def trained():
    trainer = training.trainer(sys.argv[1], callbacks=[callback], max_steps=1)
    trainer.train()
    made.append(weakref.ref(trainer))
    return trainer

trained().save_model()
trained().create_model_card()
gc.collect()
print([ref() is None for ref in made])
"""


def test_a_trainer_that_is_used_without_a_name_saves_and_is_freed(tmp_path, monkeypatch):
    monkeypatch.delenv("TRUTH_FINDINGS", raising=False)  # the oracles keep what they look at
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)
    command = [sys.executable, "-c", NAMELESS, str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("[True, True]")
    assert (tmp_path / "adapter_model.safetensors").is_file()
