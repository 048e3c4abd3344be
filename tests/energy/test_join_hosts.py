"""What hosts wrote of one leg, added up: each host and GPU once, whoever tells of it in whatever order."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocard.energy.ledger import join_hosts, source_words
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.record_legs import completed
from autocard.record import DeviceUse, HostUse, Leg
from autocard.record.gaps import Part
from autocard.settings import Settings
from autocard.totals import totals


def entry(
    host, rank, boards, *, cpu_j=None, part="", size=1, nodes=1, ranks=None, expects=None, **leaves
):
    """What one process wrote: *boards* are pseudonym → joules."""
    use = HostUse(
        host="h1",
        devices=[
            DeviceUse(device=f"h1.g{number}", name="GPU", energy_j=joules, source="nvml-counter")
            for number, joules in enumerate(boards.values())
        ],
        cpu_j=cpu_j,
        ram_j=None if cpu_j is None else 1.0,
        sources={"gpu": "measured: NVML energy counters"},
    )
    leg = Leg(
        id="leg",
        job_id="4711",
        started_at=f"2026-01-01T00:00:0{rank % 10}.000Z",
        wall_clock_s=10.0 + rank / 100,
        step_begin=0,
        step_end=5,
        status="finished",
        hosts=[use],
        setup_j=2.0,
        evaluation_j=0.0,
        processes=size,
        nodes_expected=nodes,
        intensity_g_per_kwh=100.0,
        repeated_steps=0,
        repeated_s=0.0,
        repeated_j=0.0,
        **leaves,
    )
    return LedgerEntry(
        run_id="run",
        host_id=host,
        written_at="2026-01-01T00:00:10.000Z",
        status="finished",
        board_ids=list(boards),
        rank=rank,
        part=part,
        ranks=[rank] if ranks is None else ranks,
        expects=list(boards) if expects is None else expects,
        leg=leg,
        missing={}
        if cpu_j is not None
        else {"hosts.0.cpu_j": join_hosts.OTHER, "hosts.0.ram_j": join_hosts.OTHER},
    )


@st.composite
def clusters(draw):
    """Some hosts: (name, CPU joules, boards that the leading rank sees, boards that other ranks alone see)."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        seen, unseen = draw(st.integers(0, 4)), draw(st.integers(0, 3))
        joules = draw(st.lists(st.floats(1, 1e6), min_size=seen + unseen, max_size=seen + unseen))
        boards = {f"{number}-{index}": value for index, value in enumerate(joules)}
        names = list(boards)
        found.append(
            (
                f"host{number}",
                draw(st.floats(1, 1e5)),
                {name: boards[name] for name in names[:seen]},
                {name: boards[name] for name in names[seen:]},
            )
        )
    return found


def written(cluster):
    """Return what its processes write: one that leads on each host, one for each board that it cannot see."""
    size = sum(1 + len(unseen) for _, _, _, unseen in cluster)
    entries, rank = [], 0
    for name, cpu_j, seen, unseen in cluster:
        ranks = list(range(rank, rank + 1 + len(unseen)))
        about = {"size": size, "nodes": len(cluster)}
        entries.append(
            entry(name, rank, seen, cpu_j=cpu_j, ranks=ranks, expects=[*seen, *unseen], **about)
        )
        for other, (board, joules) in zip(ranks[1:], unseen.items(), strict=True):
            entries.append(entry(name, other, {board: joules}, part=f"r{other}", **about))
        rank += 1 + len(unseen)
    return entries


@given(clusters(), st.randoms())
def test_the_sum_is_that_of_all_parts_in_whatever_order_they_come(cluster, draw):
    entries = written(cluster)
    twice = [*entries, *(one for one in entries if not one.part and draw.random() < 0.5)]
    draw.shuffle(twice)

    (whole,) = completed(twice)

    leg = whole.leg
    gpu_j = sum(sum(seen.values()) + sum(unseen.values()) for _, _, seen, unseen in cluster)
    spent = [device.energy_j for host in leg.hosts for device in host.devices]
    assert abs(sum(spent) - gpu_j) <= 1e-9 * max(gpu_j, 1)
    assert len(spent) == sum(len(seen) + len(unseen) for _, _, seen, unseen in cluster)
    assert (
        abs(sum(host.cpu_j for host in leg.hosts) - sum(cpu_j for _, cpu_j, _, _ in cluster)) < 1e-6
    )
    assert [host.host for host in leg.hosts] == [f"h{number + 1}" for number in range(len(cluster))]
    names = [device.device for host in leg.hosts for device in host.devices]
    assert len(set(names)) == len(names)
    assert (leg.processes, leg.processes_reporting) == (entries[0].leg.processes,) * 2
    assert "hosts" not in whole.missing
    assert leg.wall_clock_s == 10.0


