"""Pieces of work that measure: the processes' shares, the meter, the leg, the ledger."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from autocard.capture.environment import hardware, launcher
from autocard.energy.ledger.ledger_entry import LedgerEntry, ProcessRole
from autocard.errors import UnavailableError
from autocard.runtime import deadlines, places, search
from autocard.runtime.run_state import Event, RunState
from autocard.runtime.search import WrittenTrial
from autocard.trainers import trainer_calls

if TYPE_CHECKING:
    from autocard.energy.counter_mark import CounterMark
    from autocard.energy.meter import Meter

# -- before training and at its begin --------------------------------------------------------------


def team(run: RunState, event: Event) -> bool:
    """Find the training's other processes."""
    run.coordinator.join(event.observed)
    return True


def job(run: RunState, event: Event) -> None:
    """Find the workload manager's job in which this process trains."""
    run.history.job = launcher.started_job(event.observed.processes.count)


def whole_meter(run: RunState, event: Event) -> Meter:
    """Start the worker, which measures this host.

    Raises:
        UnavailableError: another process measures it.
    """
    if not run.coordinator.team.leads:
        msg = "another process of this host measures"
        raise UnavailableError(msg)
    return _meter(run, event, whole=True)


def part_meter(run: RunState, event: Event) -> Meter:
    """Start a worker for GPUs only: another process measures CPU and memory of the host."""
    return _meter(run, event, whole=False)


def _meter(run: RunState, event: Event, *, whole: bool) -> Meter:
    """Return a meter whose worker has been started."""
    # Imported here: a failed import of the meter must cost the energy and not the card.
    from autocard.energy.meter import Meter  # noqa: PLC0415

    settings = run.settings
    used = hardware.accelerators(event.observed)
    looks_up = settings.geolocate and whole and run.coordinator.team.first_to("look the place up")
    meter = Meter(
        settings,
        uses_gpu=used.uses_gpu,
        folder=event.folder,
        run_id=run.history.run_id,
        device_type=used.device_type,
        ordinals=used.ordinals,
        job=run.history.job,
        start_s=run.made_s,
        whole=whole,
        geolocate=looks_up,
    )
    meter.start()
    return meter


def mark(_run: RunState, event: Event) -> CounterMark:
    """Read the counters of the host and all visible GPUs: finding the used GPUs takes time."""
    from autocard.energy import counter_mark  # noqa: PLC0415 - as in `_meter`

    used = hardware.own_accelerators(event.observed)
    return counter_mark.read_all(event.at_s, boards=bool(used.uses_gpu))


def leg_id(run: RunState, _event: Event) -> str | None:
    """Agree with the other processes on the leg's id; None: this process is alone."""
    return run.coordinator.open()


def nodes(run: RunState, _event: Event) -> int:
    """Return the launcher's number of nodes."""
    return launcher.nodes(os.environ, run.coordinator.team.tasks)


def share_out(run: RunState, event: Event) -> None:
    """Find out what this process measures in the leg that begins."""
    run.coordinator.share_out(event.nodes)


def needs_part_meter(run: RunState, _event: Event) -> bool:
    """Return whether this process measures part of its host and has no meter yet."""
    return bool(run.coordinator.watch.part) and run.settings.emissions and run.meter is None


def use(run: RunState, _event: Event) -> None:
    """Set what the meter measures in the leg that begins."""
    watch = run.coordinator.watch
    role = run.history.role or ProcessRole()
    _own(run).use(watch.boards, watch.share, role, watch.reason)


def begin_leg(run: RunState, event: Event) -> None:
    """Begin a leg of the meter."""
    meter = _own(run)
    meter.run_id = run.history.run_id
    meter.begin(
        event.step,
        event.max_steps,
        anew=event.broken_off,
        leg_id=event.leg_id,
        mark=event.mark,
        has_setup=not trainer_calls.searched_since(run.made_s),
    )


def wants_energy(run: RunState, _event: Event) -> bool:
    """Return whether the user wants energy to be measured."""
    return run.settings.emissions


def has_meter(run: RunState, _event: Event) -> bool:
    """Return whether this process has a meter."""
    return run.meter is not None


def measures(run: RunState, _event: Event) -> bool:
    """Return whether this process writes to the ledger."""
    return run.coordinator.measures


def measures_leg(run: RunState, event: Event) -> bool:
    """Return whether this process measures the leg that begins."""
    return has_meter(run, event) and measures(run, event)


def _own(run: RunState) -> Meter:
    if run.meter is None:
        msg = "this process does not measure"
        raise UnavailableError(msg)
    return run.meter


# -- while training runs ---------------------------------------------------------------------------


def progress(run: RunState, event: Event) -> None:
    """Send the step to the meter, and put the meter's figures into the trainer's state."""
    meter, step = run.meter, event.step
    run.wall_clock.look()
    _name_leg(run)
    if meter is not None:
        meter.progress(step, saving=event.saving, saved=event.saved)
    if run.facts.running and not run.facts.ended:
        measured = None if meter is None else meter.so_far
        run.history.so_far(step, measured, saving=event.saving)
        _warn_of_ledger(run, measured)


def _warn_of_ledger(run: RunState, measured: LedgerEntry | None) -> None:
    """Warn once if the working files cannot be written where they should be, any more."""
    why = None if measured is None else measured.missing.get("ledger")
    if why is None:
        return
    if "ledger_dir" in why:
        run.warn_of("ledger_dir", f"{places.given(run.settings, 'ledger_dir')}: {why}.")
    else:
        run.warn_of("output_dir", f"{why}.")


