"""A run that was killed has a card after `autocard close`: real trainings, really killed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from autocard.cli import app
from autocard.energy.ledger import ledger_files
from support.killed_trainings import OURS, RAM_W, TrainingServer, checkpoints, wait_until

STEPS = 400


@pytest.fixture(scope="module")
def server():
    made = TrainingServer()
    yield made
    made.close()


def close(folder, *options):
    return CliRunner().invoke(app, ["close", str(folder), *options])


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


def killed(server, folder, step, *, everything=True, **order):
    """Train until *step* is done and the ledger has been written, and kill the training."""
    leg = server.start(folder, name="killed", args={"max_steps": STEPS}, **order)
    wait_until(lambda: (leg.last_step or 0) >= step, 60)
    wait_until(lambda: ledger_files.read(folder / ledger_files.FOLDER))
    return leg.kill(everything=everything)


@pytest.fixture(scope="module")
def closed(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("close") / "run"
    leg = killed(server, folder, 45)
    return folder, leg, close(folder)


def test_a_killed_training_has_record_and_card_after_close(closed):
    folder, leg, result = closed

    assert result.exit_code == 0, result.output
    known = record(folder)
    assert known["run"]["status"] == "interrupted"
    assert max(checkpoints(folder)) <= known["run"]["global_step"] <= leg.last_step
    assert known["run"]["max_steps"] == STEPS
    # The worker, which was killed too, writes once a second; a busy machine reads clocks late.
    assert -1 < leg.seconds - known["time"]["wall_clock_s"] < 3
    card = (folder / "README.md").read_text()
    assert "End of training: interrupted before the planned end" in card
    assert "- Architecture: `BertForSequenceClassification`" in card


def test_the_energy_of_a_closed_run_is_its_power_times_its_seconds(closed):
    folder, _, _ = closed

    known = record(folder)

    host = known["legs"][0]["hosts"][0]
    joules = RAM_W * host["cpu_share"] * known["time"]["wall_clock_s"]
    assert host["ram_j"] == pytest.approx(joules, rel=0.05, abs=0.5)
    assert known["energy"]["ram_kwh"] == pytest.approx(host["ram_j"] / 3.6e6)


def test_no_fact_of_a_closed_run_is_missing_without_a_reason_of_its_own(closed):
    folder, _, _ = closed

    missing = record(folder)["missing"]

    assert [path for path, why in missing.items() if why == "not captured"] == []
    assert [path for path, why in missing.items() if "not known yet" in why] == []


def test_a_second_close_changes_nothing(closed):
    folder, _, _ = closed
    before = {name: (folder / name).read_bytes() for name in ("README.md", "autocard.json")}

    result = close(folder)

    assert result.exit_code == 0
    assert "nothing changed" in result.stderr
    assert before == {name: (folder / name).read_bytes() for name in before}


def test_a_training_that_ends_well_leaves_nothing_to_close(server, tmp_path):
    folder = tmp_path / "run"
    server.start(folder, name="whole", args={"max_steps": 5}).finish()

    result = close(folder)

    assert result.exit_code == 0
    assert "nothing to close" in result.stderr
    assert list(folder.glob("_autocard/run-*.json")) == []


def test_a_run_that_is_alive_is_not_closed(server, tmp_path):
    folder = tmp_path / "run"
    leg = server.start(folder, name="alive", args={"max_steps": STEPS})
    wait_until(lambda: (leg.last_step or 0) > 2, 60)

    refused = close(folder)
    leg.kill(everything=True)
    accepted = close(folder)

    assert refused.exit_code == 3
    assert "may be alive" in refused.stderr
    assert accepted.exit_code == 0
    assert record(folder)["run"]["status"] == "interrupted"


@pytest.mark.parametrize("usable", [True, False], ids=["on the node", "a folder that is unusable"])
def test_readings_of_a_node_are_in_the_closed_run_and_then_in_its_output_folder(
    server, tmp_path, usable
):
    folder, node = tmp_path / "run", tmp_path / "node" if usable else "/dev/null/x"
    ours = {**OURS, "ledger_dir": str(node)}
    leg = server.start(
        folder, name="killed", args={"max_steps": STEPS, "save_steps": 20}, ours=ours
    )
    ticks = node if usable else folder / ledger_files.FOLDER
    wait_until(lambda: any(one.leg.step_end >= 30 for one in ledger_files.read(ticks)), 60)
    read = ledger_files.read(ticks)[0].leg
    leg.kill(everything=True)

    result = close(folder)

    assert result.exit_code == 0, result.output
    assert record(folder)["run"]["global_step"] >= read.step_end
    assert record(folder)["time"]["wall_clock_s"] >= read.wall_clock_s
    assert not usable or not node.exists()
    (left,) = ledger_files.read(folder / ledger_files.FOLDER)
    assert left.leg.step_end >= read.step_end


def test_a_folder_without_a_training_is_wrong_usage(tmp_path):
    result = close(tmp_path)

    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []
