"""Places that the settings name and that cannot be used: one warning, and another place in real trainings."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from autocard import AutoCardCallback, files
from autocard.settings import resolve
from support import ROOT, training


def trained(folder, callback, **args):
    trainer = training.trainer(folder, callbacks=[callback], max_steps=3, **args)
    trainer.train()
    return json.loads((folder / "autocard.json").read_text())


def warnings(caplog):
    return [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]


def file_in_the_way(top):
    (top / "file").write_text("x")
    return str(top / "file" / "below")


def link_to_nowhere(top):
    (top / "link").symlink_to(top / "not mounted")
    return str(top / "link")


FOLDERS = {
    "below a device": (lambda _: "/dev/null/x", "Not a directory"),
    "of the kernel": (lambda _: "/proc/x", "No such file or directory"),
    "below a file": (file_in_the_way, "Not a directory"),
    "a link": (link_to_nowhere, "it is a link that leads nowhere"),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_for_working_files_that_cannot_be_used_is_told_once_and_nothing_is_lost(
    tmp_path, caplog, kind
):
    make, why = FOLDERS[kind]
    node = make(tmp_path)
    out = tmp_path / "out"

    found = trained(out, AutoCardCallback(ledger_dir=node))

    (told,) = warnings(caplog)
    assert f"argument ledger_dir='{node}'" in told
    assert why in told
    assert f"{out}/_autocard instead" in told
    assert len(list((out / "_autocard").glob("leg-*.json"))) == 1
    assert why in found["missing"]["legs.0.ledger"]
    for public in ("README.md", "autocard.json"):
        assert node not in (out / public).read_text()


def by_variable(_top, monkeypatch):
    monkeypatch.setenv("AUTOCARD_LEDGER_DIR", "/dev/null/x")
    return "AUTOCARD_LEDGER_DIR=/dev/null/x"


def by_project(top, monkeypatch):
    (top / "pyproject.toml").write_text('[tool.autocard]\nledger_dir = "/dev/null/x"\n')
    monkeypatch.chdir(top)
    return 'pyproject.toml:2: ledger_dir = "/dev/null/x"'


def by_site(top, monkeypatch):
    (top / "site.toml").write_text('pue = 1.2\nledger_dir = "/dev/null/x"\n')
    monkeypatch.setenv("AUTOCARD_SITE", str(top / "site.toml"))
    return 'site.toml:2: ledger_dir = "/dev/null/x"'


@pytest.mark.parametrize("give", [by_variable, by_project, by_site])
def test_the_warning_says_where_the_setting_was_given(tmp_path, caplog, monkeypatch, give):
    where = give(tmp_path, monkeypatch)

    trained(tmp_path / "out", AutoCardCallback())

    (told,) = warnings(caplog)
    assert where in told


CARDS = {
    "below a device": (lambda _: "/dev/null/README.md", "Not a directory"),
    "of the kernel": (lambda _: "/proc/x/README.md", "No such file or directory"),
    "below a file": (lambda top: file_in_the_way(top) + "/README.md", "Not a directory"),
    "a device": (lambda _: "/dev/null", "it is not a regular file"),
    "below a link": (
        lambda top: link_to_nowhere(top) + "/README.md",
        "it is a link that leads nowhere",
    ),
}


@pytest.mark.parametrize("kind", CARDS)
def test_a_card_that_cannot_be_written_where_it_was_wanted_goes_to_the_output_folder(
    tmp_path, caplog, kind
):
    make, why = CARDS[kind]
    card, out = make(tmp_path), tmp_path / "out"

    found = trained(out, AutoCardCallback(card=card))

    (told,) = warnings(caplog)
    assert f"argument card='{card}'" in told
    assert why in told
    assert f"{out}/README.md instead" in told
    assert found["run"]["status"] == "finished"
    assert "Hours used" in (out / "README.md").read_text()


def test_a_card_in_a_folder_that_does_not_exist_yet_is_written_there_without_a_word(
    tmp_path, caplog
):
    card, out = tmp_path / "cards" / "new" / "README.md", tmp_path / "out"

    training.trainer(out, callbacks=[AutoCardCallback(card=str(card))], max_steps=3).train()

    assert warnings(caplog) == []
    assert card.is_file()
    assert not (out / "README.md").exists()


def test_a_usable_folder_is_not_mentioned_and_gone_at_the_end(tmp_path, caplog):
    trained(tmp_path / "out", AutoCardCallback(ledger_dir=str(tmp_path / "node" / "7")))

    assert warnings(caplog) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out"]
    assert len(list((tmp_path / "out" / "_autocard").iterdir())) == 1


@pytest.mark.parametrize("kind", ["missing", "a folder", "below a device", "endless"])
def test_a_site_file_that_cannot_be_read_stops_no_training(tmp_path, caplog, monkeypatch, kind):
    named = {"missing": tmp_path / "gone.toml", "a folder": tmp_path}.get(kind, Path("/dev/zero"))
    named = named / "x" if kind == "below a device" else named
    monkeypatch.setenv("AUTOCARD_SITE", str(named))

    found = trained(tmp_path / "out", AutoCardCallback(pue=1.3))

    (told,) = warnings(caplog)
    assert f"AUTOCARD_SITE={named}: " in told
    assert "Training goes on without its settings" in told
    assert found["emissions"]["pue"] == 1.3


def test_a_project_file_that_cannot_be_read_is_no_error(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes(b"x" * 2_000_000)

    (told,) = resolve({}, {}, tmp_path).unread

    assert "pyproject.toml: it cannot be read" in told


# -- what this user may not read or write ----------------------------------------------------------

TRAINS = """
import sys
from pathlib import Path
from support import training
from autocard import AutoCardCallback
closed = sys.argv[2]
callback = AutoCardCallback(card=f"{closed}/README.md", node_meter=f"{closed}/energy")
training.trainer(Path(sys.argv[1]), callbacks=[callback], max_steps=3).train()
print("TRAINED")
"""


@pytest.fixture
def closed(tmp_path):
    """A folder that this user may not enter, and a command that gives root's own right to do so away."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "site.toml").write_text("pue = 1.2\n")
    folder.chmod(0o000)
    command = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may enter every folder, and there is no setpriv")
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    yield folder, command
    folder.chmod(0o700)


