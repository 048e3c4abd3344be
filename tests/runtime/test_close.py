"""A run that was killed has a card after `autocard close`: real trainings, really killed."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

from autocard.cli import app
from autocard.energy.ledger import ledger_files
from autocard.runtime import left_runs
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


# -- what a person or another command does with the folder -----------------------------------------


@pytest.fixture(scope="module")
def left(server, tmp_path_factory):
    folder = tmp_path_factory.mktemp("left") / "run"
    killed(server, folder, 45)
    return folder


@pytest.fixture
def copy(left, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(left, folder)
    return folder


def run_command(*words):
    return CliRunner().invoke(app, list(map(str, words)))


def test_the_card_says_that_its_figures_end_at_the_last_reading(copy):
    close(copy)

    card, known = (copy / "README.md").read_text(), record(copy)
    step = known["run"]["global_step"]
    assert known["legs"][-1]["steps_unseen"]
    assert f"- Training length: at least {step} optimizer steps of {STEPS} planned" in card
    assert "wall-clock (up to the last reading before it was killed" in card
    assert "from the start of training to the last reading before it was killed, with" in card
    assert "to its end" not in card
    assert f"| interrupted at step {step} of {STEPS} |" in card


def test_a_comparison_with_a_meter_survives_a_second_close(copy):
    close(copy)
    compared = run_command("reconcile", copy, "--kwh", "0.001", "--source", "the rack's meter")
    before = {name: (copy / name).read_bytes() for name in ("README.md", "autocard.json")}

    result = close(copy)

    assert compared.exit_code == 0, compared.output
    assert "nothing changed" in result.stderr
    assert b"the rack" in before["README.md"]
    assert before == {name: (copy / name).read_bytes() for name in before}


def test_a_card_made_of_checkpoints_says_nothing_of_weights_in_its_own_folder(copy):
    shutil.rmtree(copy / ledger_files.FOLDER)

    close(copy)

    card, known = (copy / "README.md").read_text(), record(copy)
    assert (known["model"]["saved_bytes"], known["model"]["saved_files"]) == (None, [])
    assert 'from_pretrained(".")' not in card
    assert "Size of saved weights" not in card


def test_a_checkpoint_with_a_card_is_not_said_to_have_none(copy, tmp_path):
    newest = copy / f"checkpoint-{max(checkpoints(copy))}"
    alone = tmp_path / "elsewhere" / newest.name
    shutil.copytree(newest, alone)

    shown = run_command("show", alone)

    assert "so far, at step" in shown.stdout
    assert "has no card" not in shown.stderr


def test_the_card_of_a_closed_run_may_lie_elsewhere(copy, tmp_path):
    assert close(copy, "--card", str(tmp_path / "cards" / "old.md")).exit_code == 0

    again = close(copy)

    assert left_runs.without_card(copy) == []
    assert "nothing changed" in again.stderr
    assert not (copy / "README.md").exists()


def test_a_card_in_a_folder_that_was_moved_goes_where_the_folder_is(copy):
    (file,) = copy.glob("_autocard/run-*.json")
    known = json.loads(file.read_text())
    known["card"]["path"] = known["output"] + "/cards/mine.md"
    file.write_text(json.dumps(known))

    assert close(copy).exit_code == 0

    assert (copy / "cards" / "mine.md").exists()


def test_what_a_later_run_has_written_is_not_taken_for_the_files_of_the_one_before(copy):
    (file,) = copy.glob("_autocard/leg-*.json")
    later = json.loads(file.read_text())
    later["run_id"], later["leg"]["id"] = "f" * 12, "e" * 12
    later["leg"]["started_at"] = "2999-01-01T00:00:00.000Z"
    name = file.name.replace(file.name.split(".")[0], "leg-" + "e" * 12)
    (file.parent / name).write_text(json.dumps(later))

    shown = run_command("show", copy)
    close(copy)

    assert "Checkpoint  none" in shown.stdout
    assert "--run" in shown.stdout
    assert "--card FILE" in shown.stdout
    assert record(copy)["model"]["checkpoint_bytes"] is None
    assert "has written into" in record(copy)["missing"]["model.checkpoint_bytes"]


def test_a_run_that_ended_well_and_has_its_card_elsewhere_did_not_break_off(server, tmp_path):
    folder, card = tmp_path / "run", tmp_path / "cards" / "mine.md"
    ours = {**OURS, "card": str(card)}
    args = {"max_steps": 5, "save_steps": 2}
    server.start(folder, name="whole", args=args, ours=ours).finish()
    wait_until(card.exists)

    shown, closed, of_checkpoint = (
        run_command("show", folder),
        close(folder),
        close(folder / "checkpoint-4"),
    )

    assert "Broken off" not in shown.stdout
    assert closed.exit_code == of_checkpoint.exit_code == 0
    assert "nothing to close" in closed.stderr
    assert "nothing to close" in of_checkpoint.stderr
    assert not (folder / "README.md").exists()


def test_a_card_that_cannot_be_written_is_named_with_the_way_to_put_it_elsewhere(copy):
    (file,) = copy.glob("_autocard/run-*.json")
    known = json.loads(file.read_text())
    known["card"]["path"] = "/dev/null/cards/mine.md"
    file.write_text(json.dumps(known))

    result = close(copy)

    assert result.exit_code == 3
    assert "/dev/null/cards/mine.md: " in result.stderr
    assert "--card FILE" in result.stderr


def test_a_trial_of_a_search_has_ended_and_has_no_card(copy, tmp_path):
    (file,) = copy.glob("_autocard/leg-*.json")
    ended = json.loads(file.read_text())
    ended["status"] = ended["leg"]["status"] = "finished"
    search = tmp_path / "search"
    ledger = search / ledger_files.FOLDER
    ledger.mkdir(parents=True)
    (ledger / file.name).write_text(json.dumps(ended))
    name = f"checkpoint-{max(checkpoints(copy))}"
    shutil.copytree(copy / name, search / "run-0" / name)

    for folder in (search / "run-0", search / "run-0" / name):
        result = close(folder)
        assert result.exit_code == 0
        assert "nothing to close" in result.stderr
    assert not (search / "run-0" / "README.md").exists()


def test_check_without_a_card_names_the_command_for_the_folder(copy):
    (run,) = left_runs.find(copy)

    missing = run_command("check", copy)

    assert f"autocard close {copy}" in missing.stderr
    assert "--run" not in missing.stderr
    assert not run.has_successor


def test_a_run_is_no_longer_named_when_it_has_its_card_elsewhere(copy, tmp_path):
    (file,), (leg,) = copy.glob("_autocard/run-*.json"), copy.glob("_autocard/leg-*.json")
    run_id, leg_id = file.stem.removeprefix("run-"), leg.name.split(".")[0].removeprefix("leg-")
    for one in (file, leg):
        text = one.read_text().replace(run_id, "0" * 12).replace(leg_id, "1" * 12)
        known = json.loads(text)
        (known if one is leg else known["entries"][0])["leg"]["started_at"] = "2001-01-01T00:00:00Z"
        name = one.name.replace(run_id, "0" * 12).replace(leg_id, "1" * 12)
        (one.parent / name).write_text(json.dumps(known))

    first = close(copy)
    older = close(copy, "--run", "0" * 12, "--card", str(tmp_path / "older" / "README.md"))
    again = close(copy)

    assert f"run {'0' * 12}" in first.stderr
    assert older.exit_code == 0, older.output
    assert f"run {'0' * 12}" not in again.stderr
