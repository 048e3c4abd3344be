"""One card, and after each other two runs that it tells of."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from autocard import AutoCardCallback
from support import training


def _train(folder: Path, model: Any, callback: Any = None) -> Any:
    trainer = training.trainer(
        folder, model=model, callbacks=[callback or AutoCardCallback()], max_steps=1
    )
    trainer.train()
    trainer.save_model()
    return trainer


def _front(card: Path) -> dict[str, Any]:
    return yaml.safe_load(card.read_text().split("---\n")[1])


def _remove_adapter(folder: Path) -> None:
    for file in folder.glob("adapter*"):
        file.unlink()


def test_a_full_fine_tuning_after_a_lora_run_has_no_tag_lora(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    _train(tmp_path, training.lora(training.bert())).evaluate()
    assert "lora" in _front(card)["tags"]
    _remove_adapter(tmp_path)

    _train(tmp_path, training.bert())

    assert "lora" not in _front(card).get("tags", [])
    assert _front(card)["library_name"] == "transformers"


def test_a_lora_run_after_a_full_fine_tuning_has_the_tag_again(tmp_path: Path) -> None:
    for model in (training.lora(training.bert()), training.bert(), training.lora(training.bert())):
        _remove_adapter(tmp_path)
        _train(tmp_path, model)

    assert _front(tmp_path / "README.md")["tags"].count("lora") == 1


def test_a_card_of_two_trainers_has_the_tags_of_the_one_that_it_describes(tmp_path: Path) -> None:
    card = tmp_path / "CARD.md"
    full = training.trainer(
        tmp_path / "a", model=training.bert(), callbacks=[AutoCardCallback(card=str(card))]
    )
    lora = training.trainer(tmp_path / "b", callbacks=[AutoCardCallback(card=str(card))])
    for trainer in (full, lora):
        trainer.train()
        trainer.save_model()
    assert "lora" in _front(card)["tags"]

    full.evaluate()

    assert "lora" not in _front(card).get("tags", [])


@pytest.mark.parametrize("tags", ["[lora, mine]", "\n- mine\n- lora # wanted"])
def test_a_tag_that_a_person_wrote_stays_whichever_run_is_shown(tmp_path: Path, tags: str) -> None:
    card = tmp_path / "README.md"
    card.write_text(
        f"---\nlicense: mit\ntags: {tags}\n---\n# Mine\n\n## Training Hyperparameters\n"
    )
    _train(tmp_path, training.lora(training.bert()))
    _remove_adapter(tmp_path)

    _train(tmp_path, training.bert())

    assert set(_front(card)["tags"]) == {"mine", "lora"}


def test_a_tag_that_a_person_added_later_stays_when_ours_go(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    _train(tmp_path, training.lora(training.bert()))
    card.write_text(card.read_text().replace("- lora\n", "- lora\n- mine\n"))
    _remove_adapter(tmp_path)

    _train(tmp_path, training.bert())

    assert _front(card)["tags"] == ["mine"]


def test_the_librarys_tags_of_an_earlier_run_go_with_it(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    first = _train(tmp_path, training.bert())
    first.create_model_card(tags=["from-the-first-run"])
    assert "from-the-first-run" in _front(card)["tags"]

    second = _train(tmp_path, training.bert())
    second.create_model_card(tags=["from-the-second-run"])

    assert "from-the-first-run" not in _front(card)["tags"]
    assert "from-the-second-run" in _front(card)["tags"]


def test_no_heading_stands_bare_after_a_run_without_evaluation(tmp_path: Path) -> None:
    card = tmp_path / "README.md"
    _train(tmp_path, training.bert()).evaluate()
    shown = _headings(card)
    assert "Testing Data, Factors & Metrics" in shown

    second = _train(tmp_path, training.bert())

    assert not _bare(card)
    assert "Testing Data, Factors & Metrics" not in _headings(card)

    second.evaluate()

    assert _headings(card) == shown


def _visible(card: Path) -> str:
    return re.sub(r"<!--.*?-->", "", card.read_text().split("---\n", 2)[2], flags=re.DOTALL)


def _headings(card: Path) -> list[str]:
    return re.findall(r"^#+ (.+)$", _visible(card), flags=re.MULTILINE)


def _bare(card: Path) -> list[str]:
    """Return the headings with nothing below them: the next one is of the same level or a higher one."""
    lines = [line for line in _visible(card).splitlines() if line.strip()]
    level = [len(line) - len(line.lstrip("#")) if line.startswith("#") else 99 for line in lines]
    return [
        line
        for line, one, below in zip(lines, level, [*level[1:], 0], strict=True)
        if below <= one < 99
    ]
