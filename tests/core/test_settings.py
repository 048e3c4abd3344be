"""Settings: who wins, where each came from, and what is refused before training starts."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from autocard.errors import SettingsError
from autocard.settings import disabled, resolve
from support import ROOT, TESTS


@pytest.fixture
def places(tmp_path):
    """The four places outside the arguments, each with another PUE."""
    project = tmp_path / "project" / "scripts"
    project.mkdir(parents=True)
    (project.parent / "pyproject.toml").write_text("[tool.autocard]\npue = 1.3\n")
    site = tmp_path / "site.toml"
    site.write_text("pue = 1.4\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".codecarbon.config").write_text(
        "[codecarbon]\npue = 1.5\ncountry_iso_code = DEU\nsave_to_api = true\n"
    )
    return project, {"AUTOCARD_PUE": "1.2", "AUTOCARD_SITE": str(site), "HOME": str(home)}


def test_the_nearest_place_wins_and_is_named(places):
    folder, environ = places
    seen = []

    seen.append(resolve({"pue": 1.1}, environ, folder))
    seen.append(resolve({}, environ, folder))
    del environ["AUTOCARD_PUE"]
    seen.append(resolve({}, environ, folder))
    (folder.parent / "pyproject.toml").unlink()
    seen.append(resolve({}, environ, folder))
    del environ["AUTOCARD_SITE"]
    seen.append(resolve({}, environ, folder))

    assert [settings.pue for settings in seen] == [1.1, 1.2, 1.3, 1.4, 1.5]
    assert [settings.sources["pue"] for settings in seen] == [
        "argument",
        "AUTOCARD_* variable",
        "pyproject.toml",
        "site file",
        "CodeCarbon's configuration",
    ]
    assert all(settings.country_iso_code == "DEU" for settings in seen)


def test_a_codecarbon_variable_beats_its_file(places):
    folder, environ = places

    settings = resolve(
        {}, {"HOME": environ["HOME"], "CODECARBON_COUNTRY_ISO_CODE": "FRA"}, folder / "none"
    )

    assert settings.country_iso_code == "FRA"


def test_nothing_given_is_nothing_claimed(tmp_path):
    settings = resolve({}, {}, tmp_path)

    assert settings.sources == {}
    assert settings.country_iso_code is None
    assert settings.geolocate is False
    assert settings.measure_power_secs == 15


@pytest.mark.parametrize(
    "given", ["Git.Example.org, code.example", ("git.example.org", "CODE.example")]
)
def test_remote_hosts_are_understood_from_a_text_and_from_a_list(tmp_path, given):
    (tmp_path / "pyproject.toml").write_text("[tool.autocard]\nremote_hosts = ['weaker.example']\n")

    by_argument = resolve({"remote_hosts": given}, {}, tmp_path)
    by_file = resolve({}, {}, tmp_path)

    assert by_argument.remote_hosts == ("git.example.org", "code.example")
    assert by_file.remote_hosts == ("weaker.example",)


@pytest.mark.parametrize("given", ["Environment, front_matter", ["front_matter", "environment"]])
def test_sections_are_read_from_a_text_and_from_a_list_in_one_order(tmp_path, given):
    by_argument = resolve({"sections": given}, {}, tmp_path)
    by_variable = resolve({}, {"AUTOCARD_SECTIONS": "environment,front_matter"}, tmp_path)

    assert by_argument.sections == by_variable.sections == ("front_matter", "environment")
    assert resolve({}, {}, tmp_path).sections is None
    assert resolve({"sections": []}, {}, tmp_path).sections == ()


def test_all_sections_are_those_of_the_label_table_and_the_front_matter(tmp_path):
    table = yaml.safe_load((ROOT / "templates" / "labels.yaml").read_text(encoding="utf-8"))

    everything = resolve({"sections": "all"}, {}, tmp_path).sections

    assert everything == ("front_matter", *table["sections"])


def test_two_letters_of_a_country_are_understood(tmp_path):
    assert resolve({"country_iso_code": "ch"}, {}, tmp_path).country_iso_code == "CHE"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"country_iso_code": "XXZ"},
            "country_iso_code .from argument.*'XXZ' is no ISO 3166-1 code",
        ),
        ({"country_iso_code": "Quebec"}, "is no ISO 3166-1 code"),
        ({"country_iso_code": "USA", "pue": 0.9}, "pue .*0.9 is not a number of at least 1"),
        ({"pue": float("nan")}, "pue"),
        ({"pue": True}, "pue"),
        ({"carbon_intensity_g_per_kwh": -1}, "at least 0 g/kWh"),
        ({"measure_power_secs": 0}, "at least 0.1 s"),
        ({"cpu_power_w": "many"}, "cpu_power_w"),
        ({"base_model": "/models/llama"}, "never a path"),
        ({"base_model": ""}, "base_model"),
        ({"datasets": ["org/set", "../mine"]}, "datasets"),
        ({"facts": {"not a name": "x"}}, "no template variable"),
        ({"empty": "hide"}, '"comment" or "placeholder"'),
        ({"detail": "breif"}, r"detail \(from argument\): 'breif': .*Did you mean brief\?"),
        ({"detail": 3}, '"standard", "full" or "brief"'),
        ({"sections": ["enviroment"]}, "no such section: enviroment. Did you mean environment"),
        ({"sections": "environment, quux"}, "no such section: quux. Known: all, front_matter"),
        ({"sections": 7}, "is not a list of sections: front_matter, details"),
        ({"region": "California"}, "without a country"),
        ({"geolocate": "perhaps"}, "neither true nor false"),
        (
            {"node_meter_unit": "parsec"},
            "no unit of energy that is known here: J, mJ, uJ, kJ, Wh, kWh",
        ),
        (
            {"remote_hosts": "https://git.example.org"},
            "remote_hosts .*no name of a host. Give one such as git.example",
        ),
        ({"remote_hosts": ["git.example.org/group"]}, "is no name of a host"),
        ({"remote_hosts": 7}, "is not a list of host names"),
        ({"contry": "FRA"}, "no such argument: contry"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path, arguments, words):
    with pytest.raises(SettingsError, match=words):
        resolve(arguments, {}, tmp_path)


def test_a_misspelt_setting_in_a_file_names_the_file(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.autocard]\ncountry = 'FRA'\n")

    with pytest.raises(
        SettingsError, match=r"pyproject\.toml: no such setting of autocard: country"
    ):
        resolve({}, {}, tmp_path)


def test_a_site_file_that_was_named_must_be_there(tmp_path):
    with pytest.raises(SettingsError, match="AUTOCARD_SITE"):
        resolve({}, {"AUTOCARD_SITE": str(tmp_path / "gone.toml")}, tmp_path)


def test_somebody_else_s_broken_pyproject_is_not_our_business(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.black\n")

    assert resolve({}, {}, tmp_path).sources == {}


@pytest.mark.parametrize(("value", "off"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_autocard_disabled_turns_everything_off(value, off):
    assert disabled({"AUTOCARD_DISABLED": value}) is off


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder that is used cannot be removed")
def test_where_the_current_folder_is_gone_there_are_no_file_settings_and_no_error():
    script = """
