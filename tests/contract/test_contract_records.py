"""Records of 0.1.0 are read and written again to the byte; their cards are rendered as `cards/` shows.

The cards follow the texts of this version: `python tests/contract/make.py cards` writes them again,
and the diff is what is reviewed. `make.py` says how the frozen files are made.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import rendering_of_records as rendering
import surface

from autocard.record import load, to_json

HERE = Path(__file__).parent
RECORDS = sorted(folder.name for folder in (HERE / "records").iterdir())
FIELDS = json.loads((HERE / "surface" / "fields.json").read_text(encoding="utf-8"))


def frozen(record):
    return (HERE / "records" / record / "autocard.json").read_bytes()


def test_the_records_are_of_unlike_runs():
    read = [json.loads(frozen(name)) for name in RECORDS]

    assert len(RECORDS) >= 20
    assert {record["run"]["status"] for record in read} == {"finished", "stopped", "interrupted"}
    assert {len(leg["hosts"]) for record in read for leg in record["legs"]} >= {1, 2}
    assert any(record["energy"]["gpu_kwh"] for record in read)
    assert any(record["energy"]["total_kwh"] is None for record in read)
    assert any(record["search"] for record in read)
    assert any(record["reconciliations"] for record in read)
    assert any(len(record["legs"]) > 1 for record in read)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_is_read_and_written_is_the_same_to_the_byte(name):
    again = to_json(load(HERE / "records" / name))

    if surface.fields() == FIELDS:
        assert again.encode() == frozen(name)
    # Keys that were added since have their defaults; all that was there before has to be there.
    assert leaves(json.loads(frozen(name))).items() <= leaves(json.loads(again)).items()


@pytest.mark.parametrize("name", RECORDS)
def test_the_reasons_of_a_record_are_the_same_and_in_the_same_order(name):
    again = load(HERE / "records" / name)

    assert list(again.missing.items()) == list(json.loads(frozen(name))["missing"].items())


def leaves(node, path=""):
    """Return path → value of each leaf; the text of values that JSON tells apart and Python does not."""
    if not node or not isinstance(node, dict | list):
        return {path: json.dumps(node)}
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    return {
        leaf: value
        for name, part in inner
        for leaf, value in leaves(part, f"{path}.{name}").items()
    }


@pytest.mark.parametrize(("record", "form"), rendering.wanted(), ids="-".join)
def test_a_record_is_rendered_as_the_reviewed_card(record, form, tmp_path):
    card = rendering.CARDS / rendering.name_of(record, form)

    assert rendering.render(record, form, tmp_path).decode() == card.read_bytes().decode()


def test_each_frozen_card_is_rendered_here():
    there = {card.name for card in rendering.CARDS.iterdir()}

    assert len(there) >= 20
    assert there == {rendering.name_of(*one) for one in rendering.wanted()}


WITH_CARD = [name for name in RECORDS if (HERE / "records" / name / "README.md").exists()]


@pytest.mark.parametrize("name", WITH_CARD)
def test_a_card_that_a_training_of_then_wrote_is_filled_once_and_then_up_to_date(name, tmp_path):
    shutil.copytree(HERE / "records" / name, tmp_path / "run")
    command = ("fill", str(tmp_path / "run"))

    filled = surface.command(*command)[0]
    once = (tmp_path / "run" / "README.md").read_bytes()
    checked, again = surface.command(*command, "--check")[0], surface.command(*command)[0]

    assert (filled, checked, again) == (0, 0, 0)
    assert (tmp_path / "run" / "README.md").read_bytes() == once
    before = json.loads(frozen(name))
    now = json.loads((tmp_path / "run" / "autocard.json").read_bytes())
    # What was written into the card is text of this version now; everything else stays.
    before.pop("slots")
    now.pop("slots")
    assert leaves(before).items() <= leaves(now).items()
