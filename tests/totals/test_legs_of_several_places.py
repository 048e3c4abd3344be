"""A run whose legs ran in different countries, or with a PUE for some of them alone."""

from __future__ import annotations

from typing import Any

from autocard.card.fields import facts, front_matter
from autocard.record import Place, RunRecord
from support import records


def _record(*legs: dict[str, Any]) -> RunRecord:
    """Return a record of as many legs, each with these changes; the sums are those of different places."""
    record = records.three_legs_on_gpus()
    sums = {
        "country_iso_code": None,
        "country_name": None,
        "region": None,
        "pue": None,
        "cloud_region": None,
    }
    changed = [leg.model_copy(update=change) for leg, change in zip(record.legs, legs, strict=True)]
    emissions = record.emissions.model_copy(update=sums)
    energy = record.energy.model_copy(update={"facility_kwh": 31.35})
    return record.model_copy(update={"legs": changed, "emissions": emissions, "energy": energy})


def _in(code: str | None, **more: Any) -> dict[str, Any]:
    return {"place": Place(country_iso_code=code), **more}


def test_the_countries_of_all_legs_are_named_in_their_order():
    record = _record(_in("FRA"), _in("POL"), _in("FRA"))

    assert facts(record)["cloud_region"].line.startswith("France, then Poland")
    assert (
        front_matter(record)["co2_eq_emissions"]["geographical_location"] == "France, then Poland"
    )


def test_no_country_is_named_where_that_of_one_leg_is_not_known():
    record = _record(_in("FRA"), _in(None), _in("POL"))

    assert "France" not in str(facts(record).get("cloud_region"))
    assert "geographical_location" not in front_matter(record)["co2_eq_emissions"]


def test_a_pue_that_some_legs_lack_is_not_said_to_be_given_for_each():
    some = facts(_record(_in("FRA", pue=None), _in("FRA", pue=1.2), _in("FRA", pue=1.1)))[
        "energy"
    ].body()
    every = facts(_record(_in("FRA", pue=1.3), _in("FRA", pue=1.2), _in("FRA", pue=1.1)))[
        "energy"
    ].body()

    assert "given for each start" not in some
    assert "PUE included, except for 1 of 3 starts without one" in some
    assert "× the PUE given for each start" in every
    assert "PUE of each start included" in every
