"""`autocard doctor`: what it says of machines that are known, in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support.nvml_stand_in import Gpu, python, uuid_of

pytest_plugins = ["support.nvml_fixtures"]


def doctor(folder, *arguments, env=None):
    command = [sys.executable, "-m", "autocard", "doctor", *arguments]
    return subprocess.run(
        command,
        cwd=folder,
        env=env or dict(os.environ),
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def node(nvml_machine, tmp_path):
    """A node with four boards, of which a job of Slurm has three, and a site file."""
    gpus = [Gpu(uuid_of(number), watts=101 + number) for number in range(4)]
    gpus[0].counter = 0
    gpus[1].mig = "MIG-aaaa"
    gpus[2].processes = 2
    meter = tmp_path / "energy"
    meter.write_text("44296389 J 1654523441253893 us\n", encoding="ascii")
    site = tmp_path / "site.toml"
    site.write_text(
        f'country_iso_code = "SWE"\npue = 1.07\nnode_meter = "{meter}"\n', encoding="utf-8"
    )
    here = tmp_path / "here"
    here.mkdir()
    env = nvml_machine(gpus).env | {
        "CUDA_VISIBLE_DEVICES": f"{uuid_of(2)},{uuid_of(0)},{uuid_of(1)}",
        "SLURM_JOB_ID": "4711",
        "AUTOCARD_SITE": str(site),
        "AUTOCARD_RAM_POWER_W": "33",
    }
    return here, env, meter


def test_everything_that_is_known_of_a_node_stands_on_one_screen(node):
    here, env, meter = node

    told = doctor(here, "--json", env=env)
    screen = doctor(here, env={**env, "COLUMNS": "200"})

    assert (told.returncode, screen.returncode) == (0, 0), told.stderr + screen.stderr
    report = json.loads(told.stdout)
    used = report["gpus"]["used"]
    assert [(one["index"], one["counter"], one["shared"]) for one in used] == [
        (2, True, True),
        (0, False, False),
        (1, True, False),
    ]
    assert [one["watts"] for one in used] == [103, 101, 102]
    assert "MIG slice" in used[2]["note"]
    assert (report["gpus"]["on_node"], report["gpus"]["driver"]) == (4, "580.65.06")
    assert report["ram"]["watts"] == pytest.approx(33, rel=0.05)
    assert report["cpu"]["watts"] > 0
    assert report["intensity"]["g_per_kwh"] == pytest.approx(40.7, abs=0.1)
    assert report["node_meter"] == {"path": str(meter), "joules": 44296389, "reason": None}
    assert report["workload_manager"] == {"name": "slurm", "job_id": "4711"}
    assert report["settings"]["pue"] == {"value": 1.07, "source": "site file"}
    assert report["settings"]["ram_power_w"] == {"value": 33, "source": "AUTOCARD_* variable"}
    lines = screen.stdout.splitlines()
    assert len(lines) < 25
    assert f"3 of 4 boards, by CUDA_VISIBLE_DEVICES={uuid_of(2)}" in screen.stdout
    for words in (
        "its energy counter; several processes ran on",
        "no energy counter; its power, sampled (#0)",
        "modeled: 33 W (as given)",
        "SWE (site file)",
        "40.7 g/kWh (Our World in Data, through CodeCarbon 2023); PUE 1.07",
        "slurm, job 4711",
        "pue = 1.07 (site file)",
    ):
        assert words in screen.stdout
    assert list(here.iterdir()) == []


def test_where_nothing_is_there_it_says_so_and_what_would_help(tmp_path):
    done = doctor(tmp_path, "--json", env={**os.environ, "PATH": os.defpath})

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["gpus"]["used"] == []
    assert report["gpus"]["reason"]
    assert report["intensity"]["g_per_kwh"] is None
    assert report["intensity"]["reason"].startswith("no place is known")
    assert "country_iso_code" in report["advice"][0]
    assert report["settings"] == {}


def test_each_place_of_the_settings_is_tried_and_nothing_is_left_there(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    env = {**os.environ, "COLUMNS": "300"}
    bad = {
        "AUTOCARD_LEDGER_DIR": "/dev/null/x",
        "AUTOCARD_CARD": "/proc/x/README.md",
        "AUTOCARD_SITE": str(tmp_path / "gone.toml"),
    }
    good = {
        "AUTOCARD_LEDGER_DIR": str(tmp_path / "node" / "7"),
        "AUTOCARD_CARD": str(tmp_path / "cards" / "README.md"),
    }

    with_bad = doctor(here, env={**env, **bad})
    with_good = doctor(here, "--json", env={**env, **good})

    assert with_bad.returncode == 0, with_bad.stderr
    for words in (
        "ledger_dir, /dev/null/x: cannot be used: Not a directory. The working files go to",
        "ledger_dir: Name a folder that can be made and written on each node",
        "card, /proc/x/README.md: cannot be used: No such file or directory. Card and record go",
        "card: Name a file in a folder that can be written",
        f"AUTOCARD_SITE={tmp_path / 'gone.toml'}: there is no such file.",
    ):
        assert words in with_bad.stdout
    report = json.loads(with_good.stdout)
    assert [(one["setting"], one["reason"]) for one in report["places"]] == [
        ("ledger_dir", None),
        ("card", None),
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["here"]


def test_a_setting_that_cannot_be_meant_is_wrong_usage(tmp_path):
    done = doctor(tmp_path, env={**os.environ, "AUTOCARD_PUE": "0.3"})

    assert done.returncode == 2
    assert "AUTOCARD_PUE=0.3: " in done.stderr
    assert done.stdout == ""


def test_neither_torch_nor_codecarbon_is_loaded_for_it():
    script = """
import json, sys
from autocard import doctor, settings
doctor.examine(settings.resolve({}))
print(json.dumps(sorted({"torch", "codecarbon", "pandas", "transformers"} & set(sys.modules))))
"""

    assert python(script) == []


RAPL = """
import json, os, sys
from pathlib import Path
from autocard import doctor  # loaded as the user who owns the files of the package
if os.geteuid() == 0:
    os.setuid(65534)  # an ordinary user: root may read everything
print(json.dumps([doctor.rapl(Path(folder)) for folder in sys.argv[1:]]))
"""


def test_counters_of_the_cpus_that_this_user_may_not_read_are_told_from_those_that_are_not_there():
    with tempfile.TemporaryDirectory(dir="/tmp") as top:  # which every user may walk
        Path(top).chmod(0o755)
        for name, mode in (("open", 0o444), ("closed", 0o400)):
            for package in ("intel-rapl:0", "intel-rapl:1"):
                (Path(top) / name / package).mkdir(parents=True)
                file = Path(top) / name / package / "energy_uj"
                file.write_text("123456\n", encoding="ascii")
                file.chmod(0o000 if os.geteuid() and mode == 0o400 else mode)
        (Path(top) / "none").mkdir()

        found = python(RAPL, *(f"{top}/{name}" for name in ("open", "closed", "none")))

    assert [one["state"] for one in found] == ["readable", "unreadable", "absent"]
    assert [len(one["denied"]) for one in found] == [0, 2, 0]
