"""Measure adding up the ledgers of 1,024 hosts with eight GPUs each, and those of 128 hosts.

Ledgers are written by a script, as measuring processes write them: two legs, the first of which was
broken off. Each count of hosts is measured in a process of its own, from the files to the sums
(that is what is bounded: 2 s and 300 MB for 1,024 hosts), and on to the record, its JSON and the
card; and, in another process, from the notes that all ranks leave in the process group's store, in
the place of the files. What to watch: seconds, memory, and how many times more seconds eight times
the hosts take (eight is linear).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from autocard.energy.ledger import earlier_legs, ledger_files
from autocard.energy.ledger.ledger_entry import LedgerEntry
from autocard.energy.ledger.ledger_files import pseudonym
from autocard.record import DeviceUse, HostUse, Leg, Place
from autocard.settings import resolve

T = TypeVar("T")

COUNTS = (1, 128, 1024)
GPUS = 8
WATTS = 400.0
LEGS = (("000000000001", 0, 3600.0, "interrupted"), ("000000000002", 500, 7200.0, "finished"))
MOST_S, MOST_MB = 2.0, 300.0


def entry(number: int, hosts: int, leg: tuple[str, int, float, str]) -> LedgerEntry:
    """Return what the measuring process of one host writes of one leg."""
    leg_id, step, wall_clock_s, status = leg
    devices = [
        DeviceUse(
            device=f"h1.g{index}",
            name="NVIDIA H100 80GB HBM3",
            memory_bytes=85899345920,
            energy_j=WATTS * wall_clock_s,
            source="nvml-counter",
            counter_begin_j=1e6 * number,
            counter_end_j=1e6 * number + WATTS * wall_clock_s,
        )
        for index in range(GPUS)
    ]
    used = HostUse(
        host="h1",
        devices=devices,
        cpu_j=280.0 * wall_clock_s,
        ram_j=40.0 * wall_clock_s,
        codecarbon_gpu_j=GPUS * WATTS * wall_clock_s,
        cpu_share=1.0,
        sources={
            "gpu": "measured: NVML energy counters",
            "cpu": "modelled: CodeCarbon, load × 280 W",
            "ram": "modelled: 40 W",
            "setup": "by the same means as the training; 12.0 s long",
        },
    )
    first, ranks = number * GPUS, list(range(number * GPUS, (number + 1) * GPUS))
    boards = [pseudonym(f"board {number} {index}") for index in range(GPUS)]
    return LedgerEntry(
        run_id="a" * 12,
        host_id=pseudonym(f"host {number}"),
        process_id=pseudonym(f"process {number} {leg_id}"),
        output_id="b" * 12,
        job_id="c" * 12,
        board_ids=boards,
        rank=first,
        ranks=ranks,
        expects=boards,
        status=status,
        written_at=f"2026-01-0{1 + bool(step)}T00:00:00.000Z",
        max_steps=1000,
        leg=Leg(
            id=leg_id,
            started_at=f"2026-01-0{1 + bool(step)}T00:00:00.000Z",
            ended_at=f"2026-01-0{1 + bool(step)}T02:00:00.000Z",
            status=status,
            step_begin=step,
            step_end=step + 500,
            wall_clock_s=wall_clock_s,
            hosts=[used],
            setup_j=1e5,
            evaluation_j=0.0,
            place=Place(country_iso_code="FRA", source="argument"),
            intensity_g_per_kwh=56.0,
            intensity_source="Our World in Data, through CodeCarbon",
            intensity_year=2023,
            processes=hosts * GPUS,
            processes_reporting=GPUS,
            nodes_expected=hosts,
        ),
        missing={
            "hosts.0.node_meter_j": "not read: no node meter is known",
            "place.region": "no region was given",
            "place.cloud_provider": "the machine's firmware names no cloud",
            "place.cloud_region": "no cloud is known",
            "pue": "no PUE was given",
        },
    )


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """Return what *work* returns, and the seconds that it took."""
    begin_s = time.perf_counter()
    return work(), time.perf_counter() - begin_s


def peak_mb() -> float:
    """Return the most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def from_notes(hosts: int) -> Callable[[], list[LedgerEntry]]:
    """Return a function that reads the notes of all ranks; a host's first rank measures for it."""
    from autocard.distributed import reports

    told = [
        reports.note(
            entry(number, hosts, LEGS[1]) if not rank else None,
            earlier(number, hosts, rank),
            None,
            {},
        )
        for number in range(hosts)
        for rank in range(GPUS)
    ]
    texts = [json.dumps({**note, "rank": rank}) for rank, note in enumerate(told)]

    def read() -> list[LedgerEntry]:
        now, before = reports.entries([json.loads(text) for text in texts], LEGS[1][0])
        return [*before, *now]

    return read