import os, sys, tempfile
from autocard.settings import resolve
folder = tempfile.mkdtemp()
os.chdir(folder)
with open("pyproject.toml", "w") as file:
    file.write("[tool.autocard]\\npue = 1.3\\n")
before = resolve({}, {"AUTOCARD_RAM_POWER_W": "3"})
os.unlink("pyproject.toml")
os.rmdir(folder)
after = resolve({}, {"AUTOCARD_RAM_POWER_W": "3"})
print(before.pue, after.pue, after.ram_power_w)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["1.3", "None", "3.0"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder that is used cannot be removed")
def test_a_process_whose_current_folder_is_gone_trains_and_gets_its_card(tmp_path):
    script = f"""
import os, sys, tempfile
sys.path.insert(0, {str(TESTS)!r})
from support import training
folder = tempfile.mkdtemp()
os.chdir(folder)
in_vain = training.arguments("relative")
os.rmdir(folder)
from autocard import AutoCardCallback
ours = dict(country_iso_code="FRA", ram_power_w=10)
training.trainer({str(tmp_path)!r}, callbacks=[AutoCardCallback(**ours)], max_steps=1).train()
relative = training.trainer({str(tmp_path / "other")!r}, callbacks=[AutoCardCallback(**ours)], max_steps=1)
relative.args.output_dir = "relative"
relative.train()
print("trained")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "trained"
    known = json.loads((tmp_path / "autocard.json").read_text())
    assert not [why for why in known["missing"].values() if "autocard failed" in why]
    assert known["legs"][0]["wall_clock_s"] > 0
