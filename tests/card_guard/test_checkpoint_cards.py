"""What is saved while training goes on carries a card that says so: checkpoints, and models saved elsewhere.

Real trainings of tiny models. Truth: the Trainer's own files (`trainer_state.json`), and what a
person or another callback put there.
"""

from __future__ import annotations

import getpass
import json
import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from transformers import Trainer, TrainerCallback

from autocard import AutoCardCallback
from support import training

OURS = {
    "country_iso_code": "FRA",
    "cpu_power_w": 100.0,
    "ram_power_w": 40.0,
    "measure_power_secs": 1,
}
MADE = {"lora": lambda: training.lora(training.bert()), "full": training.bert}
SAVES = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2}


class Pace(TrainerCallback):  # type: ignore[misc]
    def on_step_end(self, *_: Any, **__: Any) -> None:
        time.sleep(0.1)


def trained(folder: Path, kind: str = "lora", *others: Any, **changes: Any) -> Any:
    ours = AutoCardCallback(**OURS)
    callbacks = [*others, ours, training.until_ready(ours), Pace()]
    trainer = training.trainer(
        folder, model=MADE[kind](), callbacks=callbacks, **{**SAVES, **changes}
    )
    trainer.train()
    return trainer


def card(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "autocard.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", params=["lora", "full"])
def output(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param) / "private-output-name"
    trained(folder, request.param)
    return folder


def test_each_checkpoint_has_a_card_so_far(output: Path) -> None:
    for step in (2, 4, 6):
        folder = output / f"checkpoint-{step}"
        text, found = card(folder), record(folder)
        assert f"(so far, at step {step} of 6; no GPU)" in text
        assert "[More Information Needed]" not in text
        assert (found["run"]["global_step"], found["run"]["max_steps"]) == (step, 6)
        assert found["run"]["status"] is None
        assert found["run"]["id"] == record(output)["run"]["id"]


def test_a_checkpoint_has_the_energy_that_its_state_has(output: Path) -> None:
    for step in (4, 6):
        folder = output / f"checkpoint-{step}"
        state = json.loads((folder / "trainer_state.json").read_text())
        leg = state["stateful_callbacks"]["autocard"]["attributes"]["current"]["leg"]
        (host,), known = leg["hosts"], record(folder)
        # The card is written some tenths of a second after the state was taken.
        since_s = known["time"]["wall_clock_s"] - leg["wall_clock_s"]
        power_w = (host["cpu_j"] + host["ram_j"]) / leg["wall_clock_s"]
        joules = host["cpu_j"] + host["ram_j"] + power_w * since_s
        assert since_s > -0.001
        assert known["energy"]["total_kwh"] * 3.6e6 == pytest.approx(joules, rel=0.1)


def test_hours_and_energy_grow_from_checkpoint_to_checkpoint(output: Path) -> None:
    found = [record(output / name) for name in ("checkpoint-4", "checkpoint-6", ".")]

    for key, leaf in (("time", "wall_clock_s"), ("energy", "total_kwh")):
        figures = [one[key][leaf] for one in found]
        assert figures == sorted(figures)
        assert figures[0] > 0


def test_a_checkpoint_describes_the_weights_beside_its_card(output: Path) -> None:
    folder = output / "checkpoint-4"
    weights = [*folder.glob("*.safetensors")]

    model = record(folder)["model"]

    assert model["saved_bytes"] == sum(file.stat().st_size for file in weights)
    assert {file.name for file in weights} <= set(model["saved_files"])


def test_nothing_private_is_in_a_checkpoint_s_card(output: Path) -> None:
    for file in output.glob("checkpoint-*/[Ra][Eu][At]*"):
        text = file.read_text(encoding="utf-8")
        for private in (str(output.parent), socket.gethostname(), f"/{getpass.getuser()}/"):
            assert private not in text


def test_the_last_card_says_nothing_of_so_far(output: Path) -> None:
    assert "so far" not in card(output)
    assert record(output)["run"]["status"] == "finished"


