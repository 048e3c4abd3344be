"""`autocard reconcile`: what Slurm's accounting or another meter read, held against the sum of the components.

The texts are such as `sacct` prints, the figures are worked out here by hand. `three_legs_on_gpus`
takes, in each second of its 44,640 s, 8 × 214.8 W + 2 × (116.9 + 35.1) W = 2022.4 W, and 144,000 J
of set-up before each of its legs.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from autocard import cli
from autocard.card.fields import facts
from autocard.card.update import update
from autocard.errors import MeterError
from autocard.reconcile import jobs, sacct
from autocard.record import RunRecord, from_json, to_json, unexplained
from support import records, training

W = 8 * 214.8 + 2 * (116.9 + 35.1)
LEG_J = [18_000 * W + 144_000, 18_000 * W + 144_000, 8_640 * W + 144_000]
KWH = 3.6e6

HEAD = "JobID|JobIDRaw|Start|End|Elapsed|ElapsedRaw|State|NNodes|ConsumedEnergyRaw|ConsumedEnergy"
CONTAINED = f"""{HEAD}
812345|812345|2026-03-01T07:55:00|2026-03-01T13:01:00|05:06:00|18360|PREEMPTED|2|50000000|50M
812345.batch|812345.batch|2026-03-01T07:55:00|2026-03-01T13:01:10|05:06:10|18370|CANCELLED|1|24000000|24M
812345.extern|812345.extern|2026-03-01T07:55:00|2026-03-01T13:01:00|05:06:00|18360|COMPLETED|2|50000000|50M
812345.0|812345.0|2026-03-01T07:56:00|2026-03-01T13:01:05|05:05:05|18305|CANCELLED by 4711|2|49700000|49.70M
812345|812345|2026-03-01T13:55:00|2026-03-01T19:01:00|05:06:00|18360|PREEMPTED|2|50100000|50.10M
812345.extern|812345.extern|2026-03-01T13:55:00|2026-03-01T19:01:00|05:06:00|18360|COMPLETED|2|50100000|50.10M
812345|812345|2026-03-02T05:55:00|2026-03-02T08:30:00|02:35:00|9300|COMPLETED|2|25000000|25M
812345.extern|812345.extern|2026-03-02T05:55:00|2026-03-02T08:30:00|02:35:00|9300|COMPLETED|2|25000000|25M
"""
"""A job of two nodes that was preempted twice, on a site with PrologFlags=contain; its clock shows
UTC."""

ALIGNED = """\
$ sacct -j 812345 -D --format=JobID,User,Account,JobIDRaw,Start,End,Elapsed,State,NNodes,ConsumedEnergy,NodeList
JobID             User    Account JobIDRaw                   Start                 End    Elapsed      State   NNodes ConsumedEnergy        NodeList \n\
------------ --------- ---------- ------------ ------------------- ------------------- ---------- ---------- -------- -------------- --------------- \n\
812345         jdoe42   proj_0815 812345       2026-03-01T07:55:00 2026-03-01T13:01:00   05:06:00  PREEMPTED        2            50M     node[17-18] \n\
812345.batch            proj_0815 812345.batch 2026-03-01T07:55:00 2026-03-01T13:01:10   05:06:10  CANCELLED        1            24M          node17 \n\
812345.exte+            proj_0815 812345.exte+ 2026-03-01T07:55:00 2026-03-01T13:01:00   05:06:00  COMPLETED        2            50M     node[17-18] \n\
812345.0                proj_0815 812345.0     2026-03-01T07:56:00 2026-03-01T13:01:05   05:05:05 CANCELLED+        2         49.70M     node[17-18] \n\
812345         jdoe42   proj_0815 812345       2026-03-01T13:55:00 2026-03-01T19:01:00   05:06:00  PREEMPTED        2         50.10M     node[17-18] \n\
812345.exte+            proj_0815 812345.exte+ 2026-03-01T13:55:00 2026-03-01T19:01:00   05:06:00  COMPLETED        2         50.10M     node[17-18] \n\
812345         jdoe42   proj_0815 812345       2026-03-02T05:55:00 2026-03-02T08:30:00   02:35:00  COMPLETED        2            25M     node[17-18] \n\
812345.exte+            proj_0815 812345.exte+ 2026-03-02T05:55:00 2026-03-02T08:30:00   02:35:00  COMPLETED        2            25M     node[17-18] \n\
"""  # noqa: E501, RUF100
"""The same as people see it: cut off, with blanks, and with columns that name people and machines.
"""

SENTENCE = (
    "Slurm's job energy (sacct): 34.8 kWh (job 812345, 3 starts, 12 h 47 min on 2 nodes, set-up and all else that ran "
    "in it included). The components of the same (training, set-up and evaluation after it) add up to 25.2 kWh, "
    "0.73 of it; 9.6 kWh are not covered by the components."
)

LAYOUTS = {
    "parsable2": CONTAINED,
    "parsable": "".join(f"{line}|\n" for line in CONTAINED.splitlines()),
    "aligned": ALIGNED,
}


class Done:
    """One finished `autocard reconcile`."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def found(self):
        return json.loads(self.out)["reconciliation"]


