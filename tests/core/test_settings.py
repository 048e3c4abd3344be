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


LABEL_SECTIONS = {"adapter", "settings", "model", "libraries"}


def test_all_sections_are_those_of_the_label_table_and_the_front_matter(tmp_path):
    table = yaml.safe_load((ROOT / "templates" / "labels.yaml").read_text(encoding="utf-8"))

    everything = resolve({"sections": "all"}, {}, tmp_path).sections

    # Nothing is written into these: they only give short labels below them a meaning.
    written = [name for name in table["sections"] if name not in LABEL_SECTIONS]
    assert everything == ("front_matter", *written)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("ch", "CHE"),
        ("deu", "DEU"),
        ("Germany", "DEU"),
        ("GER", "DEU"),
        ("UK", "GBR"),
        ("the Netherlands", "NLD"),
        ("U.S.", "USA"),
        ("united states", "USA"),
        ("South Korea", "KOR"),
        ("Republic of Korea", "KOR"),
        ("Cote d'Ivoire", "CIV"),
        ("Turkey", "TUR"),
    ],
)
def test_a_country_is_understood_by_codes_and_names(tmp_path, given, code):
    assert resolve({"country_iso_code": given}, {}, tmp_path).country_iso_code == code


@pytest.mark.parametrize(
    ("country", "given", "name"),
    [
        ("USA", "CA", "California"),
        ("USA", "us-ca", "California"),
        ("USA", "california", "california"),
        ("USA", "State of New York", "New York"),
        ("USA", "Washington DC", "District of Columbia"),
        ("CAN", "ON", "Ontario"),
        ("CAN", "Québec", "Québec"),
        ("DEU", "BY", "Bavaria"),
        ("DEU", "Bayern", "Bayern"),
        ("FRA", "ile de france", "ile de france"),
        ("SWE", "se-3", "se-3"),
        ("CHN", "CN-GD", "Guangdong"),
        ("ESP", "Comunidad de Madrid", "Comunidad de Madrid"),
        ("JPN", "Tokyo", "Tokyo"),
    ],
)
def test_a_region_is_understood_by_codes_and_names(tmp_path, country, given, name):
    settings = resolve({"country_iso_code": country, "region": given}, {}, tmp_path)

    assert settings.region == name


def test_a_region_s_code_says_the_country(tmp_path):
    settings = resolve({"region": "US-CA"}, {}, tmp_path)

    assert (settings.country_iso_code, settings.region) == ("USA", "California")
    assert settings.sources["country_iso_code"] == "argument"


@pytest.mark.parametrize(
    ("arguments", "environ", "place"),
    [
        (
            {"country_iso_code": "FRA"},
            {"AUTOCARD_COUNTRY_ISO_CODE": "USA", "AUTOCARD_REGION": "CA"},
            ("FRA", None),
        ),
        ({"country_iso_code": "FRA"}, {"AUTOCARD_REGION": "US-CA"}, ("FRA", None)),
        ({"region": "US-CA"}, {"AUTOCARD_COUNTRY_ISO_CODE": "FRA"}, ("USA", "California")),
        ({"region": "CA"}, {"AUTOCARD_COUNTRY_ISO_CODE": "USA"}, ("USA", "California")),
        ({"country_iso_code": "USA"}, {"AUTOCARD_REGION": "CA"}, ("USA", "California")),
    ],
)
def test_country_and_region_are_one_place_and_the_stronger_source_decides(
    tmp_path, arguments, environ, place
):
    settings = resolve(arguments, environ, tmp_path)

    assert (settings.country_iso_code, settings.region) == place


@pytest.mark.parametrize(
    ("country", "given", "words"),
    [
        (
            "USA",
            "Californa",
            r"no such region of the United States. Did you mean California \(US-CA",
        ),
        ("DEU", "California", "California is a region of the United States, not of Germany"),
        ("DEU", "US-CA", "California is a region of the United States, not of Germany"),
        ("FRA", "us-east-1", "Use its name or its ISO 3166-2 code"),
        ("SWE", "SE5", "no such region of Sweden"),
    ],
)
def test_a_region_that_the_country_does_not_have_is_refused(tmp_path, country, given, words):
    with pytest.raises(SettingsError, match=words):
        resolve({"country_iso_code": country, "region": given}, {}, tmp_path)