def earlier(number: int, hosts: int, rank: int) -> list[LedgerEntry]:
    """Return what a rank tells of the leg before, which only its host's own disk has."""
    return [] if rank else [entry(number, hosts, LEGS[0])]


def measure(hosts: int, folder: Path, *, noted: bool) -> dict[str, float]:
    """Add up the ledgers in *folder*; return seconds and megabytes by what they were spent on."""
    from autocard.card.update import update
    from autocard.record import Run, from_json, to_json
    from autocard.runtime.assemble import RecordDraft, build_record
    from autocard.totals import totals

    settings = resolve({})
    spent = {"begin_mb": peak_mb()}
    entries, spent["read_s"] = timed(
        from_notes(hosts) if noted else lambda: ledger_files.of_run([folder], "a" * 12)
    )
    spent["begin_mb"] = peak_mb() if noted else spent["begin_mb"]
    whole, spent["join_s"] = timed(lambda: earlier_legs.completed(entries))
    missing = {
        f"legs.{number}.{path}": why
        for number, one in enumerate(whole)
        for path, why in one.missing.items()
    }
    legs = [one.leg for one in whole]
    sums, spent["sums_s"] = timed(
        lambda: totals.sums(legs, settings=settings, missing=dict(missing))
    )
    spent["added_mb"] = peak_mb()
    truth_kwh = hosts * (GPUS * WATTS + 320.0) * sum(leg[2] for leg in LEGS) / 3.6e6
    if sums[1].total_kwh is None or abs(sums[1].total_kwh / truth_kwh - 1) > 1e-9:  # noqa: PLR2004 - rounding
        message = f"{sums[1].total_kwh} kWh were added up, of {truth_kwh}: {missing}"
        raise ValueError(message)
    draft = RecordDraft(settings, Run(id="a" * 12), legs, {}, {"legs": missing})
    record, spent["record_s"] = timed(lambda: build_record(draft))
    _, spent["card_s"] = timed(lambda: update(folder / "README.md", record, dry_run=True))
    text, spent["json_s"] = timed(lambda: to_json(record))
    spent["json_mb"] = len(text) / 1e6
    _, spent["read_again_s"] = timed(lambda: from_json(text))
    spent["whole_mb"] = peak_mb()
    spent["files_mb"] = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    return spent


def line(hosts: int, one: dict[str, float], way: str) -> str:
    """Return a line with the measurements of a number of hosts."""
    return (
        f"{hosts:5} hosts, {way:32} added up in {one['added_s']:6.3f} s "
        f"(read {one['read_s']:.3f}, join {one['join_s']:.3f}, sums {one['sums_s']:.3f}), "
        f"{one['added_mb']:4.0f} MB; record {one['record_s']:.3f} s, "
        f"card {one['card_s']:.3f} s, JSON {one['json_s']:.3f} s ({one['json_mb']:.2f} MB), "
        f"{one['whole_mb']:4.0f} MB"
    )


def main() -> None:
    """Measure each count of hosts and print."""
    found: dict[tuple[int, bool], dict[str, float]] = {}
    for noted in (False, True):
        for hosts in COUNTS:
            with tempfile.TemporaryDirectory() as name:
                for number in range(0 if noted else hosts):
                    for leg in LEGS:
                        ledger_files.write(Path(name), entry(number, hosts, leg))
                command = [
                    sys.executable,
                    __file__,
                    str(hosts),
                    name,
                    *(["noted"] if noted else []),
                ]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            one = found[hosts, noted] = json.loads(done.stdout)
            one["added_s"] = sum(one[part] for part in ("read_s", "join_s", "sums_s"))
            way = (
                f"{GPUS * hosts} notes:"
                if noted
                else f"{2 * hosts} ledgers ({one['files_mb']:.2f} MB):"
            )
            print(line(hosts, one, way))
        few, many = found[COUNTS[1], noted], found[COUNTS[2], noted]
        grown = {
            part: many[f"{part}_s"] / few[f"{part}_s"]
            for part in ("added", "record", "card", "json")
        }
        print(
            f"for × {COUNTS[2] / COUNTS[1]:.0f} the hosts:",
            ", ".join(f"{part} × {by:.1f}" for part, by in grown.items()),
        )
    for noted, what in ((False, "ledgers"), (True, "notes")):
        many = found[COUNTS[2], noted]
        kept = many["added_s"] <= MOST_S and many["added_mb"] <= MOST_MB
        print(
            f"{what} of {COUNTS[2]} hosts within {MOST_S:g} s and {MOST_MB:g} MB: "
            f"{'yes' if kept else 'NO'}"
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]), Path(sys.argv[2]), noted=len(sys.argv) > 3)))  # noqa: PLR2004
    else:
        main()