def test_places_that_this_user_may_not_enter_are_told_and_replaced(tmp_path, closed):
    folder, command = closed
    out = tmp_path / "out"
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "tests"),
        "AUTOCARD_LEDGER_DIR": f"{folder}/node",
        "AUTOCARD_SITE": f"{folder}/site.toml",
    }

    done = subprocess.run(
        [*command, sys.executable, "-c", TRAINS, str(out), str(folder)],
        capture_output=True,
        text=True,
        env=env,
        timeout=180,
        check=False,
    )

    assert "TRAINED" in done.stdout, done.stderr
    told = [line for line in done.stderr.splitlines() if "Permission denied" in line]
    assert len(told) == 3, told
    for place in ("AUTOCARD_LEDGER_DIR=", "argument card=", "AUTOCARD_SITE="):
        assert sum(f"autocard: {place}" in line for line in told) == 1
    assert "could not" not in done.stderr
    assert str(folder) not in (out / "autocard.json").read_text() + (out / "README.md").read_text()
    assert len(list((out / "_autocard").glob("leg-*.json"))) == 1


# -- an output folder that cannot be written -------------------------------------------------------

READ_ONLY = """
import sys
from pathlib import Path
from support import cluster_space, training
out, temporary = Path(sys.argv[1]), Path(sys.argv[2])
try:
    cluster_space.enter({}, (out,))
except OSError:
    sys.exit(77)
from autocard import AutoCardCallback
ours = {"ledger_dir": sys.argv[3]} if len(sys.argv) > 3 else {}
trainer = training.trainer(out, callbacks=[AutoCardCallback(**ours)], max_steps=3, save_strategy="no")
trainer.train()
print("TRAINED")
"""


def trained_read_only(tmp_path, *ours):
    """Train into a folder that cannot be written; return what the process printed."""
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    out.mkdir()
    temporary.mkdir()
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "TMPDIR": str(temporary)}
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, out, temporary, *ours],
        capture_output=True,
        text=True,
        env=env,
        timeout=180,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("no mounts of its own for a process here")
    assert "TRAINED" in done.stdout, done.stderr
    return done.stderr, temporary


def test_an_output_folder_that_cannot_be_written_is_told_at_the_start_with_where_the_record_goes(
    tmp_path,
):
    said, temporary = trained_read_only(tmp_path)

    (told,) = [line for line in said.splitlines() if "the output folder cannot be written" in line]
    assert "Read-only file system" in told
    assert f"the record goes to a new folder in {temporary}" in told
    assert "If training is killed, its readings are lost" in told
    assert len(list(temporary.glob("autocard-*/autocard.json"))) == 1


def test_working_files_stay_on_the_node_where_the_output_folder_cannot_be_written(tmp_path):
    node = tmp_path / "node"

    said, _ = trained_read_only(tmp_path, str(node))

    assert f"The working files stay in {node}, on this node alone" in said
    (left,) = node.glob("leg-*.json")
    assert json.loads(left.read_text())["status"] == "finished"


def test_the_file_that_shows_whether_a_place_can_be_written_leaves_nothing(tmp_path):
    missing = tmp_path / "a" / "b"

    assert files.why_not_writable(missing) is None
    assert list(tmp_path.iterdir()) == []