@pytest.mark.parametrize(
    ("given", "truth"), [(1, True), ("no", False), ("TRUE", True), (0, False), ("off", False)]
)
@pytest.mark.parametrize("name", ["plots", "emissions", "last_word", "geolocate", "quiet"])
def test_all_truth_values_are_read_by_one_rule(tmp_path, name, given, truth):
    by_argument = resolve({name: given}, {}, tmp_path)
    by_variable = resolve({}, {f"AUTOCARD_{name.upper()}": str(given)}, tmp_path)

    assert getattr(by_argument, name) is truth
    assert getattr(by_variable, name) is truth


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"country_iso_code": "XXZ"}, "argument country_iso_code='XXZ': there is no such country"),
        ({"country_iso_code": "Germny"}, r"Did you mean Germany \(DEU\)"),
        ({"country_iso_code": "Quebec"}, 'Give country_iso_code="CAN" and region="CA-QC"'),
        ({"country_iso_code": "USA", "pue": 0.9}, r"argument pue=0\.9: .* must be at least 1 and"),
        ({"pue": float("nan")}, "a number is needed"),
        ({"pue": True}, "a number is needed"),
        ({"pue": "1,2"}, r"the decimal sign is a point. Did you mean 1\.2\?"),
        ({"pue": 120}, "at most 10"),
        ({"carbon_intensity_g_per_kwh": -1}, "at least 0 g/kWh"),
        ({"carbon_intensity_g_per_kwh": "56 g/kWh"}, "give the number alone; it is in g/kWh"),
        ({"measure_power_secs": 0}, "at least 0.1 s"),
        ({"cpu_power_w": "many"}, "argument cpu_power_w='many': a number is needed, in W"),
        ({"base_model": "/models/llama"}, "never a path"),
        ({"base_model": "https://huggingface.co/org/base"}, "Did you mean org/base?"),
        ({"base_model": ""}, "base_model"),
        ({"datasets": ["org/set", "../mine"]}, "datasets"),
        ({"datasets": {"org/set": 1}}, "as a list or with commas"),
        ({"facts": {"not a name": "x"}}, "cannot be the name of a fact"),
        ({"facts": {"language": {"en": 1}}}, "language: a text or a list of texts is needed"),
        ({"empty": "hide"}, '"comment" or "placeholder"'),
        ({"detail": "breif"}, r"argument detail='breif': .*Did you mean brief\?"),
        ({"detail": 3}, "a text is needed, not a number"),
        ({"sections": ["enviroment"]}, "no section 'enviroment'. Did you mean environment"),
        ({"sections": "environment, quux"}, "no section 'quux'. There are: all, front_matter"),
        ({"sections": 7}, "names of sections are needed, as a list or with commas"),
        ({"region": "California"}, 'needs its country. Did you mean region="US-CA", California in'),
        ({"region": "Nowhere"}, "Give country_iso_code too"),
        ({"geolocate": "perhaps"}, "true or false is needed"),
        ({"plots": 2}, "true or false is needed"),
        ({"node_meter_unit": "parsec"}, "J, mJ, uJ, kJ, Wh or kWh"),
        (
            {"remote_hosts": "https://git.example.org"},
            "cannot be the name of a host. Give one such as git.example",
        ),
        ({"remote_hosts": ["git.example.org/group"]}, "cannot be the name of a host"),
        ({"remote_hosts": 7}, "names of hosts are needed"),
        ({"contry": "FRA"}, r"argument contry='FRA': there is no setting contry."),
        ({"country": "FRA"}, r"Did you mean country_iso_code\?"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(tmp_path, arguments, words):
    with pytest.raises(SettingsError, match=words):
        resolve(arguments, {}, tmp_path)


def test_a_misspelt_setting_in_a_file_names_the_file_and_its_line(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.autocard]\ncountry = 'FRA'\n")

    with pytest.raises(
        SettingsError, match=r'pyproject\.toml:2: country = "FRA": there is no setting country'
    ):
        resolve({}, {}, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.autocard\npue = 1.2\n", r"pyproject\.toml:1: this is not TOML"),
        ("[tool.autocard]\npue = 1,2\n", r"pyproject\.toml:2: this is not TOML"),
        ("[autocard]\npue = 1.2\n", r"pyproject\.toml:1: .*Did you mean \[tool\.autocard\]"),
        ("[tool.auto-card]\npue = 1.2\n", r"Did you mean \[tool\.autocard\]"),
        ("[tool]\nautocard = 3\n", r"pyproject\.toml:2: autocard must be a table"),
        ("[tool.autocard]\n\npue = [1.2]\n", r"pyproject\.toml:3: pue = \[1\.2\]: a number"),
        ("[tool.autocard]\nregion = true\n", r"toml:2: region = true: a text is needed"),
        ("[tool.autocard.carbon]\npue = 1\n", r"there is no setting carbon"),
    ],
)
def test_a_mistake_in_a_project_file_is_an_error_with_its_line(tmp_path, text, words):
    (tmp_path / "pyproject.toml").write_text(text)

    with pytest.raises(SettingsError, match=words):
        resolve({}, {}, tmp_path)


def test_an_unknown_variable_names_the_nearest_one_first(tmp_path):
    with pytest.raises(SettingsError) as caught:
        resolve({}, {"AUTOCARD_COUNTRY": "DEU"}, tmp_path)

    assert str(caught.value) == (
        "AUTOCARD_COUNTRY=DEU: there is no such variable. "
        "Did you mean AUTOCARD_COUNTRY_ISO_CODE? Or unset it."
    )


def test_a_site_file_that_was_named_and_is_not_there_is_said_and_no_error(tmp_path):
    named = str(tmp_path / "gone.toml")

    (said,) = resolve({}, {"AUTOCARD_SITE": named}, tmp_path).unread

    assert f"AUTOCARD_SITE={named}: there is no such file" in said


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


@pytest.mark.parametrize(("country", "expected"), [("USA", None), ("FRA", 30), (None, 30)])
def test_the_intensity_of_a_site_holds_only_for_its_country(tmp_path, country, expected):
    site = tmp_path / "site.toml"
    site.write_text('country_iso_code = "FRA"\ncarbon_intensity_g_per_kwh = 30\n')
    given = {} if country is None else {"country_iso_code": country}

    settings = resolve(given, environ={"AUTOCARD_SITE": str(site), "HOME": str(tmp_path)})

    assert settings.carbon_intensity_g_per_kwh == expected
