"""Records that are broken: each command says which file and which leaf, and writes nothing."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from autocard.cli import app
from autocard.errors import RecordError
from autocard.record import MAX_BYTES, SCHEMA_VERSION, from_json, to_json
from support import records

WHOLE = to_json(records.lora_on_cpu())


def edited(**changes):
    data = json.loads(WHOLE)
    for path, value in changes.items():
        *above, leaf = path.split("__")
        part = data
        for key in above:
            part = part[int(key) if key.isdigit() else key]
        part[leaf] = value
    return json.dumps(data)


BAD = {
    "cut off": (WHOLE[: len(WHOLE) // 2], ""),
    "empty": ("", ""),
    "no object": ("[1, 2]", ""),
    "a number": ("3", ""),
    "nothing": ("null", ""),
    "words": ("hours: 3\n", ""),
    "of a newer schema": (edited(schema_version=SCHEMA_VERSION + 1), "schema_version"),
    "text for a number": (edited(time__wall_clock_s="18 min"), "time.wall_clock_s"),
    "a list for a part": (edited(hardware=[]), "hardware"),
    "a number for a text": (edited(model__base_model=3), "model.base_model"),
    "wrong deep inside": (edited(legs__0__hosts__0__cpu_j="a lot"), "legs.0.hosts.0.cpu_j"),
    "reasons that are no texts": (edited(missing={"energy": 3}), "missing.energy"),
    "slots that are no texts": (
        edited(slots={"README.md": {"hours_used": 3}}),
        "slots.README.md.hours_used",
    ),
    "huge": (" " * (MAX_BYTES + 1), "larger than"),
    "no date": (edited(run__started_at="x"), "run.started_at"),
    "an impossible date": (edited(run__ended_at="2026-13-45T00:00:00Z"), "run.ended_at"),
    "an impossible date of a leg": (
        edited(legs__0__started_at="2026-02-30T00:00:00Z"),
        "legs.0.started_at",
    ),
    "a year beyond the calendar": (
        edited(run__started_at="0001-01-01T00:00:00+23:59"),
        "run.started_at",
    ),
    "bytes beyond all memory": (edited(model__saved_bytes=10**400), "model.saved_bytes"),
    "a large whole number": (edited(model__saved_bytes=10**200), "model.saved_bytes"),
    "a large figure": (edited(energy__cpu_kwh=1e308), "energy.cpu_kwh"),
    "a large setting": (
        edited(training__hyperparameters={"x": 10**400}),
        "training.hyperparameters.x",
    ),
    "deep": ("[" * 100_000, ""),
    "not UTF-8": (b"\xff\xfe{}", "cannot be read"),
}

COMMANDS = {
    "fill": ["fill", "{}/README.md"],
    "fill --record": ["fill", "{}/OTHER.md", "--record", "{}"],
    "check": ["check", "{}/README.md"],
    "render": ["render", "--record", "{}"],
    "render -o": ["render", "--record", "{}", "-o", "{}/NEW.md"],
    "show": ["show", "{}"],
}


@pytest.fixture(params=sorted(BAD))
def bad(request, tmp_path):
    """A folder with a card and a broken record, and what the error has to name."""
    text, leaf = BAD[request.param]
    (tmp_path / "autocard.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    (tmp_path / "README.md").write_text("# Mine\n\n- **Hours used:** ...\n", encoding="utf-8")
    return tmp_path, leaf


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broken_record_is_refused_by_file_and_leaf_and_nothing_is_written(bad, command):
    folder, leaf = bad
    before = content(folder)

    with pytest.raises(RecordError) as caught:
        CliRunner().invoke(
            app, [part.format(folder) for part in COMMANDS[command]], catch_exceptions=False
        )

    assert f"{folder / 'autocard.json'}: " in str(caught.value)
    assert leaf in str(caught.value)
    assert content(folder) == before


def test_a_record_with_keys_of_others_is_read_and_they_are_no_fault():
    assert from_json(edited(another_tools_key={"a": 1}), "x").run.id == records.lora_on_cpu().run.id


def test_the_whole_command_ends_with_status_3_and_without_a_traceback(tmp_path):
    import subprocess
    import sys

    (tmp_path / "autocard.json").write_text(BAD["text for a number"][0], encoding="utf-8")
    (tmp_path / "README.md").write_text("# Mine\n", encoding="utf-8")

    done = subprocess.run(
        [sys.executable, "-m", "autocard", "fill", "README.md"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 3
    assert "autocard.json: time.wall_clock_s: " in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "# Mine\n"