@pytest.fixture
def reconcile(tmp_path, monkeypatch, capsys):
    """Run the command line in *tmp_path*: *text* is pasted, *path* is searched for programs first."""

    def run(*arguments, text="", path=None):
        places = os.environ["PATH"].split(os.pathsep)
        if path is None:  # no sacct of the machine that runs the tests
            places = [place for place in places if not (Path(place) / "sacct").exists()]
        else:
            places.insert(0, str(path))
        monkeypatch.setenv("PATH", os.pathsep.join(places))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["autocard", "reconcile", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        return Done(left.value.code, *capsys.readouterr())

    return run


def folder_with(record: RunRecord, tmp_path: Path) -> Path:
    """Return an output folder with the record and the card of a run."""
    folder = tmp_path / "out"
    update(folder / "README.md", record)
    return folder


@pytest.fixture
def out(tmp_path):
    return folder_with(
        records.three_legs_on_gpus().model_copy(update={"reconciliations": []}), tmp_path
    )


def record_in(folder: Path) -> RunRecord:
    return from_json((folder / "autocard.json").read_text(encoding="utf-8"))


def card_in(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def one_start(
    energy: object,
    *,
    steps: str = "",
    state: str = "COMPLETED",
    nodes: int = 2,
    job: str = "812345",
) -> str:
    """Return what sacct prints of a job that ran through all three legs, in UTC."""
    line = f"{job}|{job}|2026-03-01T07:50:00|2026-03-02T08:30:00|1-00:40:00|88800|{state}|{nodes}|{energy}|"
    return f"{HEAD}\n{line}\n{steps}"


def changed(record: RunRecord, **parts) -> RunRecord:
    """Return *record* with some leaves changed, named like energy__total_kwh; without comparisons."""
    raw = {**record.model_dump(), "reconciliations": []}
    for name, value in parts.items():
        part, _, leaf = name.partition("__")
        raw[part][leaf] = value
    return RunRecord.model_validate(raw)


# -- what sacct prints -----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_of_sacct_gives_the_sum_of_the_starts_and_no_step_twice(layout, out, reconcile):
    done = reconcile("out", "--sacct", "-", "--json", text=LAYOUTS[layout])

    assert done.status == 0, done.err
    assert done.found["metered_kwh"] == pytest.approx((50e6 + 50.1e6 + 25e6) / KWH)
    assert done.found["components_kwh"] == pytest.approx(sum(LEG_J) / KWH)
    assert done.found["ratio"] == pytest.approx(sum(LEG_J) / 125.1e6)
    assert done.found["unmetered_kwh"] == pytest.approx((125.1e6 - sum(LEG_J)) / KWH)
    assert (done.found["window_s"], done.found["nodes"]) == (18360 + 18360 + 9300, 2)
    assert (done.found["verdict"], done.found["reason"]) == ("plausible", "")
    assert record_in(out).reconciliations[0].model_dump() == done.found


def test_nobody_s_name_account_or_machine_reaches_record_card_or_screen(out, reconcile):
    shown = reconcile("out", "--sacct", "-", text=ALIGNED)

    everything = b"".join(content(out).values()).decode() + shown.out + shown.err
    assert shown.status == 0
    assert [
        name for name in ("jdoe42", "proj_0815", "node17", "node[", "4711") if name in everything
    ] == []


@pytest.mark.usefixtures("out")
def test_lines_that_were_pasted_twice_count_once(reconcile):
    twice = CONTAINED + "".join(CONTAINED.splitlines(keepends=True)[1:])

    done = reconcile("out", "--sacct", "-", "--json", text=twice)

    assert done.found["metered_kwh"] == pytest.approx(125.1e6 / KWH)


def test_without_duplicates_the_last_start_is_held_against_the_legs_that_it_saw(out, reconcile):
    lines = CONTAINED.splitlines(keepends=True)

    done = reconcile("out", "--sacct", "-", "--json", text="".join([lines[0], *lines[-2:]]))

    assert done.found["metered_kwh"] == pytest.approx(25e6 / KWH)
    assert done.found["components_kwh"] == pytest.approx(LEG_J[2] / KWH)
    assert done.found["legs"] == [record_in(out).legs[2].id]
    assert "it saw 1 of 3 legs" in done.found["covers"]


def used(text):
    (start,) = sacct.read(text)
    return jobs.job_use(start)


STEP = "812345.{0}|812345.{0}|2026-03-01T{1}|2026-03-01T{2}|||COMPLETED|{3}|{4}|\n"


def test_of_a_job_without_contain_the_batch_script_s_step_is_not_counted_beside_those_that_it_starts():
    # Slurm's own sum: 24 MJ of the first node, and the 45 MJ of both nodes in which they are once
    # more.
    steps = STEP.format("batch", "08:00:00", "13:00:00", 1, 24_000_000)
    steps += STEP.format("0", "08:10:00", "12:50:00", 2, 45_000_000)

    found = used(one_start(69_000_000, steps=steps))

    assert found.energy_j == 45e6
    assert found.remark == jobs.ONCE


@pytest.mark.parametrize("said", [50_000_000, 119_000_000, "", "0"])
def test_the_extern_step_is_the_job_s_energy_whatever_the_job_s_line_has_added_up(said):
    steps = STEP.format("batch", "08:00:00", "13:00:00", 1, 24_000_000)
    steps += STEP.format("extern", "08:00:00", "13:00:00", 2, 50_000_000)
    steps += STEP.format("0", "08:10:00", "12:50:00", 2, 45_000_000)

    assert used(one_start(said, steps=steps)).energy_j == 50e6


def test_an_extern_step_that_says_less_than_a_step_inside_of_it_is_not_believed():
    step = STEP.format("0", "08:10:00", "12:50:00", 2, 60_000)
    steps = STEP.format("extern", "08:00:00", "13:00:00", 2, 50) + step

    by_job, by_step, neither = (used(one_start(said, steps=steps)) for said in (61_000, "", 50))

    assert (by_job.energy_j, by_job.remark) == (61_000, "")
    assert (by_step.energy_j, by_step.remark) == (60_000, jobs.OF_STEPS_STILL)
    assert (neither.energy_j, neither.remark) == (60_000, jobs.OF_STEPS_STILL)


def test_a_job_s_figure_below_that_of_steps_that_nothing_can_take_apart_is_no_figure():
    steps = STEP.format("0", "08:00:00", "09:00:00", 2, 60_000)
    steps += STEP.format("1", "08:30:00", "09:30:00", 2, 65_000)

    found = used(one_start(50, steps=steps))

    assert (found.energy_j, found.reason) == (None, jobs.TOO_LITTLE)


def test_steps_one_after_the_other_or_on_nodes_of_their_own_are_added_up():
    after = STEP.format("0", "08:00:00", "09:00:00", 2, 10_000_000)
    after += STEP.format("1", "09:00:00", "10:00:00", 2, 20_000_000)
    beside = STEP.format("0", "08:00:00", "09:00:00", 1, 10_000_000)
    beside += STEP.format("1", "08:00:00", "09:00:00", 1, 20_000_000)

    assert used(one_start(30_000_000, steps=after)).energy_j == 30e6
    assert used(one_start(30_000_000, steps=beside)).energy_j == 30e6
    assert used(one_start("", steps=beside)).energy_j == 30e6


@pytest.mark.usefixtures("out")
def test_a_sum_with_joules_in_it_twice_that_nothing_can_take_apart_is_doubted(reconcile):
    steps = STEP.format("0", "08:00:00", "09:00:00", 2, 60_000_000)
    steps += STEP.format("1", "08:30:00", "09:30:00", 2, 65_100_000)

    done = reconcile("out", "--sacct", "-", "--json", text=one_start(125_100_000, steps=steps))

    assert done.found["metered_kwh"] == pytest.approx(125.1e6 / KWH)
    assert done.found["verdict"] == "doubtful"
    assert "more than once" in done.found["reason"]
    assert done.found["unmetered_kwh"] is None


@pytest.mark.parametrize(
    ("raw", "shown", "joules"),
    [
        ("1930000", "1.93M", 1.93e6),
        ("", "1.93M", 1.93e6),
        ("", "812.50K", 812.5e3),
        ("", "2.10G", 2.1e9),
        ("", "950", 950.0),
        ("0", "0", None),
        ("", "", None),
        ("4294967294", "4.29G", None),
        ("18446744073709551614", "18446744.07T", None),
        ("1.8446744073709552e+19", "", None),
        ("", "4.29G", None),
        ("N/A", "n/a", None),
    ],
)
def test_energy_is_read_as_slurm_writes_it_and_its_marks_for_nothing_are_no_energy(
    raw, shown, joules
):
    text = f"{HEAD}\n7|7|2026-03-01T07:50:00|2026-03-01T08:30:00|00:40:00|2400|COMPLETED|1|{raw}|{shown}\n"

    found = used(text)

    assert found.energy_j == joules
    assert bool(found.reason) == (joules is None)


def test_a_task_of_an_array_is_found_by_its_own_number_and_the_array_is_not_taken_for_it():
    text = f"""{HEAD}
700_1|701|2026-03-01T07:50:00|2026-03-01T08:30:00|00:40:00|2400|COMPLETED|1|1000000|
700_2|702|2026-03-01T07:50:00|2026-03-01T08:30:00|00:40:00|2400|COMPLETED|1|2000000|
700_3|700|2026-03-01T07:50:00|2026-03-01T08:30:00|00:40:00|2400|COMPLETED|1|3000000|
"""
    starts = sacct.read(text)

    def energy(job, *, by_person=True):
        return [
            jobs.job_use(start).energy_j
            for start in jobs.select_starts(starts, [job], by_person=by_person).starts
        ]

    assert energy("702") == energy("700_2") == [2e6]
    assert energy("700", by_person=False) == [3e6]
    with pytest.raises(MeterError, match=r"700 is an array of 3 tasks.*--job 700_1"):
        energy("700")


@pytest.mark.parametrize(
    "waiting",
    ["812345_[5-10]", "812345_[1,7-9%2]", "812345_[5-1+"],
    ids=["some", "at most two at once", "cut off"],
)
def test_tasks_of_an_array_that_have_not_run_keep_nobody_from_reading_one_that_has(
    waiting, tmp_path, reconcile
):
    folder_with(changed(records.three_legs_on_gpus()), tmp_path)
    line = f"{waiting}|812345|Unknown|Unknown|00:00:00|0|PENDING|2|0|0\n"
    ran = one_start(125_100_000, job="812345_3").splitlines(keepends=True)

    done = reconcile(
        "out", "--sacct", "-", "--job", "812345_3", "--json", text="".join([ran[0], line, ran[1]])
    )

    assert done.status == 0, done.err
    assert done.found["metered_kwh"] == pytest.approx(125.1e6 / KWH)


def test_a_task_of_an_array_is_known_by_the_record(tmp_path, reconcile):
    record = changed(
        records.three_legs_on_gpus(),
        job__job_id="900",
        job__array_job_id="812345",
        job__array_task_id="3",
    )
    folder_with(record, tmp_path)
    text = one_start(125_100_000, job="812345_3") + "".join(
        one_start(7, job="812345_4").splitlines(keepends=True)[1:]
    )

    done = reconcile("out", "--sacct", "-", "--json", text=text)

    assert done.found["metered_kwh"] == pytest.approx(125.1e6 / KWH)


@pytest.mark.usefixtures("out")
def test_parts_of_a_heterogeneous_job_run_side_by_side_and_are_one(reconcile):
    parts = [
        one_start(joules, job=f"812345+{n}", nodes=1).splitlines()[1]
        for n, joules in enumerate([50e6, 75.1e6])
    ]
    text = "\n".join([HEAD, *(line.replace("|812345+1|", "|812346|") for line in parts)]).replace(
        ".0|", "|"
    )

    done = reconcile("out", "--sacct", "-", "--json", text=text)

    assert done.found["metered_kwh"] == pytest.approx(125.1e6 / KWH)
    assert (done.found["window_s"], done.found["nodes"]) == (88800, 2)
    assert done.found["bound_kwh"] == pytest.approx(88800 * (2 * 3000 + 2 * 8 * 2000 / 2) / KWH)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no line names a column JobID"),
        ("812345|COMPLETED|1.93M\n", "no line names a column JobID"),
        ("JobID|State\n812345|COMPLETED\n", "no column ConsumedEnergyRaw"),
        (
            f"{HEAD}\n812345|812345|too|short\n",
            "line 2 of sacct's text has 4 values under 10 names",
        ),
        (f"{HEAD}\n", "has no job that ran"),
        (f"{HEAD}\nnonsense|||||||||\n", "line 2 of sacct's text begins with no job's number"),
        (one_start(5, job="999"), "job 812345 is not in sacct's text, which has 999"),
        (
            f"{HEAD}\n812345|812345|Unknown|Unknown|00:00:00|0|PENDING|2|0|0\n",
            "has no job that ran",
        ),
        (
            f"{HEAD}\n812345_[0-9]|812345|Unknown|Unknown|00:00:00|0|PENDING|2|0|0\n",
            "has no job that ran",
        ),
    ],
)
def test_a_text_that_is_not_about_the_job_is_refused_and_nothing_is_written(
    text, said, out, reconcile
):
    before = content(out)

    done = reconcile("out", "--sacct", "-", text=text)

    assert done.status == 3
    assert said in done.err
    assert content(out) == before


