"""After a model is saved, the card beside it says how to load it and how large it is; no later evaluation is needed.

The sizes are those that the file system gives; the code is run where the card lies.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from autocard import AutoCardCallback, units
from autocard.cli import app
from support import models, training
from support.card_writers import BASE, HOSTS, quiet

pytest_plugins = ["support.hub_fixtures"]

ENDINGS = {
    "save_model": lambda trainer: [trainer.save_model],
    "evaluate, save_model": lambda trainer: [trainer.evaluate, trainer.save_model],
    "save_pretrained": lambda trainer: [
        lambda: trainer.model.save_pretrained(trainer.args.output_dir)
    ],
    "save_model twice": lambda trainer: [trainer.save_model, trainer.save_model],
}
NAMELESS = "Trainer + PEFT"
"""Its labels have no names, so a reader cannot be told how wide the base's head has to be: there is
no code."""
WEIGHTS = re.compile(r"(adapter_)?model\.safetensors")


def card(folder) -> str:
    return (Path(folder) / "README.md").read_text()


def weights(folder) -> int:
    """Bytes of the weights directly in *folder*, as the file system has them."""
    return sum(
        path.stat().st_size for path in Path(folder).iterdir() if WEIGHTS.fullmatch(path.name)
    )


def code(text) -> str | None:
    """The Python under "How to Get Started with the Model"."""
    found = re.search(
        r"## How to Get Started with the Model\n+```python\n(.*?)\n```", text, re.DOTALL
    )
    return found and found[1]


def loaded(folder, monkeypatch):
    """The model that the card's code loads, for a reader in the card's folder."""
    monkeypatch.chdir(folder)
    namespace: dict = {}
    with quiet():
        exec(code(card(folder)), namespace)  # noqa: S102 - that is what its reader does
    return namespace["model"]


def trained(folder, name, **settings):
    callback = AutoCardCallback(emissions=False, base_model=BASE)
    with quiet():
        trainer = HOSTS[name].make(
            folder.parent / "base", folder, [callback], save_strategy="no", **settings
        )
        trainer.train()
    return trainer


def incomplete(folder, size: int, *, loads: bool = True) -> list[str]:
    """What of a complete card is not on that in *folder*, whose weights have *size* bytes."""
    text, record = card(folder), json.loads((folder / "autocard.json").read_text())
    found = []
    if loads and "from_pretrained(" not in text and "SentenceTransformer(" not in text:
        found.append("no code")
    if record["model"]["saved_bytes"] != size:
        found.append(f"saved_bytes {record['model']['saved_bytes']} of {size}")
    if (
        f"Size of saved weights: {units.size(size)}" not in text
        and "SentenceTransformer" not in text
    ):
        found.append("no size")
    if not record["model"]["saved_files"]:
        found.append("no files")
    if "model.saved_bytes" in record["missing"] or "not in the output folder" in text:
        found.append("a false reason")
    return found


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "name", ["Trainer", "Trainer + PEFT", "TRL SFT", "TRL SFT + PEFT", "sentence-transformers"]
)
def test_a_card_is_complete_when_the_model_has_been_saved(name, ending, tmp_path):
    out = tmp_path / "out"
    trainer = trained(out, name)

    with quiet():
        for act in ENDINGS[ending](trainer):
            act()

    assert incomplete(out, weights(out), loads=name != NAMELESS) == []


@pytest.mark.parametrize("name", ["Trainer + PEFT", "TRL SFT + PEFT", "sentence-transformers"])
def test_a_card_is_complete_where_the_model_is_saved_elsewhere(name, tmp_path):
    trainer = trained(tmp_path / "out", name)

    with quiet():
        trainer.model.save_pretrained(str(tmp_path / "final"))

    assert incomplete(tmp_path / "final", weights(tmp_path / "final"), loads=name != NAMELESS) == []


def test_a_card_of_a_run_that_was_broken_off_is_complete_too(tmp_path):
    from card_guard.test_method_wrapper import Stops

    trainer = training.trainer(
        tmp_path, model=training.bert(), callbacks=[AutoCardCallback(emissions=False), Stops(2)]
    )
    with quiet(), contextlib.suppress(KeyboardInterrupt):
        trainer.train()

    with quiet():
        trainer.save_model()

    assert incomplete(tmp_path, weights(tmp_path)) == []
    assert json.loads((tmp_path / "autocard.json").read_text())["run"]["status"] == "interrupted"


def two_adapters(folder):
    """A model with two adapters, of which one is trained; its base lies where its Hub id leads to from *folder*."""
    models.save(training.bert(), folder / BASE)
    model = training.lora(
        models.load("AutoModelForSequenceClassification", folder / BASE), target_modules=["query"]
    )
    from peft import LoraConfig

    model.add_adapter("second", LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["value"]))
    model.set_adapter("second")
    callback = AutoCardCallback(emissions=False, base_model=BASE)
    with quiet():
        trainer = training.trainer(folder, model=model, callbacks=[callback], learning_rate=0.1)
        trainer.train()
    return trainer


def test_the_trained_one_of_two_adapters_has_its_own_size_and_its_own_code(tmp_path, monkeypatch):
    trainer = two_adapters(tmp_path)

    with quiet():
        trainer.save_model()

    own = weights(tmp_path / "second")
    assert own != weights(tmp_path)
    record = json.loads((tmp_path / "autocard.json").read_text())
    assert record["model"]["saved_bytes"] == own
    assert 'subfolder="second"' in code(card(tmp_path))
    ids = torch.tensor([[5, 9, 11, 23]])
    with torch.no_grad():
        theirs = loaded(tmp_path, monkeypatch).eval()(input_ids=ids).logits
        ours = trainer.model.eval()(input_ids=ids).logits
    assert torch.allclose(theirs, ours, atol=1e-6)


# -- fill and check look again ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Trainer", "Trainer + PEFT"])
def test_fill_and_check_look_again_at_the_folder(name, tmp_path):
    out = tmp_path / "out"
    trainer = trained(out, name)
    trainer.callback_handler.callbacks = []  # autocard has no part in the saving
    for method in ("save_model", "create_model_card"):
        vars(trainer).pop(method, None)
    for method in ("save_pretrained", "create_or_update_model_card"):
        vars(trainer.model).pop(method, None)
    before = card(out)
    with quiet():
        trainer.save_model()
    (out / "README.md").write_text(before)
    assert "Size of saved weights" not in before

    checked = CliRunner().invoke(app, ["check", str(out)])
    assert checked.exit_code == 1
    assert "were not in the output folder" not in checked.output
    filled = CliRunner().invoke(app, ["fill", str(out)])

    assert filled.exit_code == 0
    assert incomplete(out, weights(out), loads=name != NAMELESS) == []
    assert CliRunner().invoke(app, ["fill", str(out), "--check"]).exit_code == 0


def test_weights_of_an_earlier_run_are_not_taken_for_this_ones(tmp_path):
    import os

    out = tmp_path / "out"
    trained(out, "Trainer")
    (out / "model.safetensors").write_bytes(b"old" * 1000)
    os.utime(out / "model.safetensors", (1, 1))
    before = card(out)

    CliRunner().invoke(app, ["fill", str(out)])

    assert card(out) == before


def test_a_pointer_of_git_lfs_is_no_weights(tmp_path):
    out = tmp_path / "out"
    trained(out, "Trainer")
    pointer = (
        "version https://git-lfs.github.com/spec/v1\noid sha256:" + 64 * "0" + "\nsize 123456789\n"
    )
    (out / "model.safetensors").write_text(pointer)
    before = card(out)

    CliRunner().invoke(app, ["fill", str(out)])

    assert card(out) == before


# -- the Hub's id ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Trainer", "TRL SFT + PEFT", "sentence-transformers"])
@pytest.mark.parametrize(
    "settings", [{"push_to_hub": True}, {}, {"hub_model_id": "short-name"}], ids=str
)
def test_the_code_of_a_pushed_card_loads_the_model_by_its_hub_id(name, settings, hub, tmp_path):
    out = tmp_path / "my-clauses"
    trainer = trained(out, name, **settings)

    with quiet():
        trainer.push_to_hub()

    repository = trainer.hub_model_id
    assert repository == f"me/{settings.get('hub_model_id', 'my-clauses')}"
    for text in (hub.repo(repository).text(), card(out)):
        assert f'"{repository}"' in text
        assert 'from_pretrained(".")' not in text
        assert "In the folder that holds this card" not in text
        assert "sentence_transformers_model_id" not in text
    with quiet():
        trainer.evaluate()
    assert f'"{repository}"' in card(out)
