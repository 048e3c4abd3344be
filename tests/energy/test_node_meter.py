"""The node's own meter: files that another process keeps counting in, as the firmware of a node does."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from autocard import settings
from autocard.card.fields import accounts
from autocard.energy.meter import Meter
from autocard.record import RunRecord
from autocard.record.gaps import Part, gaps_at, under
from autocard.totals import totals

COUNTING = """
import os, sys, time
folder, watts = sys.argv[1], float(sys.argv[2])
def write(name, text):
    with open(f"{folder}/{name}.new", "w") as file:
        file.write(text)
    os.replace(f"{folder}/{name}.new", f"{folder}/{name}")
begun = time.monotonic()
while True:
    joules = 44296389 + watts * (time.monotonic() - begun)
    write("energy", f"{joules:.0f} J {time.time() * 1e6:.0f} us\\n")  # as /sys/cray/pm_counters has it
    write("energy1_input", f"{joules * 1e6:.0f}\\n")                   # as hwmon has it
    time.sleep(0.02)
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """A folder with meters of a node that takes 500 W."""
    folder = tmp_path_factory.mktemp("node")
    process = subprocess.Popen([sys.executable, "-c", COUNTING, str(folder), "500"])
    while not (folder / "energy1_input").exists():
        time.sleep(0.01)
    yield folder
    process.kill()
    process.wait()


def site(tmp_path, **lines):
    """Return the settings that an administrator's file gives."""
    file = tmp_path / "site.toml"
    file.write_text(
        "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items()),
        encoding="utf-8",
    )
    return settings.resolve(
        {"cpu_power_w": 100, "ram_power_w": 40}, {"AUTOCARD_SITE": str(file)}, tmp_path
    )


def legs_of(*meters, seconds, halfway):
    """Measure with several meters at the same time; return leg and reasons of each."""
    for meter in meters:
        meter.start()
    for meter in meters:
        meter.wait_until_ready(30)
    for meter in meters:
        meter.begin(0)
    time.sleep(seconds / 2)
    halfway()
    time.sleep(seconds / 2)
    found = []
    for meter in meters:
        (entry,) = meter.end(1, 1)
        found.append((entry.leg, under("legs.0", entry.missing)))
    for meter in meters:
        meter.close()
    return found


def test_a_node_meter_that_the_site_names_is_read_beside_and_the_card_states_the_ratio(
    node, tmp_path
):
    back = tmp_path / "back"
    back.write_text("44296389 J\n", encoding="ascii")
    chosen = [
        site(tmp_path, node_meter=str(node)),
        site(tmp_path, node_meter=str(node / "energy1_input"), node_meter_unit="uJ"),
        site(tmp_path, node_meter=str(back)),
        site(tmp_path, node_meter=str(node / "not there")),
    ]
    assert {one.sources["node_meter"] for one in chosen} == {"site file"}

    cray, hwmon, lower, gone = legs_of(
        *map(Meter, chosen), seconds=3.0, halfway=lambda: back.write_text("7 J\n", encoding="ascii")
    )

    for leg, _ in (cray, hwmon):
        assert leg.hosts[0].node_meter_j == pytest.approx(500 * leg.wall_clock_s, rel=0.02)
        assert leg.hosts[0].sources["node_meter"] == "measured: the node's own meter"
    assert lower[0].hosts[0].node_meter_j is None
    assert "was reset" in lower[1]["legs.0.hosts.0.node_meter_j"]
    assert gone[0].hosts[0].node_meter_j is None
    assert "could not be read" in gone[1]["legs.0.hosts.0.node_meter_j"]
    assert str(tmp_path) not in json.dumps(gone[1])
    missing = dict(cray[1])
    sums = totals.sums([Part(cray[0], gaps_at(missing, "legs.0"))], settings=chosen[0])
    energy, emissions = sums.energy.value, sums.emissions.value
    missing |= {**under("energy", sums.energy.gaps), **under("emissions", sums.emissions.gaps)}
    card = accounts.energy(
        RunRecord(legs=[cray[0]], energy=energy, emissions=emissions, missing=missing)
    ).body()
    assert energy.node_meter_kwh * 3.6e6 == pytest.approx(500 * cray[0].wall_clock_s, rel=0.02)
    assert "the nodes' own meters read" in card
    ratio = energy.total_kwh / energy.node_meter_kwh
    assert 0.05 < ratio < 0.4  # 40 W of memory and up to 100 W of processors
    assert f"The total is {ratio:.2f} of that." in card
    assert "Fischer" not in card