# -- what the job saw ------------------------------------------------------------------------------


def test_a_job_at_another_time_is_another_job_even_if_the_number_is_right(out, reconcile):
    before = content(out)

    done = reconcile("out", "--sacct", "-", text=CONTAINED.replace("2026-03-0", "2026-05-0"))

    assert done.status == 3
    assert "none of the run's legs ran in the time of job 812345" in done.err
    assert content(out) == before


def shifted(text: str, hours: float) -> str:
    """Return *text* as a clock shows it that is *hours* ahead."""

    def later(found):
        return (datetime.fromisoformat(found[0]) + timedelta(hours=hours)).isoformat()

    return re.sub(r"\d{4}-\d\d-\d\dT[\d:]{8}", later, text)


@pytest.fixture
def two_hours_ahead(monkeypatch):
    """Put this machine into a zone whose clock is two hours ahead of UTC."""
    monkeypatch.setenv("TZ", "XXX-2")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("two_hours_ahead")
@pytest.mark.parametrize(
    ("hours", "clock"),
    [
        (-8.0, "8 h 00 min behind UTC"),
        (0.0, ""),
        (1.0, "1 h 00 min ahead of UTC"),
        (2.0, ""),
        (5.75, "5 h 45 min ahead of UTC"),
        (13.0, "13 h 00 min ahead of UTC"),
    ],
)
def test_the_zone_of_a_pasted_text_is_found_by_the_legs_and_one_that_nobody_told_of_is_doubted(
    hours, clock, out, reconcile
):
    done = reconcile("out", "--sacct", "-", "--json", text=shifted(CONTAINED, hours))

    assert done.found["legs"] == [leg.id for leg in record_in(out).legs]
    assert done.found["verdict"] == ("doubtful" if clock else "plausible")
    assert clock in done.found["reason"]
    assert (done.found["unmetered_kwh"] is None) == bool(clock)


