"""What each way of ending a training leaves: a card at once, or what `autocard close` makes the card of."""

from __future__ import annotations

import json
import os
import signal

import pytest
from typer.testing import CliRunner

from autocard.cli import app
from autocard.energy.ledger import ledger_files
from autocard.energy.ledger.ledger_entry import LedgerEntry, utc_now
from autocard.record import Leg
from autocard.runtime.run_history import RunHistory
from autocard.settings import Settings
from support.killed_trainings import TrainingServer, checkpoints, lives, wait_until

STEPS = 3000


@pytest.fixture(scope="module")
def server():
    made = TrainingServer()
    yield made
    made.close()


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


def trained(server, folder, **args):
    """Return a training that has made some steps, and whose CPU has been read."""
    args = {"max_steps": STEPS, "save_total_limit": None, **args}
    leg = server.start(folder, name="one", args=args)
    wait_until(lambda: (leg.last_step or 0) >= 12 and cpu_was_read(folder), 120)
    return leg


def cpu_was_read(folder):
    entries = ledger_files.read(folder / ledger_files.FOLDER)
    return any(host.cpu_j for entry in entries for host in entry.leg.hosts)


def end_by(leg, how):
    """Send a signal to the training alone, and wait until it and its worker have ended."""
    children = leg.measuring
    os.kill(leg.pid, how)
    wait_until(lambda: not leg.alive, 60)
    wait_until(lambda: not any(map(lives, children)), 60)


def test_a_keyboard_interrupt_leaves_the_card_at_once(server, tmp_path):
    folder = tmp_path / "run"
    leg = trained(server, folder)

    end_by(leg, signal.SIGINT)

    known = record(folder)
    assert known["run"]["status"] == "interrupted"
    # A step that was done counts, even if the test's own log had not got it yet.
    assert leg.last_step <= known["run"]["global_step"] <= leg.last_step + 1
    assert known["energy"]["total_kwh"] > 0
    assert (folder / "README.md").exists()
    assert list(folder.glob("_autocard/run-*.json")) == []


def test_the_signal_handler_of_the_trainer_leaves_the_card_at_once(server, tmp_path):
    folder = tmp_path / "run"
    leg = trained(server, folder, enable_jit_checkpoint=True)

    end_by(leg, signal.SIGTERM)

    assert record(folder)["run"]["status"] == "stopped"
    assert (folder / "README.md").exists()


def test_an_exception_of_the_users_code_leaves_the_card_at_once(server, tmp_path):
    folder = tmp_path / "run"
    leg = server.start(folder, name="one", args={"max_steps": STEPS}, at={"raise": 12})
    wait_until(lambda: not leg.alive, 90)

    known = record(folder)

    assert (known["run"]["status"], known["run"]["global_step"]) == ("interrupted", 12)
    assert known["energy"]["total_kwh"] > 0


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=["SIGTERM", "SIGKILL"])
def test_a_signal_that_ends_the_process_leaves_what_close_makes_the_card_of(server, tmp_path, how):
    folder = tmp_path / "run"
    leg = trained(server, folder)

    end_by(leg, how)
    had_card = (folder / "autocard.json").exists()
    closed = CliRunner().invoke(app, ["close", str(folder)])

    assert not had_card
    assert closed.exit_code == 0, closed.output
    known = record(folder)
    # The worker, which was not killed, sees each step.
    assert leg.last_step - 1 <= known["run"]["global_step"] <= leg.last_step + 1
    assert known["energy"]["total_kwh"] > 0


def test_a_training_whose_worker_is_killed_ends_with_its_card(server, tmp_path):
    folder = tmp_path / "run"
    leg = trained(server, folder, max_steps=300)

    for pid in leg.measuring:
        os.kill(pid, signal.SIGKILL)
    leg.finish()

    assert record(folder)["run"]["status"] == "finished"
    assert (folder / "README.md").exists()


def test_a_resume_after_close_continues_the_same_run_and_counts_each_leg_once(server, tmp_path):
    folder = tmp_path / "run"
    trained(server, folder).kill(everything=True)
    CliRunner().invoke(app, ["close", str(folder)])
    closed = record(folder)

    server.start(
        folder,
        name="two",
        resume=str(folder / "checkpoint-10"),
        patient=True,
        args={"max_steps": 20, "save_total_limit": None},
    ).finish()

    known = record(folder)
    assert known["run"]["id"] == closed["run"]["id"]
    assert known["run"]["status"] == "finished"
    assert [leg["status"] for leg in known["legs"]] == ["interrupted", "finished"]
    assert known["legs"][0]["hosts"][0]["ram_j"] == closed["legs"][0]["hosts"][0]["ram_j"]


def test_a_new_training_names_the_run_that_broke_off_and_keeps_its_files(server, tmp_path):
    folder = tmp_path / "run"
    trained(server, folder).kill(everything=True)
    working_files = list(folder.glob("_autocard/run-*.json"))

    later = server.start(folder, name="two", args={"max_steps": 5}).finish()
    refused = CliRunner().invoke(app, ["close", str(folder)])
    elsewhere = CliRunner().invoke(
        app, ["close", str(folder), "--card", str(tmp_path / "old" / "README.md")]
    )

    said = later.log.with_name(f"{later.log.name}.out").read_text()
    assert "1 earlier run broke off in this output folder and has no card" in said
    assert list(folder.glob("_autocard/run-*.json")) == working_files
    assert refused.exit_code == 3
    assert "is of another run" in refused.stderr
    assert elsewhere.exit_code == 0, elsewhere.output
    assert record(tmp_path / "old")["run"]["status"] == "interrupted"
    assert record(folder)["run"]["status"] == "finished"


def test_show_says_what_lies_in_the_folder_of_a_run_that_broke_off(server, tmp_path):
    folder = tmp_path / "run"
    trained(server, folder).kill(everything=True)

    shown = CliRunner().invoke(app, ["show", str(folder)])

    assert shown.exit_code == 0
    assert "broke off at step" in shown.stdout
    assert f"checkpoint-{max(checkpoints(folder))}" in shown.stdout
    assert f"autocard close {folder}" in shown.stdout
    assert not (folder / "autocard.json").exists()


def test_the_checkpoint_alone_gives_a_card(server, tmp_path):
    folder = tmp_path / "run"
    trained(server, folder).kill(everything=True)
    alone = tmp_path / "alone" / "checkpoint-10"
    (folder / "checkpoint-10").rename(alone.parent.mkdir() or alone)
    for name in ("README.md", "autocard.json"):
        (alone / name).unlink(missing_ok=True)

    closed = CliRunner().invoke(app, ["close", str(alone)])

    assert closed.exit_code == 0, closed.output
    known = record(alone)
    assert (known["run"]["status"], known["run"]["global_step"]) == ("interrupted", 10)
    assert known["time"]["wall_clock_s"] > 0
    card = (alone / "README.md").read_text()
    assert "- Architecture: `BertForSequenceClassification`" in card
    assert "fine-tun" not in card  # it was trained from scratch


def test_what_other_processes_have_written_counts_when_a_training_raises(tmp_path):
    history = RunHistory(Settings())
    history.find(tmp_path, None, 0)
    history.open.id = "leg"
    other = LedgerEntry(
        run_id=history.run_id, host_id="other", written_at=utc_now(), leg=Leg(id="leg"), rank=1
    )
    ledger_files.write(tmp_path / ledger_files.FOLDER, other)

    history.take_written()

    assert [entry.host_id for entry in history.reported] == ["other"]