def test_the_card_is_there_before_any_callback_hears_of_the_checkpoint(tmp_path: Path) -> None:
    class Copies(TrainerCallback):  # type: ignore[misc]
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            name = f"checkpoint-{state.global_step}"
            shutil.copytree(Path(args.output_dir) / name, tmp_path / "copies" / name)

    trained(tmp_path / "out", "lora", Copies())  # before ours

    assert "so far, at step 4 of 6" in card(tmp_path / "copies" / "checkpoint-4")
    assert record(tmp_path / "copies" / "checkpoint-4")["run"]["global_step"] == 4


def test_a_checkpoint_at_the_end_of_an_epoch_has_the_energy_up_to_it(tmp_path: Path) -> None:
    """Without a tick in between: the reading is taken for the checkpoint."""
    ours = AutoCardCallback(**{**OURS, "measure_power_secs": 60})
    callbacks = [ours, training.until_ready(ours), Pace()]
    changes = {"max_steps": 8, "save_strategy": "epoch"}
    training.trainer(tmp_path, callbacks=callbacks, **changes).train()

    folder = tmp_path / "checkpoint-8"
    found = record(folder)
    state = json.loads((folder / "trainer_state.json").read_text())
    current = state["stateful_callbacks"]["autocard"]["attributes"]["current"]
    assert current["leg"]["step_end"] == found["run"]["global_step"] == 8
    assert current["leg"]["wall_clock_s"] == pytest.approx(found["time"]["wall_clock_s"], abs=0.5)
    assert found["energy"]["total_kwh"] > 0


def test_what_people_wrote_into_the_card_is_in_the_checkpoints(tmp_path: Path) -> None:
    written = "---\nlicense: mit\n---\n\n# My model\n\nI made it.\n\n- **Hours used:** about two\n"
    (tmp_path / "README.md").write_text(written)

    trained(tmp_path)

    text = card(tmp_path / "checkpoint-2")
    for line in ("license: mit", "# My model", "I made it.", "- **Hours used:** about two"):
        assert line in text
    assert "so far, at step 2 of 6" in text


@pytest.mark.parametrize("kind", MADE)
def test_a_card_that_a_person_put_into_a_checkpoint_stays_to_the_byte(
    tmp_path: Path, kind: str
) -> None:
    written = "# Mine\r\n\r\nKeep this.\r\n\r\n- **Hours used:** about two\r\n"
    (tmp_path / "checkpoint-2").mkdir(parents=True)
    (tmp_path / "checkpoint-2" / "README.md").write_bytes(written.encode())

    trained(tmp_path, kind)

    kept = (tmp_path / "checkpoint-2" / "README.md").read_bytes().decode()
    assert [line for line in written.splitlines() if line not in kept] == []
    assert "\r\n- **Hours used:** about two\r\n" in kept


def test_old_checkpoints_are_removed_with_their_cards(tmp_path: Path) -> None:
    trained(tmp_path, save_total_limit=1)

    assert [path.name for path in tmp_path.glob("checkpoint-*")] == ["checkpoint-6"]
    assert "so far, at step 6 of 6" in card(tmp_path / "checkpoint-6")