@pytest.mark.usefixtures("two_hours_ahead", "out")
def test_a_sacct_that_is_asked_here_prints_utc_and_this_machine_s_clock_is_no_excuse(
    tmp_path, reconcile
):
    (tmp_path / "job.txt").write_text(shifted(CONTAINED, 2), encoding="utf-8")

    done = reconcile("out", "--json", path=fake_sacct(tmp_path, "cat job.txt"))

    assert done.found["verdict"] == "doubtful"
    assert "2 h 00 min ahead of UTC" in done.found["reason"]


@pytest.mark.usefixtures("out")
def test_without_times_the_job_must_at_least_have_lasted_as_long_as_the_training(reconcile):
    text = "JobID|ElapsedRaw|NNodes|ConsumedEnergyRaw\n812345|{0}|2|125100000\n"

    long = reconcile("out", "--sacct", "-", "--json", text=text.format(46020))
    short = reconcile("out", "--sacct", "-", "--json", text=text.format(9300))

    assert long.found["verdict"] == "plausible"
    assert short.found["verdict"] == "implausible"
    assert "the job ran for 2 h 35 min, the training for 12 h 24 min" in short.found["reason"]


@pytest.mark.usefixtures("out")
def test_several_jobs_that_one_after_the_other_trained_the_run_are_added_up(reconcile):
    lines = CONTAINED.replace("812345", "700001").splitlines(keepends=True)
    text = "".join(lines[:5] + [line.replace("700001", "700002") for line in lines[5:]])

    refused = reconcile("out", "--sacct", "-", text=text)
    done = reconcile(
        "out", "--sacct", "-", "--job", "700001", "--job", "700002", "--json", text=text
    )

    assert refused.status == 3
    assert done.found["metered_kwh"] == pytest.approx(125.1e6 / KWH)
    assert done.found["covers"].startswith("jobs 700001, 700002, 3 starts")
    assert (done.found["verdict"], done.found["reason"]) == ("plausible", "")


