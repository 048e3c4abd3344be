"""Sums of legs and hosts, against figures worked out by hand."""

from __future__ import annotations

import pytest

from autocard.card.fields import coverage
from autocard.record import DeviceUse, HostUse, Leg, Place, RunRecord, Search, unexplained
from autocard.record.gaps import Part, gaps_at, under
from autocard.settings import Settings
from autocard.totals import emission_sums, energy_sums, totals

KWH = 3.6e6

REMARKS = "details in autocard.json"


def host(name="h1", *, gpus_j=(), cpu_j=0.1 * KWH, ram_j=0.05 * KWH, sources=None):
    devices = [
        DeviceUse(device=f"{name}.g{number}", energy_j=joules)
        for number, joules in enumerate(gpus_j)
    ]
    sources = (
        {"gpu": "no GPU was used", "cpu": "modelled", "ram": "modelled"}
        if sources is None
        else sources
    )
    return HostUse(host=name, devices=devices, cpu_j=cpu_j, ram_j=ram_j, sources=sources)


def leg(*hosts, seconds=3600.0, **leaves):
    plain = {"intensity_g_per_kwh": 100.0, "intensity_source": "table", "intensity_year": 2023}
    where = Place(country_iso_code="FRA", source="argument")
    return Leg(
        id="a" * 12, hosts=list(hosts), wall_clock_s=seconds, **{"place": where, **plain, **leaves}
    )


def sums(*legs, missing=None, settings=None, **options):
    """Return time, energy, emissions, and path of the record → reason."""
    missing = {} if missing is None else missing
    found = totals.sums(as_parts(legs, missing), settings=settings or Settings(), **options)
    parts = {"time": found.time, "energy": found.energy, "emissions": found.emissions}
    for name, part in parts.items():
        missing |= under(name, part.gaps)
    return *(part.value for part in parts.values()), missing


def as_parts(legs, missing):
    return [Part(leg, gaps_at(missing, f"legs.{number}")) for number, leg in enumerate(legs)]


def test_legs_and_hosts_are_added_up():
    legs = [
        leg(host("h1", gpus_j=[1 * KWH, 2 * KWH]), host("h2", gpus_j=[3 * KWH, 4 * KWH])),
        leg(host("h1", gpus_j=[0.5 * KWH]), seconds=1800.0),
    ]

    time, energy, emissions, missing = sums(*legs, gpus_allocated=8)

    assert time.wall_clock_s == 5400
    assert time.gpu_s == 4 * 3600 + 1800
    # one leg had seven GPUs less; what it was given, nobody recorded
    assert time.allocated_gpu_s is None
    assert "different numbers of GPUs" in missing["time.allocated_gpu_s"]
    assert energy.gpu_kwh == pytest.approx(10.5)
    assert energy.cpu_kwh == pytest.approx(0.3)
    assert energy.ram_kwh == pytest.approx(0.15)
    assert energy.total_kwh == pytest.approx(10.95)
    assert emissions.co2eq_g == pytest.approx(1095)
    assert emissions.intensity_g_per_kwh == 100
    assert (emissions.country_iso_code, emissions.country_name) == ("FRA", "France")


def test_legs_with_the_same_gpus_were_given_the_same():
    time, *_ = sums(
        leg(host(gpus_j=[1.0])), leg(host(gpus_j=[2.0]), seconds=1800.0), gpus_allocated=8
    )

    assert time.allocated_gpu_s == 8 * 5400


@pytest.mark.parametrize(
    ("unseen", "end"),
    [
        ((False, False), "to its end,"),
        ((True, False), "to its end (of each start that was killed: to its last reading),"),
        ((False, True), "to the last reading before it was killed,"),
    ],
    ids=["ended", "went on after a kill", "killed"],
)
def test_what_is_included_goes_as_far_as_the_last_start_was_seen(unseen, end):
    legs = [leg(host(), steps_unseen=is_unseen) for is_unseen in unseen]

    _, energy, _, _ = sums(*legs)

    assert f"from the start of training {end}" in energy.boundary


