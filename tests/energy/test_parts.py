"""The small parts under the meter: arithmetic of readings, share of a node, place, intensity."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocard.energy.host import cpu_share
from autocard.energy.ledger import ledger_files
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.location import place
from autocard.energy.readings import Sample, Track
from autocard.record import Leg
from autocard.settings import Settings
from support.nvml_stand_in import python


def track(*readings):
    made = Track()
    for at_s, joules in readings:
        made.add(Sample(at_s, {"ram": joules}))
    return made


@given(
    power_w=st.floats(0.1, 1000),
    moments=st.lists(
        st.floats(0, 1000), min_size=2, max_size=30, unique_by=lambda moment: round(moment, 0)
    ),
    begin_s=st.floats(-10, 500),
    length_s=st.floats(0, 1000),
)
def test_a_constant_power_gives_power_times_time_wherever_the_readings_lie(
    power_w, moments, begin_s, length_s
):
    moments = sorted(moments)
    end_s = max(begin_s + length_s, moments[0])

    used = track(*((moment, power_w * moment) for moment in moments)).between(begin_s, end_s)

    assert used.joules["ram"] == pytest.approx(power_w * (end_s - begin_s), rel=1e-6, abs=1e-3)


def test_what_lies_outside_the_readings_is_filled_in_at_the_nearest_mean_power_and_told():
    used = track((2, 0), (4, 20), (6, 60), (8, 160)).between(1, 10)

    assert used.joules["ram"] == pytest.approx(1 * 10 + 160 + 2 * 50)
    assert (used.before_s, used.after_s) == (1, 2)


def test_only_the_window_counts_where_readings_go_beyond_it():
    used = track((0, 0), (10, 100), (20, 300)).between(5, 15)

    assert used.joules["ram"] == pytest.approx(50 + 100)
    assert (used.before_s, used.after_s) == (0, 0)


@pytest.mark.parametrize("readings", [(), ((1, 5),), ((1, 5), (1.01, 6)), ((20, 0), (30, 5))])
def test_too_few_readings_are_a_reason(readings):
    used = track(*readings).between(0, 10)

    assert used.joules == {}
    assert "two readings" in used.reason


def groups(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="ascii")
    return folder


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_the_share_is_that_of_the_cpus_that_the_process_may_use():
    script = """
import json, os
from autocard.energy.host import cpu_share as share
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(json.dumps([share.of_node(), os.cpu_count()]))
"""

    found, count = python(script)

    assert found == pytest.approx(1 / count)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
def test_a_thread_that_is_bound_to_one_cpu_does_not_hide_those_of_the_others():
    script = """
import json, os, threading
from autocard.energy.host import cpu_share as share
cpus = os.sched_getaffinity(0)
ended = threading.Event()
threading.Thread(target=ended.wait).start()
os.sched_setaffinity(0, {min(cpus)})  # as OMP_PROC_BIND does with the thread that computes
print(json.dumps([share.usable_cpus(), len(cpus), len(os.sched_getaffinity(0))]))
ended.set()
"""

    found, all_of_them, of_the_thread = python(script)

    assert found == all_of_them
    assert of_the_thread == 1


def test_a_quota_of_a_control_group_above_binds_too(tmp_path):
    count = os.cpu_count()
    process = groups(tmp_path, {"cgroup": "0::/pod/job\n"}) / "cgroup"
    quota = int(count * 100_000 / 4)
    sys_fs = groups(
        tmp_path / "fs", {"pod/cpu.max": f"{quota} 100000\n", "pod/job/cpu.max": "max 100000\n"}
    )

    assert cpu_share.of_node(process, sys_fs) == pytest.approx(0.25)


def test_a_quota_of_the_old_control_groups_binds_too(tmp_path):
    process = groups(tmp_path, {"cgroup": "4:cpu,cpuacct:/job\n3:memory:/job\n"}) / "cgroup"
    quota = int(os.cpu_count() * 100_000 / 2)
    files = {"cpu/job/cpu.cfs_quota_us": f"{quota}\n", "cpu/job/cpu.cfs_period_us": "100000\n"}
    files |= {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}

    assert cpu_share.of_node(process, groups(tmp_path / "fs", files)) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("files", "provider"),
    [
        ({"sys_vendor": "Amazon EC2\n"}, "aws"),
        ({"sys_vendor": "Google\n", "product_name": "Google Compute Engine\n"}, "gcp"),
        ({"sys_vendor": "Google\n", "product_name": "Eve\n"}, None),  # a laptop
        ({"chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77\n"}, "azure"),
        ({"sys_vendor": "Microsoft Corporation\n"}, None),
        ({"sys_vendor": "Xen\n", "bios_version": "4.11.amazon\n"}, "aws"),
        ({"sys_vendor": "Xen\n", "bios_version": "4.11\n"}, None),
        ({}, None),
    ],
)
def test_the_cloud_is_named_only_by_a_mark_of_its_own(tmp_path, files, provider):
    found = place.of(Settings(), groups(tmp_path, files))
    missing: dict[str, str] = {}
    place.explain(found, missing)

    assert found.cloud_provider == provider
    assert found.country_iso_code is None
    assert "country_iso_code=" in missing["place.country_iso_code"]
    assert ("place.cloud_provider" in missing) == (provider is None)


INTENSITY = """
import json, sys
from autocard.energy.location import intensity
from autocard.errors import UnavailableError
found = []
for country, region in json.loads(sys.argv[1]):
    try:
        one = intensity.of(country, region)
        found.append([one.g_per_kwh, one.year, one.source])
    except UnavailableError as exc:
        found.append(str(exc))