AFTERWARDS = "{0}|{0}|2026-03-02T10:00:00|2026-03-02T10:27:00|00:27:00|1620|FAILED|2|2000000|2M\n"


def test_a_job_in_which_no_leg_ran_is_named_and_the_sum_with_it_is_doubted(out, reconcile):
    text = CONTAINED + AFTERWARDS.format("812399")

    done = reconcile(
        "out", "--sacct", "-", "--job", "812345", "--job", "812399", "--json", text=text
    )

    assert done.found["verdict"] == "doubtful"
    assert done.found["reason"] == "none of the legs ran in job 812399"
    assert done.found["unmetered_kwh"] is None
    assert "none of the legs ran in job 812399" in card_in(out)


@pytest.mark.usefixtures("out")
def test_a_start_of_the_run_s_own_job_that_died_in_set_up_counts_and_is_told(reconcile):
    done = reconcile("out", "--sacct", "-", "--json", text=CONTAINED + AFTERWARDS.format("812345"))

    assert done.found["metered_kwh"] == pytest.approx((125.1e6 + 2e6) / KWH)
    assert done.found["verdict"] == "plausible"
    assert "in 1 of these starts no leg ran" in done.found["covers"]


# -- figures that cannot be ------------------------------------------------------------------------


@pytest.mark.parametrize("energy", ["0", "", "4294967294"])
def test_what_slurm_did_not_sample_is_no_zero(energy, out, reconcile):
    done = reconcile("out", "--sacct", "-", "--json", text=one_start(energy))

    record = record_in(out)
    assert done.status == 0
    assert (done.found["metered_kwh"], done.found["ratio"], done.found["unmetered_kwh"]) == (
        None,
        None,
        None,
    )
    assert done.found["verdict"] == "implausible"
    assert done.found["reason"] == record.missing["reconciliations.0.metered_kwh"]
    assert "Slurm's job energy (sacct): no figure, because Slurm" in card_in(out)
    assert unexplained(record) == []


def test_an_inflated_figure_is_compared_and_not_trusted(out, reconcile):
    # 88,800 s on 2 nodes with 8 GPUs: at most 2 × 3 kW + 8 × 2 kW, 542.7 kWh.
    total = record_in(out).energy.total_kwh

    done = reconcile("out", "--sacct", "-", "--json", text=one_start(2_000_000_000))

    assert done.found["metered_kwh"] == pytest.approx(2e9 / KWH)
    assert done.found["bound_kwh"] == pytest.approx(88_800 * 22_000 / KWH)
    assert done.found["ratio"] == pytest.approx(sum(LEG_J) / 2e9)
    assert done.found["unmetered_kwh"] is None
    assert done.found["verdict"] == "implausible"
    assert "2 nodes cannot have drawn more than 540 kWh in 24 h 40 min" in done.found["reason"]
    assert "it cannot be the energy of the run" in card_in(out)
    assert record_in(out).energy.total_kwh == total


@pytest.mark.usefixtures("out")
def test_less_than_the_counters_inside_of_it_cannot_be(reconcile):
    # The boards alone: 8 × 214.8 W × 44,640 s = 76.7 MJ.
    done = reconcile("out", "--sacct", "-", "--json", text=one_start(20_000_000))

    assert done.found["verdict"] == "implausible"
    assert "less than the 21.3 kWh that counters inside of it read" in done.found["reason"]
    assert "RAPL" in done.found["reason"]


def test_models_that_read_more_than_the_meter_are_not_a_negative_rest(out, reconcile):
    # More than the boards' 76.7 MJ, less than all components' 90.7 MJ.
    done = reconcile("out", "--sacct", "-", "--json", text=one_start(85_000_000))

    assert done.found["ratio"] == pytest.approx(sum(LEG_J) / 85e6)
    assert done.found["verdict"] == "plausible"
    assert done.found["unmetered_kwh"] is None
    assert (
        "what is modelled of them reads high"
        in record_in(out).missing["reconciliations.0.unmetered_kwh"]
    )
    assert "1.1 of it: the modeled parts read high." in card_in(out)


@pytest.mark.usefixtures("out")
def test_a_job_that_still_runs_has_no_final_figure(reconcile):
    text = one_start(125_100_000, state="RUNNING").replace("2026-03-02T08:30:00", "Unknown")

    done = reconcile("out", "--sacct", "-", "--json", text=text)

    assert done.found["verdict"] == "implausible"
    assert "the job still ran when sacct was asked" in done.found["reason"]