def test_pue_counts_only_where_it_was_given():
    _, without, grams_without, missing = sums(leg(host()))
    _, given, grams_given, _ = sums(leg(host(), pue=1.5))

    assert without.facility_kwh is None
    assert missing["energy.facility_kwh"] == "no PUE was given"
    assert grams_without.co2eq_g == pytest.approx(15)
    assert given.total_kwh == pytest.approx(0.15)
    assert given.facility_kwh == pytest.approx(0.225)
    assert grams_given.co2eq_g == pytest.approx(22.5)
    assert grams_given.pue == 1.5


def test_a_run_without_gpus_has_used_no_gpu_energy():
    time, energy, _, missing = sums(leg(host()))

    assert (energy.gpu_kwh, time.gpu_s) == (0, 0)
    assert energy.sources["gpu"] == "no GPU was used"
    assert "energy.gpu_kwh" not in missing


@pytest.mark.parametrize(
    ("broken", "path", "gone"),
    [
        ({"cpu_j": None}, "legs.1.hosts.0.cpu_j", "cpu_kwh"),
        ({"ram_j": None}, "legs.1.hosts.0.ram_j", "ram_kwh"),
        ({"gpus_j": [1.0, None]}, "legs.1.hosts.0.devices.1.energy_j", "gpu_kwh"),
        ({}, "legs.1.hosts.0.devices", "gpu_kwh"),
    ],
)
def test_a_part_that_was_not_measured_leaves_no_total_but_its_reason(broken, path, gone):
    _, energy, emissions, missing = sums(
        leg(host()), leg(host(**broken)), missing={path: "the dog ate it"}
    )

    assert getattr(energy, gone) is None
    assert missing[f"energy.{gone}"] == "the dog ate it"
    assert energy.total_kwh is None
    assert missing["energy.total_kwh"] == "the dog ate it"
    assert emissions.co2eq_g is None
    assert missing["emissions.co2eq_g"] == "the dog ate it"
    others = {"cpu_kwh", "ram_kwh", "gpu_kwh"} - {gone}
    assert all(getattr(energy, other) is not None for other in others)


def test_each_leg_has_the_intensity_of_its_place():
    legs = [
        leg(host(cpu_j=1 * KWH, ram_j=0.0)),
        leg(
            host(cpu_j=3 * KWH, ram_j=0.0),
            intensity_g_per_kwh=500.0,
            intensity_source="another table",
            place=Place(country_iso_code="DEU", source="argument"),
        ),
    ]

    _, _, emissions, missing = sums(*legs)
    with_grams = totals.with_emissions(as_parts(legs, {}))

    assert [one.value.co2eq_g for one in with_grams] == pytest.approx([100, 1500])
    assert emissions.co2eq_g == pytest.approx(1600)
    assert emissions.intensity_g_per_kwh == pytest.approx(400)
    assert (emissions.country_iso_code, emissions.country_name, emissions.intensity_source) == (
        None,
        None,
        None,
    )
    assert emissions.intensity_year == 2023
    assert missing["emissions.country_iso_code"] == emission_sums.DIFFERS


def test_without_a_place_there_is_energy_and_no_co2():
    nowhere = leg(
        host(), intensity_g_per_kwh=None, intensity_source=None, intensity_year=None, place=Place()
    )
    reason = 'the place is not known; give country_iso_code="…"'
    missing = {
        f"legs.0.{leaf}": reason
        for leaf in ("intensity_g_per_kwh", "intensity_source", "intensity_year", "place")
    }

    (with_grams,) = totals.with_emissions(as_parts([nowhere], missing))
    missing |= under("legs.0", with_grams.gaps)
    _, energy, emissions, missing = sums(nowhere, missing=missing)

    assert energy.total_kwh == pytest.approx(0.15)
    assert emissions.co2eq_g is None
    assert with_grams.value.co2eq_g is None
    for path in (
        "legs.0.co2eq_g",
        "emissions.co2eq_g",
        "emissions.intensity_g_per_kwh",
        "emissions.country_name",
    ):
        assert missing[path] == reason