@given(clusters().filter(lambda cluster: len(cluster) > 1), st.integers(0, 4))
def test_a_host_of_which_nothing_was_heard_leaves_no_total_and_what_was_heard_stands_apart(
    cluster, lost
):
    lost %= len(cluster)
    entries = [one for one in written(cluster) if one.host_id != f"host{lost}"]

    (whole,) = completed(entries)
    sums = totals.sums([Part(whole.leg, whole.missing)], settings=Settings())
    time, energy, emissions = sums.time.value, sums.energy.value, sums.emissions.value

    heard, count = len(cluster) - 1, len(cluster)
    assert whole.missing["hosts"].startswith(f"{heard} of {count} nodes reporting; ")
    assert (energy.total_kwh, energy.gpu_kwh, emissions.co2eq_g, time.gpu_s) == (None,) * 4
    assert "nodes reporting" in sums.energy.gaps["total_kwh"]
    known = [one for number, one in enumerate(cluster) if number != lost]
    joules = sum(
        cpu_j + 1.0 + sum(seen.values()) + sum(unseen.values()) for _, cpu_j, seen, unseen in known
    )
    assert abs(energy.reported_kwh * 3.6e6 - joules) <= 1e-9 * joules
    assert abs(emissions.reported_co2eq_g - joules / 3.6e6 * 100.0) <= 1e-9 * joules


def test_a_gpu_of_which_nothing_was_heard_is_counted_and_its_energy_is_not_made_up():
    about = {"size": 2, "ranks": [0, 1]}

    (whole,) = completed([entry("a", 0, {"x": 10.0}, cpu_j=5.0, expects=["x", "y"], **about)])
    sums = totals.sums([Part(whole.leg, whole.missing)], settings=Settings())
    time, energy = sums.time.value, sums.energy.value

    assert [device.energy_j for device in whole.leg.hosts[0].devices] == [10.0, None]
    assert energy.gpu_kwh is None
    assert sums.energy.gaps["gpu_kwh"] == join_hosts.SILENT
    assert time.gpu_s == 20.0
    assert energy.cpu_kwh == 5.0 / 3.6e6


def test_the_host_of_the_process_that_writes_the_card_may_be_measured_by_another_process():
    clock = entry("a", 0, {}, size=2, nodes=1).model_copy(
        update={"missing": {"": "another process measures"}}
    )
    clock = clock.model_copy(
        update={"leg": clock.leg.model_copy(update={"hosts": [], "setup_j": None})}
    )
    measured = entry("a", 1, {"x": 10.0}, cpu_j=5.0, size=2, ranks=[0, 1])

    (whole,) = completed([clock, measured])

    assert [host.cpu_j for host in whole.leg.hosts] == [5.0]
    assert (whole.leg.wall_clock_s, whole.leg.setup_j) == (10.0, 2.0)
    assert whole.missing == {}


def test_set_up_that_one_of_two_nodes_could_not_read_is_the_least_that_is_known():
    first = entry("a", 0, {"x": 10.0}, cpu_j=5.0, size=2, nodes=2)
    second = entry("b", 1, {"y": 10.0}, cpu_j=5.0, size=2, nodes=2)
    why = "not measured: there were no two readings"
    unread = second.with_leg(second.leg.model_copy(update={"setup_j": None}), {"setup_j": why})

    (whole,) = completed([first, unread])
    (known,) = completed([first, second])
    sums = [
        totals.sums([Part(one.leg, one.missing)], settings=Settings()).energy
        for one in (whole, known)
    ]

    assert (whole.leg.setup_j, whole.leg.reported_setup_j) == (None, 2.0)
    assert whole.missing["setup_j"] == why
    assert sums[0].value.setup_kwh is None
    assert sums[0].gaps["setup_kwh"] == why
    assert sums[0].value.reported_setup_kwh == 2.0 / 3.6e6
    assert (known.leg.setup_j, known.leg.reported_setup_j) == (4.0, 0.0)
    assert (sums[1].value.setup_kwh, sums[1].value.reported_setup_kwh) == (4.0 / 3.6e6, 0.0)


def test_set_up_of_the_starts_that_have_it_is_the_least_that_is_known():
    known = entry("a", 0, {"x": 10.0}, cpu_j=5.0).leg
    unknown = known.model_copy(update={"setup_j": None})
    legs = [Part(known), Part(unknown, {"setup_j": "not measured"}), Part(known)]

    energy = totals.sums(legs, settings=Settings()).energy.value

    assert energy.setup_kwh is None
    assert energy.reported_setup_kwh == 4.0 / 3.6e6