@pytest.mark.usefixtures("out")
def test_a_start_without_a_figure_makes_the_sum_of_the_others_no_job_s(reconcile):
    done = reconcile(
        "out", "--sacct", "-", "--json", text=CONTAINED.replace("50100000|50.10M", "0|0")
    )

    assert done.found["verdict"] == "implausible"
    assert "of 3 starts of the job it has no figure for 1" in done.found["reason"]


def test_meters_of_nodes_that_others_used_too_are_doubted(tmp_path, reconcile):
    record = changed(records.three_legs_on_gpus())
    legs = [
        leg.model_copy(
            update={"hosts": [host.model_copy(update={"cpu_share": 0.25}) for host in leg.hosts]}
        )
        for leg in record.legs
    ]
    folder_with(record.model_copy(update={"legs": legs}), tmp_path)

    done = reconcile("out", "--sacct", "-", "--json", text=CONTAINED)

    assert done.found["verdict"] == "doubtful"
    assert "only a share of its nodes" in done.found["reason"]
    assert done.found["unmetered_kwh"] is None


def test_where_gpus_are_not_known_there_is_no_bound(tmp_path, reconcile):
    record = changed(records.three_legs_on_gpus(), hardware__gpus=[], hardware__gpus_allocated=None)
    missing = {
        **record.missing,
        "hardware.gpus": "not NVIDIA's",
        "hardware.gpus_allocated": "not told",
    }
    out = folder_with(record.model_copy(update={"missing": missing}), tmp_path)

    done = reconcile("out", "--sacct", "-", "--json", text=CONTAINED)

    assert (done.found["bound_kwh"], done.found["verdict"]) == (None, "plausible")
    assert (
        record_in(out).missing["reconciliations.0.bound_kwh"]
        == "it is not known how many GPUs the run had"
    )


@pytest.mark.usefixtures("out")
def test_a_mean_power_far_above_that_of_the_components_is_doubted(reconcile):
    # 8 kW on the mean; the components took 2.02 kW: a quarter, where 0.71 ± 0.10 has been seen.
    joules = {seconds: round(seconds * 8000) for seconds in (18360, 9300)}
    text = re.sub(
        r"(\|(18360|9300)\|[A-Z]+\|2\|)\d+\|\S+", lambda m: f"{m[1]}{joules[int(m[2])]}|", CONTAINED
    )

    done = reconcile("out", "--sacct", "-", "--json", text=text)

    assert done.found["metered_kwh"] == pytest.approx(8000 * 46020 / KWH)
    assert done.found["verdict"] == "doubtful"
    assert "its mean is 8,000 W, the components' in training 2,020 W" in done.found["reason"]


def test_a_sum_that_lacks_a_part_is_not_compared(tmp_path, reconcile):
    out = folder_with(records.nothing_measured(), tmp_path)

    done = reconcile("out", "--kwh", "0.5", "--source", "the rack's meter", "--json")

    record = record_in(out)
    assert (done.found["metered_kwh"], done.found["components_kwh"], done.found["ratio"]) == (
        0.5,
        None,
        None,
    )
    assert record.missing["reconciliations.0.components_kwh"] == record.missing["energy.total_kwh"]
    assert unexplained(record) == []


# -- asking sacct ----------------------------------------------------------------------------------


def fake_sacct(tmp_path: Path, body: str) -> Path:
    """Put a program named sacct into a folder of its own, and return the folder."""
    folder = tmp_path / "bin"
    folder.mkdir(exist_ok=True)
    script = folder / "sacct"
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return folder


def test_sacct_is_asked_for_the_record_s_job_in_utc_and_for_no_column_but_ours(
    out, tmp_path, reconcile
):
    (tmp_path / "job.txt").write_text(one_start(125_100_000), encoding="utf-8")
    path = fake_sacct(tmp_path, 'printf "%s\\n" "$TZ" "$@" > asked.txt; cat job.txt')

    done = reconcile("out", "--json", path=path)

    zone, *asked = (tmp_path / "asked.txt").read_text(encoding="utf-8").splitlines()
    assert done.status == 0, done.err
    assert done.found["metered_kwh"] == pytest.approx(125.1e6 / KWH)
    assert record_in(out).reconciliations[0].kind == "sacct"
    assert zone == "UTC"
    assert asked[:4] == ["--jobs", "812345", "--duplicates", "--parsable2"]
    assert set(asked[5].split(",")) == set(HEAD.split("|"))


def test_a_sacct_that_hangs_is_stopped_with_all_that_it_started(out, tmp_path, reconcile):
    path = fake_sacct(tmp_path, "sleep 600 & echo $! > child.txt; wait")
    before = content(out)

    done = reconcile("out", "--timeout", "1", path=path)

    child = int((tmp_path / "child.txt").read_text(encoding="utf-8"))
    until_s = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and time.monotonic() < until_s:
        if "State:\tZ" in Path(f"/proc/{child}/status").read_text(encoding="utf-8"):
            break  # dead; who takes its status is not ours to say
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{child}").exists()
    assert done.status == 3
    assert "did not answer within 1 s and was stopped" in done.err
    assert content(out) == before


def test_a_sacct_that_fails_is_quoted_and_nothing_is_written(out, tmp_path, reconcile):
    path = fake_sacct(tmp_path, 'echo "sacct: error: Problem talking to the database" >&2; exit 1')
    before = content(out)

    done = reconcile("out", path=path)

    assert done.status == 3
    assert "sacct failed (status 1): sacct: error: Problem talking to the database" in done.err
    assert content(out) == before


