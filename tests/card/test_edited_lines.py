"""A text of ours of several lines in which a person has edited some: theirs stay, ours do not go stale."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocard import AutoCardCallback
from autocard.card.fact import Fact
from autocard.card.fill.fill import fill
from support import training

HEAD = "# M\n\n## Training Hyperparameters\n\n"
OLD = "- Length: 6 steps\n- Optimizer: AdamW (learning rate 0.001)\n- Seed: 42\n- Layers: eager\n\n<p>a 1, b 2</p>"
NEW = "- Length: 6 steps\n- Optimizer: AdamW (learning rate 0.007)\n- Seed: 5\n- Ended: early\n\n<p>a 1, b 3</p>"


def _fill(text, block, slots=None):
    return fill(text, {"training_hyperparameters": Fact("x", block)}, {}, remembered=slots or {})


@pytest.mark.parametrize(
    ("ours", "persons", "after"),
    [
        (
            "- Seed: 42",
            "- Seed: forty-two, by me",
            NEW.replace("- Seed: 5", "- Seed: forty-two, by me"),
        ),
        ("- Seed: 42\n", "", NEW.replace("- Seed: 5\n", "")),
        (
            "- Seed: 42",
            "- Seed: 42\n- I like this seed.",
            NEW.replace("- Seed: 5", "- Seed: 5\n- I like this seed."),
        ),
        ("- Layers: eager", "- Layers: eager, with care", None),
        ("<p>a 1, b 2</p>", "<p>as usual</p>", NEW.replace("<p>a 1, b 3</p>", "<p>as usual</p>")),
    ],
)
def test_lines_that_are_ours_follow_the_run_and_a_persons_stay(ours, persons, after):
    first = _fill(HEAD + "[More Information Needed]\n", OLD)
    assert OLD in first.text

    second = _fill(first.text.replace(ours, persons), NEW, first.slots)

    if after is not None:
        assert sorted(second.text.split("\n")) == sorted((HEAD + after + "\n").split("\n"))
    else:
        assert persons in second.text
    assert "0.001" not in second.text
    assert "0.007" in second.text
    again = _fill(second.text, NEW, second.slots)
    assert again.text == second.text
    third = _fill(again.text, OLD, again.slots)
    assert "0.007" not in third.text
    assert not persons or persons.splitlines()[-1] in third.text


def test_a_text_that_a_person_has_written_again_is_all_theirs():
    first = _fill(HEAD + "[More Information Needed]\n", OLD)
    own = HEAD + "We used AdamW.\n\n- Seed: 42\n"

    assert _fill(own, NEW, first.slots).text == own


def test_the_card_of_a_second_run_has_no_rate_of_the_first_below_an_edited_line(
    tmp_path: Path,
) -> None:
    card = tmp_path / "README.md"
    for rate, edit in ((1e-3, "- Seed: three, by me"), (7e-3, "")):
        trainer = training.trainer(
            tmp_path,
            model=training.bert(),
            callbacks=[AutoCardCallback(emissions=False)],
            learning_rate=rate,
        )
        trainer.train()
        trainer.save_model()
        if edit:
            card.write_text(card.read_text().replace("- Seed: 3", edit))

    text = card.read_text()
    assert "- Seed: three, by me" in text
    assert "learning rate 0.007" in text
    assert "0.001" not in text.partition("## Training Hyperparameters")[2].partition("##")[0]
