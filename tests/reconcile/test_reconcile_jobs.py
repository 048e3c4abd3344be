"""A run in several jobs against lines that a real sacct (Slurm 22.05, times in UTC) printed of such jobs.

Each node had a meter of 500 W, which Slurm's plugin read; the runs of these records are made to fit: a board of
300 W on each host, measured by its counter. What belongs to which job is worked out here by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from autocard.card.update import update
from autocard.record import (
    DeviceUse,
    Gpu,
    Hardware,
    HostUse,
    Job,
    Leg,
    LegJob,
    RunRecord,
    from_json,
)
from autocard.record.legs import JOB_NOT_RECORDED
from support import records

KWH = 3.6e6
BOARD_W = 300.0

HEAD = "JobID|JobIDRaw|Start|End|ElapsedRaw|State|NNodes|ConsumedEnergyRaw\n"
REQUEUED = """\
21|21|2026-11-27T01:17:18|2026-11-27T01:17:39|21|REQUEUED|2|
21.batch|21.batch|2026-11-27T01:17:18|2026-11-27T01:17:39|21|CANCELLED|1|10438
21.0|21.0|2026-11-27T01:17:18|2026-11-27T01:17:40|22|FAILED|2|21477
21|21|2026-11-27T01:17:41|2026-11-27T01:18:08|27|COMPLETED|2|26814
21.batch|21.batch|2026-11-27T01:17:41|2026-11-27T01:18:08|27|COMPLETED|1|13559
21.0|21.0|2026-11-27T01:17:41|2026-11-27T01:18:08|27|COMPLETED|2|26814
"""
"""Requeued in the middle of training. Step 0 ran on both nodes, the batch step beside it on one."""
CANCELLED = """\
22|22|2026-11-27T01:18:10|2026-11-27T01:18:28|18|CANCELLED by 1001|2|18550
22.batch|22.batch|2026-11-27T01:18:10|2026-11-27T01:18:28|18|CANCELLED|1|9125
22.0|22.0|2026-11-27T01:18:10|2026-11-27T01:18:28|18|FAILED|2|18550
"""
RESUMED = """\
23|23|2026-11-27T01:18:30|2026-11-27T01:18:48|18|COMPLETED|2|18576
23.batch|23.batch|2026-11-27T01:18:30|2026-11-27T01:18:48|18|COMPLETED|1|9440
23.0|23.0|2026-11-27T01:18:30|2026-11-27T01:18:48|18|COMPLETED|2|18576
"""
CONTAINED = """\
27|27|2026-11-27T01:31:55|2026-11-27T01:32:10|15|COMPLETED|1|7422
27.batch|27.batch|2026-11-27T01:31:55|2026-11-27T01:32:10|15|COMPLETED|1|7422
27.extern|27.extern|2026-11-27T01:31:55|2026-11-27T01:32:10|15|COMPLETED|1|7422
27.0|27.0|2026-11-27T01:31:58|2026-11-27T01:32:10|12|COMPLETED|1|5918
"""
"""On a site with PrologFlags=contain: the extern step lasts as long as the job."""


def leg(number: int, began: str, seconds: float, job: str | None = "", **more) -> Leg:
    """Return a leg on two hosts that began at *began* (a time of that day); *job* empty: not recorded."""
    begin = datetime.fromisoformat(f"2026-11-27T{began}")
    hosts = [
        HostUse(
            host=f"h{host}",
            devices=[
                DeviceUse(
                    device=f"h{host}.g0",
                    name="NVIDIA L4",
                    energy_j=BOARD_W * seconds,
                    source="nvml-counter",
                )
            ],
            cpu_j=0.0,
            ram_j=0.0,
            cpu_share=1.0,
            sources={"gpu": "measured: NVML energy counters"},
        )
        for host in range(1, more.pop("hosts", 2) + 1)
    ]
    manager = more.pop("manager", "slurm" if job else None)
    return Leg(
        id=f"{number:012x}",
        job_id=job or None,
        job=LegJob(workload_manager=manager, **more),
        started_at=f"{begin.isoformat()}Z",
        ended_at=f"{(begin + timedelta(seconds=seconds)).isoformat()}Z",
        status="finished",
        step_begin=10 * number,
        step_end=10 * number + 10,
        wall_clock_s=seconds,
        hosts=hosts,
        setup_j=0.0,
        evaluation_j=0.0,
        repeated_steps=0,
        repeated_s=0.0,
        repeated_j=0.0,
    )


def run_of(*legs: Leg, missing: dict[str, str] | None = None) -> RunRecord:
    """Return the record of a run with these legs; `job` is the last one's."""
    unrecorded = {
        f"legs.{number}.job": JOB_NOT_RECORDED
        for number, one in enumerate(legs)
        if one.job.workload_manager is None
    }
    last = legs[-1]
    job = {"job_id": last.job_id, **last.job.model_dump(exclude={"restarts", "launcher"})}
    return records._record(
        list(legs),
        epochs=1.0,
        missing={**unrecorded, **(missing or {})},
        hardware=Hardware(nodes=len(last.hosts), gpus=[Gpu(name="NVIDIA L4", count=2)]),
        job=Job(world_size=2, **job),
    )


