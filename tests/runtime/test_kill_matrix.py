"""Killed at a random moment, in any set-up: one command makes the card, and a reading's interval is lost at most.

What is true is known without autocard: the training writes a line for each step by its own clock,
and the stand-in GPU has the same power all the time.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from autocard.cli import app
from support.killed_trainings import OURS, TrainingServer, last_whole_checkpoint, wait_until
from support.nvml_stand_in import Gpu, make_machine, uuid_of

pytest_plugins = ["support.nvml_fixtures"]

WATTS = 300.0
TICK_S = 1.0
LATE_S = 2 * TICK_S + 1
"""Seconds that a reading may be old: a busy machine reads clocks late, and a late reading is two."""
KILLS = 10
SETTINGS = ["no checkpoint", "checkpoint", "shared folder", "ledger_dir", "bad ledger_dir"]
MATRIX = [
    pytest.param(setting, number, marks=[pytest.mark.slow] if number else [])
    for setting in SETTINGS
    for number in range(KILLS)
]


@pytest.fixture(scope="module")
def server(nvml_library, tmp_path_factory):
    machine = make_machine(
        nvml_library, tmp_path_factory.mktemp("machine"), [Gpu(uuid_of(0), watts=WATTS)]
    )
    made = TrainingServer(machine.env)
    yield made
    made.close()


def order(setting: str, folder: Path) -> tuple[Path, dict]:
    """Return where a training in this *setting* writes, and what it is started with."""
    ours = {**OURS, "measure_power_secs": TICK_S}
    args = {"max_steps": 2000, "save_steps": 10}
    written = folder / "run"
    if setting == "no checkpoint":
        args["save_strategy"] = "no"
    elif setting == "shared folder":
        written.mkdir()
        (folder / "mounted").symlink_to(written, target_is_directory=True)
        written = folder / "mounted"
    elif setting == "ledger_dir":
        ours["ledger_dir"] = str(folder / "node")
    elif setting == "bad ledger_dir":
        ours["ledger_dir"] = "/dev/null/nowhere"
    return written, {"ours": ours, "args": args, "gpu": True}


def steps_until(leg, moment_s: float) -> int:
    """Return the last step that the training had logged by *moment_s* of its clock."""
    done = [int(line[1]) for line in leg.read() if line[0] == "step" and float(line[2]) <= moment_s]
    return max(done, default=0)


@pytest.mark.parametrize(("setting", "number"), MATRIX)
def test_a_training_killed_at_any_moment_has_its_card_after_one_command(
    server, tmp_path, setting, number
):
    draw = random.Random(f"{setting} {number}")  # noqa: S311 - moments, not secrets
    written, options = order(setting, tmp_path)
    folder = tmp_path / "run"
    leg = server.start(written, name="killed", **options)
    wait_until(lambda: leg.began and list(folder.glob("_autocard/run-*.json")), 120)
    time.sleep(draw.uniform(0.0, 4.0))
    leg.kill(everything=draw.random() < 0.7)

    closed = CliRunner().invoke(app, ["close", str(folder)])

    assert closed.exit_code == 0, closed.output
    record = json.loads((folder / "autocard.json").read_text())
    run, wall_clock_s = record["run"], record["time"]["wall_clock_s"]
    assert run["status"] == "interrupted"
    assert steps_until(leg, leg.ended_s - LATE_S) <= run["global_step"] <= leg.last_step + 1
    checkpoint = last_whole_checkpoint(folder)
    assert checkpoint is None or run["global_step"] >= int(checkpoint.rpartition("-")[2])
    assert -0.5 < leg.seconds - wall_clock_s < LATE_S
    joules = WATTS * wall_clock_s
    if record["energy"]["gpu_kwh"] is not None:
        assert record["energy"]["gpu_kwh"] * 3.6e6 == pytest.approx(joules, rel=0.05, abs=30)
    else:
        # before the first reading: by its own clock
        assert leg.seconds < LATE_S
    card = (folder / "README.md").read_text()
    assert "End of training: interrupted before the planned end" in card
    assert str(tmp_path) not in card + json.dumps(record)
    assert not (tmp_path / "node").exists()