@pytest.mark.parametrize("kind", MADE)
def test_a_model_saved_elsewhere_takes_a_card_along(tmp_path: Path, kind: str) -> None:
    class Saves(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                self.trainer.save_model(str(tmp_path / "during"))

    saves = Saves()
    ours = AutoCardCallback(**OURS)
    trainer = training.trainer(
        tmp_path / "out", model=MADE[kind](), callbacks=[ours, Pace(), saves], max_steps=6
    )
    saves.trainer = trainer
    trainer.train()
    trainer.save_model(str(tmp_path / "after"))

    assert "so far, at step 3 of 6" in card(tmp_path / "during")
    assert "so far" not in card(tmp_path / "after")
    assert record(tmp_path / "after")["run"] == record(tmp_path / "out")["run"]
    assert record(tmp_path / "after")["model"]["saved_bytes"] > 0


def test_no_card_is_written_where_the_model_was_not_saved(tmp_path: Path) -> None:
    class SavesNothing(Trainer):  # type: ignore[misc]
        """Saves as shards of a model are: the folder is made after `save_model`."""

        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            self.seen = output_dir is not None and Path(output_dir).exists()

        def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
            Path(output_dir).mkdir(exist_ok=True)
            super()._save_optimizer_and_scheduler(output_dir)

    trainer = SavesNothing(
        model=training.bert(),
        args=training.arguments(tmp_path, **SAVES),
        train_dataset=training.dataset(32),
        callbacks=[AutoCardCallback(**OURS)],
    )
    trainer.train()

    assert not trainer.seen
    assert "so far, at step 2 of 6" in card(tmp_path / "checkpoint-2")
    trainer.save_model(str(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_the_trials_of_a_search_have_no_cards_in_their_checkpoints(tmp_path: Path) -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trainer = Trainer(
        model_init=lambda *_: training.bert(),
        args=training.arguments(tmp_path, **SAVES, eval_strategy="steps", eval_steps=6),
        train_dataset=training.dataset(32),
        eval_dataset=training.dataset(8, seed=1),
        callbacks=[AutoCardCallback(**OURS)],
    )

    trainer.hyperparameter_search(hp_space=lambda _: {}, n_trials=1, backend="optuna")

    assert [path.name for path in tmp_path.glob("run-0/*")] != []
    assert not list(tmp_path.rglob("README.md"))
    assert not list(tmp_path.rglob("autocard.json"))


# -- resumed from a checkpoint with a card ---------------------------------------------------------


def _leaves(found: dict[str, Any]) -> dict[str, Any]:
    """Return what a resumed run's record says besides its time, energy, ids and sizes of files."""
    leaves = {key: found[key] for key in ("model", "adapters", "training", "data", "precision")}
    leaves["model"] = {**leaves["model"], "checkpoint_bytes": None}
    return leaves


@pytest.mark.parametrize("kind", MADE)
def test_a_run_resumed_from_a_checkpoint_with_a_card_is_like_one_without(
    tmp_path: Path, kind: str
) -> None:
    results = []
    for name in ("with", "without"):
        folder = tmp_path / name / "out"
        trained(folder, kind)
        for step in (4, 6):
            if name == "without":
                for file in ("README.md", "autocard.json"):
                    (folder / f"checkpoint-{step}" / file).unlink()
        shutil.rmtree(folder / "checkpoint-6")
        for file in ("README.md", "autocard.json"):
            (folder / file).unlink()
        ours = AutoCardCallback(**OURS)
        again = training.trainer(folder, model=MADE[kind](), callbacks=[ours, Pace()], **SAVES)
        again.train(resume_from_checkpoint=str(folder / "checkpoint-4"))
        found = record(folder)
        assert [leg["step_begin"] for leg in found["legs"]] == [0, 4]
        results.append((_leaves(found), again.state.log_history[-2]["loss"]))

    assert results[0] == results[1]


def test_a_model_loaded_from_a_checkpoint_has_the_base_that_its_record_names(
    tmp_path: Path,
) -> None:
    from transformers import AutoModelForSequenceClassification

    ours = AutoCardCallback(**OURS, base_model="org/base")
    training.trainer(tmp_path / "first", model=training.bert(), callbacks=[ours], **SAVES).train()
    (tmp_path / "first" / "autocard.json").unlink()
    checkpoint = tmp_path / "first" / "checkpoint-4"
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint)

    training.trainer(
        tmp_path / "second", model=model, callbacks=[AutoCardCallback(**OURS)], max_steps=2
    ).train()

    found = record(tmp_path / "second")
    assert found["model"]["base_model"] == record(checkpoint)["model"]["base_model"] == "org/base"
    assert str(tmp_path) not in json.dumps(found)