def test_checkpoints_of_hosts_add_up_where_all_have_them():
    def points(*pairs):
        return [
            {"step": step, "wall_clock_s": float(step), "energy_j": joules}
            for step, joules in pairs
        ]

    one = entry("a", 0, {}, cpu_j=1.0, size=2, nodes=2, checkpoints=points((2, 5.0), (4, 9.0)))
    other = entry("b", 1, {}, cpu_j=1.0, size=2, nodes=2, checkpoints=points((4, 1.0)))

    (whole,) = completed([one, other])

    assert [(point.step, point.energy_j) for point in whole.leg.checkpoints] == [(4, 10.0)]


def test_the_same_machine_has_the_same_name_in_each_leg_and_the_first_leg_begins_the_count():
    def leg(number, *names):
        made = [
            entry(name, rank, {}, cpu_j=1.0, size=2, nodes=2) for rank, name in enumerate(names)
        ]
        return [
            one.model_copy(
                update={
                    "leg": one.leg.model_copy(
                        update={"id": f"l{number}", "started_at": f"2026-01-0{number}"}
                    )
                }
            )
            for one in made
        ]

    entries = [*leg(1, "a", "b"), *leg(2, "b", "c")]
    random.Random(1).shuffle(entries)  # noqa: S311

    first, last = completed(entries)

    assert [host.host for host in first.leg.hosts] == ["h1", "h2"]
    assert [host.host for host in last.leg.hosts] == ["h2", "h3"]


def test_a_host_whose_process_began_late_is_counted_for_the_whole_leg_and_that_is_said():
    first = entry("a", 0, {"x": 10.0}, cpu_j=5.0, size=2, nodes=2)
    late = entry("b", 1, {"y": 10.0}, cpu_j=5.0, size=2, nodes=2)
    late = late.model_copy(update={"leg": late.leg.model_copy(update={"wall_clock_s": 4.0})})

    (whole,) = completed([first, late])

    one, other = whole.leg.hosts
    assert (one.cpu_j, one.devices[0].energy_j) == (5.0, 10.0)
    assert (other.cpu_j, other.devices[0].energy_j) == (12.5, 25.0)
    assert other.sources["gpu"].endswith(
        "6.0 s extrapolated, in which this host's process was not in training"
    )


def killed(made, seconds):
    """Return the entry *made*, as its worker left it when it was killed after *seconds*."""
    leg = made.leg.model_copy(update={"status": None, "wall_clock_s": seconds, "step_end": None})
    return made.model_copy(update={"status": "running", "tick_s": 15.0, "leg": leg})


@given(st.floats(0.0, 50.0), st.booleans())
def test_a_node_that_failed_shortly_before_the_others_ended_is_counted_to_the_end(lag_s, lead):
    went_on = entry("a", int(lead), {"x": 1000.0}, cpu_j=500.0, size=2, nodes=2)
    went_on = killed(went_on, 100.0)
    failed = entry("b", int(not lead), {"y": 1000.0 - 10 * lag_s}, cpu_j=500.0, size=2, nodes=2)

    (whole,) = completed([went_on, killed(failed, 100.0 - lag_s)])

    assert whole.leg.wall_clock_s == 100.0
    assert whole.leg.nodes_reporting == whole.leg.processes_reporting == 2
    # 10 W each; what is shorter than NOTICEABLE_S is not added
    used_j = sum(host.devices[0].energy_j for host in whole.leg.hosts)
    assert used_j == pytest.approx(2000.0, abs=10 * source_words.NOTICEABLE_S)


def test_a_node_that_failed_long_before_the_others_ended_is_said_not_to_have_reported():
    went_on = killed(entry("a", 0, {"x": 1000.0}, cpu_j=500.0, size=2, nodes=2), 1000.0)
    failed = killed(entry("b", 1, {"y": 100.0}, cpu_j=50.0, size=2, nodes=2), 100.0)

    (whole,) = completed([went_on, failed])
    energy = totals.sums([Part(whole.leg, whole.missing)], settings=Settings()).energy

    assert (whole.leg.nodes_expected, whole.leg.nodes_reporting) == (2, 1)
    assert whole.missing["hosts"].startswith("1 of 2 nodes reporting")
    assert energy.value.total_kwh is None
    assert energy.value.reported_kwh == pytest.approx((1000.0 + 500.0 + 100.0 + 50.0 + 2.0) / 3.6e6)


def test_trainings_that_only_began_together_are_counted_as_long_as_each_took():
    first = entry("a", 0, {"x": 10.0}, cpu_j=5.0, size=2, nodes=2).model_copy(
        update={"apart": True}
    )
    longer = entry("b", 1, {"y": 10.0}, cpu_j=5.0, size=2, nodes=2).model_copy(
        update={"apart": True}
    )
    longer = longer.model_copy(update={"leg": longer.leg.model_copy(update={"wall_clock_s": 40.0})})

    (whole,) = completed([first, longer])

    assert [host.cpu_j for host in whole.leg.hosts] == [5.0, 5.0]
    assert whole.leg.wall_clock_s == 40.0