print(json.dumps(found))
"""


def test_the_intensity_is_what_codecarbons_tables_hold_and_nothing_else():
    import importlib.util

    tables = Path(importlib.util.find_spec("codecarbon").origin).parent / "data" / "private_infra"
    world = json.loads((tables / "global_energy_mix.json").read_text(encoding="utf-8"))
    states = json.loads((tables / "2023" / "usa_emissions.json").read_text(encoding="utf-8"))
    nordic = json.loads((tables / "nordic_emissions.json").read_text(encoding="utf-8"))["data"]
    asked = [
        ("FRA", None),
        ("CAN", None),
        ("USA", "California"),
        ("USA", "Californa"),
        ("USA", "_source"),
        ("CAN", "Quebec"),
        ("SWE", "se3"),
        ("NOR", "SE3"),
        ("CHN", "Beijing"),
        ("DEU", "Bavaria"),
        ("ATA", None),
        (None, None),
    ]

    found = dict(zip(asked, python(INTENSITY, json.dumps(asked)), strict=True))

    assert found["FRA", None] == [
        world["FRA"]["carbon_intensity"],
        2023,
        "Our World in Data, through CodeCarbon",
    ]
    # never Quebec's, which is 40 times lower
    assert found["CAN", None][0] == world["CAN"]["carbon_intensity"]
    assert found["USA", "California"][0] == pytest.approx(
        states["california"]["emissions"] * 0.45359237, rel=1e-4
    )
    assert found["USA", "California"][1:] == [2023, "EPA eGRID2023, through CodeCarbon"]
    for region in ("Californa", "_source"):
        assert found["USA", region][0] == world["USA"]["carbon_intensity"]
        assert f"no figure for {region}" in found["USA", region][2]
    assert "combustion only" in found["CAN", "Quebec"][2]
    assert found["SWE", "se3"][:2] == [nordic["SE3"]["emission_factor"], nordic["SE3"]["year"]]
    assert found["NOR", "SE3"][0] == world["NOR"]["carbon_intensity"]
    assert found["CHN", "Beijing"][:2] == [555.4, 2023]
    assert "no figure for Bavaria: the country's mean" in found["DEU", "Bavaria"][2]
    assert "no carbon intensity for ATA" in found["ATA", None]
    assert "no place is known" in found[None, None]


def test_the_measuring_process_imports_neither_torch_nor_transformers():
    script = """
import json, sys, warnings
warnings.simplefilter("default")  # CodeCarbon's own are not ours
import autocard.energy.worker.worker_main
from autocard.energy.host.codecarbon_reader import CodeCarbonReader as Engine
engine = Engine([], None, None)
again = engine.read()  # at once: CodeCarbon would give the old totals out as new
print(json.dumps([sorted({"torch", "transformers", "peft"} & set(sys.modules)), again == engine.first]))
"""
    env = {**os.environ, "HOME": os.devnull, "CODECARBON_LOG_LEVEL": "critical"}

    assert python(script, env=env) == [[], True]


def test_an_entry_is_read_as_it_was_written_and_what_is_none_is_left_out(tmp_path):
    entry = LedgerEntry(
        run_id="0" * 12,
        host_id=ledger_files.host_id(),
        written_at="2026-01-01T00:00:00.000Z",
        leg=Leg(id="1" * 12),
    )
    (tmp_path / "leg-broken.json").write_text('{"leg": ', encoding="ascii")
    (tmp_path / "leg-other.json").write_text("[]", encoding="ascii")

    ledger_files.write(tmp_path, entry)

    assert ledger_files.read(tmp_path) == [entry]
    assert ledger_files.find(ledger_files.read(tmp_path), "1" * 12, ledger_files.host_id()) == entry
    assert ledger_files.find(ledger_files.read(tmp_path), "2" * 12, ledger_files.host_id()) is None
    assert ledger_files.read(tmp_path / "nowhere") == []