def joules_of(*legs: Leg) -> float:
    return sum(BOARD_W * (one.wall_clock_s or 0.0) * len(one.hosts) for one in legs)


# Job 22 trained from :18 until it was cancelled, job 23 from :38 on.
BEFORE, AFTER = leg(0, "01:18:18", 9.95, "22"), leg(1, "01:18:38", 8.35, "23")
# Job 21 was requeued in the middle of the first.
FIRST, AGAIN = leg(0, "01:17:28", 10.5, "21"), leg(1, "01:17:52", 15.0, "21", restarts=1)


class Sacct:
    """A folder with a run, and a sacct that prints a text and notes what it was asked."""

    def __init__(self, folder: Path, record: RunRecord, text: str) -> None:
        self.folder, self.out = folder, folder / "out"
        update(self.out / "README.md", record)
        (folder / "printed.txt").write_text(text, encoding="utf-8")
        (folder / "bin").mkdir()
        script = folder / "bin" / "sacct"
        script.write_text(
            f'#!/bin/sh\nprintf "%s\\n" "$@" > "{folder}/asked.txt"\ncat "{folder}/printed.txt"\n',
            encoding="utf-8",
        )
        script.chmod(0o700)

    def reconcile(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "autocard", "reconcile", str(self.out), *arguments]
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environ = {**os.environ, "PATH": path}
        return subprocess.run(command, check=False, capture_output=True, text=True, env=environ)

    def compared(self, *arguments: str) -> dict:
        done = self.reconcile("--json", *arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["reconciliation"]

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked.txt").read_text(encoding="utf-8").splitlines()

    @property
    def card(self) -> str:
        return (self.out / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path):
    """Return a function that makes a folder with a run, and what sacct prints of its jobs."""
    return lambda record, text: Sacct(tmp_path, record, HEAD + text)


def test_sacct_is_asked_for_all_jobs_of_a_run_and_all_of_them_are_added_up(run):
    sacct = run(run_of(BEFORE, AFTER), CANCELLED + RESUMED)

    found = sacct.compared()

    assert sacct.asked[:2] == ["--jobs", "22,23"]
    assert found["metered_kwh"] == pytest.approx((18550 + 18576) / KWH)
    assert found["components_kwh"] == pytest.approx(joules_of(BEFORE, AFTER) / KWH)
    assert found["legs"] == [BEFORE.id, AFTER.id]
    assert found["covers"].startswith("jobs 22, 23, 2 starts, 36.0 s on 2 nodes")
    assert (found["verdict"], found["reason"]) == ("plausible", "")


@pytest.mark.parametrize("recorded", [True, False], ids=["legs with jobs", "an old record"])
def test_a_job_is_compared_with_its_own_leg_and_not_with_one_that_ended_seconds_before_it(
    run, recorded
):
    legs = [BEFORE, AFTER]
    if not recorded:
        legs = [one.model_copy(update={"job_id": None, "job": LegJob()}) for one in legs]
    sacct = run(run_of(*legs), CANCELLED + RESUMED)

    last, first = sacct.compared("--job", "23"), sacct.compared("--job", "22")

    assert (last["legs"], first["legs"]) == ([AFTER.id], [BEFORE.id])
    assert last["components_kwh"] == pytest.approx(joules_of(AFTER) / KWH)
    assert last["ratio"] == pytest.approx(joules_of(AFTER) / 18576)
    assert first["ratio"] == pytest.approx(joules_of(BEFORE) / 18550)
    assert "it saw 1 of 2 legs" in last["covers"]


def test_of_an_old_record_both_jobs_are_found_by_the_times_where_a_person_names_them(run):
    legs = [one.model_copy(update={"job_id": None, "job": LegJob()}) for one in (BEFORE, AFTER)]
    sacct = run(run_of(*legs), CANCELLED + RESUMED)

    found = sacct.compared("--job", "22", "--job", "23")

    assert found["metered_kwh"] == pytest.approx((18550 + 18576) / KWH)
    assert found["legs"] == [BEFORE.id, AFTER.id]


def test_a_person_is_asked_to_name_the_jobs_that_an_old_record_does_not_know(run):
    unknown = BEFORE.model_copy(update={"job_id": None, "job": LegJob()})
    sacct = run(run_of(unknown, AFTER), CANCELLED + RESUMED)

    done = sacct.reconcile()

    assert sacct.asked[:2] == ["--jobs", "23"]
    assert "1 start not compared, whose job is not recorded. Name all jobs" in done.stderr
    assert "not recorded" not in sacct.reconcile("--job", "22", "--job", "23").stderr


def test_a_requeued_job_is_the_sum_of_its_starts_the_first_of_which_has_energy_in_its_steps_alone(
    run,
):
    sacct = run(run_of(FIRST, AGAIN), REQUEUED)

    found = sacct.compared()

    assert sacct.asked[:2] == ["--jobs", "21"]
    # 21477 of step 0, in which the batch step's node is, too; 26814 of the job's own second line.
    assert found["metered_kwh"] == pytest.approx((21477 + 26814) / KWH)
    assert found["components_kwh"] == pytest.approx(joules_of(FIRST, AGAIN) / KWH)
    assert found["verdict"] == "plausible"


def test_a_start_of_a_requeued_job_that_sacct_does_not_list_is_in_doubt_with_its_leg(run):
    last_start = "".join(REQUEUED.splitlines(keepends=True)[3:])
    sacct = run(run_of(FIRST, AGAIN), last_start)

    found = sacct.compared()

    assert found["legs"] == [AGAIN.id]
    assert found["components_kwh"] == pytest.approx(joules_of(AGAIN) / KWH)
    assert found["verdict"] == "doubtful"
    assert "no start of job 21 in the time in which 1 of 2 legs ran" in found["reason"]


def test_a_job_that_sacct_has_purged_is_named_and_the_figure_is_not_the_whole_run_s(run):
    sacct = run(run_of(BEFORE, AFTER), RESUMED)

    found = sacct.compared()

    assert found["metered_kwh"] == pytest.approx(18576 / KWH)
    assert found["components_kwh"] == pytest.approx(joules_of(AFTER) / KWH)
    assert found["verdict"] == "doubtful"
    assert found["unmetered_kwh"] is None
    reason = "sacct does not list job 22 (purged, or another cluster's), in which 1 of 2 legs ran"
    assert found["reason"] == reason
    assert sacct.card.count("does not list job 22") == 1
    shown = sacct.reconcile().stdout
    assert "Verdict      doubtful, for 1 of 2 starts: sacct does not list job 22" in shown


def test_where_sacct_lists_none_of_the_jobs_nothing_is_written(run):
    sacct = run(run_of(BEFORE, AFTER), CONTAINED)
    before = sacct.card

    done = sacct.reconcile()

    assert done.returncode == 3
    assert "jobs 22, 23 are not in sacct's text, which has 27" in done.stderr
    assert sacct.card == before


def test_a_number_that_another_job_had_at_another_time_is_not_added_up(run):
    month_before = CANCELLED.replace("2026-11-", "2026-10-")
    sacct = run(run_of(BEFORE, AFTER), month_before + RESUMED)

    found = sacct.compared()

    assert found["metered_kwh"] == pytest.approx(18576 / KWH)
    assert found["legs"] == [AFTER.id]
    assert "sacct does not list job 22" in found["reason"]


def test_a_leg_that_ran_outside_of_slurm_is_not_compared(run):
    desk = leg(2, "01:18:40", 8.0, manager=None)
    record = run_of(BEFORE, AFTER, desk, missing={"legs.2.job": "no workload manager"})
    sacct = run(record, CANCELLED + RESUMED)

    found = sacct.compared()

    assert sacct.asked[:2] == ["--jobs", "22,23"]
    assert found["legs"] == [BEFORE.id, AFTER.id]
    assert found["components_kwh"] == pytest.approx(joules_of(BEFORE, AFTER) / KWH)
    assert "it saw 2 of 3 legs" in found["covers"]


def test_a_leg_of_another_manager_s_job_with_the_same_number_is_not_slurm_s(run):
    elsewhere = leg(0, "01:18:31", 6.0, "23", manager="pbs")
    sacct = run(run_of(elsewhere, AFTER), RESUMED)

    found = sacct.compared()

    assert sacct.asked[:2] == ["--jobs", "23"]
    assert found["legs"] == [AFTER.id]


def test_tasks_of_an_array_are_asked_for_one_by_one(run):
    tasks = CANCELLED.replace("22", "7_5").replace("7_5|7_5", "7_5|22") + RESUMED.replace(
        "23", "7_6"
    )
    legs = [
        leg(0, "01:18:18", 9.95, "22", array_job_id="7", array_task_id="5"),
        leg(1, "01:18:38", 8.35, "7", array_job_id="7", array_task_id="6"),
    ]
    sacct = run(run_of(*legs), tasks)

    found = sacct.compared()

    assert sacct.asked[:2] == ["--jobs", "7_5,7_6"]
    assert found["metered_kwh"] == pytest.approx((18550 + 18576) / KWH)
    assert found["legs"] == [legs[0].id, legs[1].id]


def test_of_a_job_with_an_extern_step_the_energy_is_that_step_s(run):
    one = leg(0, "01:32:01", 8.0, "27", hosts=1)
    sacct = run(run_of(one), CONTAINED)

    found = sacct.compared()

    assert found["metered_kwh"] == pytest.approx(7422 / KWH)
    assert found["ratio"] == pytest.approx(8.0 * BOARD_W / 7422)


@pytest.mark.parametrize("seconds", [-4, 4])
def test_clocks_that_differ_by_seconds_change_no_leg_s_job(run, seconds):
    moved = [
        one.model_copy(
            update={
                name: f"{(datetime.fromisoformat(getattr(one, name)[:-1]) + timedelta(seconds=seconds)).isoformat()}Z"
                for name in ("started_at", "ended_at")
            }
        )
        for one in (BEFORE, AFTER)
    ]
    unrecorded = [one.model_copy(update={"job_id": None, "job": LegJob()}) for one in moved]
    sacct = run(run_of(*unrecorded), CANCELLED + RESUMED)

    assert sacct.compared("--job", "22")["legs"] == [BEFORE.id]
    assert sacct.compared("--job", "23")["legs"] == [AFTER.id]


def test_a_leg_of_two_seconds_at_the_end_of_its_job_is_that_job_s_by_a_clock_that_is_late(run):
    crashed = leg(0, "01:18:27", 2.0, "22")
    late = crashed.model_copy(
        update={"started_at": "2026-11-27T01:18:30Z", "ended_at": "2026-11-27T01:18:32Z"}
    )
    sacct = run(run_of(late, AFTER), CANCELLED + RESUMED)

    assert sacct.compared()["legs"] == [late.id, AFTER.id]


@pytest.mark.parametrize("energies", [("", "0"), ("0", ""), ("", "4294967294"), ("0", "0")])
def test_no_energy_has_one_reason_whatever_form_slurm_gives_it(run, energies):
    first, second = (
        f"21|21|2026-11-27T01:17:{times}|{state}|2|{energy}\n"
        for times, state, energy in zip(
            ("18|2026-11-27T01:17:39|21", "41|2026-11-27T01:18:08|27"),
            ("REQUEUED", "COMPLETED"),
            energies,
            strict=True,
        )
    )
    sacct = run(run_of(FIRST, AGAIN), first + second)

    done = sacct.reconcile()

    words = "Slurm's accounting has no energy for it: the energy plugin is off"
    assert done.returncode == 0
    assert f"implausible: {words}" in done.stdout
    assert sacct.card.count(words) == 1


def test_a_requeued_start_without_energy_beside_one_that_has_it_is_not_put_on_the_plugin(run):
    lines = REQUEUED.splitlines(keepends=True)
    sacct = run(run_of(FIRST, AGAIN), lines[0] + "".join(lines[3:]))

    found = sacct.compared()

    assert found["verdict"] == "implausible"
    assert "of 2 starts of the job it has no figure for 1: it was requeued" in found["reason"]
    assert "plugin" not in found["reason"]


def test_the_user_s_number_in_a_cancelled_state_is_in_no_file(run):
    sacct = run(run_of(BEFORE, AFTER), CANCELLED + RESUMED)

    sacct.compared()

    record = (sacct.out / "autocard.json").read_text(encoding="utf-8")
    assert "1001" not in record + sacct.card
    assert from_json(record).reconciliations
