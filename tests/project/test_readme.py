"""The README cannot drift: its program is the example, its output is the committed card, its commands are there."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from autocard import record
from autocard.card.update import update
from autocard.cli import app
from autocard.settings import Settings
from support import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def after(marker, kind):
    """Return the block behind an HTML comment of the README."""
    found = re.search(rf"<!-- {marker} -->\n```{kind}\n(.*?)```\n", README, flags=re.DOTALL)
    assert found, marker
    return found[1]


def test_the_program_is_the_example_to_the_letter():
    example = (ROOT / "examples" / "finetune_lora.py").read_text(encoding="utf-8")

    assert after("program", "python") == example
    assert len(example.splitlines()) <= 60


def test_the_card_in_the_readme_is_the_card_of_the_demo():
    card = (ROOT / "examples" / "README.card.md").read_text(encoding="utf-8")
    quoted = re.search(r"<!-- card -->\n((?:>.*\n)+)", README)[1]
    lines = [re.sub(r"^> ?", "", line) for line in quoted.splitlines()]

    section = card[
        card.index("## Environmental Impact") : card.index("## Technical Specifications")
    ]

    assert [line for line in lines if line not in section.splitlines()] == []
    assert [line for line in lines if "kWh" in line]


def test_the_summary_in_the_readme_is_what_show_prints(tmp_path):
    (tmp_path / "autocard.json").write_bytes((ROOT / "examples" / "README.card.json").read_bytes())

    shown = CliRunner().invoke(app, ["show", str(tmp_path)]).output

    assert [line.rstrip() for line in after("show", "").splitlines()] == [
        line.rstrip() for line in shown.splitlines()
    ]


def test_the_committed_card_is_what_its_record_gives_today(tmp_path):
    for name, source in (("README.md", "README.card.md"), ("autocard.json", "README.card.json")):
        (tmp_path / name).write_bytes((ROOT / "examples" / source).read_bytes())
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


@pytest.mark.parametrize(
    "name", [name for name in Settings.__dataclass_fields__ if name != "sources"]
)
def test_every_setting_is_in_the_readme(name):
    assert f"`{name}`" in README


@pytest.mark.parametrize("command", re.findall(r"^autocard (\w+) ", README, flags=re.MULTILINE))
def test_every_command_of_the_readme_is_there(command):
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_the_licence_and_the_other_promises_are_there():
    for name in ("LICENSE", "CHANGELOG.md", "SECURITY.md", "docs/dev/architecture.md", ".ci/run"):
        assert (ROOT / name).is_file(), name
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
