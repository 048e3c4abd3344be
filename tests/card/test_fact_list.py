"""The list of facts: what it has is what forms, label files and the setting `facts` accept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from autocard.card.form.fact_list import fact_entries, fact_names
from autocard.card.form.label_files import load
from autocard.cli import app
from autocard.errors import SettingsError

TABLE = Path(__file__).parents[2] / "templates" / "labels.yaml"


def test_every_fact_of_the_table_is_listed_once_and_in_its_order() -> None:
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))["facts"]

    assert [entry.name for entry in fact_entries()] == list(table)


def test_the_names_that_the_setting_accepts_are_facts_and_their_other_names() -> None:
    table = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    aliases = {name for name, fact in table["variables"].items() if fact}

    assert fact_names() == set(table["facts"]) | aliases


def test_the_command_prints_the_list_for_machines() -> None:
    result = CliRunner().invoke(app, ["facts", "--json"])

    entries = {entry["name"]: entry for entry in json.loads(result.stdout)}
    hours = entries["hours_used"]
    assert (hours["title"], hours["who"]) == ("Hours used", "machine")
    assert hours["record"] == "time.wall_clock_s"
    assert {"Training time", "Duration"} <= set(hours["labels"])
    assert "model_name" in entries["model_id"]["aliases"]


def test_the_command_says_for_people_who_fills_a_fact() -> None:
    result = CliRunner().invoke(app, ["facts"])

    text = " ".join(result.stdout.split())
    assert "developers Developed by: filled by you." in text


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("facts:\n  hours_used: [Zeit]\n  hours_usd: [Dauer]\n", ":3: facts.hours_usd:"),
        ("sections:\n  enviroment: [Umwelt]\n", ":2: sections.enviroment:"),
        ("variables:\n\n  a: hours_usd\n", ":3: variables.a:"),
    ],
)
def test_a_name_that_does_not_exist_is_an_error_with_the_line_and_the_nearest_name(
    tmp_path: Path, text: str, place: str
) -> None:
    path = tmp_path / "autocard.labels.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(SettingsError) as caught:
        load([path])

    assert f"{path}{place}" in str(caught.value)
    assert "did you mean" in str(caught.value)


def test_a_name_like_no_other_is_an_error_that_names_the_command_with_all(tmp_path: Path) -> None:
    path = tmp_path / "autocard.labels.yaml"
    path.write_text("facts: {qqqq: [x]}\n", encoding="utf-8")

    with pytest.raises(SettingsError, match="autocard facts"):
        load([path])
