"""Which legs belong to a run, and what of them was repeated: against cases worked out by hand."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from autocard.energy.host.host_counters import HostReadings
from autocard.energy.ledger import earlier_legs, ledger_files, ledger_lock, record_legs
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.ledger_files import LedgerFolders
from autocard.energy.ledger.leg_builder import LegStart
from autocard.energy.readings import Sample, SampleHistory
from autocard.energy.worker.leg_tracker import LegTracker
from autocard.energy.worker.outside_training import OutsideTraining, OwnReadings
from autocard.energy.worker.protocol import Begin
from autocard.record import Checkpoint, DeviceUse, HostUse, Leg
from autocard.record.gaps import Part
from autocard.record.legs import JOB_NOT_RECORDED
from autocard.totals import repeated_steps
from support.counting import waits

HERE = ledger_files.host_id()


def entry(
    number,
    *,
    run_id="a" * 12,
    steps=(0, 10),
    status="interrupted",
    seconds=100.0,
    leg=None,
    **leaves,
):
    plain = {"cpu_j": 600.0, "ram_j": 400.0, "cpu_share": 1.0}
    made = Leg(
        id=f"{number:012x}",
        job_id="4711",
        started_at=f"2026-01-01T00:{number:02d}:00.000Z",
        status=None if status == "running" else status,
        step_begin=steps[0],
        step_end=steps[1],
        wall_clock_s=seconds,
        hosts=[HostUse(host="h1", **{**plain, **(leg or {})})],
    )
    leaves = {
        "written_at": f"2026-01-01T00:{number:02d}:59.000Z",
        "host_id": HERE,
        "process_id": "x",
        **leaves,
    }
    return LedgerEntry(run_id=run_id, status=status, leg=made, **leaves)


def folders(tmp_path, *entries, local=()):
    shared, ticks = tmp_path / "shared", tmp_path / "local"
    for one in entries:
        ledger_files.write(shared, one)
    for one in local:
        ledger_files.write(ticks, one)
    return LedgerFolders(ticks if local else shared, shared, "out")


def checkpoint(run_id="a" * 12, legs=(), current=None):
    before = earlier_legs.EarlierLegs(run_id, list(legs))
    told = earlier_legs.travelling(before, run_id)
    told["current"] = None if current is None else current.model_dump(mode="json")
    return {"args": {}, "attributes": told}


def ids(found):
    return [int(one.leg.id, 16) for one in found.legs]


# -- which legs ------------------------------------------------------------------------------------


def test_a_resumed_run_has_all_legs_of_its_run_and_none_of_others(tmp_path):
    where = folders(
        tmp_path, entry(3), entry(1), entry(2, run_id="b" * 12), entry(4, status="finished")
    )

    found = earlier_legs.find(where, checkpoint(), step=5)

    assert found.run_id == "a" * 12
    assert ids(found) == [1, 3, 4]


def test_a_fresh_start_is_a_new_run_unless_the_same_job_left_the_folder_unfinished(tmp_path):
    where = folders(
        tmp_path,
        entry(1, job_id="7", output_id="out"),
        entry(2, run_id="b" * 12, job_id="8", output_id="out", status="finished"),
        entry(3, run_id="c" * 12, job_id="9", output_id="elsewhere"),
        entry(
            4, run_id="d" * 12, job_id="10", output_id="out", process_id=ledger_files.process_id()
        ),
    )

    assert earlier_legs.find(where, None, step=0).run_id is None
    assert earlier_legs.find(where, None, step=0, job_id="7").run_id == "a" * 12
    # it had finished · another folder · the same process · another job
    for other in ("8", "9", "10", "11"):
        assert earlier_legs.find(where, None, step=0, job_id=other).run_id is None


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"attributes": 3},
        {"attributes": {"run_id": 7}},
        {"attributes": {"legs": [1, {"a": 2}]}},
    ],
)
def test_a_checkpoint_that_does_not_know_us_gives_no_past(tmp_path, state):
    assert earlier_legs.find(folders(tmp_path, entry(1)), state, step=5).legs == []


def test_a_leg_that_several_tell_of_is_counted_once_and_the_latest_is_believed(tmp_path):
    early = entry(1, status="running", seconds=50.0, written_at="2026-01-01T00:01:10.000Z")
    where = folders(tmp_path, early, local=[entry(1, seconds=90.0)])

    found = earlier_legs.find(
        where, checkpoint(legs=[early], current=early), step=5, memory=[early]
    )

    assert [one.leg.wall_clock_s for one in found.legs] == [90.0]
    assert "tail" not in found.legs[0].missing


def test_what_was_measured_goes_before_what_the_clock_alone_told(tmp_path):
    clock = entry(1, seconds=80.0, written_at="2026-01-01T00:09:00.000Z")
    clock = clock.model_copy(
        update={"leg": clock.leg.model_copy(update={"hosts": [], "step_end": 12})}
    )

    found = earlier_legs.find(
        folders(tmp_path, entry(1, seconds=79.0)), checkpoint(), step=5, memory=[clock]
    )

    assert [
        (one.leg.wall_clock_s, one.leg.step_end, bool(one.leg.hosts)) for one in found.legs
    ] == [(79.0, 12, True)]


def test_what_only_the_checkpoint_knows_is_counted_and_its_tail_said_to_be_lost(tmp_path):
    current = entry(2, status="running", steps=(10, 30))

    found = earlier_legs.find(
        folders(tmp_path), checkpoint(legs=[entry(1)], current=current), step=30
    )
    legs = record_legs.completed(found.legs)

    assert ids(found) == [1, 2]
    assert [one.leg.status for one in legs] == ["interrupted", "interrupted"]
    assert "tail" not in legs[0].missing
    assert "after the checkpoint at step 30 is lost" in legs[1].missing["tail"]


def test_the_ledger_beside_the_checkpoint_is_read_where_the_arguments_name_it(tmp_path):
    tail = entry(1, steps=(0, 37))
    ledger_files.write(tmp_path / "old" / ledger_files.FOLDER, tail)
    current = entry(1, status="running", steps=(0, 30))

    where = ledger_files.folders_of(tmp_path / "new", None, str(tmp_path / "old" / "checkpoint-30"))
    found = earlier_legs.find(where, checkpoint(current=current), step=30)

    assert [(one.leg.step_end, "tail" in one.missing) for one in found.legs] == [(37, False)]
    assert where.all == [tmp_path / "new" / ledger_files.FOLDER]


def test_a_leg_of_another_machine_that_writes_on_is_another_job(tmp_path):
    there = {"host_id": "9" * 12, "status": "running", "tick_s": 15.0}
    before = entry(1, **there)
    found = earlier_legs.find(folders(tmp_path, before), checkpoint(), step=5)

    moved = folders(tmp_path, entry(1, **{**there, "written_at": "2026-01-01T00:02:14.000Z"}))
    lives = earlier_legs.again(found, moved, None, own_s=100.0)
    same = earlier_legs.again(found, folders(tmp_path, before), None, own_s=100.0)
    closed = earlier_legs.again(
        found, folders(tmp_path, entry(1, host_id="9" * 12)), None, own_s=100.0
    )

    assert ids(found) == [1]
    assert (ids(lives), lives.reason) == ([], earlier_legs.GOES_ON)
    assert (ids(same), ids(closed)) == ([1], [1])


HOLD = """
import sys, time
from pathlib import Path
from autocard.energy.ledger.ledger_lock import LedgerLock
lock = LedgerLock(Path(sys.argv[1]), sys.argv[2])
print(lock.held, flush=True)
time.sleep(60)
"""


def test_a_lock_tells_a_leg_that_goes_on_from_one_whose_process_was_killed(tmp_path):
    running = entry(1, status="running", locked=True)
    ledger_files.write(tmp_path, running)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), running.leg.id],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "True\n"

    during = ledger_lock.is_open(tmp_path, running)
    lives = earlier_legs.find(LedgerFolders(tmp_path, tmp_path), checkpoint(), step=5)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    after = ledger_lock.is_open(tmp_path, running)
    dead = earlier_legs.find(LedgerFolders(tmp_path, tmp_path), checkpoint(), step=5)

    assert (during, after) == (True, False)
    assert (lives.legs, lives.reason) == ([], earlier_legs.GOES_ON)
    assert ids(dead) == [1]
    assert list(tmp_path.glob("*.lock"))  # a stale one is left, and was not mistaken


def test_a_lock_that_is_released_leaves_nothing(tmp_path):
    lock = ledger_lock.LedgerLock(tmp_path, "1" * 12)

    lock.release()

    assert list(tmp_path.iterdir()) == []


def test_an_entry_of_an_earlier_version_without_a_job_s_number_is_read_and_the_record_has_a_reason():
    text = entry(1).model_dump(mode="json")
    del text["leg"]["job_id"], text["leg"]["job"]

    (leg,) = record_legs.completed([LedgerEntry.model_validate(text)])

    assert leg.leg.job_id is None
    assert leg.missing["job_id"] == leg.missing["job"] == JOB_NOT_RECORDED


def test_a_leg_that_was_killed_before_a_second_reading_takes_the_mean_power_of_another_and_says_so():
    early = entry(1, seconds=2.0, leg={"cpu_j": None, "ram_j": None})
    early = early.model_copy(
        update={"missing": {"hosts.0.cpu_j": "too early", "hosts.0.ram_j": "too early"}}
    )
    long = entry(3, seconds=60.0, leg={"cpu_j": None, "ram_j": None})
    elsewhere = entry(4, seconds=2.0, leg={"cpu_j": None, "ram_j": None}, host_id="9" * 12)

    legs = record_legs.completed([early, entry(2), long, elsewhere])

    host = legs[0].leg.hosts[0]
    assert (host.cpu_j, host.ram_j) == (pytest.approx(12.0), pytest.approx(8.0))
    assert host.sources["cpu"] == record_legs.LATER
    assert legs[0].missing == {}
    assert [one.leg.hosts[0].cpu_j for one in legs[2:]] == [None, None]


def test_machines_have_one_name_in_a_record_and_that_of_the_first_leg_is_the_first():
    device = DeviceUse(device="h1.g0", energy_j=1.0)
    legs = [
        entry(1, host_id="9" * 12, leg={"devices": [device]}),
        entry(2, leg={"devices": [device]}),
        entry(3),
    ]

    named = [one.leg.hosts[0] for one in record_legs.completed(legs)]

    assert [host.host for host in named] == ["h1", "h2", "h2"]
    assert [device.device for host in named for device in host.devices] == ["h1.g0", "h2.g0"]


def test_a_checkpoint_brings_the_last_reading_up_to_its_own_moment():
    measured = entry(
        1, status="running", steps=(0, 40), seconds=50.0, leg={"sources": {"ram": "modeled: 4 W"}}
    )

    leg = earlier_legs.stretched(measured, 50, 60.0).leg

    host = leg.hosts[0]
    assert (leg.step_end, leg.wall_clock_s) == (50, 60.0)
    assert (host.cpu_j, host.ram_j) == (pytest.approx(720.0), pytest.approx(480.0))
    assert host.sources["ram"] == "modeled: 4 W; last 10.0 s extrapolated"


# -- what was repeated -----------------------------------------------------------------------------


def leg(steps, *, joules=1000.0, seconds=100.0, points=()):
    checkpoints = [
        Checkpoint(step=step, wall_clock_s=at_s, energy_j=at_j) for step, at_s, at_j in points
    ]
    host = HostUse(
        host="h1",
        devices=[DeviceUse(device="h1.g0", energy_j=joules * 0.8)],
        cpu_j=joules * 0.2,
        ram_j=0.0,
    )
    return Leg(
        id="1",
        step_begin=steps[0],
        step_end=steps[1],
        wall_clock_s=seconds,
        hosts=[host],
        checkpoints=checkpoints,
    )


@pytest.mark.parametrize(
    ("first", "later", "expected"),
    [
        (leg((0, 50)), [], (0, 0.0, 0.0, "")),
        (leg((0, 50)), [(50, 90)], (0, 0.0, 0.0, "")),
        (leg((0, 50)), [(60, 90)], (0, 0.0, 0.0, "")),
        (
            leg((0, 50), points=[(20, 30.0, 250.0), (40, 90.0, 900.0)]),
            [(40, 90)],
            (10, 10.0, 100.0, repeated_steps.READ),
        ),
        (
            leg((0, 50), points=[(40, 90.0, 900.0)]),
            [(40, 45), (20, 90)],
            (30, 55.0, 550.0, repeated_steps.SHARED_OUT),
        ),
        (leg((0, 50)), [(0, 90)], (50, 100.0, 1000.0, repeated_steps.WHOLE)),
        (leg((30, 50)), [(10, 90)], (20, 100.0, 1000.0, repeated_steps.WHOLE)),
    ],
)
def test_what_a_later_leg_did_again_is_counted_from_where_it_began(first, later, expected):
    part = repeated_steps.marked([Part(one) for one in (first, *map(leg, later))])[0]

    marked = part.value
    found = marked.repeated_steps, marked.repeated_s, marked.repeated_j, marked.repeated_source
    assert found == (
        expected[0],
        pytest.approx(expected[1]),
        pytest.approx(expected[2]),
        expected[3],
    )
    assert part.gaps == {}


def test_without_energy_the_steps_are_known_and_the_joules_are_not():
    first = leg((0, 50), points=[(40, 90.0, 900.0)])
    first = first.model_copy(update={"hosts": [HostUse(host="h1", cpu_j=None, ram_j=1.0)]})

    part = repeated_steps.marked([Part(first), Part(leg((40, 90)))])[0]

    marked = part.value
    assert (marked.repeated_steps, marked.repeated_s, marked.repeated_j) == (
        10,
        pytest.approx(10.0),
        None,
    )
    assert part.gaps == {"repeated_j": repeated_steps.NO_ENERGY}


def test_looking_for_the_past_does_not_wait_where_nothing_runs(tmp_path):
    where = folders(
        tmp_path,
        *(entry(number % 50, run_id=f"{number:012x}") for number in range(1, 50)),
        entry(50),
    )
    found = []

    waited = waits(lambda: found.append(earlier_legs.find(where, checkpoint(), step=5)))

    assert ids(found[0]) == [50]
    assert waited == 0


# -- around training -------------------------------------------------------------------------------


NO_READINGS = OwnReadings(None, HostReadings(), None)


def tracker(at_s=100.0):
    head = Leg(id="1", step_begin=0, hosts=[HostUse(host="h1", cpu_share=0.5)])
    return LegTracker(Begin(LegStart(head, ["GPU-1"], at_s), max_steps=9))


def sample(at_s, *, watts=(10.0, 4.0, 100.0)):
    return Sample(
        at_s, dict(zip(("cpu", "ram", "GPU-1"), (power * at_s for power in watts), strict=True))
    )


def test_a_training_is_held_to_be_broken_off_only_after_a_silence_far_longer_than_its_steps():
    quick, slow = tracker(), tracker()
    for at_s in (101.0, 102.0):
        quick.reach(1, at_s)
    for at_s in (160.0, 200.0):
        slow.reach(1, at_s)

    assert (quick.is_idle(150.0), quick.is_idle(163.0)) == (False, True)
    assert (slow.is_idle(370.0), slow.is_idle(381.0)) == (False, True)


def test_set_up_is_what_was_used_before_training_with_the_start_filled_in():
    around, leg = OutsideTraining(0.0), tracker(at_s=8.0)
    for at_s in (2.0, 5.0):
        around.add(sample(at_s), None, training=False)
    around.begin(8.0)
    for at_s in (9.0, 12.0, 60.0):
        around.add(
            sample(at_s, watts=(99.0, 99.0, 99.0)) if at_s > 20 else sample(at_s),
            None,
            training=True,
        )

    joules, words = around.setup(leg, NO_READINGS)

    assert joules == pytest.approx(8 * ((10 + 4) * 0.5 + 100))
    assert words == "measured like the training; 8.0 s long; first 2.0 s extrapolated"


def test_a_set_up_in_which_nothing_was_read_is_extrapolated_as_a_whole():
    around, leg = OutsideTraining(0.0), tracker(at_s=0.5)
    around.begin(0.5)
    for at_s in (2.0, 5.0):
        around.add(sample(at_s), None, training=True)

    _, words = around.setup(leg, NO_READINGS)

    assert (
        words == "measured like the training; 0.5 s long; extrapolated from the readings after it"
    )


def test_an_evaluation_after_training_is_cut_out_of_what_followed():
    around, leg = OutsideTraining(0.0), tracker(at_s=1.0)
    around.begin(1.0)
    for at_s in range(50, 80):
        around.add(sample(float(at_s)), None, training=False)

    assert around.after(60.3, 64.8, leg, NO_READINGS) == pytest.approx(4.5 * ((10 + 4) * 0.5 + 100))
    assert OutsideTraining(0.0).after(1.0, 2.0, leg, NO_READINGS) is None


def test_a_history_stays_small_and_says_the_same():
    long, short = SampleHistory(), SampleHistory(most=20)
    for at_s in range(500):
        for history in (long, short):
            history.add(sample(float(at_s)))

    assert len(short) <= 21
    assert len(long) == 500
    for begin_s, end_s in ((3.5, 17.2), (100.0, 480.5), (490.0, 499.0)):
        assert short.between(begin_s, end_s).joules == pytest.approx(
            long.between(begin_s, end_s).joules
        )


def test_readings_at_checkpoints_are_thinned_and_the_last_ones_stay():
    leg = tracker()
    for step in range(1, 101):
        leg.step = step
        made = Leg(
            id="1",
            wall_clock_s=float(step),
            hosts=[HostUse(host="h1", cpu_j=float(step), ram_j=0.0)],
        )
        leg.add_checkpoint(made)

    steps = [point.step for point in leg.checkpoints]

    assert len(steps) <= 20
    assert steps[-10:] == list(range(91, 101))
    assert steps[0] == 1
