"""A place that is given after training: the arithmetic is this file's own, from CodeCarbon's tables."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import TESTS, training

RECORDS = TESTS / "contract" / "records"
LATER = "given later by the author"
G_PER_LB = 453.59237


def table(*names):
    data = Path(importlib.util.find_spec("codecarbon").origin).parent / "data" / "private_infra"
    return json.loads(data.joinpath(*names).read_text(encoding="utf-8"))


def country_g(code):
    return table("global_energy_mix.json")[code]["carbon_intensity"]


def state_g(name):
    """Grams per kWh; the table has pounds per MWh."""
    return table("2023", "usa_emissions.json")[name]["emissions"] * G_PER_LB / 1000


def autocard(*words, cwd, **variables):
    done = subprocess.run(
        [sys.executable, "-m", "autocard", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env={**os.environ, **variables},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def run(tmp_path):
    """A folder with a copied record; `run("no-place")` returns it."""

    def copy(name):
        shutil.copytree(RECORDS / name, tmp_path / name)
        return tmp_path / name

    return copy


def known(folder):
    return json.loads((folder / "autocard.json").read_text(encoding="utf-8"))


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("options", "place", "g_per_kwh", "pue"),
    [
        (["--country", "FRA"], ("FRA", None), lambda: country_g("FRA"), 1),
        (["--country", "Germany", "--pue", "1.5"], ("DEU", None), lambda: country_g("DEU"), 1.5),
        (
            ["--country", "USA", "--region", "CA"],
            ("USA", "California"),
            lambda: state_g("california"),
            1,
        ),
        (["--region", "US-TX"], ("USA", "Texas"), lambda: state_g("texas"), 1),
        (
            ["--country", "SWE", "--region", "se3"],
            ("SWE", "SE3"),
            lambda: table("nordic_emissions.json")["data"]["SE3"]["emission_factor"],
            1,
        ),
        (
            ["--country", "DEU", "--region", "BY"],
            ("DEU", "Bavaria"),
            lambda: country_g("DEU"),
            1,
        ),
        (["--intensity", "42.5"], (None, None), lambda: 42.5, 1),
        (["--country", "FRA", "--intensity", "42.5"], ("FRA", None), lambda: 42.5, 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_fill_computes_the_co2_of_a_place_that_is_given_later(run, options, place, g_per_kwh, pue):
    folder = run("no-place")
    kwh = known(folder)["energy"]["total_kwh"]

    status, _, err = autocard("fill", folder, *options, cwd=folder)

    record = known(folder)
    leg, emissions = record["legs"][0], record["emissions"]
    expected_g = kwh * pue * g_per_kwh()
    assert status == 0
    assert emissions["co2eq_g"] == pytest.approx(expected_g, rel=1e-6)
    assert leg["co2eq_g"] == pytest.approx(expected_g, rel=1e-6)
    assert (leg["place"]["country_iso_code"], leg["place"]["region"]) == place
    assert LATER in (emissions["place_source"], emissions["intensity_source"])
    assert record["energy"]["total_kwh"] == kwh
    if pue > 1:
        assert record["energy"]["facility_kwh"] == pytest.approx(kwh * pue)
    assert LATER in err
    assert LATER in (folder / "README.md").read_text(encoding="utf-8")


def test_the_next_fill_keeps_what_was_given_later(run):
    folder = run("no-place")
    autocard("fill", folder, "--country", "FRA", "--pue", "1.2", cwd=folder)
    before, card = known(folder), (folder / "README.md").read_bytes()

    status, _, err = autocard("fill", folder, cwd=folder)

    assert status == 0
    assert "nothing to do" in err
    assert known(folder) == before
    assert (folder / "README.md").read_bytes() == card


def test_one_thing_given_after_another_adds_to_it(run):
    folder = run("no-place")
    kwh = known(folder)["energy"]["total_kwh"]

    autocard("fill", folder, "--country", "FRA", cwd=folder)
    autocard("fill", folder, "--pue", "1.3", cwd=folder)

    assert known(folder)["emissions"]["co2eq_g"] == pytest.approx(
        kwh * 1.3 * country_g("FRA"), rel=1e-6
    )


def test_each_leg_is_multiplied_by_its_own_intensity_where_one_had_a_place(run):
    folder = run("two-hosts")
    record = known(folder)
    second = json.loads(json.dumps(record["legs"][0]))
    second |= {"id": "0" * 12, "intensity_g_per_kwh": None, "intensity_source": None}
    second |= {"intensity_year": None, "co2eq_g": None}
    second["place"] = dict.fromkeys(second["place"])
    record["legs"].append(second)
    gone = ["place", "intensity_g_per_kwh", "intensity_source", "intensity_year", "co2eq_g"]
    record["missing"] |= {f"legs.1.{name}": "no place is known" for name in gone}
    (folder / "autocard.json").write_text(json.dumps(record), encoding="utf-8")
    joules = [host[part] for host in second["hosts"] for part in ("cpu_j", "ram_j")]
    joules += [device["energy_j"] for host in second["hosts"] for device in host["devices"]]
    kwh = sum(joules) / 3.6e6

    autocard("fill", folder, "--country", "DEU", cwd=folder)

    legs = known(folder)["legs"]
    assert [leg["place"]["country_iso_code"] for leg in legs] == ["FRA", "DEU"]
    assert legs[0]["recorded_place"] == []
    assert known(folder)["emissions"]["co2eq_g"] == pytest.approx(
        kwh * (country_g("FRA") + country_g("DEU")), rel=1e-6
    )


def test_a_place_that_contradicts_the_recorded_one_keeps_that_in_the_record(run):
    folder = run("measured")
    kwh = known(folder)["energy"]["total_kwh"]

    status, _, err = autocard("fill", folder, "--country", "DEU", cwd=folder)

    (leg,) = known(folder)["legs"]
    assert status == 0
    assert leg["co2eq_g"] == pytest.approx(kwh * country_g("DEU"), rel=1e-6)
    (recorded,) = leg["recorded_place"]
    assert recorded["place"]["country_iso_code"] == "FRA"
    assert recorded["place"]["source"] == "argument"
    assert recorded["intensity_g_per_kwh"] == pytest.approx(country_g("FRA"))
    assert "the run recorded France" in err
    assert "the run recorded France" in (folder / "README.md").read_text(encoding="utf-8")


def test_the_record_keeps_each_part_of_the_place_that_another_one_replaces(run):
    folder = run("measured")
    record = known(folder)
    (leg,) = record["legs"]
    place = {
        "country_iso_code": "USA",
        "region": "oregon",
        "cloud_provider": "aws",
        "cloud_region": "us-west-2",
        "source": "cloud metadata",
    }
    factor = {
        "intensity_g_per_kwh": 123.5,
        "intensity_source": "a table of 2022",
        "intensity_year": 2022,
        "pue": 1.1,
    }
    leg |= {"place": place, **factor}
    gaps = record["missing"].items()
    record["missing"] = {
        gap: why for gap, why in gaps if not gap.startswith(("legs.0.place", "legs.0.pue"))
    }
    (folder / "autocard.json").write_text(json.dumps(record), encoding="utf-8")

    options = ["--country", "DEU", "--intensity", "300", "--pue", "1.4"]
    status, _, err = autocard("fill", folder, *options, cwd=folder)

    assert status == 0, err
    (after,) = known(folder)["legs"]
    assert after["recorded_place"] == [{"place": place, **factor}]
    assert (after["intensity_g_per_kwh"], after["pue"]) == (300, 1.4)


@pytest.mark.parametrize("command", ["show", "render --record", "fill --check", "fill --diff"])
def test_commands_that_only_read_change_no_file(run, command):
    folder = run("no-place")
    autocard("fill", folder, cwd=folder)
    before = content(folder)

    name, *options = command.split()
    _, out, err = autocard(name, *options, folder, "--country", "FRA", cwd=folder)

    assert LATER in err
    assert "g CO2eq" in out or name == "fill"
    assert content(folder) == before


def test_a_record_given_by_an_option_is_not_changed(run, tmp_path):
    folder = run("no-place")
    before = content(folder)
    (tmp_path / "cards").mkdir()

    autocard("fill", tmp_path / "cards", "--record", folder, "--country", "FRA", cwd=tmp_path)

    assert content(folder) == before
    assert known(tmp_path / "cards")["emissions"]["country_iso_code"] == "FRA"


def test_a_run_without_energy_keeps_the_place_and_says_what_is_missing(run):
    folder = run("broken-off")

    status, _, err = autocard("fill", folder, "--country", "FRA", cwd=folder)

    assert status == 0
    assert "no CO2 yet: not measured: training was broken off" in err
    assert known(folder)["emissions"]["co2eq_g"] is None
    assert known(folder)["emissions"]["country_iso_code"] == "FRA"


def test_both_reasons_are_given_where_energy_and_place_are_missing(run):
    folder = run("broken-off")
    record = known(folder)
    record["missing"]["legs.0.intensity_g_per_kwh"] = "no place is known"
    (folder / "autocard.json").write_text(json.dumps(record), encoding="utf-8")

    _, _, err = autocard("show", folder, "--pue", "1.2", cwd=folder)

    assert "training was broken off, so its last readings are missing; and no place is known" in err


def test_a_place_of_this_machine_is_named_and_not_used(run):
    folder = run("no-place")
    before = known(folder)

    status, _, err = autocard("fill", folder, cwd=folder, AUTOCARD_COUNTRY_ISO_CODE="FRA")

    assert status == 0
    assert "AUTOCARD_COUNTRY_ISO_CODE=FRA: not used" in err
    assert f"autocard fill {folder / 'README.md'} --country FRA" in err
    assert known(folder)["legs"][0]["place"] == before["legs"][0]["place"]
    assert known(folder)["emissions"]["co2eq_g"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ["--country", "Germny"],
            "--country Germny: there is no such country. Did you mean Germany",
        ),
        (["--country", "USA", "--region", "Californa"], "Did you mean California (US-CA)?"),
        (["--region", "California"], "--region California: a region needs its country"),
        (["--pue", "0.9"], "--pue 0.9: the number must be at least 1"),
        (["--intensity", "56,5"], "Did you mean 56.5?"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage_and_writes_nothing(run, options, words):
    folder = run("no-place")
    before = content(folder)

    status, _, err = autocard("fill", folder, *options, cwd=folder)

    assert status == 2
    assert words in err
    assert content(folder) == before


def test_a_resumed_training_keeps_the_place_and_goes_on_at_the_same_machine(tmp_path):
    from autocard import AutoCardCallback

    def train(steps, **resume):
        ours = AutoCardCallback(cpu_power_w=65, ram_power_w=20, measure_power_secs=0.2)
        waiting = [ours, training.until_ready(ours)]
        one = training.trainer(
            tmp_path, callbacks=waiting, max_steps=steps, save_strategy="steps", save_steps=2
        )
        one.train(**resume)

    train(2)
    autocard("fill", tmp_path, "--country", "FRA", cwd=tmp_path)
    train(4, resume_from_checkpoint=str(tmp_path / "checkpoint-2"))

    record = known(tmp_path)
    assert [leg["place"]["source"] for leg in record["legs"]] == [LATER, LATER]
    kwh = record["energy"]["total_kwh"]
    assert record["emissions"]["co2eq_g"] == pytest.approx(kwh * country_g("FRA"), rel=1e-6)
    assert [len(leg["recorded_place"]) for leg in record["legs"]] == [1, 1]
