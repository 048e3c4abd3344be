"""Messages between training process and worker: read as they were written, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from autocard.energy.gpu.base import CounterReading
from autocard.energy.host.host_counters import HostReading
from autocard.energy.host.node_meter import NodeMeter
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole
from autocard.energy.ledger.leg_builder import LegEnd, LegStart
from autocard.energy.ledger.leg_readings import LegReadings
from autocard.energy.readings import Used
from autocard.energy.worker import protocol
from autocard.errors import UnavailableError
from autocard.record import Checkpoint, DeviceUse, HostUse, Leg

READING = HostReading(1.5, 2.0, 4.0, {"intel-rapl:0": 7.0}, {"intel-rapl:0": 9.0})
LEG = Leg(id="1" * 12, hosts=[HostUse(host="h1", devices=[DeviceUse(device="h1.g0")])])
ENTRY = LedgerEntry(
    run_id="0" * 12,
    host_id="h",
    written_at="2026-01-01T00:00:00.000Z",
    leg=LEG,
    missing={"hosts.0.cpu_j": "why"},
    readings=LegReadings(host=Used({"cpu": 1.0}, note="; said")),
)
COMMANDS = [
    protocol.Serve(protocol.WorkerOrder(7, READING)),
    protocol.Begin(LegStart(LEG, ["GPU-1"], 2.5, {"pue": "none"})),
    pytest.param(
        protocol.Begin(
            LegStart(LEG, [], 2.5),
            role=ProcessRole(rank=3, part="r3", ranks=[3], processes=4, nodes_expected=None),
            handover=protocol.Handover(
                "it ended",
                4,
                1.5,
                {"cpu": 2.0},
                [Checkpoint(step=3, wall_clock_s=1.0, energy_j=5.0)],
            ),
        ),
        id="Begin after a handover",
    ),
    protocol.Step(3),
    protocol.Saving(3),
    protocol.Saved(3),
    protocol.Rename("run", "leg"),
    protocol.End(
        "leg",
        LegEnd(9.5, "now", "stopped", 4, {"GPU-1": CounterReading(8.0)}, ["GPU-1"]),
        READING,
        max_steps=5,
    ),
    protocol.Evaluation("leg", 1.0, 2.0, 1),
    protocol.Quit(),
]
ANSWERS = [
    protocol.Up(),
    protocol.Ready({"reason": "no place"}),
    protocol.LegSoFar(ENTRY),
    protocol.LegEnded(ENTRY, is_final=False),
    protocol.Evaluated(1, None),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda one: type(one).__name__)
def test_a_command_is_read_as_it_was_written(command):
    line = protocol.encode(command)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert protocol.decode_command(line.decode()) == command


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: type(one).__name__)
def test_an_answer_is_read_as_it_was_written(answer):
    assert protocol.decode_answer(protocol.encode(answer)) == answer


def test_the_order_of_a_worker_keeps_paths_that_are_no_utf_8():
    folder = Path("/data/\udcff")
    order = protocol.WorkerOrder(
        7, READING, ticks_folder=folder, node_meter=NodeMeter(folder / "energy")
    )

    line = protocol.encode(protocol.Start(order, steps_file=3))

    assert protocol.decode_start(line.decode()) == protocol.Start(order, steps_file=3)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        '2 Step {"step": 3}',
        '1 Unknown {"step": 3}',
        '1 Evaluated {"number": 1, "energy_j": 2}',
        '1 Step {"step": "three"}',
        "1 Step {",
    ],
)
def test_a_line_of_another_version_or_kind_is_refused(line):
    with pytest.raises(UnavailableError):
        protocol.decode_command(line)


def test_an_entry_of_the_first_version_is_read_without_its_window():
    raw = ENTRY.model_dump(mode="json", exclude={"readings"})
    raw |= {"version": 1, "window": {"id": "1" * 12, "host": {"joules": {"cpu": 1.0}}}}

    entry = LedgerEntry.model_validate(raw)

    assert (entry.version, entry.readings) == (1, None)
    assert (entry.leg, entry.missing) == (ENTRY.leg, ENTRY.missing)
