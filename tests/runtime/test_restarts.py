"""A run is the sum of its legs, whatever ended them: real trainings, really killed, by the tests' own clock."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from autocard.energy.ledger import ledger_files
from support import TESTS, training
from support.killed_trainings import (
    OURS,
    RAM_W,
    TrainingServer,
    checkpoints,
    last_whole_checkpoint,
    wait_until,
)

KILLS = 10


@pytest.fixture(scope="module")
def server():
    made = TrainingServer()
    yield made
    made.close()


def record(folder):
    return json.loads((folder / "autocard.json").read_text())


def chain(folder, tick_s, seed, kills):
    """Kill a training *kills* times at random moments, each time going on from its last checkpoint, if it has one."""
    draw, legs, server = random.Random(seed), [], TrainingServer()  # noqa: S311 - moments, not secrets
    # Requeued by its workload manager: what was killed before the first checkpoint is the same run,
    # too.
    options = {"ours": {**OURS, "measure_power_secs": tick_s}, "args": {"max_steps": 150}}
    options["env"] = {"SLURM_JOB_ID": "4711"}
    for number in range(kills):
        leg = server.start(
            folder, name=str(number), resume=last_whole_checkpoint(folder), **options
        )
        wait_until(lambda leg=leg: leg.began)
        everything = number % 2 == 1
        if everything:
            # The end of a job takes the measuring process along: what it has not written by then is
            # lost.
            wait_until(
                lambda number=number: len(ledger_files.read(folder / ledger_files.FOLDER)) > number
            )
        time.sleep(draw.uniform(0.05, 1.5))
        legs.append(leg.kill(everything=everything))
    legs.append(
        server.start(
            folder, name="last", resume=last_whole_checkpoint(folder), patient=True, **options
        ).finish()
    )
    server.close()
    return folder, legs, tick_s


@pytest.fixture(scope="module", params=[1.0, 15.0], ids=["tick of 1 s", "tick of 15 s"])
def killed(request, both):
    return both[request.param]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """Both ticks at once: most of the time is waiting."""
    folders = {
        tick_s: tmp_path_factory.mktemp("runs") / f"tick{tick_s:g}" for tick_s in (1.0, 15.0)
    }
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(chain, folder, tick_s, int(tick_s), KILLS)
            for tick_s, folder in folders.items()
        ]
        return {run.result()[2]: run.result() for run in runs}


@pytest.mark.slow
def test_a_run_that_was_killed_ten_times_has_all_its_legs_once(killed):
    folder, legs, _ = killed

    known = record(folder)

    assert [leg["status"] for leg in known["legs"]] == ["interrupted"] * KILLS + ["finished"]
    assert len({leg["id"] for leg in known["legs"]}) == KILLS + 1
    assert [leg["step_begin"] for leg in known["legs"]] == [leg.began[0] for leg in legs]
    assert known["run"]["global_step"] == 150
    assert f"wall-clock, {KILLS + 1} starts" in (folder / "README.md").read_text()
    assert "legs.earlier" not in known["missing"]


@pytest.mark.slow
def test_each_leg_lasts_as_long_as_by_the_tests_own_clock(killed):
    folder, legs, tick_s = killed

    known = record(folder)

    for number, (leg, said) in enumerate(zip(legs, known["legs"], strict=True)):
        # Where the measuring process outlived the training by a moment, nothing at all is lost.
        lost_s = leg.seconds - said["wall_clock_s"]
        # A busy machine reads clocks late; a tick that came late is two.
        assert -1 < lost_s < (2 * tick_s + 1 if number % 2 else 1), number
    total_s = sum(leg.seconds for leg in legs)
    assert known["time"]["wall_clock_s"] == pytest.approx(total_s, abs=tick_s * len(legs))
    assert known["time"]["wall_clock_s"] == pytest.approx(total_s, rel=0.5)


@pytest.mark.slow
def test_the_energy_is_that_of_all_legs_together(killed):
    folder, _, _ = killed

    known = record(folder)

    share = known["legs"][0]["hosts"][0]["cpu_share"]
    joules = [leg["hosts"][0]["ram_j"] for leg in known["legs"]]
    assert joules == pytest.approx(
        [RAM_W * share * leg["wall_clock_s"] for leg in known["legs"]], rel=0.05, abs=0.5
    )
    assert known["energy"]["ram_kwh"] == pytest.approx(sum(joules) / 3.6e6)
    assert known["energy"]["total_kwh"] > known["energy"]["ram_kwh"]
    assert known["emissions"]["co2eq_g"] == pytest.approx(
        known["energy"]["total_kwh"] * 56.039, rel=1e-3
    )


@pytest.mark.slow
def test_what_was_repeated_is_told_in_steps_seconds_and_joules(killed):
    folder, legs, tick_s = killed

    known = record(folder)

    lost = 0
    for number, (leg, said) in enumerate(zip(legs, known["legs"], strict=True)):
        since = min([after.began[0] for after in legs[number + 1 :]], default=leg.last_step)
        truly = max(leg.last_step - max(since, leg.began[0]), 0)
        # The test writes a step down a moment before the callback is told. Killed with the
        # measuring process: a tick.
        unheard = tick_s + 1.5 if number % 2 else 0
        assert truly - unheard / 0.05 - 1 <= said["repeated_steps"] <= truly, number
        assert said["steps_unseen"] == bool(number % 2)
        assert 0 <= said["repeated_s"] <= said["wall_clock_s"] + 0.01
        assert bool(said["repeated_source"]) == bool(said["repeated_steps"])
        lost += said["repeated_steps"]
    assert lost > 0
    assert known["time"]["repeated_steps"] == lost
    assert 0 < known["energy"]["repeated_kwh"] < known["energy"]["total_kwh"]
    card = (folder / "README.md").read_text()
    assert re.search(
        rf"At least .* went into at least {lost:,} steps that had to be repeated after interruption",
        card,
    )


def test_steps_are_exact_where_only_the_training_was_killed_and_nobody_says_that_a_leg_that_finished_had_to_be_repeated(
    server, tmp_path
):
    folder, ours = tmp_path / "run", {**OURS, "measure_power_secs": 15.0}
    first = server.start(folder, name="first", ours=ours, step_s=0.1)
    wait_until(lambda: (first.last_step or 0) >= 18)
    first.kill()
    lost = first.last_step - 10
    options = {"ours": ours, "args": {"max_steps": 20}}
    server.start(folder, name="on", resume=str(folder / "checkpoint-10"), **options).finish()
    after_the_kill, card_after_the_kill = record(folder), (folder / "README.md").read_text()
    server.start(folder, name="again", resume=str(folder / "checkpoint-10"), **options).finish()
    after_the_choice, card_after_the_choice = record(folder), (folder / "README.md").read_text()

    assert after_the_kill["time"]["repeated_steps"] == lost
    assert (
        f" went into {lost} steps that had to be repeated after interruptions"
        in card_after_the_kill
    )
    assert "t least" not in card_after_the_kill.split("went into")[0].rpartition("\n")[2]
    assert [leg["status"] for leg in after_the_choice["legs"]] == [
        "interrupted",
        "finished",
        "finished",
    ]
    assert [leg["repeated_steps"] for leg in after_the_choice["legs"]] == [lost, 10, 0]
    assert (
        f" went into {lost + 10} steps that were done again from a checkpoint, {lost} of them after interruptions"
        in card_after_the_choice
    )


# -- other ends than SIGKILL -----------------------------------------------------------------------

WAYS = ["SIGTERM", "SIGUSR1", "KeyboardInterrupt", "an exception", "JIT checkpoint"]


@pytest.fixture(scope="module")
def ended(server, tmp_path_factory):
    """One run that was ended in every other way, and went on each time."""
    folder, legs = tmp_path_factory.mktemp("ends") / "run", []
    args = {"max_steps": 300, "save_steps": 10}
    signals = {
        "SIGTERM": signal.SIGTERM,
        "SIGUSR1": signal.SIGUSR1,
        "KeyboardInterrupt": signal.SIGINT,
    }
    for way in WAYS:
        begin = checkpoints(folder)[-1] if checkpoints(folder) else 0
        at = {"raise": begin + 14} if way == "an exception" else {}
        # A JIT checkpoint is written three seconds after the signal.
        jit = {"enable_jit_checkpoint": True, "save_steps": 500, "max_steps": begin + 400}
        jit = jit if way == "JIT checkpoint" else {}
        leg = server.start(
            folder,
            name=way.replace(" ", ""),
            resume=last_whole_checkpoint(folder),
            at=at,
            args={**args, **jit},
        )
        wait_until(lambda leg=leg, begin=begin: (leg.last_step or 0) >= begin + 13)
        if way in signals:
            leg.kill(signals[way])
        elif way == "JIT checkpoint":
            os.kill(leg.pid, signal.SIGTERM)
            leg.finish()
        else:
            wait_until(lambda leg=leg: not leg.alive)
            leg.ended_s = float(leg.read()[-1][2])
        legs.append(leg)
    args["max_steps"] = checkpoints(folder)[-1] + 10
    legs.append(
        server.start(folder, name="last", resume=last_whole_checkpoint(folder), args=args).finish()
    )
    return folder, legs


def test_whatever_ends_a_leg_it_counts_with_its_time_and_its_steps(ended):
    folder, legs = ended

    known = record(folder)

    assert [leg["status"] for leg in known["legs"]] == ["interrupted"] * 4 + ["stopped", "finished"]
    assert [leg["step_begin"] for leg in known["legs"]] == [leg.began[0] for leg in legs]
    for way, leg, said in zip([*WAYS, "last"], legs, known["legs"], strict=True):
        assert said["wall_clock_s"] == pytest.approx(leg.seconds, abs=1.5), way
        # A signal may arrive between the two callbacks that note a step.
        assert leg.last_step - 1 <= said["step_end"] <= leg.last_step + 1, way
    assert known["time"]["wall_clock_s"] == pytest.approx(sum(leg.seconds for leg in legs), abs=5)


def test_a_checkpoint_that_was_written_because_of_the_signal_loses_no_more_than_the_step_under_way(
    ended,
):
    folder, legs = ended

    jit = record(folder)["legs"][WAYS.index("JIT checkpoint")]

    # The trainer writes it before the optimizer's step, or after it; it does that step in any case.
    after = jit["step_end"] - legs[-1].began[0]
    assert after in {0, 1}
    assert jit["repeated_steps"] == after
    assert jit["repeated_s"] <= 0.2 * after


# -- other folders, other jobs ---------------------------------------------------------------------


@pytest.fixture(scope="module", params=["the other folder is there", "its working files are gone"])
def moved(request, server, tmp_path_factory):
    """A run that was killed in one folder and went on in another, in another country and building."""
    top = tmp_path_factory.mktemp("moved")
    here = {**OURS, "pue": 1.5}
    first = server.start(
        top / "one",
        name="first",
        ours=here,
        args={"max_steps": 100, "save_steps": 40},
        patient=True,
    )
    wait_until(lambda: first.last_step and first.last_step >= 46, 60)
    first.kill()
    if request.param == "its working files are gone":
        shutil.rmtree(top / "one" / "_autocard")
    there = {**OURS, "country_iso_code": "POL"}
    resume = str(top / "one" / "checkpoint-40")
    # ours are read, whatever this says
    args = {"max_steps": 60, "restore_callback_states_from_checkpoint": True}
    last = server.start(
        top / "two", name="last", ours=there, resume=resume, args=args, patient=True
    ).finish()
    return top, first, last


def test_in_another_folder_the_totals_come_with_the_checkpoint_or_from_the_folder_where_it_lies(
    moved,
):
    top, first, last = moved
    has_ledger = (top / "one" / "_autocard").exists()

    known = record(top / "two")
    one, two = known["legs"]

    steps = {int(line[1]): float(line[2]) for line in first.lines if line[0] == "step"}
    assert (one["status"], one["step_begin"]) == ("interrupted", 0)
    # The ledger has the steps up to the last tick, the checkpoint those before it was written.
    assert 40 < one["step_end"] <= max(steps) if has_ledger else one["step_end"] == 40
    assert one["wall_clock_s"] == pytest.approx(steps[one["step_end"]] - first.began[1], abs=1.5)
    assert one["hosts"][0]["ram_j"] == pytest.approx(
        RAM_W * one["wall_clock_s"] * one["hosts"][0]["cpu_share"], rel=0.1
    )
    assert two["wall_clock_s"] == pytest.approx(last.seconds, abs=1.5)
    card = (top / "two" / "README.md").read_text()
    assert ", 2 starts" in card
    lost = "after the checkpoint at step 40 is lost"
    assert (lost in known["missing"].get("legs.0.tail", ""), lost in card) == (
        not has_ledger,
        not has_ledger,
    )


def test_each_leg_has_the_place_the_intensity_and_the_pue_of_its_own(moved):
    known = record(moved[0] / "two")
    one, two = known["legs"]

    assert (one["place"]["country_iso_code"], two["place"]["country_iso_code"]) == ("FRA", "POL")
    assert (one["pue"], two["pue"]) == (1.5, None)
    assert two["intensity_g_per_kwh"] > 5 * one["intensity_g_per_kwh"]
    joules = [leg["hosts"][0]["ram_j"] + leg["hosts"][0]["cpu_j"] for leg in (one, two)]
    grams = [joules[0] * 1.5 * one["intensity_g_per_kwh"], joules[1] * two["intensity_g_per_kwh"]]
    assert known["emissions"]["co2eq_g"] == pytest.approx(sum(grams) / 3.6e6, rel=1e-6)


def test_what_travels_in_a_checkpoint_names_no_machine_and_no_folder(moved):
    import socket

    state = json.loads((moved[0] / "one" / "checkpoint-40" / "trainer_state.json").read_text())

    told = json.dumps(state["stateful_callbacks"]["autocard"])

    assert socket.gethostname() not in told
    assert str(moved[0]) not in told
    assert ledger_files.folders_of(moved[0] / "one", None).output_id not in told
    assert state["stateful_callbacks"]["autocard"]["attributes"]["run_id"]


def test_a_fresh_start_in_a_used_folder_is_a_run_of_its_own_and_so_is_what_another_job_does_there(
    server, tmp_path
):
    folder = tmp_path / "run"
    killed = server.start(folder, name="killed", env={"SLURM_JOB_ID": "1"})
    wait_until(lambda: killed.last_step and killed.last_step >= 12)
    killed.kill()
    lives = server.start(
        folder, name="lives", args={"max_steps": 400, "save_steps": 20}, env={"SLURM_JOB_ID": "2"}
    )
    wait_until(lambda: lives.last_step and lives.last_step >= 22)

    beside = server.start(
        folder, name="beside", resume=str(folder / "checkpoint-20"), args={"max_steps": 30}
    ).finish()
    after_beside = record(folder)
    lives.finish()
    after_both = record(folder)

    assert [leg["step_begin"] for leg in after_beside["legs"]] == [20]
    assert "is still running" in after_beside["missing"]["legs.earlier"]
    assert after_beside["time"]["wall_clock_s"] == pytest.approx(beside.seconds, abs=1.5)
    assert [(leg["step_begin"], leg["step_end"]) for leg in after_both["legs"]] == [(0, 400)]
    assert after_both["time"]["wall_clock_s"] == pytest.approx(lives.seconds, abs=1.5)
    assert after_both["run"]["id"] != after_beside["run"]["id"]


def test_ticks_may_stay_on_the_node_and_what_was_saved_is_in_the_output_folder_when_the_node_is_lost(
    server, tmp_path
):
    folder, node = tmp_path / "run", tmp_path / "node"
    ours = {**OURS, "ledger_dir": str(node)}
    first = server.start(folder, name="first", ours=ours, args={"max_steps": 60, "save_steps": 20})
    wait_until(lambda: first.last_step and first.last_step >= 28)
    ticks, saved = ledger_files.read(node), ledger_files.read(folder / ledger_files.FOLDER)
    first.kill(everything=True)
    for file in node.iterdir():
        file.unlink()

    last = server.start(
        folder, name="last", ours=ours, resume=last_whole_checkpoint(folder), args={"max_steps": 60}
    ).finish()

    one, two = record(folder)["legs"]
    assert ticks[0].leg.wall_clock_s >= saved[0].leg.wall_clock_s
    assert saved[0].leg.step_end == 20
    at_20_s = next(float(line[2]) for line in first.lines if line[:2] == ["step", "20"])
    assert one["wall_clock_s"] == pytest.approx(at_20_s - first.began[1], abs=1.5)
    assert (one["step_end"], two["step_begin"]) == (20, 20)
    assert two["wall_clock_s"] == pytest.approx(last.seconds, abs=1.5)
    assert list(node.iterdir()) == []
    assert len(ledger_files.read(folder / ledger_files.FOLDER)) == 2


def test_where_the_nodes_folder_cannot_be_used_a_kill_of_everything_leaves_all_ticks(
    server, tmp_path
):
    folder = tmp_path / "run"
    ours = {**OURS, "ledger_dir": "/dev/null/x"}
    first = server.start(
        folder, name="first", ours=ours, args={"max_steps": 400, "save_steps": 400}
    )
    wait_until(lambda: _steps_on(folder) >= 10)
    read = _steps_on(folder)
    first.kill(everything=True)

    (left,) = ledger_files.read(folder / ledger_files.FOLDER)
    assert read <= left.leg.step_end <= first.last_step
    assert "ledger_dir" in left.missing["ledger"]


def test_ticks_go_on_in_the_output_folder_when_the_nodes_disk_is_lost_in_mid_training(
    server, tmp_path
):
    folder, node = tmp_path / "run", tmp_path / "node"
    ours = {**OURS, "ledger_dir": str(node)}
    first = server.start(
        folder, name="first", ours=ours, args={"max_steps": 400, "save_steps": 400}
    )
    wait_until(lambda: _steps_on(node, "") >= 5)
    before = _steps_on(folder)
    shutil.rmtree(node)
    node.write_text("the disk is gone")
    wait_until(lambda: _steps_on(folder) >= 15)
    log = Path(f"{first.log}.out")
    wait_until(lambda: str(node) in log.read_text())
    first.kill(everything=True)

    assert before == -1
    (left,) = ledger_files.read(folder / ledger_files.FOLDER)
    assert left.leg.step_end >= 15
    assert "Not a directory" in left.missing["ledger"]
    assert log.read_text().count(str(node)) == 1


def _steps_on(folder, inside=ledger_files.FOLDER):
    """Return the last step of the only leg in *folder*; -1: there is no leg."""
    steps = [entry.leg.step_end for entry in ledger_files.read(folder / inside)]
    return max(steps, default=-1)


def test_what_a_kill_left_on_the_node_is_used_by_the_next_start_and_then_in_the_output_folder(
    server, tmp_path
):
    folder, node = tmp_path / "run", tmp_path / "node"
    ours = {**OURS, "ledger_dir": str(node)}
    other = tmp_path / "node" / "leg-other.json"
    first = server.start(folder, name="first", ours=ours, args={"max_steps": 60, "save_steps": 20})
    wait_until(lambda: first.last_step and first.last_step >= 28)
    first.kill(everything=True)
    left = sorted(file.suffix for file in node.iterdir())
    ticked = ledger_files.read(node)[0].leg
    other.write_text("of another run")

    server.start(
        folder, name="last", ours=ours, resume=last_whole_checkpoint(folder), args={"max_steps": 60}
    ).finish()
    one, _ = record(folder)["legs"]
    others = [file.name for file in node.iterdir() if not file.name.startswith("_")]

    assert left == ["", ".json", ".lock"]
    assert one["wall_clock_s"] == pytest.approx(ticked.wall_clock_s)
    assert others == ["leg-other.json"]
    written = ledger_files.read(folder / ledger_files.FOLDER)
    assert next(entry.leg.wall_clock_s for entry in written) == pytest.approx(ticked.wall_clock_s)
    assert not list((folder / ledger_files.FOLDER).glob("*.lock"))


# -- weights that were trained before --------------------------------------------------------------


def test_a_training_of_weights_that_an_earlier_one_of_the_process_had_trained_says_so(tmp_path):
    from autocard import AutoCardCallback

    model, cards = training.bert(), []

    def train(trainer, **options):
        trainer.train(**options)
        folder = Path(trainer.args.output_dir)
        cards.append((folder / "README.md").read_text())
        return record(folder)["run"]

    def made(name, steps, **options):
        ours = [AutoCardCallback(emissions=False)]
        return training.trainer(
            tmp_path / name, callbacks=ours, max_steps=steps, **{"model": model, **options}
        )

    one = made("one", 3, save_strategy="steps", save_steps=2)
    runs = [
        train(one),
        train(one),
        train(made("two", 4)),
        train(made("fresh", 2, model=training.bert())),
    ]
    resumed = train(one, resume_from_checkpoint=str(tmp_path / "one" / "checkpoint-2"))

    assert [(run["earlier_run"], run["earlier_steps"]) for run in runs] == [
        ("", 0),
        (runs[0]["id"], 3),
        (runs[1]["id"], 6),
        ("", 0),
    ]
    assert (resumed["id"], resumed["earlier_run"], resumed["earlier_steps"]) == (
        runs[1]["id"],
        runs[0]["id"],
        3,
    )
    for card in (cards[0], cards[3]):
        assert "trained from scratch" in card
        assert "earlier" not in card
    for card, run, steps in ((cards[1], runs[0], 3), (cards[2], runs[1], 6)):
        assert f"continued from the weights of run `{run['id']}`" in card
        assert f"first {steps} steps in run {run['id']}" in card
        assert f"{steps} steps of an earlier run on the same weights not included" in card


RESUMED = """
import sys
sys.path.insert(0, sys.argv[2])
from support import training
from autocard import AutoCardCallback
ours = [AutoCardCallback(emissions=False)]
trainer = training.trainer(sys.argv[1], model=training.bert(), callbacks=ours, max_steps=4)
trainer.train(resume_from_checkpoint=sys.argv[1] + "/checkpoint-2")
"""


def test_what_had_trained_the_weights_before_travels_in_checkpoints_to_another_process(tmp_path):
    from autocard import AutoCardCallback

    model, ours = training.bert(), [AutoCardCallback(emissions=False)]
    training.trainer(tmp_path / "one", callbacks=ours, max_steps=3, model=model).train()
    again = {"max_steps": 3, "save_strategy": "steps", "save_steps": 2}
    training.trainer(tmp_path / "two", callbacks=ours, model=model, **again).train()
    first, second = (record(tmp_path / name)["run"] for name in ("one", "two"))

    subprocess.run(
        [sys.executable, "-c", RESUMED, str(tmp_path / "two"), str(TESTS)],
        check=True,
        capture_output=True,
        timeout=300,
    )

    resumed = record(tmp_path / "two")["run"]
    assert (second["earlier_run"], second["earlier_steps"]) == (first["id"], 3)
    assert (resumed["id"], resumed["earlier_run"], resumed["earlier_steps"]) == (
        second["id"],
        first["id"],
        3,
    )
    assert resumed["global_step"] == 4