def misses_others(run: RunState, _event: Event) -> bool:
    """Return whether it is time to try to reach the other processes again."""
    return run.coordinator.is_due()


def misses_others_at_end(run: RunState, _event: Event) -> bool:
    """Return whether the other processes could not be reached up to the end of training."""
    return run.coordinator.is_due(last=True)


def meet_again(run: RunState, event: Event) -> None:
    """Reach the other processes, which could not be reached when training began."""
    run.coordinator.meet_again(event.observed)


def has_reading(run: RunState, event: Event) -> bool:
    """Return whether this process has a new reading for the checkpoints."""
    reading = None if run.meter is None else run.meter.so_far
    return run.facts.running and run.coordinator.shows(event.observed, reading)


def show_reading(run: RunState, _event: Event) -> None:
    """Show the newest reading to the process that writes the checkpoints."""
    reading = _own(run).so_far
    if reading is not None:
        run.coordinator.show_reading(reading)


def saves_readings(run: RunState, event: Event) -> bool:
    """Return whether a checkpoint is about to be written that takes readings of all hosts."""
    return event.saving and run.coordinator.takes_readings(event.observed)


def readings_of_others(run: RunState, _event: Event) -> None:
    """Take the newest readings of the other processes, which travel in the checkpoint."""
    run.history.beside = run.coordinator.readings()


def late_name(run: RunState, _event: Event) -> None:
    """Give the leg the id of the other processes, if that was not known when it began."""
    _name_leg(run)


def _name_leg(run: RunState) -> None:
    named = run.coordinator.named_late()
    if named is None:
        return
    run.history.run_id, run.history.open.id = named
    if run.meter is not None and not run.coordinator.is_late_part:
        run.meter.rename(*named)


# -- the end ---------------------------------------------------------------------------------------


def stop(run: RunState, event: Event) -> None:
    """Read the counters."""
    _own(run).stop(event.at_s)


def end_leg(run: RunState, event: Event) -> list[LedgerEntry]:
    """Return the meter's entries of the leg."""
    entries = _own(run).end(event.step, event.max_steps)
    _warn_of_ledger(run, entries[-1])
    return entries


def after_training(run: RunState, event: Event) -> float | None:
    """Return the joules of an evaluation after training that has just ended."""
    took_s = event.took_s or 0.0
    return _own(run).after(event.at_s - took_s, event.at_s)


def measured_after(run: RunState, event: Event) -> bool:
    """Return whether an evaluation after training is measured and its duration is known."""
    return run.has_measured and event.took_s is not None


def joules_of_others(run: RunState, event: Event) -> Any:
    """Exchange the energy of an evaluation after training with other processes: rank → joules."""
    return run.coordinator.evaluated(event.observed, event.joules)


def broken_off(run: RunState, _event: Event) -> None:
    """Close the leg of a training that has ended without an event."""
    run.history.broken_off(run.history.open.reached)


def is_among_others(run: RunState, _event: Event) -> bool:
    """Return whether the training has several processes."""
    return not run.coordinator.alone


def left_by_others(run: RunState, _event: Event) -> None:
    """Take what the other processes have written of the leg: they report no more."""
    run.history.take_written()


def ledger(run: RunState, event: Event) -> None:
    """Write this process's entry of the ledger."""
    run.history.keep(event.folder, event.entry)


def clear_node(run: RunState, _event: Event) -> None:
    """Remove the working files of earlier legs from this node; the output folder has them."""
    run.history.clear_node()


def earlier(run: RunState, event: Event) -> None:
    """Read the ledger's entries of earlier legs again: their figures may be complete by now."""
    run.history.look_again(event.folder)


def written_trials(run: RunState, event: Event) -> list[WrittenTrial]:
    """Return the trials that other processes have trained for a search before this training."""
    own = run.history.folders_of(event.folder).reads
    others = [
        folder
        for output_dir in run.origin.folders
        for folder in run.history.folders_of(output_dir).reads
    ]
    return search.written([*own, *others], run.origin.id)


def may_follow_search(run: RunState, event: Event) -> bool:
    """Return whether this process writes the card of a training that is no trial."""
    return run.writes(event.observed) and not event.in_search


def report(run: RunState, event: Event) -> None:
    """Send this process's measurements to the process that writes the card."""
    run.coordinator.send_report(event.observed, run.facts.parts.get("hardware"))


def reports(run: RunState, event: Event) -> None:
    """Gather the reports of the other processes."""
    run.coordinator.gather_reports(event.observed)


def reports_again(run: RunState, event: Event) -> None:
    """Exchange reports once more, where each process has a training of its own."""
    run.coordinator.report_again(event.observed, run.facts.parts.get("hardware"))


def turn(run: RunState, _event: Event) -> Any:
    """Wait until no other process writes the card; return what ends this process's turn."""
    return run.coordinator.team.take_turn()


# -- what comes late -------------------------------------------------------------------------------


def late_figures(run: RunState, event: Event) -> list[LedgerEntry]:
    """Return the entries of legs whose figures have arrived since they ended."""
    return _own(run).late(event.wait_s, last=event.last)


def late_elsewhere(run: RunState, event: Event) -> bool:
    """Return whether figures of other processes have arrived in the ledger."""
    history = run.history
    until_s = time.monotonic() + event.wait_s
    news = history.look_for_awaited()
    while history.awaited_here and time.monotonic() < until_s:
        time.sleep(deadlines.POLL_S)
        news = history.look_for_awaited() or news
    given_up = event.last and history.give_up_awaited()
    return given_up or news