def test_without_sacct_one_is_told_how_to_bring_its_text(out, reconcile):
    before = content(out)

    asked, unasked = reconcile("out", "--job", "812345"), reconcile("out")

    assert asked.status == unasked.status == 3
    assert "there is no sacct on this machine" in asked.err
    assert "--jobs 812345 --duplicates --parsable2" in asked.err
    assert "--sacct FILE" in unasked.err
    assert content(out) == before


@pytest.mark.parametrize(
    "job",
    ["812345; touch x", "--allusers", "812345.0", "jdoe42", "12345678901", "\u0668\u0661\u0662"],
)
def test_what_is_no_job_s_number_never_reaches_sacct(job, out, tmp_path, reconcile):
    path = fake_sacct(tmp_path, "touch called")

    done = reconcile("out", f"--job={job}", path=path)

    assert done.status == 2
    assert not (tmp_path / "called").exists()
    assert out.exists()


# -- other meters ----------------------------------------------------------------------------------


def test_a_meter_of_the_house_is_compared_in_kwh_or_joules_and_named(out, reconcile):
    first = reconcile("out", "--kwh", "34.75", "--source", "the rack's *own* meter", "--json")
    second = reconcile(
        "out", "--joules", "125100000", "--source", "the rack's *own* meter", "--json"
    )

    assert first.found["metered_kwh"] == second.found["metered_kwh"] == pytest.approx(34.75)
    assert first.found["ratio"] == pytest.approx(sum(LEG_J) / 125.1e6)
    assert len(record_in(out).reconciliations) == 1
    assert r"the rack's \*own\* meter: 34.8 kWh" in card_in(out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kwh", "5"],
        ["--kwh", "5", "--source", " "],
        ["--kwh", "-5", "--source", "x"],
        ["--kwh", "nan", "--source", "x"],
        ["--kwh", "1e308", "--source", "x"],
        ["--joules", "1e200", "--source", "x"],
        ["--kwh", "5", "--joules", "5", "--source", "x"],
        ["--kwh", "5", "--source", "x", "--sacct", "-"],
        ["--source", "x"],
        ["--sacct", "not_there.txt"],
    ],
)
def test_what_cannot_be_meant_is_wrong_usage_and_nothing_is_written(arguments, out, reconcile):
    before = content(out)

    done = reconcile("out", *arguments)

    assert done.status == 2
    assert content(out) == before


def test_the_nodes_own_meters_are_held_against_training_alone(tmp_path, reconcile):
    out = folder_with(changed(records.three_legs_on_gpus(), energy__node_meter_kwh=33.14), tmp_path)
    assert "the nodes' own meters read 33.1 kWh" in card_in(out)

    done = reconcile("out", "--json")

    assert (done.found["kind"], done.found["metered_kwh"]) == ("node_meter", 33.14)
    assert done.found["components_kwh"] == pytest.approx(44_640 * W / KWH)
    assert done.found["unmetered_kwh"] == pytest.approx(33.14 - 44_640 * W / KWH)
    assert card_in(out).count("33.1 kWh") == 1
    assert "8.1 kWh are not covered by the components" in card_in(out)


# -- record and card -------------------------------------------------------------------------------


def test_the_card_says_both_figures_their_ratio_and_the_rest_and_nothing_else_in_it_changes(
    out, reconcile
):
    mine = card_in(out).replace("## Citation", "Words of a person.\n\n## Citation", 1)
    (out / "README.md").write_text(mine, encoding="utf-8")

    done = reconcile("out", "--sacct", "-", text=CONTAINED)

    before, after = mine.splitlines(), card_in(out).splitlines()
    new = [line for line in after if line not in before]
    assert done.status == 0
    assert new == [SENTENCE]
    at = after.index(SENTENCE)
    assert after[:at] + after[at + 2 :] == before
    assert done.out.splitlines()[-1].split() == ["Verdict", "plausible"]


def test_the_same_again_changes_nothing_and_another_figure_takes_its_place(out, reconcile):
    reconcile("out", "--sacct", "-", text=CONTAINED)
    first = content(out)
    again = reconcile("out", "--sacct", "-", text=CONTAINED)

    assert content(out) == first
    assert "nothing to do" in again.err

    reconcile("out", "--sacct", "-", text=one_start("0"))
    reconcile("out", "--sacct", "-", text=CONTAINED)

    assert content(out) == first
    assert not [path for path in record_in(out).missing if path.startswith("reconciliations")]


def test_two_sources_stand_side_by_side(out, reconcile):
    reconcile("out", "--sacct", "-", text=CONTAINED)
    reconcile("out", "--kwh", "40", "--source", "the rack's meter")

    both = record_in(out).reconciliations
    assert [one.kind for one in both] == ["sacct", "meter"]
    assert "sacct" in both[0].source
    assert both[1].source == "the rack's meter"
    assert all(one.covers for one in both)
    assert [one.legs for one in both] == [[leg.id for leg in record_in(out).legs]] * 2
    assert {one.parts[0] for one in both} == {"training"}
    assert {part for one in both for part in one.parts} <= {
        "training",
        "set-up",
        "evaluation after it",
    }
    assert "Slurm's job energy (sacct): 34.8 kWh" in card_in(out)
    assert "the rack's meter: 40.0 kWh" in card_in(out)