def test_water_and_market_based_figures_are_a_persons():
    settings = Settings(wue_l_per_kwh=2.0, market_based_co2eq_g=0.0)

    _, _, emissions, _ = sums(leg(host(), pue=2.0), settings=settings)
    _, _, without, missing = sums(leg(host()))

    assert emissions.water_l == pytest.approx(0.15 * 2)  # per kWh of the devices, whatever the PUE
    assert emissions.market_based_co2eq_g == 0
    assert (without.water_l, without.market_based_co2eq_g) == (None, None)
    assert {"emissions.water_l", "emissions.market_based_co2eq_g"} <= set(missing)


def test_sources_say_each_thing_once():
    same = {"cpu": "modelled: load × 8 W (a guess); the first 2.0 s at the mean power after"}
    other = {"cpu": "modelled: load × 8 W (a guess); the first 2.1 s at the mean power after"}
    rapl = {"cpu": "measured: RAPL"}

    one = sums(leg(host(sources=same)))[1].sources["cpu"]
    several = sums(leg(host(sources=same)), leg(host(sources=other)), leg(host(sources=rapl)))[
        1
    ].sources["cpu"]

    assert one == same["cpu"]
    assert several.split(" · ") == [
        f"modelled: load × 8 W (a guess); {REMARKS}",
        "measured: RAPL",
    ]


@pytest.mark.parametrize("legs", [[], [leg(host())], [leg()]])
def test_every_sum_that_is_not_there_has_a_reason(legs):
    time, energy, emissions, missing = sums(*legs)

    record = RunRecord(energy=energy, emissions=emissions, missing=missing)

    gaps = [path for path in unexplained(record) if path.startswith(("energy.", "emissions."))]
    assert gaps == []
    for leaf in ("wall_clock_s", "gpu_s", "allocated_gpu_s"):
        assert (getattr(time, leaf) is None) == (f"time.{leaf}" in missing)


def test_what_was_repeated_is_added_up_and_stays_a_part_of_the_total():
    legs = [
        leg(
            host(),
            repeated_steps=4,
            repeated_s=60.0,
            repeated_j=0.03 * KWH,
            setup_j=0.01 * KWH,
            evaluation_j=0.0,
        ),
        leg(
            host(),
            repeated_steps=0,
            repeated_s=0.0,
            repeated_j=0.0,
            setup_j=0.02 * KWH,
            evaluation_j=0.05 * KWH,
        ),
    ]

    time, energy, _, _ = sums(*legs)
    unknown, _, _, missing = sums(
        legs[0], leg(host()), missing={"legs.1.repeated_steps": "nobody counted"}
    )

    assert (time.repeated_steps, time.repeated_s) == (4, 60.0)
    assert energy.repeated_kwh == pytest.approx(0.03)
    assert (energy.setup_kwh, energy.evaluation_kwh) == (pytest.approx(0.03), pytest.approx(0.05))
    assert energy.total_kwh == pytest.approx(0.3)
    assert unknown.repeated_steps is None
    assert missing["time.repeated_steps"] == "nobody counted"


def test_the_trials_of_a_search_whose_energy_is_known_are_the_least_that_it_took():
    known = Part(leg(host(gpus_j=[2 * KWH])))
    unmeasured = Part(leg(), {"hosts": "not measured: the driver is gone"})

    total_kwh, reported_kwh, why = energy_sums.of_trials([known, None, unmeasured])
    search = Search(trials=3, total_kwh=total_kwh, reported_kwh=reported_kwh, wall_clock_s=60.0)
    (sentence,) = coverage.search(RunRecord(search=search))

    assert total_kwh is None
    assert reported_kwh == pytest.approx(2.15)
    assert why == "what a trial used was not recorded"
    assert "3 trials, 1 min 00 s, at least 2.2 kWh, not included in the total." in sentence
