"""A machine keeps its name (h1, h2, …) in all records of a run, whatever becomes known of earlier legs later."""

from __future__ import annotations

import json

import pytest

from autocard.energy.ledger import earlier_legs, ledger_files, record_legs
from autocard.energy.ledger.earlier_legs import EarlierLegs
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.record import DeviceUse, HostUse, Leg
from autocard.runtime.run_history import RunHistory
from autocard.runtime.started_leg import StartedLeg
from autocard.settings import Settings

RUN = "a" * 12
HERE = ledger_files.host_id()


def entry(number: int, host: str, rank: int, joules: float, *, size: int = 2, **leaves):
    """Return the entry of a leg on one host, whose GPU took *joules*."""
    use = HostUse(host="h1", devices=[DeviceUse(device="h1.g0", energy_j=joules)])
    leg = Leg(
        id=f"{number:012x}",
        job_id="7",
        started_at=f"2026-01-01T0{number}:00:0{rank}.000Z",
        wall_clock_s=60.0,
        step_begin=10 * number,
        step_end=10 * number + 10,
        status="interrupted",
        hosts=[use],
        processes=size,
        nodes_expected=size,
    )
    known = {"run_id": RUN, "written_at": f"2026-01-01T0{number}:01:00.000Z", **leaves}
    return LedgerEntry(
        host_id=host, rank=rank, ranks=[rank], status="interrupted", leg=leg, **known
    )


def names(legs) -> dict[str, float]:
    """Return name of a host and its only GPU → joules, of each leg's hosts."""
    found: dict[str, float] = {}
    for leg in legs:
        for host in leg.hosts:
            (device,) = host.devices
            assert device.device == f"{host.host}.g0"
            found[host.host] = found.get(host.host, 0.0) + device.energy_j
    return found


def named(*entries: LedgerEntry) -> list[dict[str, float]]:
    return [names([one.leg]) for one in record_legs.completed(entries)]


def test_machines_are_named_in_the_order_of_their_first_appearance_in_the_run():
    legs = [
        entry(0, "a", 0, 1.0),
        entry(0, "b", 1, 2.0),
        entry(1, "b", 0, 3.0),
        entry(1, "c", 1, 4.0),
    ]

    assert named(*legs) == [{"h1": 1.0, "h2": 2.0}, {"h2": 3.0, "h3": 4.0}]
    assert named(*reversed(legs)) == named(*legs)


def test_a_machine_that_is_found_later_takes_the_next_name_and_no_other_s():
    first = entry(0, "a", 0, 1.0, size=3, hosts=["a", "c"])
    late = entry(0, "b", 1, 2.0, size=3)

    assert named(first, entry(0, "c", 2, 4.0, size=3)) == [{"h1": 1.0, "h2": 4.0}]
    assert named(first, late, entry(0, "c", 2, 4.0, size=3)) == [{"h1": 1.0, "h3": 2.0, "h2": 4.0}]


def history() -> RunHistory:
    made = RunHistory(Settings())
    made.run_id = RUN
    return made


def test_names_of_one_writing_stand_in_the_next_one_of_the_same_process():
    run = history()
    run.past = EarlierLegs(RUN, [])
    run.own = [entry(0, HERE, 0, 1.0, size=3)]
    run.reported = [entry(0, "c", 2, 4.0, size=3)]
    before = names(part.value for part in run.legs())

    run.reported = [entry(0, "b", 1, 2.0, size=3), *run.reported]
    after = names(part.value for part in run.legs())

    assert before == {"h1": 1.0, "h2": 4.0}
    assert after == {"h1": 1.0, "h2": 4.0, "h3": 2.0}


@pytest.mark.parametrize("way", ["checkpoint", "ledger"])
def test_names_go_on_in_another_process_that_knows_less_of_the_first_leg(way, tmp_path):
    first = history()
    first.past = EarlierLegs(RUN, [])
    first.begin(StartedLeg(0, "2026-01-01T00:00:00.000Z", 0.0, id=f"{0:012x}"))
    state: dict = {}
    first.pack(state)
    first.own = [entry(0, HERE, 0, 1.0)]
    first.reported = [entry(0, "b", 1, 2.0)]
    assert names(part.value for part in first.legs()) == {"h1": 1.0, "h2": 2.0}
    if way == "checkpoint":
        first.so_far(10, first.own[-1], saving=True)
    else:
        first.keep(tmp_path)

    # Of the first leg only the writing process's host is known; another machine is beside b now.
    second = RunHistory(Settings())
    told = json.loads(json.dumps(state)) if way == "checkpoint" else None
    second.past = (
        earlier_legs.find(ledger_files.folders_of(tmp_path, None), told[earlier_legs.STATE_KEY], 10)
        if told
        else EarlierLegs(RUN, ledger_files.of_run([tmp_path / ledger_files.FOLDER], RUN))
    )
    second.run_id = RUN
    second.own = [entry(1, "c", 0, 4.0)]
    second.reported = [entry(1, "b", 1, 8.0)]

    found = [names([part.value]) for part in second.legs()]
    assert found[-1] == {"h3": 4.0, "h2": 8.0}
    assert second.last().leg.hosts[0].host == "h3"


def test_machines_of_a_run_that_version_0_1_0_began_keep_the_names_of_its_records():
    old = [
        entry(0, "a", 0, 1.0, version=1),
        entry(0, "b", 1, 2.0, version=1),
        entry(1, "b", 0, 3.0, version=1),
        entry(1, "a", 1, 4.0, version=1),
    ]

    assert named(*old) == [{"h2": 1.0, "h1": 2.0}, {"h1": 3.0, "h2": 4.0}]
    with_next = named(*old, entry(2, "c", 0, 5.0), entry(2, "a", 1, 6.0))
    assert with_next == [*named(*old), {"h3": 5.0, "h2": 6.0}]


def test_the_order_of_names_in_a_checkpoint_names_no_machine():
    told = earlier_legs.without_private(entry(0, "a", 0, 1.0, hosts=["a", "b"]))

    assert told["hosts"] == ["a", "b"]  # pseudonyms, as `host_id`
    assert {"job_id", "board_ids", "output_id"}.isdisjoint(told)
