"""The README cannot drift: what it quotes is the demo's card, its record, and the card that Trainer and PEFT write."""

from __future__ import annotations

import re

from PIL import Image
from typer.testing import CliRunner

from autocard import record
from autocard.card.update import update
from autocard.cli import app
from support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = ROOT / "examples"
IMAGES = ROOT / "docs" / "images"


def part(name):
    """Return what stands between the marks of a generated part."""
    return README.split(f"<!-- made: {name} -->\n")[1].split("<!-- end -->\n")[0]


def test_the_program_that_the_readme_names_is_no_longer_than_it_says():
    (said,) = re.findall(r"finetune_lora\.py\), (\d+) lines\)", README)

    assert len((EXAMPLES / "finetune_lora.py").read_text().splitlines()) <= int(said)


def test_the_first_result_stands_above_line_40_of_a_short_page():
    lines = README.splitlines()

    assert lines.index("<!-- made: show -->") < 40
    assert len(lines) <= 150


def test_the_summary_in_the_readme_is_what_show_prints(tmp_path):
    (tmp_path / "autocard.json").write_bytes((EXAMPLES / "README.card.json").read_bytes())

    shown = CliRunner().invoke(app, ["show", str(tmp_path)]).output

    quoted = re.search(r"```\n(.*?)```\n", part("show"), flags=re.DOTALL)[1]
    assert [line.rstrip() for line in quoted.splitlines()] == [
        line.rstrip() for line in shown.splitlines()
    ]


def test_each_side_of_the_comparison_quotes_its_card():
    cards = [
        re.sub(r"\*\*|\\", "", (EXAMPLES / name).read_text(encoding="utf-8"))
        for name in ("README.without.md", "README.card.md")
    ]
    table = part("comparison").splitlines()
    rows = [line.strip("| ").split(" | ") for line in table if line.startswith("| ")][2:]

    for _, *sides in rows:
        for quoted, card in zip(sides, cards, strict=True):
            # A fact may stand in a table of the card: its figures are there, and what has none is there in whole.
            pieces = re.split(r"[;,=] ", quoted.strip("`").removeprefix("nothing"))
            figures = [re.findall(r"\d[\d.,]*", piece) or [piece] for piece in pieces]
            assert [one for found in figures for one in found if one.strip(",") not in card] == []
    assert len(rows) > 5


def test_the_committed_card_is_what_its_record_gives_today(tmp_path):
    for name, source in (("README.md", "README.card.md"), ("autocard.json", "README.card.json")):
        (tmp_path / name).write_bytes((EXAMPLES / source).read_bytes())
    known = record.load(tmp_path / "autocard.json")

    outcome = update(tmp_path / "README.md", known, dry_run=True)

    # Each of our texts is refreshed where it would read otherwise today.
    assert [
        report
        for report in outcome.reports
        if report.state in ("refreshed", "filled", "kept", "cleared")
    ] == []
    assert not outcome.changed
    assert len(known.slots["README.md"]) > 30


def test_the_picture_is_there_in_light_and_dark_and_of_one_size():
    with Image.open(IMAGES / "card.png") as light, Image.open(IMAGES / "card_dark.png") as dark:
        assert light.size == dark.size
        assert light.convert("L").getpixel((2, 2)) > 200
        assert dark.convert("L").getpixel((2, 2)) < 60


def test_the_index_is_not_named_as_a_place_to_install_from():
    installs = re.findall(
        r"pip install (?:-\S+ )*\"?([^\s\"]+)(?: @ (\S+?))?\"?$", README, re.MULTILINE
    )

    assert installs
    assert [name for name, address in installs if name == "autocard" and not address] == []
    assert "not on the Python Package Index yet" in README


def test_the_licence_and_the_other_promises_are_there():
    for name in ("LICENSE", "CHANGELOG.md", "SECURITY.md", "docs/dev/architecture.md", ".ci/run"):
        assert (ROOT / name).is_file(), name
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