def test_diff_shows_what_would_change_and_writes_nothing(out, reconcile):
    before = content(out)

    done = reconcile("out", "--diff", "--sacct", "-", text=CONTAINED)

    assert "+Slurm's job energy (sacct): 34.8 kWh" in done.out
    assert content(out) == before


def test_without_a_card_of_ours_the_record_alone_is_written(tmp_path, reconcile):
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("A person's own words.\n", encoding="utf-8")
    (out / "autocard.json").write_text(
        to_json(changed(records.three_legs_on_gpus())), encoding="utf-8"
    )

    done = reconcile("out", "--sacct", "-", text=CONTAINED)

    assert done.status == 0
    assert "no card of ours beside it" in done.err
    assert content(out)["README.md"] == b"A person's own words.\n"
    assert record_in(out).reconciliations[0].metered_kwh == pytest.approx(34.75)


def test_a_card_that_cannot_be_filled_stays_and_the_record_has_the_comparison(out, reconcile):
    broken = b"---\nlicense: [\n---\n\xff\xfe"
    (out / "README.md").write_bytes(broken)

    done = reconcile("out", "--sacct", "-", text=CONTAINED)

    assert done.status == 0
    assert "README.md" in done.err
    assert sorted(content(out)) == ["README.md", "autocard.json"]
    assert content(out)["README.md"] == broken
    assert len(record_in(out).reconciliations) == 1


def test_fill_and_check_agree_with_the_card_that_reconcile_left(out, reconcile, tmp_path):
    reconcile("out", "--sacct", "-", text=CONTAINED)
    before = content(out)

    def run(*arguments):
        command = [sys.executable, "-m", "autocard", *arguments]
        return subprocess.run(
            command, check=False, capture_output=True, cwd=tmp_path, timeout=120
        ).returncode

    assert run("fill", "out") == 0
    assert run("check", "out") == 0
    assert content(out) == before


def test_texts_of_the_comparison_are_harmless_in_a_card():
    record = records.three_legs_on_gpus()
    bad = record.reconciliations[0].model_copy(
        update={"source": "<b>| x", "covers": "[a](b)", "reason": ""}
    )

    told = facts(record.model_copy(update={"reconciliations": [bad]}))["energy"].body()

    assert "<b>" not in told
    assert r"\<b\>\| x" in told


# -- all of it -------------------------------------------------------------------------------------


def test_a_training_under_slurm_is_reconciled_with_what_its_sacct_says(tmp_path, monkeypatch):
    from autocard import AutoCardCallback

    for name, value in (
        ("SLURM_JOB_ID", "4242"),
        ("SLURM_NNODES", "1"),
        ("SLURM_JOB_NUM_NODES", "1"),
    ):
        monkeypatch.setenv(name, value)
    begun = datetime.now(timezone.utc) - timedelta(seconds=30)
    ours = AutoCardCallback(
        country_iso_code="FRA", cpu_power_w=100, ram_power_w=20, measure_power_secs=1
    )
    trainer = training.trainer(
        tmp_path / "out", callbacks=[ours, training.until_ready(ours), Pause(0.4)]
    )
    trainer.train()
    trainer.save_model()
    ended = datetime.now(timezone.utc) + timedelta(seconds=30)
    energy = record_in(tmp_path / "out").energy
    assert energy.total_kwh is not None, record_in(tmp_path / "out").missing
    known = [energy.total_kwh, energy.setup_kwh or 0.0, energy.evaluation_kwh or 0.0]
    joules = round(sum(known) * KWH / 0.5)
    when = "|".join(f"{moment:%Y-%m-%dT%H:%M:%S}" for moment in (begun, ended))
    line = f"4242|4242|{when}||{(ended - begun).seconds}|COMPLETED|1|{joules}|"
    path = fake_sacct(tmp_path, f"cat <<'END'\n{HEAD}\n{line}\nEND")

    command = [sys.executable, "-m", "autocard", "reconcile", "out", "--json"]
    environ = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    ran = subprocess.run(
        command, check=False, capture_output=True, cwd=tmp_path, timeout=120, env=environ
    )
    done = Done(ran.returncode, ran.stdout.decode(), ran.stderr.decode())

    assert done.status == 0, done.err
    assert done.found["ratio"] == pytest.approx(0.5, rel=0.02)
    assert done.found["unmetered_kwh"] == pytest.approx(sum(known), rel=0.02)
    assert "Slurm's job energy (sacct)" in card_in(tmp_path / "out")
    assert unexplained(record_in(tmp_path / "out")) == []


def Pause(seconds):  # noqa: N802 - stands for a class
    """Return a callback that makes each step last."""
    from transformers import TrainerCallback

    class Slow(TrainerCallback):
        def on_step_end(self, *_, **__):
            time.sleep(seconds)

    return Slow()


@pytest.mark.parametrize(
    ("kwh", "verdict", "words"),
    [
        ("34.75", "plausible", ""),
        ("34750", "doubtful", "in another unit"),  # Wh, typed as kWh
        ("10.0", "implausible", "less than the"),  # the counters of the GPUs alone read more
    ],
)
@pytest.mark.usefixtures("out")
def test_a_figure_without_a_window_is_doubted_by_what_the_components_are_of_it(
    reconcile, kwh, verdict, words
):
    done = reconcile("out", "--kwh", kwh, "--source", "a meter", "--json")

    assert done.found["verdict"] == verdict
    assert words in done.found["reason"]
    assert (done.found["unmetered_kwh"] is None) == (verdict != "plausible")
