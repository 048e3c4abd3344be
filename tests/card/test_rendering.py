"""What people see of a card: nothing raw, nothing shown as code, nothing wider than the page."""

from __future__ import annotations

import json
import re

import pytest

from autocard import AutoCardCallback
from autocard.card.fill import new_card
from autocard.card.update import update
from support import records, rendering, training
from support.card_writers import HOSTS, quiet

TABLE = "| a | b |\n| --- | --- |\n| 1 | 2 |"
BROKEN = {
    "in a fence": f"```text\n{TABLE}\n```\n",
    "in a block of HTML": f"<div>\n{TABLE}\n</div>\n",
    "in a comment": f"<!--\n{TABLE}\n-->\n",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_the_oracle_sees_a_table_that_is_not_shown_as_one(body):
    good = rendering.problems(
        f"# A\n\n{TABLE}\n\nWords.\n", {"results": TABLE, "added:results": "# A"}
    )
    card = f"# A\n\n{body}"

    bad = rendering.problems(card, {"results": TABLE if TABLE in card else body.strip()})

    assert good == []
    assert bad, card


def test_the_oracle_sees_a_heading_in_code_and_bold_that_is_not_closed():
    card = "# A\n\n```\n## Results\n\nWords with **bold.\n```\n"

    bad = rendering.problems(card, {"added:results": "## Results", "results": "Words with **bold."})

    assert len(bad) == 2


HAND_WRITTEN = """---
license: mit
---
# Small model

It reads **cats**.

## Environmental Impact

- One GPU, some hours.

## Results

Good ones, see below.

## Ethics

Be kind.
"""


def filled(tmp_path, name, *, template=None, text=None):
    """Return the folder of a card that was filled from a record with all there is."""
    folder = tmp_path / name
    folder.mkdir()
    if text is not None:
        (folder / "README.md").write_text(text, encoding="utf-8")
    update(folder / "README.md", records.three_legs_on_gpus(), template=template)
    return folder


def trained_with_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "plotted"
    callback = AutoCardCallback(emissions=False, plots=True)
    how = {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 2, "logging_steps": 1}
    training.trainer(folder, callbacks=[callback], **how).train()
    return folder


def trained_by(host):
    """Return a function that trains with *host*, whose library has a card of its own, and has it written again."""

    def make(tmp_path):
        folder = tmp_path / "out"
        with quiet():
            trainer = HOSTS[host].make(
                tmp_path / "base", folder, [AutoCardCallback(emissions=False)], max_steps=2
            )
            trainer.train()
            trainer.create_model_card()
        return folder

    return make


CARDS = {
    **{
        name: (lambda tmp_path, name=name: filled(tmp_path, name, template=name))
        for name in new_card.SHIPPED
    },
    "hand-written": lambda tmp_path: filled(tmp_path, "hand", text=HAND_WRITTEN),
    "pictures": trained_with_pictures,
    "TRL": trained_by("TRL SFT"),
    "sentence-transformers": trained_by("sentence-transformers"),
}


@pytest.mark.browser
@pytest.mark.skipif(
    rendering.browser() is None, reason="no Chromium on this machine (apt-get install chromium)"
)
@pytest.mark.parametrize("make", CARDS.values(), ids=CARDS)
def test_a_browser_shows_a_card_without_raw_markdown_and_within_500_pixels(make, tmp_path):
    folder = make(tmp_path)
    card = (folder / "README.md").read_text(encoding="utf-8")
    slots = json.loads((folder / "autocard.json").read_text(encoding="utf-8"))["slots"]["README.md"]

    seen = rendering.shown(card, tmp_path, width=500)

    tables = sum("| --- |" in text or "---: |" in text for text in slots.values())
    assert seen["tables"] >= tables
    assert [text for text in seen["pre"] if "---" in text or "|" in text] == []
    lines = [
        line for line in seen["text"].split("\n") if not any(line in code for code in seen["pre"])
    ]
    assert [line for line in lines if "**" in line or re.match(r"#{1,6} |\||- \[", line)] == []
    assert (seen["overflow"], seen["wide"]) == (0, [])
    added = [text.lstrip("# ") for name, text in slots.items() if name.startswith("added:")]
    assert [heading for heading in added if heading not in seen["headings"]] == []
