"""Trainings that 0.1.0 left unfinished are resumed by the present code: one run, each leg once, each sum right."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import resuming
import words

HERE = Path(__file__).parent
STATES = ["killed-twice", "two-hosts-killed"]
J_PER_KWH = 3.6e6


@pytest.fixture(
    scope="module",
    params=[(name, how) for name in STATES for how in ("here", "elsewhere")],
    ids="-".join,
)
def resumed(request, tmp_path_factory):
    name, how = request.param
    record = resuming.resume(
        HERE / "states" / name, tmp_path_factory.mktemp("resumed"), elsewhere=how == "elsewhere"
    )
    return name, how, record


def hosts_in_order(frozen: dict) -> dict:
    """Return *frozen* with its machines named as they appear; 0.1.0 began with those of the last leg."""
    text = json.dumps(frozen)
    hosts = [host["host"] for leg in frozen["legs"] for host in leg["hosts"]]
    names = {host: f"h{number}" for number, host in enumerate(dict.fromkeys(hosts), start=1)}
    text = re.sub(r'"(h\d+)(?=["./])', lambda found: f'"{names[found[1]]}', text)
    return json.loads(text)


def test_the_earlier_legs_are_told_as_they_were_then_and_once(resumed):
    name, how, record = resumed

    frozen = json.loads((HERE / "states" / f"{name}.{how}.json").read_text(encoding="utf-8"))
    expected = hosts_in_order(words.of_today(frozen))
    assert of_the_frozen_keys(resuming.earlier(record), expected) == expected
    assert len(expected["legs"]) == 2


def test_the_run_is_the_one_that_the_ledger_names(resumed):
    name, _, record = resumed

    assert {entry["run_id"] for entry in ledger(name)} >= {record["run"]["id"]}
    assert {leg["id"] for leg in record["legs"][:-1]} == {
        entry["leg"]["id"] for entry in ledger(name)
    }
    assert record["run"]["status"] == "finished"


def test_the_sums_are_those_of_the_frozen_legs_and_of_the_last_one(resumed):
    name, how, record = resumed

    frozen = json.loads((HERE / "states" / f"{name}.{how}.json").read_text(encoding="utf-8"))[
        "legs"
    ]
    legs = [*frozen, record["legs"][-1]]
    told = [record["energy"][f"{part}_kwh"] for part in ("cpu", "ram", "gpu", "total")]
    assert record["time"]["wall_clock_s"] == pytest.approx(sum(leg["wall_clock_s"] for leg in legs))
    # of the second host, the checkpoint has one leg alone
    if (name, how) == ("two-hosts-killed", "elsewhere"):
        assert told == [None] * 4
        return
    sums = used(legs)
    expected = [sums["cpu"], sums["ram"], sums["gpu"], sum(sums.values())]
    assert [(kwh or 0) * J_PER_KWH for kwh in told] == pytest.approx(expected)


@pytest.mark.parametrize("name", STATES)
def test_the_frozen_legs_have_the_energy_that_the_files_of_the_ledger_have(name):
    frozen = json.loads((HERE / "states" / f"{name}.here.json").read_text(encoding="utf-8"))["legs"]

    assert used(frozen) == pytest.approx(used([entry["leg"] for entry in ledger(name)]))
    assert sum(used(frozen).values()) > 0


def of_the_frozen_keys(now, then):
    """Return *now* without the fields of legs that were added since."""
    legs = [
        {key: leg[key] for key in frozen if key in leg}
        for leg, frozen in zip(now["legs"], then["legs"], strict=True)
    ]
    added = {
        f"legs.{number}.{key}"
        for number, leg in enumerate(now["legs"])
        for key in set(leg) - set(then["legs"][0])
    }
    reasons = {
        # since, the reason why there is no intensity follows the one why there is no energy
        path: reason.partition("; and ")[0] if path.endswith(".co2eq_g") else reason
        for path, reason in now["missing"].items()
        if path not in added
    }
    return {**now, "legs": legs, "missing": reasons}


def used(legs):
    """Return joules by part, over all hosts of *legs*."""
    hosts = [host for leg in legs for host in leg["hosts"]]
    parts = {part: sum(host[f"{part}_j"] for host in hosts) for part in ("cpu", "ram")}
    return {**parts, "gpu": sum(board["energy_j"] for host in hosts for board in host["devices"])}


def ledger(name):
    """Return the entries of the frozen ledger, read without any code of autocard."""
    return [
        json.loads(file.read_text())
        for file in sorted((HERE / "states" / name / "_autocard").glob("leg-*.json"))
    ]
